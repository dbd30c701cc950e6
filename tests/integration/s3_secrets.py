#!/usr/bin/python3
"""s3_secrets.py --satcheld PATH [--cores N]: the credentials of backups stay where they belong. A
store with temporary ones from a provider, and one with those of its environment, are driven through
shipping, snapshots, renewals, refusals and restores; then everything that others can come by is searched
for them: logs, answers of the ops port, command lines, files, the archive, and cores.

What a core may hold: the environment that the process was started with, which is the operator's own, and
nothing else. A store with credentials from a provider has none in its environment, so its memory has no
secret at all that would be dumped. The token of the store's clients is in the messages that they send,
and so it is looked for in everything but cores; its variable, which the store wipes, is not even there. The ID of an access key is no secret; it is told in every request.
"""

import argparse
import contextlib
import mmap
import os
import secrets
import struct
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from backed_up import BackedUp  # noqa: E402
from ecs_credentials import EcsCredentials  # noqa: E402
from faulty_proxy import FaultyProxy  # noqa: E402
from processes import wait_until  # noqa: E402
from radosgw import Radosgw  # noqa: E402
from s3_faults import Answer, expired_token, internal_error  # noqa: E402
from sigv4 import S3Error  # noqa: E402
from steady_load import SteadyLoad  # noqa: E402

OPTIONS = None
BUCKET = "satchel"
SERVER = None
CREDENTIALS_S = 12
AUTHORIZATION = secrets.token_hex(20)
TOKEN = secrets.token_hex(20)
PIECE_BYTES = 12  # of a secret: so much of it counts as found
CORE_S_MAX = 60
PT_LOAD, PAGE_BYTES = 1, 4096


def setUpModule():
    global SERVER  # started once for the whole file
    directory = unittest.enterModuleContext(tempfile.TemporaryDirectory(prefix="satchel-s3-"))
    server = Radosgw(directory)
    server.secret_key = secrets.token_hex(20)  # no piece of it stands anywhere by chance
    SERVER = unittest.enterModuleContext(server)
    SERVER.make_bucket(BUCKET)


