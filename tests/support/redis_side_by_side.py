"""The same commands to redis-server and to satcheld, and their replies side by side.

What has no order is compared as a set, times within a tolerance, and what tells about the server
itself by its shape; the table RULES says which. What differs on purpose is in DIFFERENCES.
"""

import os
import re
import shutil
import tempfile
import time

from processes import Program, wait_until
from redis_grammar import KEYS, SCRIPTS, name_of
from resp import Reply, Resp, encode, is_message

CONNECTIONS = 2  # of a sequence, to either server
SHORT_MS = b"3"  # a time to live that is over after a pause
PAUSE_S = 0.015
REPLY_S = 10
SILENT = b"(no reply)"
SWEEP_S = 3
MESSAGES_S = 2  # messages may come later than the reply that tells how many got them
SHOWN_BYTES = 400  # of a reply that differs

# How the replies of a command are compared, if both are no errors; by default byte by byte.
RULES = {}
for rule, names in {
        "set": "keys smembers hkeys hvals pubsub|channels",
        "pairs": "hgetall",
        "scan": "scan hscan sscan",
        "seconds": "ttl expiretime",
        "milliseconds": "pttl pexpiretime",
        "length": "hrandfield",
        "shape": "randomkey command command|list command|info command|docs hello client|id "
                 "client|info client|list time info command|count memory|usage object|idletime "
                 "object|help object|refcount config|get memory|help client|help config|help "
                 "command|help pubsub|help script|help",
}.items():
    RULES.update(dict.fromkeys(names.split(), rule))

# What differs on purpose: what it is; commands that show it; and the condition of a command and of
# the bytes that Redis and Satchel reply, at which a sequence ends well.
DIFFERENCES = [
    ("keys, which are ids of sessions, have 1 to 512 bytes",
     [[b"SET", b"", b"value"]],
     lambda args, redis, satchel: satchel == b"-ERR a key has to have between 1 and 512 bytes here"
     b"\r\n" and any(len(arg) == 0 or len(arg) > 512 for arg in args[1:])),
    ("names of fields and members have 1 to 256 bytes",
     [[b"HSET", b"h1", b"f" * 257, b"value"]],
     lambda args, redis, satchel: satchel == b"-ERR the name of a field or member has 1 to 256 "
     b"bytes here\r\n" and any(len(arg) == 0 or len(arg) > 256 for arg in args[2:])),
    ("MULTI takes no command that walks through all sessions",
     [[b"MULTI"], [b"KEYS", b"*"]],
     lambda args, redis, satchel: satchel == b"-ERR Command not allowed inside a transaction\r\n" and
     name_of(args) in ("config|resetstat", "dbsize", "flushall", "flushdb", "info", "keys", "randomkey",
                       "scan")),
    ("COPY stays in its database",
     [[b"SET", b"s1", b"value"], [b"COPY", b"s1", b"s2", b"DB", b"1"]],
     lambda args, redis, satchel: satchel == b"-ERR DB index is out of range\r\n" and
     name_of(args) == "copy" and redis[:1] in b":-"),
    ("WATCH compares what a session is: one that was not there and is not, or whose time to live was "
     "set to the same moment, has not changed",
     [[b"WATCH", b"s1"], [b"SET", b"s1", b"value"], [b"DEL", b"s1"], [b"MULTI"],
      [b"SET", b"s2", b"value"], [b"EXEC"]],
     lambda args, redis, satchel: name_of(args) == "exec" and redis in (b"_\r\n", b"*-1\r\n") and
     satchel[:1] == b"*"),
    ("no session lives longer than until the year 2527",
     [[b"SET", b"s1", b"value", b"PX", b"9223372036854775"], [b"PTTL", b"s1"]],
     lambda args, redis, satchel: name_of(args) in ("pttl", "ttl", "expiretime", "pexpiretime") and
     int(redis[1:]) > int(satchel[1:]) > 10 ** 10),
    ("a value has at most --value-max bytes",
     [[b"SETRANGE", b"s1", b"1048576", b"x"]],
     lambda args, redis, satchel: satchel == b"-ERR string exceeds maximum allowed size "
     b"(proto-max-bulk-len)\r\n" and redis[:1] == b":"),
    ("OBJECT ENCODING is what Redis would choose for what is there now",
     [[b"HSET", b"h1", b"f1", b"x" * 65], [b"HSET", b"h1", b"f1", b"x"],
      [b"OBJECT", b"ENCODING", b"h1"]],
     lambda args, redis, satchel: name_of(args) == "object|encoding" and
     redis[:1] == satchel[:1] == b"$"),
    ("there are no scripts but those that are known",
     [[b"EVAL", b"return 1", b"0"]],
     lambda args, redis, satchel: name_of(args).startswith(("eval", "script|load")) and
     satchel.startswith(b"-ERR this server runs no Lua, only the scripts that ")),
]

