#!/usr/bin/python3
"""s3_client.py --client PATH: the S3 client against real servers, through failures, with credentials
that expire. What it prints nowhere shows a secret."""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from ecs_credentials import EcsCredentials  # noqa: E402
from faulty_proxy import FaultyProxy  # noqa: E402
from processes import die_with_parent, wait_until  # noqa: E402
from radosgw import Radosgw  # noqa: E402
from s3_faults import (Answer, CutReply, CutRequest, Hang, LoseReply, LoseRequest,  # noqa: E402
                       Truncate, internal_error, slow_down)
from swift import Swift  # noqa: E402

OPTIONS = None
BUCKET = "satchel"
RUN_S_MAX = 120
SERVERS = {}  # by their class; started once for the whole file
STEPS = ("objects", "ranges", "tampered body", "wrong secret", "lists", "uploads", "left uploads",
         "deletes", "conditional put")


def setUpModule():
    for kind in (Radosgw, Swift):
        directory = unittest.enterModuleContext(tempfile.TemporaryDirectory(prefix="satchel-s3-"))
        server = unittest.enterModuleContext(kind(directory))
        server.make_bucket(BUCKET)
        SERVERS[kind] = server


def memory_of(pid):
    """What a process can read and write: that which a core dump would hold, and that which not."""
    dumped, left_out = [], []
    region = None
    with open(f"/proc/{pid}/smaps", encoding="utf-8") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
        for line in maps:
            fields = line.split()
            if re.fullmatch("[0-9a-f]+-[0-9a-f]+", fields[0]):
                region = fields if fields[1].startswith("rw") else None
            elif fields[0] == "VmFlags:" and region is not None:
                begin, end = (int(bound, 16) for bound in region[0].split("-"))
                memory.seek(begin)
                (left_out if "dd" in fields else dumped).append(memory.read(end - begin))
    return b"\0".join(dumped), b"\0".join(left_out)


class ClientTest(unittest.TestCase):
    server = None  # of the test

    def environment(self, credentials=None, endpoint=None, **more):
        """What the program is told. `credentials`: variables instead of the server's own keys."""
        own = {"AWS_ACCESS_KEY_ID": self.server.access_key,
               "AWS_SECRET_ACCESS_KEY": self.server.secret_key}
        place = {"S3_URL": f"s3://{BUCKET}/{self.id()}", "S3_REGION": self.server.region,
                 "S3_ENDPOINT": endpoint or self.server.endpoint}
        inherited = {name: value for name, value in os.environ.items()
                     if not name.startswith("AWS_")}
        return {**inherited, **place, **(own if credentials is None else credentials), **more}

    def run_client(self, *command, code=0, secrets=(), **how):
        """Runs the program and returns its lines."""
        told = subprocess.run([OPTIONS.client, *command], env=self.environment(**how),
                              capture_output=True, text=True, errors="replace", timeout=RUN_S_MAX,
                              stdin=subprocess.DEVNULL, check=False)
        said = told.stdout + told.stderr
        for secret in (self.server.secret_key, "not-the-secret", *secrets):
            self.assertNotIn(secret, said)
        self.assertEqual(told.returncode, code, said)
        return told.stdout.splitlines()

    def probe(self, **how):
        """Everything, and what was found: {step: finding}."""
        lines = self.run_client("probe", **how)
        found = dict(line.strip().split(": ", 1) for line in lines)
        self.assertEqual(tuple(found), STEPS)
        return found


class Probe(ClientTest):
    def test_radosgw_does_all_that_is_wanted(self):
        self.server = SERVERS[Radosgw]
        found = self.probe()
        self.assertEqual(found["conditional put"], "supported")
        self.assertEqual(found["wrong secret"][:4], "403 ")
        self.assertIn("XAmzContentSHA256Mismatch", found["tampered body"])

    def test_swift_does_all_but_conditions(self):
        self.server = SERVERS[Swift]
        found = self.probe()
        self.assertEqual(found["conditional put"], "refused")
        self.assertEqual(found["wrong secret"], "403 SignatureDoesNotMatch")


class WrongClock(ClientTest):
    def test_a_wrong_clock_is_corrected_by_the_server(self):
        for kind, server in SERVERS.items():
            for off_s in (-100000, 100000):
                with self.subTest(server=kind.__name__, off_s=off_s):
                    self.server = server
                    told = self.run_client("puts", "1", S3_CLOCK_OFF_S=str(off_s))
                    self.assertIn("the most attempts 2", told[0])