def found_in(data, known):
    """Which of the secrets, {name: text}, stand in some bytes: name and how many pieces of it."""
    found = {}
    for name, secret in list(known.items()):  # renewals add to them meanwhile
        last = len(secret) - PIECE_BYTES
        pieces = [secret[at:at + PIECE_BYTES].encode() for at in (0, last // 2, last)]
        count = len([piece for piece in pieces if piece in data])
        if count:
            found[name] = f"{count} of {len(pieces)} pieces"
    return found


class Secrets(unittest.TestCase):
    def setUp(self):
        self.proxy = self.enterContext(FaultyProxy(SERVER.endpoint))
        self.secrets = {"secret key of the gateway": SERVER.secret_key}
        self.numbers = 0

    def hand_out(self):
        """Credentials of the provider, which are to be found nowhere from then on."""
        credentials = SERVER.assume_role(CREDENTIALS_S)
        self.numbers += 1
        self.secrets[f"secret key {self.numbers}"] = credentials.secret_key
        self.secrets[f"token {self.numbers}"] = credentials.token
        return credentials

    def store(self, environment):
        return BackedUp(OPTIONS.satcheld, SERVER, f"s3://{BUCKET}/{self.id()}", "--log-level",
                        "debug", endpoint=self.proxy.endpoint,
                        environment={**environment, "SATCHEL_TOKEN": TOKEN})

    def drive(self, store):
        """Whatever touches credentials, and all the trouble with them that is told."""
        store.wait_snapshots(1)
        for fault in (Answer(403, "SignatureDoesNotMatch", "The signature does not match."),
                      expired_token(), internal_error()):
            self.proxy.add(fault)
            store.wait_state("failing")
            self.proxy.clear()
            store.wait_state("shipping", 60)
        store.take_snapshot()

    def search(self, place, data):
        self.assertEqual(found_in(data, self.secrets), {}, place)

    def search_everything(self, store):
        self.secrets["token of the clients"] = TOKEN
        self.search("log", store.log().encode())
        for path in ("/backupz", "/metrics", "/readyz"):
            self.search(path, store.ask_ops(path)[1].encode())
        for process in self.processes(store):
            self.search("command line", Path(f"/proc/{process}/cmdline").read_bytes())
        looked_at = 0
        for directory, _, names in os.walk(store.directory):
            for name in names:
                with contextlib.suppress(FileNotFoundError):  # it was removed just now
                    self.search(name, Path(directory, name).read_bytes())
                    looked_at += 1
        self.assertGreater(looked_at, 2)
        client = SERVER.client()
        for key in client.list(BUCKET, self.id()):
            try:
                self.search(key, client.get(BUCKET, key))
            except S3Error as why:
                self.assertEqual(why.code, "NoSuchKey")  # it was removed just now
        del self.secrets["token of the clients"]  # in a core it may be

    @staticmethod
    def processes(store):
        """Its own id, and those of what it may have started."""
        found = [store.process.pid]
        for pid in found:
            for task in os.listdir(f"/proc/{pid}/task"):
                children = Path(f"/proc/{pid}/task/{task}/children").read_text(encoding="ascii")
                found += map(int, children.split())
        return found

    def test_of_a_provider_are_nowhere(self):
        with EcsCredentials(self.hand_out, token=AUTHORIZATION) as ecs:
            token_file = Path(self.enterContext(tempfile.TemporaryDirectory()), "token")
            token_file.write_text(AUTHORIZATION + "\n", encoding="ascii")
            self.secrets["authorization"] = AUTHORIZATION
            environment = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "",
                           **ecs.environment(str(token_file))}
            with self.store(environment=environment) as store, \
                    SteadyLoad(store.address, token=TOKEN.encode()):
                self.drive(store)
                ecs.fail(times=2, status=403, code="AccessDenied")
                before = ecs.requests
                wait_until(lambda: ecs.requests >= before + 4, "renewed", 3 * CREDENTIALS_S)
                self.search_everything(store)
                for number in range(OPTIONS.cores):
                    with self.subTest(core=number):
                        self.search("core", take_core(store))
                        time.sleep(0.37)  # somewhere else in its second
            with self.store(environment=environment) as store:  # from an empty directory
                store.wait_for_line(r"\brestored ")
                self.search_everything(store)
                self.search("core after a restore", take_core(store))
            self.assertGreater(self.numbers, 2)
            print(f"  checked {OPTIONS.cores + 1} cores, and logs, answers, command lines, files and "
                  f"archive, for {self.numbers} sets of credentials")

    def test_of_the_environment_are_in_the_environment_alone(self):
        environment = {"AWS_ACCESS_KEY_ID": SERVER.access_key,
                       "AWS_SECRET_ACCESS_KEY": SERVER.secret_key}
        with self.store(environment=environment) as store, \
                SteadyLoad(store.address, token=TOKEN.encode()):
            self.drive(store)
            self.search_everything(store)
            core = take_core(store)
            self.assertNotIn(f"SATCHEL_TOKEN={TOKEN}".encode(), core)
            mine = f"AWS_SECRET_ACCESS_KEY={SERVER.secret_key}\0".encode()
            self.assertIn(mine, core)  # so it is a core, and would show others
            self.search("core", core.replace(mine, b""))


def take_core(store):
    """What the kernel would write if the process died now, of the process as it goes on: the pages of
    the core by gdb's gcore, which leaves out what is not to be dumped as the kernel does."""
    with tempfile.TemporaryDirectory(prefix="satchel-core-") as directory:
        command = ["gdb", "--batch", "-nx", "-p", str(store.process.pid), "-ex",
                   "set use-coredump-filter on", "-ex", f"gcore {directory}/core"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False,
                                  timeout=CORE_S_MAX, stdin=subprocess.DEVNULL)
        except FileNotFoundError:
            raise unittest.SkipTest("not installed: gdb") from None
        core = Path(directory, "core")
        if not core.exists():
            raise AssertionError(f"no core: {done.stdout}{done.stderr}")
        return memory_of(core)


def memory_of(core):
    """The pages of a core that are not empty. Its notes have the registers of each thread, with the
    last few bytes that it has copied: of anything, and never as much as a secret."""
    with open(core, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as elf:
        table, = struct.unpack_from("<Q", elf, 32)
        entry_bytes, count = struct.unpack_from("<HH", elf, 54)
        pages = []
        for number in range(count):
            kind, _, offset, _, _, in_file = struct.unpack_from("<IIQQQQ", elf,
                                                                table + number * entry_bytes)
            if kind == PT_LOAD:
                pages += [elf[at:at + PAGE_BYTES] for at in range(offset, offset + in_file, PAGE_BYTES)]
        return b"".join(page for page in pages if page.strip(b"\0"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--satcheld", required=True)
    parser.add_argument("--cores", type=int, default=3)
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest])
