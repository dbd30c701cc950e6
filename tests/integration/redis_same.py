#!/usr/bin/env python3
"""Satchel answers as Redis does: generated sequences of commands go to redis-server 7.0 and to
satcheld, and the replies are compared byte by byte (tests/support/redis_side_by_side.py says where
not). A sequence whose replies differ is made shorter as long as they do, and printed with its seed.

    SATCHEL_REDIS_SAME="SEED COUNT"    which sequences; by default the same ones each time
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

# pylint: disable=wrong-import-position
from processes import Satcheld  # noqa: E402
from redis_grammar import COMMANDS, CONTAINERS, KEYS, VALUES, name_of  # noqa: E402
from redis_side_by_side import (DIFFERENCES, PUBSUB, REPLY_S, RULES, SHORT_MS, SILENT,  # noqa: E402
                                Different, RedisServer, Run, shown, take_in_time)
from resp import CLOSED, Resp, encode  # noqa: E402

OPTIONS = None
VERSION = "7.0."  # of the Redis that is the measure
BATCHES_COMMANDS_MAX = 40  # of a sequence
FAR_MS = 100000  # no time to live that is over soon, in any unit
DIFFERENT_MAX = 12  # sequences; then the test has seen enough

# Commands that are not generated, and why.
NOT_GENERATED = {
    "satchel.ack": "Redis has no such command",
    "client|setinfo": "came with Redis 7.2",
    "client|no-touch": "came with Redis 7.2",
}


def sequence(seed):
    """The batches of a sequence."""
    rng = random.Random(seed)
    batches = []
    has_subscribers = seed % 8 == 0
    has_short_lives = seed % 4 == 1
    names = [name for name in COMMANDS.templates if name not in PUBSUB or has_subscribers]
    # Most sequences dwell on a few commands, so that these meet each other.
    names = rng.sample(names, 12) + ["set", "hset", "sadd", "expire"] if seed % 3 else names
    left = rng.randrange(5, BATCHES_COMMANDS_MAX)
    while left > 0:
        at = 0 if rng.random() < 0.8 else 1
        if has_short_lives and rng.random() < 0.15:
            batches.append((at, [[b"PEXPIRE", VALUES["key"](rng), SHORT_MS]]))
        count = rng.randrange(2, 9) if rng.random() < 0.15 else 1
        commands = [COMMANDS.command(rng, rng.choice(names)) for _ in range(count)]
        if rng.random() < 0.1:
            commands = [[b"MULTI"], *commands, [b"EXEC"]]
        lone = [args for args in commands if name_of(args) in (*PUBSUB, "dbsize") or
                RULES.get(name_of(args)) == "scan"]
        commands = lone[:1] or commands  # these need more than one look
        if any(name_of(args) in ("dbsize", "memory|usage") for args in commands):
            batches.append((at, [[b"EXISTS", *KEYS]]))  # where Redis forgets what has expired
        batches.append((at, commands))
        left -= len(commands)
    if seed % 2:
        batches.insert(0, (0, [[b"HELLO", b"3"]]))
    return batches


class SameAsRedis(unittest.TestCase):
    """Replies of both servers."""

    @classmethod
    def setUpClass(cls):
        if shutil.which("redis-server") is None:
            raise unittest.SkipTest("redis-server is not installed")
        told = subprocess.run(["redis-server", "--version"], check=True, capture_output=True,
                              text=True).stdout
        if f"v={VERSION}" not in told:
            raise unittest.SkipTest(f"no redis-server {VERSION}x: {told}")
        cls.redis = cls.enterClassContext(RedisServer())
        cls.store = cls.enterClassContext(Satcheld(OPTIONS.satcheld))

    def difference(self, batches):
        """What differs, or None."""
        try:
            Run((self.redis.address, self.store.address)).all(batches)
        except Different as different:
            return different
        return None

    def shortest(self, batches, found):
        """The batches without those, and without those commands, that the difference does not
        need."""
        batches = batches[:found.at + 1]
        size = max(1, len(batches) // 2)
        while size >= 1:
            at = 0
            while at < len(batches):
                fewer = batches[:at] + batches[at + size:]
                different = self.difference(fewer) if fewer else None
                if different is not None and different.what == found.what:
                    batches, found = fewer, different
                else:
                    at += size
            size //= 2
        return batches, found

    def compare(self, name, batches):
        """Returns the text of a difference, made as short as possible, or None."""
        found = self.difference(batches)
        if found is None or found.what in self.seen:
            return None
        self.seen.add(found.what)
        batches, found = self.shortest(batches, found)
        steps = "\n".join(f"    {at}> " + " ; ".join(shown(args) for args in commands)
                          for at, commands in batches)
        return f"\n{name}:\n{steps}\n  {found}"

    def setUp(self):
        self.seen = set()

    def expect_none(self, texts):
        self.assertEqual(texts, [], "\n".join(texts) + f"\n{len(texts)} differences")

    def test_sequences_of_commands(self):
        first, count = (int(word) for word in
                        os.environ.get("SATCHEL_REDIS_SAME", "1 2000").split())
        texts = []
        for seed in range(first, first + count):
            text = self.compare(f"seed {seed}", sequence(seed))
            if text is not None:
                texts.append(text)
            if len(texts) >= DIFFERENT_MAX:
                break
        self.expect_none(texts)

    def test_each_command_with_each_number_of_arguments(self):
        texts = []
        for name in self.names():
            if name in NOT_GENERATED:
                continue
            for count in range(0, 7):
                args = [*name.split("|"), *("k" if at == 0 else str(FAR_MS + at) for at in range(count))]
                text = self.compare(" ".join(args), [(0, [[arg.encode() for arg in args]])])
                if text is not None:
                    texts.append(text)
        self.expect_none(texts)

    def test_bytes_that_are_no_requests(self):
        """The same reply to a protocol error, after which the connection ends, and to what is
        unusual but fine."""
        for data in (b"PING\r\n", b"PING\n", b"\r\n\n*0\r\n*-1\r\nPING\r\n", b"*abc\r\n", b"*\r\n",
                     b"*1\r\nPING\r\n", b"*1\r\n\r\n\r\n", b"*1\r\n$\r\n", b"*1\r\n$-1\r\n",
                     b"*1\r\n$abc\r\n", b"*01\r\n", b"*2147483648\r\n", b"a" * 70000,
                     b"*" + b"1" * 70000, b"*1\r\n$" + b"1" * 70000, b'ECHO "a\r\n', b"ECHO 'a\r\n",
                     b'SET "a"b c\r\n', b'ECHO a"b c"\r\n', b'ECHO "\\x41\\n\\r\\t\\b\\a\\q\\x4"\r\n',
                     b"ECHO 'a\\'b\\n'\r\n", b"\x0bECHO a\x0bb\r\n", b'ECHO ""\r\n', b'""\r\n',
                     b"*1\r\n$0\r\n\r\n", b"*1\r\n$5\r\nA\r\nBC\r\n", b"*1\r\n$4\r\nPI\x00G\r\n",
                     encode("CLIENT", "REPLY", "OFF") + encode("PING") + encode("CLIENT", "REPLY", "ON"),
                     encode("CLIENT", "REPLY", "SKIP") + encode("PING", "a") + encode("PING", "b"),
                     b"foo 'a b' \"c\\r\\n\" " + b"x" * 200 + b"\r\n", b"y" * 200 + b" z\r\n"):
            told = []
            for address in (self.redis.address, self.store.address):
                with Resp(address, REPLY_S) as conn:
                    conn.send(data)
                    raw = take_in_time(conn).raw
                    try:
                        conn.send(encode("PING", "end"))
                    except (BrokenPipeError, ConnectionResetError):
                        pass  # the next reply says so
                    while not raw.endswith((b"end\r\n", CLOSED, SILENT)):
                        raw += take_in_time(conn).raw
                    told.append(raw)
            self.assertEqual(told[0], told[1], data[:80])

    def test_every_command_is_generated(self):
        missing = [name for name in self.names() if name not in COMMANDS.templates and
                   name not in NOT_GENERATED and name not in CONTAINERS and
                   not name.startswith("cluster|")]  # all are refused alike
        self.assertEqual(missing, [])

    def test_what_differs_on_purpose_is_so(self):
        for what, commands, _ in DIFFERENCES:
            run = Run((self.redis.address, self.store.address))
            self.assertEqual(run.all([(0, [args]) for args in commands]), what)

    def test_commands_say_the_same_about_themselves(self):
        """How many arguments, and which of them are keys: what clients of clusters read."""
        with Resp(self.redis.address) as redis, Resp(self.store.address) as satchel:
            for name in self.names():
                if name in NOT_GENERATED:
                    continue
                one, other = (conn.ask("COMMAND", "INFO", name).value[0].value
                              for conn in (redis, satchel))
                for place, what in enumerate(("name", "arity", None, "first key", "last key",
                                              "step")):
                    if what is not None:
                        self.assertEqual(other[place].raw, one[place].raw, f"{name}: {what}")

    def test_transactions_that_watch(self):
        """EXEC fails or not as it does in Redis; the second connection meddles."""
        watched = [[b"SET", b"s1", b"1"], [b"WATCH", b"s1"]]
        run = [[b"MULTI"], [b"SET", b"s2", b"2"], [b"EXEC"], [b"GET", b"s2"]]
        texts = []
        for at, meddling in (
                (1, b"SET s1 1"), (1, b"SET s1 2"), (1, b"SET s2 1"), (1, b"DEL s1"),
                (1, b"EXPIRE s1 2000"), (1, b"EXPIRE s1 -1"), (1, b"PERSIST s1"),
                (1, b"GETEX s1 EX 2000"), (1, b"APPEND s1 x"), (1, b"RENAME s1 s3"),
                (1, b"RENAME s2 s1"), (1, b"COPY s2 s1"), (1, b"FLUSHALL"), (1, b"FLUSHDB"),
                (1, b"GET s1"), (1, b"TOUCH s1"), (1, b"SETNX s1 2"), (1, b"INCRBY s1 0"),
                (0, b"SET s1 2"), (0, b"UNWATCH"), (0, b"WATCH s2"), (0, b"SELECT 1"),
                (0, b"DISCARD"), (0, b"MULTI"), (0, b"RESET"), (0, b"PEXPIRE s1 3")):
            for before in ([], [[b"SET", b"s1", b"1", b"EX", b"1000"]]):
                batches = [(0, [args]) for args in before + watched[1 if before else 0:]]
                batches += [(at, [meddling.split()]), *((0, [args]) for args in run)]
                try:
                    differs = Run((self.redis.address, self.store.address)).all(batches)
                except Different as different:
                    differs = different
                if differs is not None:
                    texts.append(f"watch and {meddling.decode()}: {differs}")
        self.expect_none(texts)

    def test_strangers(self):
        """Before AUTH nothing is answered but what may be."""
        password = "correct horse battery"
        texts = []
        with tempfile.NamedTemporaryFile() as file:
            file.write(password.encode())
            file.flush()
            with RedisServer("--requirepass", password) as redis, \
                    Satcheld(OPTIONS.satcheld, "--token-file", file.name) as store:
                for commands in (
                        [[b"GET", b"s1"]], [[b"PING"]], [[b"HELLO"]], [[b"HELLO", b"3"]],
                        [[b"QUIT"]], [[b"RESET"]], [[b"NOTHING"]], [[b"GET"]], [[b"MULTI"]],
                        [[b"EXEC"]], [[b"COMMAND"]], [[b"CLIENT", b"ID"]], [[b"AUTH"]],
                        [[b"AUTH", b"wrong"]], [[b"AUTH", b"default", b"wrong"]],
                        [[b"AUTH", b"other", password.encode()]], [[b"AUTH", b"a", b"b", b"c"]],
                        [[b"AUTH", password.encode()], [b"SET", b"s1", b"1"], [b"RESET"],
                         [b"GET", b"s1"]],
                        [[b"AUTH", b"default", password.encode()], [b"PING"]],
                        [[b"HELLO", b"3", b"AUTH", b"default", b"wrong"], [b"PING"]],
                        [[b"HELLO", b"3", b"AUTH", b"default", password.encode()], [b"PING"],
                         [b"AUTH", b"wrong"], [b"PING"]],
                        [[b"HELLO", b"2", b"SETNAME", b"me"]],
                        [[b"MSET"] + [b"a"] * 10], [[b"SET", b"a", b"x" * 16385]],
                        [[b"SET", b"a", b"x" * 16384]]):
                    told = [self.told(side.address, commands) for side in (redis, store)]
                    if told[0] != told[1]:
                        texts.append(f"{commands[0]!r:.80}\n  {told[0]}\n  {told[1]}")
        self.expect_none(texts)

    @staticmethod
    def told(address, commands):
        """The replies to commands, without what tells about the server."""
        with Resp(address, REPLY_S) as conn:
            raws = []
            for args in commands:
                conn.send(encode(*args))
                reply = take_in_time(conn)
                is_shape = RULES.get(name_of(args)) == "shape" and reply.kind != "-"
                raws.append(reply.kind if is_shape else reply.raw)
            return raws

    def names(self):
        """Of all commands that Satchel has, "client|id" of a container's."""
        with Resp(self.store.address) as conn:
            names = [item.value.decode() for item in conn.ask("COMMAND", "LIST").value]
            for name in CONTAINERS:
                told = conn.ask("COMMAND", "INFO", name).value[0].value
                names += [item.value[0].value.decode() for item in told[9].value]
        return sorted(set(names))


if __name__ == "__main__":
    PARSER = argparse.ArgumentParser()
    PARSER.add_argument("--satcheld", required=True)
    PARSER.add_argument("--sanitized", action="store_true", help="memory and time say nothing")
    OPTIONS, REST = PARSER.parse_known_args()
    unittest.main(argv=[sys.argv[0], *REST], verbosity=2)
