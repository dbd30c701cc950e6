"""Ceph's S3 gateway for tests: real SigV4, conditional PUTs that are atomic, real STS credentials.

One monitor, one OSD that keeps everything in memory, and one gateway, on loopback, without cephx.
Nothing outside the directory is read or written: neither /etc/ceph nor a cluster that runs here.

    with Radosgw(directory) as server:
        server.make_bucket("backup")
        hand_out = server.assume_role(12)       # credentials that expire after 12 s
"""

import json
import os
import urllib.parse
import uuid

from object_server import START_DEADLINE_S, ObjectServer, answers, demand_programs, reserved_ports
from sigv4 import Credentials, xml_fields

PROGRAMS = {"/usr/bin/ceph": "ceph-common", "/usr/bin/ceph-mon": "ceph-mon",
            "/usr/bin/ceph-osd": "ceph-osd", "/usr/bin/radosgw": "radosgw"}
USER = "satchel"
ROLE = "task"
# The one place where the programs would look for other settings.
ENVIRONMENT = {"CEPH_CONF": "/dev/null", "CEPH_ARGS": "", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
TRUST = {"Version": "2012-10-17", "Statement": [{
    "Effect": "Allow", "Action": ["sts:AssumeRole"],
    "Principal": {"AWS": [f"arn:aws:iam:::user/{USER}"]}}]}
ALLOWED = {"Version": "2012-10-17", "Statement": [{
    "Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"]}]}

CONF = """
[global]
fsid = {fsid}
mon initial members = a
mon host = [v2:127.0.0.1:{mon_v2},v1:127.0.0.1:{mon_v1}]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
# The default of the gateway, `secure`, needs cephx: without it the gateway waits forever.
ms mon client mode = crc
ms mon service mode = crc
ms mon cluster mode = crc
run dir = {directory}
crash dir = {directory}
admin socket =
log to stderr = true
log to file = false
mon cluster log to file = false
keyring = {directory}/keyring
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
mon pg warn min per osd = 0
mon data avail crit = 1
mon data avail warn = 1
# By default the monitor gathers changes for a second, and a start consists of a dozen of them.
paxos propose interval = 0.02
paxos min wait = 0.01

[mon]
mon data = {directory}/mon

[osd]
osd data = {directory}/osd
osd objectstore = memstore
memstore device bytes = 2147483648
osd class load list = *
osd class default list = *
osd memory target = 939524096
osd op num shards = 1
osd op num threads per shard = 2

[client.rgw]
rgw data = {directory}/rgw
# Without tcp_nodelay a small answer waits 40 ms for the acknowledgement of the one before.
rgw frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
rgw thread pool size = 16
# Buckets can be called BUCKET.localhost, too; curl looks such names up on loopback by itself.
rgw dns name = localhost
rgw sts key = 0123456789abcdef
rgw s3 auth use sts = true
rgw sts min session duration = 5
rgw override bucket index max shards = 1
rgw gc max objs = 4
rgw lc max objs = 4
rgw enable usage log = false
"""


class Radosgw(ObjectServer):
    """A cluster of three processes. The OSD's memory grows with what is stored."""

    access_key = "SATCHELTESTACCESSKEY"
    secret_key = "satchel-test-secret-of-the-gateway"

    def __init__(self, directory):
        super().__init__(directory)
        self.conf = self.path("ceph.conf")

    def start(self):
        demand_programs(PROGRAMS)
        mon_v2, mon_v1, port = self.held.enter_context(reserved_ports(3))
        for name in ("mon", "osd", "rgw"):
            os.mkdir(self.path(name))
        self.write("keyring", "")
        fsid = str(uuid.uuid4())
        self.write("ceph.conf", CONF.format(fsid=fsid, mon_v2=mon_v2, mon_v1=mon_v1, port=port,
                                            directory=self.directory))
        self.start_monitor(fsid, f"[v2:127.0.0.1:{mon_v2},v1:127.0.0.1:{mon_v1}]")
        self.start_osd()
        self.endpoint = f"http://127.0.0.1:{port}"
        self.gateway = self.launch("rgw", "/usr/bin/radosgw", "-c", self.conf, "-n", "client.rgw",
                                   "-f", environment=ENVIRONMENT)
        self.wait_for_gateway()
        self.make_user()

    def start_monitor(self, fsid, addresses):
        self.ceph_run("/usr/bin/monmaptool", "--create", "--clobber", "--fsid", fsid,
                      "--addv", "a", addresses, self.path("monmap"))
        self.ceph_run("/usr/bin/ceph-mon", "-c", self.conf, "-i", "a", "--mkfs",
                      "--monmap", self.path("monmap"))
        self.launch("mon", "/usr/bin/ceph-mon", "-c", self.conf, "-i", "a", "-f",
                    environment=ENVIRONMENT)

    def start_osd(self):
        """Nothing waits for it: the gateway's first request does."""
        osd = str(uuid.uuid4())
        number = self.ceph_run("/usr/bin/ceph", "-c", self.conf, "--connect-timeout",
                               str(START_DEADLINE_S // 2), "osd", "new", osd).strip()
        self.ceph_run("/usr/bin/ceph-osd", "-c", self.conf, "-i", number, "--mkfs",
                      "--osd-uuid", osd)
        self.launch("osd", "/usr/bin/ceph-osd", "-c", self.conf, "-i", number, "-f",
                    environment=ENVIRONMENT)

    def ceph_run(self, *command):
        return self.run(*command, environment=ENVIRONMENT)

    def wait_for_gateway(self):
        port = int(self.endpoint.rpartition(":")[2])
        self.wait_until(lambda: answers(port), "the gateway listens")

    def make_user(self):
        """The user who owns the buckets, and a role for temporary credentials."""
        self.ceph_run("/usr/bin/radosgw-admin", "-c", self.conf, "-n", "client.rgw",
                      "user", "create", f"--uid={USER}", f"--display-name={USER}",
                      f"--access-key={self.access_key}", f"--secret-key={self.secret_key}",
                      "--caps=roles=*")
        self.act(Action="CreateRole", RoleName=ROLE, Path="/",
                 AssumeRolePolicyDocument=json.dumps(TRUST))
        self.act(Action="PutRolePolicy", RoleName=ROLE, PolicyName="p",
                 PolicyDocument=json.dumps(ALLOWED))

    def act(self, **parameters):
        """A request to the gateway's IAM. It finds the action only in the query, not in the body
        where clients of AWS put it."""
        self.client().demand("POST", "/", parameters)

    def assume_role(self, seconds):
        """Temporary Credentials that the gateway refuses `seconds` (at least 5) from now on."""
        form = urllib.parse.urlencode({
            "Action": "AssumeRole", "Version": "2011-06-15", "DurationSeconds": str(seconds),
            "RoleArn": f"arn:aws:iam:::role/{ROLE}", "RoleSessionName": "test"})
        answer = self.client().demand(
            "POST", "/", headers={"Content-Type": "application/x-www-form-urlencoded"},
            body=form.encode(), service="sts")
        fields = xml_fields(answer.body, ("AccessKeyId", "SecretAccessKey", "SessionToken",
                                          "Expiration"))
        return Credentials(fields["AccessKeyId"], fields["SecretAccessKey"],
                           fields["SessionToken"], fields["Expiration"])
