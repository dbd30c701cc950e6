#!/usr/bin/python3
"""ecs.py --satcheld PATH: a store as a task of ECS, which tells it who it is and protects it."""

import argparse
import re
import socket
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from ecs_agent import TASK_ID, EcsAgent  # noqa: E402
from native import OK, Connection  # noqa: E402
from processes import Satcheld, wait_until  # noqa: E402

OPTIONS = None
EXIT_STOPPED = 0
STOP_S_MAX = 5  # an agent that hangs may hold the end of a stop up by a second


class Task(unittest.TestCase):
    def setUp(self):
        self.agent = self.enterContext(EcsAgent())

    def new_store(self, *options, **environment):
        store = Satcheld(OPTIONS.satcheld, *options)
        store.environment = {**self.agent.environment(), "SATCHEL_TASK_PROTECTION": "auto",
                             **environment}
        self.addCleanup(store.clean_up)
        self.addCleanup(lambda: store.is_running() and store.kill())
        return store

    def lease(self, store):
        return (Path(store.data) / "lease").read_text(encoding="ascii")

    def tearDown(self):
        self.assertEqual(self.agent.strangers, [])

    def test_it_knows_its_name_and_is_protected_while_it_owns_the_store(self):
        store = self.new_store("--lease", "2s")
        store.start()
        store.wait_for_line(rf"ecs: this task\S* task={TASK_ID} family=satchel revision=26 "
                            r"cluster=shop zone=eu-west-1d")
        self.agent.wait_for(lambda: self.agent.is_protected)
        wait_until(lambda: store.metric("satchel_ecs_task_protected") == 1, "it knows")
        wait_until(lambda: f"owner task {TASK_ID} pid " in self.lease(store), "the lease says so")
        self.assertEqual(store.terminate(), EXIT_STOPPED)
        self.assertFalse(self.agent.is_protected)
        self.assertEqual(self.agent.protections,
                         [{"ProtectionEnabled": True, "ExpiresInMinutes": 60},
                          {"ProtectionEnabled": False}])
        self.assertIn("state released", self.lease(store))

    def test_a_standby_is_not_protected(self):
        owner = self.new_store()
        owner.start()
        self.agent.wait_for(lambda: self.agent.is_protected)
        standby = self.new_store("--wait")
        standby.data = owner.data
        standby.launch(standby.command())
        standby.wait_for_line("standby")
        standby.ops = standby.wait_for_line(r"standby ops=(\S+)").group(1)
        standby.wait_for_line("ecs: this task")
        self.assertEqual(standby.metric("satchel_ecs_task_protected"), 0)
        status, text = standby.ask_ops("/leader")
        self.assertEqual((status, text.split(":")[0]), (503, "not leader"))
        self.assertEqual(owner.ask_ops("/leader"), (200, "leader\n"))
        self.assertEqual(len(self.agent.protections), 1)
        self.assertEqual(owner.terminate(), EXIT_STOPPED)
        standby.wait_for_line(r"\bserving\b")
        self.assertEqual(standby.ask_ops("/leader"), (200, "leader\n"))
        self.agent.wait_for(lambda: len(self.agent.protections) == 3)
        self.assertEqual(standby.terminate(), EXIT_STOPPED)
        self.assertFalse(self.agent.is_protected)

    def test_whatever_the_agent_does_the_store_serves_and_stops(self):
        for manner, line in (("hang", None), ("garbage", "cannot be had"),
                             ("error", "cannot be had"), ("refuse", "DEPLOYMENT_BLOCKED")):
            with self.subTest(manner=manner):
                self.agent.behave(manner)
                store = self.new_store()
                store.start()
                if line is not None:
                    store.wait_for_line(line)
                with Connection(store.address) as conn:
                    self.assertEqual(conn.set(b"a", b"b"), OK)
                self.assertEqual(store.ask_ops("/readyz")[0], 200)
                begin = time.monotonic()
                self.assertEqual(store.terminate(), EXIT_STOPPED)
                self.assertLess(time.monotonic() - begin, STOP_S_MAX)
                told = [text for text in store.lines if "not protected, and goes on" in text]
                self.assertEqual(len(told), 0 if manner == "hang" else 1, store.log())
                self.agent.behave("well")

    def test_where_nobody_listens_the_store_serves(self):
        with socket.create_server(("127.0.0.1", 0)) as gone:
            address = f"http://127.0.0.1:{gone.getsockname()[1]}/v4/1"
        for address in (address, "http://localhost:1/v4", "nonsense"):
            with self.subTest(address=address):
                store = self.new_store(ECS_CONTAINER_METADATA_URI_V4=address, ECS_AGENT_URI=address)
                store.start()
                store.wait_for_line("ecs: the task's metadata cannot be had")
                self.assertEqual(store.terminate(), EXIT_STOPPED)

    def test_without_ecs_nothing_is_said(self):
        store = self.new_store(ECS_CONTAINER_METADATA_URI_V4="", ECS_AGENT_URI="")
        store.start()
        self.assertEqual(store.terminate(), EXIT_STOPPED)
        self.assertFalse([line for line in store.lines if re.search(r"\becs\b", line)])

    def test_nobody_is_protected_by_default(self):
        store = self.new_store()
        del store.environment["SATCHEL_TASK_PROTECTION"]
        store.start()
        store.wait_for_line("ecs: this task")
        self.assertEqual(store.terminate(), EXIT_STOPPED)
        self.assertEqual(self.agent.protections, [])


if __name__ == "__main__":
    PARSER = argparse.ArgumentParser()
    PARSER.add_argument("--satcheld", required=True)
    PARSER.add_argument("--sanitized", action="store_true", help="memory and time say nothing")
    OPTIONS, REST = PARSER.parse_known_args()
    unittest.main(argv=[sys.argv[0], *REST], verbosity=2)
