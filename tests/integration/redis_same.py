#!/usr/bin/env python3
"""Satchel answers as Redis does: generated sequences of commands go to redis-server 7.0 and to
satcheld, and the replies are compared byte by byte.

What has no order is compared as a set, times within a tolerance, and what tells about the server
itself by its shape; the table RULES says which. What differs on purpose is in DIFFERENCES. A sequence
whose replies differ is made shorter as long as they do, and printed with its seed.

    SATCHEL_REDIS_SAME="SEED COUNT"    which sequences; by default the same ones each time
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

# pylint: disable=wrong-import-position
from processes import Program, Satcheld, wait_until  # noqa: E402
from redis_grammar import KEYS, VALUES, Grammar, generator  # noqa: E402
from resp import CLOSED, Reply, Resp, encode, is_message  # noqa: E402

OPTIONS = None
VERSION = "7.0."  # of the Redis that is the measure
CONNECTIONS = 2  # of a sequence, to either server
COMMANDS_MAX = 40
SHORT_MS = b"3"  # a time to live that is over after a pause
PAUSE_S = 0.015
REPLY_S = 10  # without a reply there is none
MESSAGES_S = 2  # messages may come later than the reply that tells how many got them
SHOWN_BYTES = 400  # of a reply that differs
DIFFERENT_MAX = 12  # sequences; then the test has seen enough

GRAMMAR = Grammar(r"""
GET $skey
SET $skey $value ( EX $s | PX $ms | EXAT $at_s | PXAT $at_ms | KEEPTTL )? ( NX | XX )? GET?
SET $key $value ( EX $s | PX $ms | KEEPTTL | NX | XX | GET | EXAT $past_s | foo )+
SETEX $skey $s $value
PSETEX $skey $ms $value
SETNX $skey $value
GETSET $skey $value
GETDEL $skey
GETEX $skey ( EX $s | PX $ms | EXAT $at_s | PXAT $at_ms | PERSIST )?
GETEX $key ( EX $s | PERSIST | EXAT $past_s | foo )+
MGET ( $key )+
MSET ( $skey $value )+
MSETNX ( $skey $value )+
APPEND $skey $value
STRLEN $skey
GETRANGE $skey $at $at
SUBSTR $skey $at $at
SETRANGE $skey $offset $value
INCR $skey
DECR $skey
INCRBY $skey $int
DECRBY $skey $int
INCRBYFLOAT $skey $float
DEL ( $key )+
UNLINK ( $key )+
EXISTS ( $key )+
TOUCH ( $key )+
TYPE $key
RENAME $key $key
RENAMENX $key $key
COPY $key $key ( DB $db )? REPLACE?
EXPIRE $key $s ( NX | XX | GT | LT )?
EXPIRE $key $s ( NX | XX | GT | LT | foo )+
PEXPIRE $key $ms ( NX | XX | GT | LT )?
EXPIREAT $key ( $at_s | $past_s ) ( NX | XX | GT | LT )?
PEXPIREAT $key ( $at_ms | $past_s ) ( NX | XX | GT | LT )?
TTL $key
PTTL $key
EXPIRETIME $key
PEXPIRETIME $key
PERSIST $key
KEYS $pattern
RANDOMKEY
SCAN 0 ( MATCH $pattern | COUNT $many | TYPE $type )?
SCAN ( 0 | abc | 1.5 ) ( MATCH $pattern | COUNT $many | TYPE $type | foo )+
DBSIZE
HSET $hkey ( $field $value )+
HMSET $hkey ( $field $value )+
HSETNX $hkey $field $value
HGET $hkey $field
HMGET $hkey ( $field )+
HGETALL $hkey
HDEL $hkey ( $field )+
HEXISTS $hkey $field
HLEN $hkey
HKEYS $hkey
HVALS $hkey
HINCRBY $hkey $field $int
HINCRBYFLOAT $hkey $field $float
HSTRLEN $hkey $field
HRANDFIELD $hkey
HRANDFIELD $hkey $count WITHVALUES?
HSCAN $hkey 0 ( MATCH $pattern | COUNT $many )?
HSCAN $hkey ( 0 | abc ) ( MATCH $pattern | COUNT $many | TYPE | foo )+
SADD $tkey ( $member )+
SREM $tkey ( $member )+
SMEMBERS $tkey
SISMEMBER $tkey $member
SMISMEMBER $tkey ( $member )+
SCARD $tkey
SSCAN $tkey 0 ( MATCH $pattern | COUNT $many )?
MULTI
EXEC
EXEC
DISCARD
WATCH ( $key )+
UNWATCH
PING
PING $text
ECHO $text
SELECT $db
HELLO
HELLO $proto
HELLO $proto SETNAME ( name | $text )
HELLO $proto AUTH default x
RESET
QUIT
AUTH x
AUTH default x
CLIENT GETNAME
CLIENT SETNAME ( name | $text )
CLIENT ID
CLIENT INFO
CLIENT LIST
CLIENT NO-EVICT ( on | off | foo )
CLIENT KILL ID 987654321
CLIENT KILL 1.2.3.4:5
CLIENT foo
FLUSHDB ( ASYNC | SYNC | foo )?
FLUSHALL ( ASYNC | SYNC )?
SWAPDB $db $db
TIME
INFO
INFO ( server | clients | keyspace | foo | all )
CONFIG GET ( maxmemory | appendonly | save | databases | nothing )
CONFIG foo
COMMAND COUNT
COMMAND foo
OBJECT ENCODING $key
OBJECT IDLETIME $key
OBJECT REFCOUNT $key
OBJECT FREQ $key
OBJECT foo $key
OBJECT HELP
MEMORY USAGE $key
MEMORY foo
SCRIPT EXISTS abc
SCRIPT LOAD
SCRIPT foo
EVALSHA abc $count $key
EVALSHA ffffffffffffffffffffffffffffffffffffffff 1 $key $text
PUBLISH $channel $text
PUBSUB CHANNELS ( $cpattern )?
PUBSUB NUMSUB ( $channel )+
PUBSUB NUMPAT
PUBSUB foo
SUBSCRIBE ( $channel )+
PSUBSCRIBE ( $cpattern )+
UNSUBSCRIBE ( $channel )+
UNSUBSCRIBE
PUNSUBSCRIBE ( $cpattern )+
PUNSUBSCRIBE
NOTHING $text $text
""")

# How the replies of a command are compared, if both are no errors; by default byte by byte.
RULES = {}
for rule, names in {
        "set": "keys smembers hkeys hvals pubsub|channels",
        "pairs": "hgetall",
        "scan": "scan hscan sscan",
        "seconds": "ttl expiretime",
        "milliseconds": "pttl pexpiretime",
        "length": "hrandfield",
        "shape": "randomkey command command|list command|info command|docs hello client|id client|info client|list time info "
                 "command|count memory|usage object|idletime object|help object|encoding "
                 "object|refcount config|get",
}.items():
    RULES.update(dict.fromkeys(names.split(), rule))

# Commands that are not in the grammar, and why.
NOT_GENERATED = {}

# What differs on purpose: a sequence ends well when Satchel says this (a pattern of the reply's
# bytes) to a request for which the condition is true.
DIFFERENCES = [
    ("ids have 1 to 512 bytes", rb"-ERR a key has to have between 1 and 512 bytes here",
     lambda args: any(len(arg) == 0 or len(arg) > 512 for arg in args[1:])),
]

PUBSUB = ("subscribe", "unsubscribe", "psubscribe", "punsubscribe")
CONTAINERS = ("client", "command", "config", "memory", "object", "pubsub", "script", "acl", "latency")


def name_of(args):
    """The command's name, "client|id" of a container's."""
    name = args[0].decode("latin-1").lower()
    if name in CONTAINERS and len(args) > 1:
        return f"{name}|{args[1].decode('latin-1').lower()}"
    return name


class RedisServer(Program):
    """The real one. It listens on a Unix socket, so nobody has to find it a free port."""

    def __init__(self):
        super().__init__("redis-server")
        self.satcheld = None
        self.directory = None
        self.address = None

    def start(self):
        self.directory = tempfile.mkdtemp(prefix="satchel-test-")
        self.address = os.path.join(self.directory, "redis.socket")
        self.launch(["redis-server", "--port", "0", "--unixsocket", self.address, "--save", "",
                     "--appendonly", "no", "--dir", self.directory])
        wait_until(lambda: os.path.exists(self.address), "redis-server listens")

    def clean_up(self):
        shutil.rmtree(self.directory, ignore_errors=True)


class Side:
    """One of the two servers during one sequence."""

    def __init__(self, address):
        self.address = address
        with Resp(address) as conn:
            conn.ask("FLUSHALL")
        self.conns = [None] * CONNECTIONS
        self.messages = [[] for _ in range(CONNECTIONS)]

    def take(self, at):
        """The next reply; messages are put aside."""
        try:
            while is_message(reply := self.conns[at].take()):
                self.messages[at].append(reply.raw)
            return reply
        except TimeoutError:
            return Reply("", b"(no reply)", None)

    def send(self, at, data):
        if self.conns[at] is None:
            self.conns[at] = Resp(self.address, REPLY_S)
        try:
            self.conns[at].send(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the next reply says so

    def scan(self, at, args, reply):
        """All elements of a SCAN that has begun, whatever their number in a reply."""
        found = list(reply.value[1].value)
        place = 1 if args[0].lower() == b"scan" else 2
        while reply.value[0].value != b"0":
            args = args[:place] + [reply.value[0].value] + args[place + 1:]
            self.send(at, encode(*args))
            reply = self.take(at)
            found += reply.value[1].value
        return found

    def end(self, at):
        self.conns[at].close()
        self.conns[at] = None

    def close(self):
        for conn in self.conns:
            if conn is not None:
                conn.close()


class Different(Exception):
    """The two servers do not answer the same. `at`: the number of the batch."""

    def __init__(self, at, args, redis, satchel):
        super().__init__(f"{shown(args)}\n    redis   {redis[:SHOWN_BYTES]!r}\n"
                         f"    satchel {satchel[:SHOWN_BYTES]!r}")
        self.at = at
        self.what = (name_of(args), blurred(redis), blurred(satchel))


class Documented(Exception):
    """From here on they may differ."""


def shown(args):
    return " ".join(repr(arg)[1:] if re.search(rb"[^!-~]", arg) or not arg else arg.decode()
                    for arg in args)


def blurred(raw):
    """The bytes of a reply without its numbers and names: equal for findings of one cause."""
    return re.sub(rb"'[^']*'|[0-9]+", b"#", raw[:60])


def pairs_of(reply):
    items = [item.raw for item in reply.value]
    return list(zip(items[::2], items[1::2]))


def same(args, redis, satchel):
    """True when two replies to a command mean the same."""
    if redis.raw == satchel.raw:
        return True
    rule = RULES.get(name_of(args))
    if rule is None or "-" in (redis.kind, satchel.kind) or redis.kind != satchel.kind:
        return False
    if rule == "shape" or redis.value is None or satchel.value is None:
        return rule == "shape"
    if rule == "length":
        return redis.kind == "$" or len(redis.value) == len(satchel.value)
    if rule == "set":
        return sorted(item.raw for item in redis.value) == sorted(item.raw for item in satchel.value)
    if rule == "pairs":
        return sorted(pairs_of(redis)) == sorted(pairs_of(satchel))
    if rule == "scan":  # within EXEC; elsewhere it is followed to its end
        return True
    near = 1 if rule == "seconds" else 2000
    return (redis.value >= 0) == (satchel.value >= 0) and abs(redis.value - satchel.value) <= near


class Run:
    """One sequence, on both servers. A batch is (connection, [command …]); its commands are sent
    together."""

    def __init__(self, addresses):
        self.redis, self.satchel = self.sides = [Side(address) for address in addresses]
        self.queued = [[] for _ in range(CONNECTIONS)]
        self.is_in_multi = [False] * CONNECTIONS
        self.batch = 0

    def check(self, args, redis, satchel):
        for _, told, condition in DIFFERENCES:
            if re.search(told, satchel.raw) and condition(args):
                raise Documented
        if not same(args, redis, satchel):
            raise Different(self.batch, args, redis.raw, satchel.raw)

    def check_exec(self, queued, redis, satchel):
        """The reply of EXEC: one of each command."""
        if redis.kind != "*" or not redis.value or satchel.kind != "*" or not satchel.value:
            self.check([b"EXEC"], redis, satchel)
        elif len(redis.value) != len(satchel.value):
            raise Different(self.batch, [b"EXEC"], redis.raw, satchel.raw)
        else:
            for args, one, other in zip(queued, redis.value, satchel.value):
                self.check(args, one, other)

    def check_reply(self, at, args):
        """One reply of each server. False: the connections have ended."""
        redis, satchel = (side.take(at) for side in self.sides)
        name = name_of(args)
        if "" in (redis.kind, satchel.kind):
            self.check(args, redis, satchel)
            for side in self.sides:
                side.end(at)
            self.leave_multi(at)
            return False
        if redis.raw == b"+QUEUED\r\n":
            self.queued[at].append(args)
        if name == "exec":
            self.check_exec(self.queued[at], redis, satchel)
        elif RULES.get(name) == "scan" and redis.kind == satchel.kind == "*":
            found = [sorted(self.found(name, side.scan(at, args, reply)))
                     for side, reply in zip(self.sides, (redis, satchel))]
            if found[0] != found[1]:
                raise Different(self.batch, args, *(repr(items).encode() for items in found))
        else:
            self.check(args, redis, satchel)
        if name == "multi" and redis.kind == "+":
            self.is_in_multi[at] = True
        elif name in ("exec", "discard", "reset") and redis.kind != "-" or \
                redis.raw.startswith(b"-EXECABORT"):
            self.leave_multi(at)
        return True

    def leave_multi(self, at):
        self.queued[at] = []
        self.is_in_multi[at] = False

    @staticmethod
    def found(name, items):
        items = [item.raw for item in items]
        return list(zip(items[::2], items[1::2])) if name == "hscan" else set(items)

    def play(self, at, commands):
        data = b"".join(encode(*args) for args in commands)
        has_more_replies = name_of(commands[-1]) in PUBSUB
        if has_more_replies and self.is_in_multi[at]:
            return  # EXEC would have more replies than commands
        for side in self.sides:
            side.send(at, data + (encode("PING", "end") if has_more_replies else b""))
        for args in commands:
            if not self.check_reply(at, args):
                return
        if has_more_replies:  # one for each channel, until the end
            while not re.search(rb"end|\(", self.last(at)):
                pass
        if SHORT_MS in commands[-1]:
            time.sleep(PAUSE_S)

    def last(self, at):
        """One more reply of a command that has several."""
        redis, satchel = (side.take(at) for side in self.sides)
        self.check([b"SUBSCRIBE"], redis, satchel)
        return redis.raw

    def check_messages(self):
        """Messages are the same, and in the same order, on each connection."""
        for at in range(CONNECTIONS):
            wanted = len(self.redis.messages[at])
            if wanted > len(self.satchel.messages[at]):
                conn = self.satchel.conns[at]
                if conn is None:
                    continue
                conn.socket.settimeout(MESSAGES_S)
                try:
                    while wanted > len(self.satchel.messages[at]):
                        reply = conn.take()
                        self.satchel.messages[at].append(reply.raw)
                        if reply.kind == "":
                            break
                except TimeoutError:
                    pass
            redis, satchel = (b" ".join(side.messages[at]) for side in self.sides)
            if redis != satchel:
                raise Different(self.batch, [b"message"], redis, satchel)

    def all(self, batches):
        """Raises Different where they differ first."""
        try:
            for self.batch, (at, commands) in enumerate(batches):
                self.play(at, commands)
            self.check_messages()
            for side in self.sides:  # what is there in the end
                side.conns[0] = Resp(side.address)
            for key in KEYS:
                for args in ([b"TYPE", key], [b"PTTL", key], [b"GET", key], [b"HGETALL", key],
                             [b"SMEMBERS", key]):
                    self.play(0, [args])
        except Documented:
            pass
        finally:
            for side in self.sides:
                side.close()


def sequence(seed):
    """The batches of a sequence."""
    rng = generator(seed)
    batches = []
    has_subscribers = seed % 8 == 0
    has_short_lives = seed % 4 == 1  # DBSIZE may count what has expired
    names = [name for name in GRAMMAR.templates
             if (name not in PUBSUB or has_subscribers) and (name != "dbsize" or not has_short_lives)]
    # Most sequences dwell on a few commands, so that these meet each other.
    names = rng.sample(names, 12) + ["set", "hset", "sadd", "expire"] if seed % 3 else names
    left = rng.randrange(5, COMMANDS_MAX)
    while left > 0:
        at = 0 if rng.random() < 0.8 else 1
        if has_short_lives and rng.random() < 0.15:
            batches.append((at, [[b"PEXPIRE", VALUES["key"](rng), SHORT_MS]]))
        count = rng.randrange(2, 9) if rng.random() < 0.15 else 1
        commands = [GRAMMAR.command(rng, rng.choice(names)) for _ in range(count)]
        if rng.random() < 0.1:
            commands = [[b"MULTI"], *commands, [b"EXEC"]]
        lone = [args for args in commands if name_of(args) in PUBSUB or
                RULES.get(name_of(args)) == "scan"]
        commands = lone[:1] or commands  # these need more than one look
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
                        os.environ.get("SATCHEL_REDIS_SAME", "1 1500").split())
        texts = []
        for seed in range(first, first + count):
            text = self.compare(f"seed {seed}", sequence(seed))
            if text is not None:
                texts.append(text)
            if len(texts) >= DIFFERENT_MAX:
                break
        self.expect_none(texts)

    def test_each_command_with_each_number_of_arguments(self):
        with Resp(self.store.address) as conn:
            names = [item.value.decode() for item in conn.ask("COMMAND", "LIST").value]
        texts = []
        for name in names:
            if name.startswith("satchel"):
                continue
            for count in range(0, 7):
                args = [name, *("k" if at == 0 else str(at) for at in range(count))]
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
                     b'SET "a"b c\r\n', b'ECHO a"b c"\r\n', b'ECHO "\\x41\\n\\q\\x4"\r\n',
                     b"ECHO 'a\\'b\\n'\r\n", b"\x0bECHO a\x0bb\r\n", b'ECHO ""\r\n', b'""\r\n',
                     b"*1\r\n$0\r\n\r\n", b"*1\r\n$5\r\nA\r\nBC\r\n", b"*1\r\n$4\r\nPI\x00G\r\n",
                     b"foo 'a b' \"c\\r\\n\" " + b"x" * 200 + b"\r\n", b"y" * 200 + b" z\r\n"):
            told = []
            for address in (self.redis.address, self.store.address):
                with Resp(address) as conn:
                    conn.send(data)
                    raw = b""
                    while not raw.endswith(b"end\r\n") and not raw.endswith(CLOSED):
                        if not raw:
                            conn.send(encode("PING", "end"))
                        raw += conn.take().raw
                    told.append(raw)
            self.assertEqual(told[0], told[1], data[:80])

    def test_every_command_is_generated(self):
        with Resp(self.store.address) as conn:
            names = {item.value.decode() for item in conn.ask("COMMAND", "LIST").value}
        missing = sorted(name for name in names if name not in GRAMMAR.templates and
                         name not in NOT_GENERATED and name not in CONTAINERS)
        self.assertEqual(missing, [])


if __name__ == "__main__":
    PARSER = argparse.ArgumentParser()
    PARSER.add_argument("--satcheld", required=True)
    PARSER.add_argument("--sanitized", action="store_true", help="memory and time say nothing")
    OPTIONS, REST = PARSER.parse_known_args()
    unittest.main(argv=[sys.argv[0], *REST], verbosity=2)
