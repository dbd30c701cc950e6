"""Ceph's S3 gateway for tests: real SigV4, conditional PUTs that are atomic, real STS credentials.

One monitor, one OSD that keeps everything in memory, and one gateway, on loopback, without cephx.
Nothing outside the directory is read or written: neither /etc/ceph nor a cluster that runs here.

    with Radosgw(directory) as server:
        server.make_bucket("backup")
        hand_out = server.assume_role(12)       # credentials that expire after 12 s

Run as a program it is the object storage of the demo (`./dev run --backup`), which keeps what it has
on disk from one run to the next:

    radosgw.py DIRECTORY PORT BUCKET            says "serving …" once it does; ends at SIGTERM
"""

import json
import os
import shutil
import signal
import sys
import threading
import unittest
import urllib.parse
import uuid
from pathlib import Path

from object_server import (START_DEADLINE_S, NotStarted, ObjectServer, answers, demand_programs,
                           reserved_ports)
from sigv4 import Credentials, S3Error, xml_fields

PROGRAMS = {"/usr/bin/ceph": "ceph-common", "/usr/bin/ceph-mon": "ceph-mon",
            "/usr/bin/ceph-osd": "ceph-osd", "/usr/bin/radosgw": "radosgw"}
USER = "satchel"
ROLE = "task"
LOOK_S = 1  # between two looks whether all parts are there
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
{objects}
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
# In pieces that hold a core for moments only: benchmarks measure on the same ones.
rgw max chunk size = 262144
rgw obj stripe size = 262144
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

IN_MEMORY = """osd objectstore = memstore
memstore device bytes = 2147483648"""
# A file that has only the blocks that were written.
ON_DISK = """osd objectstore = bluestore
bluestore block create = true
bluestore block size = 8589934592"""


class Radosgw(ObjectServer):
    """A cluster of three processes. The OSD's memory grows with what is stored, unless it is kept on
    disk: then the next one with that directory has it, too."""

    access_key = "SATCHELTESTACCESSKEY"
    secret_key = "satchel-test-secret-of-the-gateway"

    def __init__(self, directory, port=None, keep=False):
        """`port`: of the gateway; None: any. `keep`: on disk."""
        super().__init__(directory)
        self.conf = self.path("ceph.conf")
        self.port = port
        self.keep = keep

    def start(self):
        demand_programs(PROGRAMS)
        mon_v2, mon_v1, any_port = self.held.enter_context(reserved_ports(3))
        port = self.port or any_port
        made = Path(self.path("made"))  # written when everything is: the ids of cluster and OSD
        is_new = not made.exists()
        if is_new:
            for name in ("mon", "osd", "rgw"):
                shutil.rmtree(self.path(name), ignore_errors=True)  # of a start that was cut short
                os.mkdir(self.path(name))
        fsid, osd = made.read_text(encoding="ascii").split() if not is_new else (
            str(uuid.uuid4()), str(uuid.uuid4()))
        self.write("keyring", "")
        self.write("ceph.conf", CONF.format(
            fsid=fsid, mon_v2=mon_v2, mon_v1=mon_v1, port=port, directory=self.directory,
            objects=ON_DISK if self.keep else IN_MEMORY))
        self.start_monitor(fsid, f"[v2:127.0.0.1:{mon_v2},v1:127.0.0.1:{mon_v1}]", is_new)
        self.start_osd(osd, is_new)
        self.endpoint = f"http://127.0.0.1:{port}"
        self.gateway = self.launch("rgw", "/usr/bin/radosgw", "-c", self.conf, "-n", "client.rgw",
                                   "-f", environment=ENVIRONMENT)
        self.wait_for_gateway()
        if is_new:
            self.make_user()
        if is_new and self.keep:
            self.write("made", f"{fsid} {osd}\n")

    def start_monitor(self, fsid, addresses, is_new):
        """It is told its addresses each time: the ports of the last time may be somebody else's."""
        self.ceph_run("/usr/bin/monmaptool", "--create", "--clobber", "--fsid", fsid,
                      "--addv", "a", addresses, self.path("monmap"))
        how = ("--mkfs", "--monmap") if is_new else ("--inject-monmap",)
        self.ceph_run("/usr/bin/ceph-mon", "-c", self.conf, "-i", "a", *how, self.path("monmap"))
        self.launch("mon", "/usr/bin/ceph-mon", "-c", self.conf, "-i", "a", "-f",
                    environment=ENVIRONMENT)

    def start_osd(self, osd, is_new):
        """Nothing waits for it: the gateway's first request does."""
        number = "0"  # there is one
        if is_new:
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


def serve(directory, port, bucket):
    """Runs until SIGTERM; the exit status."""
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.set())
    try:
        os.makedirs(directory, exist_ok=True)
        with Radosgw(directory, port, keep=True) as server:
            server.make_bucket(bucket)  # which is no error when it is there and ours
            print(f"serving endpoint={server.endpoint} bucket={bucket} "
                  f"seconds={server.start_s:.1f}", flush=True)
            while not asked.wait(LOOK_S) and all(part.is_running() for part in server.daemons):
                pass
            if not asked.is_set():
                raise NotStarted("\n".join(part.tail() for part in server.daemons))
    except (AssertionError, NotStarted, S3Error, OSError, unittest.SkipTest) as why:
        print(f"radosgw.py: {why}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 4 or not sys.argv[2].isdigit():
        sys.exit("usage: radosgw.py DIRECTORY PORT BUCKET")
    sys.exit(serve(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