class Failures(ClientTest):
    def setUp(self):
        self.server = SERVERS[Radosgw]
        self.proxy = self.enterContext(FaultyProxy(self.server.endpoint))

    def test_failures_of_all_kinds_and_a_probe_that_notices_none(self):
        self.probe(endpoint=self.proxy.endpoint)
        undisturbed = len(self.proxy.requests())
        self.proxy.forget()
        for fault, fraction in ((slow_down(), 0.05), (internal_error(), 0.05),
                                (LoseRequest(), 0.05), (LoseReply(), 0.05),
                                (CutRequest(0), 0.03), (CutReply(50), 0.03), (Truncate(10), 0.02)):
            self.proxy.add(fault, fraction=fraction)
        self.probe(endpoint=self.proxy.endpoint)
        disturbed = len(self.proxy.requests())
        self.assertGreater(disturbed, undisturbed)
        print(f"\n  {disturbed} requests where {undisturbed} do without failures")

    def test_a_large_object_comes_whole_through_connections_that_break(self):
        self.proxy.add(CutReply(3000000), method="GET", path="/large", times=3)
        self.probe(endpoint=self.proxy.endpoint)
        self.assertGreaterEqual(len(self.proxy.requests(method="GET", path="/large")), 5)

    def test_what_is_final_is_not_tried_again(self):
        self.proxy.add(Answer(403, "AccessDenied"))
        self.run_client("puts", "1", code=1, endpoint=self.proxy.endpoint)
        told = self.run_client("puts", "1", code=1, endpoint=self.proxy.endpoint)
        self.assertIn("access denied (403 AccessDenied", told[0])
        self.assertIn("1 attempt", told[0])

    def test_stopping_ends_a_request_that_hangs(self):
        self.proxy.add(Hang())
        with subprocess.Popen([OPTIONS.client, "hang"], stdout=subprocess.PIPE, text=True,
                              env=self.environment(endpoint=self.proxy.endpoint),
                              stdin=subprocess.DEVNULL, preexec_fn=die_with_parent) as client:
            wait_until(self.proxy.requests, "the request hangs")
            client.send_signal(signal.SIGTERM)
            told, _ = client.communicate(timeout=RUN_S_MAX)
        self.assertIn("ended: given up because the process is stopping", told)
        self.assertEqual(client.returncode, 0)


class TemporaryCredentials(ClientTest):
    def setUp(self):
        self.server = SERVERS[Radosgw]
        self.given = []

    def hand_out(self, seconds):
        """Remembers what a program must not print."""
        credentials = self.server.assume_role(seconds)
        self.given.append(credentials)
        return credentials

    def secrets(self):
        return [secret for given in self.given for secret in (given.secret_key, given.token)]

    def variables(self, credentials):
        return {"AWS_ACCESS_KEY_ID": credentials.access_key,
                "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
                "AWS_SESSION_TOKEN": credentials.token}

    def test_a_probe_with_a_token(self):
        variables = self.variables(self.hand_out(60))
        self.assertEqual(self.probe(credentials=variables, secrets=self.secrets())
                         ["conditional put"], "supported")

    def test_they_are_renewed_before_they_expire(self):
        with EcsCredentials(lambda: self.hand_out(5), token="let me in") as ecs:
            told = self.run_client("puts", "8", credentials=ecs.environment(),
                                   secrets=["let me in"])
            self.assertGreaterEqual(ecs.requests, 3)
            self.assertEqual(ecs.refused, 0)
        for secret in self.secrets():
            self.assertNotIn(secret, told[0])
        print(f"\n{told[0]}, {ecs.requests} times credentials of 5 s in 8 s")

    def test_without_a_provider_their_end_is_told_as_what_it_is(self):
        variables = self.variables(self.hand_out(5))
        told = self.run_client("puts", "7", code=1, credentials=variables, secrets=self.secrets())
        print(f"\n{told[0]}")
        self.assertIn("403", told[0])

    def test_a_core_dump_would_not_hold_the_secret(self):
        proxy = self.enterContext(FaultyProxy(self.server.endpoint))
        proxy.add(Hang())
        with EcsCredentials(lambda: self.hand_out(60), token="let me in") as ecs:
            environment = self.environment(ecs.environment(), proxy.endpoint)
            with subprocess.Popen([OPTIONS.client, "hang"], stdout=subprocess.DEVNULL,
                                  env=environment, stdin=subprocess.DEVNULL,
                                  preexec_fn=die_with_parent) as client:
                wait_until(proxy.requests, "a signed request hangs")
                dumped, left_out = memory_of(client.pid)
                client.send_signal(signal.SIGTERM)
                self.assertEqual(client.wait(RUN_S_MAX), 0)
        secret = self.given[-1].secret_key.encode()
        self.assertIn(secret, left_out)
        self.assertNotIn(secret, dumped)
        # The search finds what is there: the environment is in every core.
        self.assertIn(b"let me in", dumped)

    def test_a_provider_that_fails_at_first_is_waited_for(self):
        with EcsCredentials(lambda: self.hand_out(60), token="let me in") as ecs:
            ecs.fail(times=2, status=429, code="Throttled")
            self.run_client("puts", "2", credentials=ecs.environment())


def main():
    global OPTIONS  # pylint: disable=global-statement
    parser = argparse.ArgumentParser()
    parser.add_argument("--client", required=True)
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=sys.argv[:1] + rest, verbosity=2)


if __name__ == "__main__":
    main()
