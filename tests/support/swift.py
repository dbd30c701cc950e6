"""OpenStack Swift with its S3 interface for tests: real SigV4, but no conditional PUT (501).

One account, container, object and proxy server each and a memcached, on loopback, one replica.
Nothing outside the directory is read or written; it must be on a file system with extended
attributes.

    with Swift(directory) as server:
        server.make_bucket("backup")
"""

import http.client
import os
import pwd
import unittest

from object_server import START_DEADLINE_S, ObjectServer, answers, demand_programs, reserved_ports

PROGRAMS = {"/usr/bin/swift-account-server": "swift-account",
            "/usr/bin/swift-container-server": "swift-container",
            "/usr/bin/swift-object-server": "swift-object",
            "/usr/bin/swift-proxy-server": "swift-proxy", "/usr/bin/memcached": "memcached"}
# Debian's own Python, and no other that a developer has put before it.
PYTHON = "/usr/bin/python3"
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": "", "PYTHONHOME": ""}
STORAGE = ("account", "container", "object")

# What `swift-ring-builder` does in nine runs of a second each: everything is on one device.
MAKE_RINGS = """
import sys
from swift.common.ring import RingBuilder
for word in sys.argv[1:]:
    kind, port = word.split(":")
    builder = RingBuilder(part_power=4, replicas=1, min_part_hours=1)
    builder.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": int(port), "device": "d1",
                     "replication_ip": "127.0.0.1", "replication_port": int(port), "weight": 1.0})
    builder.rebalance()
    builder.get_ring().save(kind + ".ring.gz")
"""

SWIFT_CONF = """
[swift-hash]
swift_hash_path_suffix = satchel
swift_hash_path_prefix = satchel

[storage-policy:0]
name = Policy-0
default = yes
"""

COMMON_CONF = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
swift_dir = {directory}
user = {user}
workers = 0
log_level = WARNING
"""

STORAGE_CONF = COMMON_CONF + """
devices = {directory}/devices
mount_check = false
fallocate_reserve = 0
disable_fallocate = true

[pipeline:main]
pipeline = {kind}-server

[app:{kind}-server]
use = egg:swift#{kind}
"""

PROXY_CONF = COMMON_CONF + """
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache listing_formats bulk s3api tempauth copy slo
    dlo versioned_writes symlink proxy-server

[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true

[filter:catch_errors]
use = egg:swift#catch_errors

[filter:gatekeeper]
use = egg:swift#gatekeeper

[filter:healthcheck]
use = egg:swift#healthcheck

[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{memcached}

[filter:listing_formats]
use = egg:swift#listing_formats

[filter:bulk]
use = egg:swift#bulk

[filter:s3api]
use = egg:swift#s3api
location = us-east-1
s3_acl = false
allow_multipart_uploads = true

[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin

[filter:copy]
use = egg:swift#copy

[filter:slo]
use = egg:swift#slo

[filter:dlo]
use = egg:swift#dlo

[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_object_versioning = true

[filter:symlink]
use = egg:swift#symlink
"""


class Swift(ObjectServer):
    """Five processes. What is stored lies in files of the directory."""

    access_key = "test:tester"
    secret_key = "testing"

    def start(self):
        demand_programs(PROGRAMS)
        *ports, proxy, memcached = self.held.enter_context(reserved_ports(5))
        user = pwd.getpwuid(os.geteuid()).pw_name
        os.makedirs(self.path("devices", "d1"))
        self.demand_attributes()
        self.write("swift.conf", SWIFT_CONF)
        self.launch("memcached", "/usr/bin/memcached", "-u", user, "-l", "127.0.0.1",
                    "-p", str(memcached), "-U", "0", "-m", "16")
        words = [f"{kind}:{port}" for kind, port in zip(STORAGE, ports)]
        self.run(PYTHON, "-c", MAKE_RINGS, *words, environment=ENVIRONMENT)
        for kind, port in zip(STORAGE, ports):
            self.write(f"{kind}-server.conf", STORAGE_CONF.format(
                kind=kind, port=port, directory=self.directory, user=user))
            self.launch_python(f"{kind}-server")
        self.write("proxy-server.conf", PROXY_CONF.format(
            port=proxy, memcached=memcached, directory=self.directory, user=user))
        self.gateway = self.launch_python("proxy-server")
        self.endpoint = f"http://127.0.0.1:{proxy}"
        for daemon, port in zip(self.daemons, (memcached, *ports)):
            self.wait_until(lambda port=port: answers(port), f"{daemon.name} listens")
        self.wait_for_gateway()

    def demand_attributes(self):
        """Skips the test where files cannot have the attributes that Swift gives them."""
        try:
            os.setxattr(self.path("devices"), "user.satchel", b"1")
        except OSError as reason:
            raise unittest.SkipTest(f"no extended attributes: {reason}") from None

    def launch_python(self, name):
        return self.launch(name, PYTHON, f"/usr/bin/swift-{name}", self.path(f"{name}.conf"), "-v",
                           environment=ENVIRONMENT)

    def wait_for_gateway(self):
        self.wait_until(self.is_healthy, "the proxy server is healthy")

    def is_healthy(self):
        connection = http.client.HTTPConnection(self.endpoint.removeprefix("http://"),
                                                timeout=START_DEADLINE_S)
        try:
            connection.request("GET", "/healthcheck")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()
