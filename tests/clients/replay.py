#!/usr/bin/python3
"""replay.py --satcheld PATH [--write] [CLIENT …]

What clients send that Debian has no packages of, according to their sources: their greetings and the
commands of the session stores on top of them, in their order, pipelined as they do it. The replies
are compared byte by byte, and the same is sent to a real redis-server, which shows that the bytes
are those that these clients are used to.
"""

import re
import sys
import time
from collections import namedtuple
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import kit  # noqa: E402
from redis_side_by_side import RedisServer  # noqa: E402
from resp import Resp, encode  # noqa: E402

# A command, with the bytes of its reply or a pattern of all of them. What is `since_7_0` has another
# reply from Redis 7.0.
Step = namedtuple("Step", "command reply since_7_0", defaults=(False,))

OK, QUEUED, NULL, NULL_2 = b"+OK\r\n", b"+QUEUED\r\n", b"_\r\n", b"$-1\r\n"
HELLO_3 = re.compile(rb"%7\r\n\$6\r\nserver\r\n\$5\r\nredis\r\n\$7\r\nversion\r\n\$\d+\r\n[\d.]+\r\n"
                     rb"\$5\r\nproto\r\n:3\r\n\$2\r\nid\r\n:\d+\r\n\$4\r\nmode\r\n\$10\r\nstandalone"
                     rb"\r\n\$4\r\nrole\r\n\$6\r\nmaster\r\n\$7\r\nmodules\r\n\*0\r\n")
NO_SUCH_CLIENT_COMMAND = b"-ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.\r\n"
NO_CLUSTER = b"-ERR This instance has cluster support disabled\r\n"
ANN = b"\xac\xed\x00\x05t\x00\x03ann"  # "ann" as Java serializes it
NUMBER = b"\xac\xed\x00\x05sr\x00\x0ejava.lang.Long\r\n\x00"


def number(value):
    return b":%d\r\n" % value


def bulk(value):
    return b"$%d\r\n%s\r\n" % (len(value), value)


def array(*items, kind=b"*"):
    return kind + b"%d\r\n" % len(items) + b"".join(items)


def push(*items):
    return array(*items, kind=b">")