# What tells all about a key of a type.
READING = {b"string": [b"PTTL", b"GET"], b"hash": [b"PTTL", b"HGETALL"],
           b"set": [b"PTTL", b"SMEMBERS"]}
PUBSUB = ("subscribe", "unsubscribe", "psubscribe", "punsubscribe")

class RedisServer(Program):
    """The real one. It listens on a Unix socket, so nobody has to find it a free port."""

    def __init__(self, *options):
        super().__init__("redis-server")
        self.options = options
        self.directory = None
        self.address = None

    def start(self):
        self.directory = tempfile.mkdtemp(prefix="satchel-test-")
        self.address = os.path.join(self.directory, "redis.socket")
        self.launch(["redis-server", "--port", "0", "--unixsocket", self.address, "--save", "",
                     "--appendonly", "no", "--dir", self.directory, *self.options])
        wait_until(lambda: os.path.exists(self.address), "redis-server listens")

    def clean_up(self):
        shutil.rmtree(self.directory, ignore_errors=True)


def take_in_time(conn):
    """The next reply, or one that says that there is none."""
    try:
        return conn.take()
    except TimeoutError:
        return Reply("", SILENT, None)


class Side:
    """One of the two servers during one sequence."""

    def __init__(self, address):
        self.address = address
        with Resp(address) as conn:
            conn.ask("FLUSHALL")
            conn.ask("CONFIG", "SET", "notify-keyspace-events", "")
            for text in SCRIPTS:
                conn.ask("SCRIPT", "LOAD", text)
        self.conns = [None] * CONNECTIONS
        self.messages = [[] for _ in range(CONNECTIONS)]

    def take(self, at):
        """The next reply; messages are put aside."""
        while is_message(reply := take_in_time(self.conns[at])):
            self.messages[at].append(reply.raw)
        return reply

    def skip(self, at, count):
        """Awaits that many replies, so that their commands do not run later than what follows."""
        while count > 0 and self.take(at).kind != "":
            count -= 1

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
        if not same(args, redis, satchel):
            for what, _, holds in DIFFERENCES:
                if holds(args, redis.raw, satchel.raw):
                    raise Documented(what)
            raise Different(self.batch, args, redis.raw, satchel.raw)

    def check_exec(self, queued, redis, satchel):
        """The reply of EXEC: one of each command."""
        if redis.kind != "*" or not redis.value or satchel.kind != "*" or not satchel.value or \
                len(redis.value) != len(satchel.value):
            self.check([b"EXEC"], redis, satchel)
        else:
            for args, one, other in zip(queued, redis.value, satchel.value):
                self.check(args, one, other)

    def check_reply(self, at, args):
        """One reply of each server. False: the connections have ended."""
        redis, satchel = (side.take(at) for side in self.sides)
        name = name_of(args)
        if name == "dbsize" and satchel.kind == ":":
            satchel = self.counted(at, redis, satchel)
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

    def counted(self, at, redis, satchel):
        """The reply of a DBSIZE that is sent alone: what has expired is counted until it is swept."""
        end = time.monotonic() + SWEEP_S
        while satchel.value > redis.value and time.monotonic() < end:
            time.sleep(PAUSE_S)
            self.satchel.send(at, encode("DBSIZE"))
            satchel = self.satchel.take(at)
        return satchel

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
        if self.is_in_multi[at] and (has_more_replies or SHORT_MS in commands[-1]):
            return  # EXEC would have more replies than commands, and begin a time to live late
        for side in self.sides:
            side.send(at, data + (encode("PING", "end") if has_more_replies else b""))
        left = len(commands)
        try:
            for args in commands:
                left -= 1
                if not self.check_reply(at, args):
                    return
        except (Different, Documented):
            for side in self.sides:
                side.skip(at, left)
            raise
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

    def check_state(self):
        """What is there in the end is the same."""
        for side in self.sides:
            if side.conns[0] is not None:
                side.end(0)
        self.leave_multi(0)
        self.batch += 1
        for key in KEYS:
            self.play(0, [[b"TYPE", key]])
            kind = self.redis.conns[0].ask("TYPE", key).value
            for name in READING.get(kind, []):
                self.play(0, [[name, key]])

    def all(self, batches):
        """Raises Different where they differ first. Returns None, or what differs on purpose."""
        try:
            for self.batch, (at, commands) in enumerate(batches):
                self.play(at, commands)
            self.check_messages()
            self.check_state()
            return None
        except Documented as documented:
            return str(documented)
        finally:
            for side in self.sides:
                side.close()