def pairs(*items):
    return b"%%%d\r\n" % (len(items) // 2) + b"".join(map(bulk, items))


def says(*lines):
    """INFO, with these lines in this order."""
    return re.compile(rb"[=$]\d+\r\n.*" + rb"\r\n.*".join(lines) + rb"\r\n.*", re.DOTALL)


def set_info(name, version):
    return [Step(["CLIENT", "SETINFO", "lib-name", name], OK, True),
            Step(["CLIENT", "SETINFO", "lib-ver", version], OK, True)]


def maintenance(kind):
    """Announced by newer clients, which take the error for no."""
    return Step(["CLIENT", "MAINT_NOTIFICATIONS", "on", "moving-endpoint-type", kind],
                NO_SUCH_CLIENT_COMMAND)


def sent_together(conn, steps):
    """Sends all, and compares the replies that come then."""
    conn.send(b"".join(encode(*step.command) for step in steps))
    for step in steps:
        raw = conn.take().raw
        if isinstance(step.reply, bytes):
            assert raw == step.reply, f"{step.command}: {raw} is not {step.reply}"
        else:
            assert step.reply.fullmatch(raw), f"{step.command}: {raw} is not {step.reply}"


class Replay(kit.ClientTest):
    """A story is told by story(connect), where connect(steps …) gives a connection after these."""

    cells = None

    def row(self):
        return self.cells

    def story(self, connect):
        raise NotImplementedError

    def tell(self, address, is_redis):
        def sent(conn, *steps):
            sent_together(conn, [step for step in steps if not (is_redis and step.since_7_0)])

        def connect(*steps):
            conn = Resp(address)
            self.addCleanup(conn.close)
            sent(conn, *steps)
            return conn

        self.story(connect, sent)

    def test_satchel_replies_as_expected(self):
        self.tell(self.store.address, False)

    def test_redis_replies_so_too(self):
        self.tell(self.enter(RedisServer()).address, True)


class Spring(Replay):
    cells = ("Lettuce", "Spring Session: `RedisSessionRepository`, `RedisIndexedSessionRepository`",
             "replayed: works")
    greeting = [Step(["HELLO", "3"], HELLO_3), *set_info("Lettuce", "6.5.0"),
                maintenance("external-ip"), Step(["PING"], b"+PONG\r\n")]

    def story(self, connect, sent):
        conn = connect(*self.greeting)
        self.simple(conn, sent)
        self.indexed(conn, connect(*self.greeting), sent)

    def simple(self, conn, sent):
        """RedisSessionRepository: a hash, saved by its changes; another id is RENAME."""
        key, other = b"spring:session:sessions:one", b"spring:session:sessions:two"
        sent(conn, Step(["HMSET", key, "creationTime", NUMBER, "maxInactiveInterval", NUMBER], OK),
             Step(["PEXPIRE", key, 1800000], number(1)))
        sent(conn, Step(["HGETALL", key], pairs(b"creationTime", NUMBER, b"maxInactiveInterval", NUMBER)))
        sent(conn, Step(["EXISTS", key], number(1)))
        sent(conn, Step(["HSET", key, "sessionAttr:user", ANN], number(1)),
             Step(["HDEL", key, "sessionAttr:none"], number(0)))
        sent(conn, Step(["RENAME", key, other], OK), Step(["PTTL", other], re.compile(rb":\d{7}\r\n")))
        sent(conn, Step(["RENAME", key, other], b"-ERR no such key\r\n"))
        sent(conn, Step(["DEL", other], number(1)), Step(["HGETALL", other], b"%0\r\n"))

    def indexed(self, conn, listener, sent):
        """RedisIndexedSessionRepository: found by its user, and its end is told by Redis."""
        sent(conn, Step(["CONFIG", "GET", "notify-keyspace-events"], pairs(b"notify-keyspace-events", b"")),
             Step(["CONFIG", "SET", "notify-keyspace-events", "gxE"], OK))
        deleted, expired = b"__keyevent@0__:del", b"__keyevent@0__:expired"
        created = b"spring:session:event:0:created:"
        listener.send(encode("SUBSCRIBE", deleted, expired) + encode("PSUBSCRIBE", created + b"*"))
        for count, (kind, name) in enumerate([(b"subscribe", deleted), (b"subscribe", expired),
                                              (b"psubscribe", created + b"*")], 1):
            assert listener.take().raw == push(bulk(kind), bulk(name), number(count))

        key, shadow = b"spring:session:sessions:three", b"spring:session:sessions:expires:three"
        minute = b"spring:session:expirations:1800000000000"
        index = b"spring:session:index:org.springframework.session.FindByIndexNameSessionRepository." \
                b"PRINCIPAL_NAME_INDEX_NAME:ann"
        sent(conn, Step(["HMSET", key, "lastAccessedTime", NUMBER, "sessionAttr:user", ANN], OK),
             Step(["SADD", index, ANN], number(1)),
             Step(["SADD", minute, b"expires:three"], number(1)), Step(["EXPIRE", minute, 2100], number(1)),
             Step(["APPEND", shadow, ""], number(0)), Step(["EXPIRE", shadow, 1], number(1)),
             Step(["EXPIRE", key, 2100], number(1)),
             Step(["PUBLISH", created + b"three", ANN], number(1)))
        assert listener.take().raw == push(*map(bulk, [b"pmessage", created + b"*", created + b"three", ANN]))
        sent(conn, Step(["SMEMBERS", index], b"~1\r\n" + bulk(ANN)),
             Step(["GET", shadow], bulk(b"")))
        begin = time.monotonic()
        assert listener.take().raw == push(*map(bulk, [b"message", expired, shadow]))
        assert time.monotonic() - begin < 10, "the expiry is told when it happens"
        sent(conn, Step(["EXISTS", shadow], number(0)), Step(["PERSIST", shadow], number(0)),
             Step(["SREM", index, ANN], number(1)), Step(["EXISTS", index], number(0)),
             Step(["DEL", key], number(1)))
        # The sweeper of each minute takes what is to expire, and touches it.
        told = [index, key]
        sent(conn, Step(["SMEMBERS", minute], b"~1\r\n" + bulk(b"expires:three")),
             Step(["DEL", minute], number(1)))
        for name in [*told, minute]:
            assert listener.take().raw == push(*map(bulk, [b"message", deleted, name]))


class AspNet(Replay):
    cells = ("StackExchange.Redis", "ASP.NET Core: `RedisCache`", "replayed: works")

    def story(self, connect, sent):
        ping = b"\x00\xff\x0d\x0a*1\r\n$4..\x80\x81\x82\x83"
        greeting = [Step(["CLIENT", "SETNAME", "web-1(SE.Redis-v2.8.16)"], OK),
                    *set_info("SE.Redis", "2.8.16"),
                    Step(["INFO", "replication"], says(b"# Replication", b"role:master")),
                    Step(["INFO", "server"], says(b"# Server", rb"redis_version:7[^\r]*", b"redis_mode:standalone")),
                    Step(["CLUSTER", "NODES"], NO_CLUSTER),
                    Step(["GET", "__Booksleeve_TieBreak"], NULL_2),
                    Step(["ECHO", ping], bulk(ping))]
        conn = connect(*greeting)
        events = connect(*greeting[:1], Step(
            ["SUBSCRIBE", "__Booksleeve_MasterChanged"],
            array(bulk(b"subscribe"), bulk(b"__Booksleeve_MasterChanged"), number(1))))
        key = b"web:3f2a"
        sent(conn, Step(["HMGET", key, "absexp", "sldexp", "data"], array(NULL_2, NULL_2, NULL_2)))
        sent(conn, Step(["MULTI"], OK),
             Step(["HSET", key, "absexp", "-1", "sldexp", "12000000000", "data", ANN], QUEUED),
             Step(["EXPIRE", key, 1200], QUEUED),
             Step(["EXEC"], array(number(3), number(1))))
        sent(conn, Step(["HMGET", key, "absexp", "sldexp", "data"],
                        array(bulk(b"-1"), bulk(b"12000000000"), bulk(ANN))),
             Step(["EXPIRE", key, 1200], number(1)))
        sent(conn, Step(["HMGET", key, "absexp", "sldexp"], array(bulk(b"-1"), bulk(b"12000000000"))),
             Step(["DEL", key], number(1)), Step(["HGET", key, "data"], NULL_2))
        # The heartbeat of both connections, and their end.
        sent(events, Step(["PING"], array(bulk(b"pong"), bulk(b""))))
        sent(conn, Step(["PING"], b"+PONG\r\n"), Step(["INFO", "replication"], says(b"role:master")),
             Step(["QUIT"], OK))
        assert conn.take().kind == ""


class GoRedis(Replay):
    cells = ("go-redis", "its greeting; carts of OpenTelemetry's demo and of Online Boutique",
             "replayed: works")

    def story(self, connect, sent):
        conn = connect(Step(["hello", "3"], HELLO_3), *set_info("go-redis(,go1.22.1)", "9.7.0"),
                       maintenance("none"), Step(["select", "1"], OK))
        sent(conn, Step(["set", "cart", "OK"], OK), Step(["get", "cart"], bulk(b"OK")))
        sent(conn, Step(["hget", "ann", "cart"], NULL), Step(["hset", "ann", "cart", ANN], number(1)),
             Step(["expire", "ann", 3600], number(1)), Step(["hget", "ann", "cart"], bulk(ANN)))
        sent(conn, Step(["multi"], OK), Step(["set", "scs:session:1", ANN], QUEUED),
             Step(["pexpireat", "scs:session:1", 4102444800000], QUEUED),
             Step(["exec"], array(OK, number(1))), Step(["ping"], b"+PONG\r\n"),
             Step(["del", "scs:session:1", "none"], number(1)))


class RedisClient(Replay):
    cells = ("redis-client (Ruby)", "its greeting; Rails' cache store", "replayed: works")

    def story(self, connect, sent):
        conn = connect(Step(["HELLO", "3"], HELLO_3), Step(["SELECT", "2"], OK),
                       *set_info("redis-client(ruby-3.3)", "0.22"))
        sent(conn, Step(["SET", "_session_id:2::ab", ANN, "PX", 1800000], OK),
             Step(["GET", "_session_id:2::ab"], bulk(ANN)),
             Step(["MGET", "_session_id:2::ab", "none"], array(bulk(ANN), NULL)),
             Step(["UNLINK", "_session_id:2::ab"], number(1)),
             Step(["INCRBY", "rate", 1], number(1)), Step(["PEXPIRE", "rate", 60000, "NX"], number(1)))


class Magento(Replay):
    cells = ("Credis", "Magento: `Cm_RedisSession`", "replayed: works")

    def story(self, connect, sent):
        key = b"sess_3f2a"
        conn = connect(Step(["SELECT", "2"], OK))
        sent(conn, Step(["HINCRBY", key, "lock", 1], number(1)))
        sent(conn, Step(["MULTI"], OK), Step(["HMSET", key, "pid", "web-1|42", "lock", 1], QUEUED),
             Step(["EXPIRE", key, 21600], QUEUED), Step(["HGET", key, "data"], QUEUED),
             Step(["EXEC"], array(OK, number(1), NULL_2)))
        sent(conn, Step(["HINCRBY", key, "lock", 1], number(2)), Step(["HGET", key, "lock"], bulk(b"2")))
        sent(conn, Step(["MULTI"], OK), Step(["HMSET", key, "data", ANN, "lock", 0], QUEUED),
             Step(["HINCRBY", key, "writes", 1], QUEUED), Step(["EXPIRE", key, 1800], QUEUED),
             Step(["EXEC"], array(OK, number(1), number(1))),
             Step(["HDEL", key, "pid"], number(1)), Step(["DEL", key], number(1)))


STORIES = {"spring": Spring, "aspnet": AspNet, "go-redis": GoRedis, "redis-client": RedisClient,
           "magento": Magento}

if __name__ == "__main__":
    kit.run(STORIES, __doc__)
