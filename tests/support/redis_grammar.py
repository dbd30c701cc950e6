"""Random commands of Redis: what they look like is a grammar, one line a command.

    SET $key $value ( EX $s | PX $ms | KEEPTTL )? ( NX | XX )? GET?

`( a | b )` is one of several, `?` behind something makes it optional, `+` repeats it one to three
times, `$name` is a value of the table below. Now and then a command is bent: an argument too few or
too many, two of them exchanged, another case.
"""

import hashlib
import random
import re

FAR_AHEAD_S = 1 << 32  # 2106: times since 1970 that are never reached
OTHER_S = range(1000, 90000, 7)  # none of the usual ones

NUMBERS = ["0", "1", "-1", "2", "5", "-3", "10", "100", "-100"]
ODD_NUMBERS = ["9223372036854775807", "-9223372036854775808", "9223372036854775808",
               "-9223372036854775809", "18446744073709551616", "", "-", "+1", "01", "-0", " 1", "1 ",
               "1.5", "0x10", "abc", "1e2", "nan", "4294967296", "2147483648", "-2147483649"]
FLOATS = ["0", "1", "-1", "0.5", "-2.25", "3.0e3", "1e-10", "10.50", "100", "+1", ".5", "0x10"]
ODD_FLOATS = ["inf", "-inf", "nan", "", " 1", "1 ", "abc", "1e5000", "1e-5000", "1,5", "1e400",
              "99999999999999999999", "1e17", "-1e18", "-0"]
TEXTS = [b"", b"a", b"hello", b"Hello World", b"\x00\xff\r\n$3", b"a\x00b", "größe".encode(),
         b"x" * 45, b"y" * 64, b"z" * 300, b"12345678901234567890", b"  spaced  ", b"'quoted'"]
KEYS = [b"s1", b"s2", b"h1", b"h2", b"t1", b"t2", b"k", b"\x00\xffbin\r\n"]
NAMES = [b"f1", b"f2", b"f3", b"1", b"-7", b"\x00\r\n", b"F1", b"field with spaces"]
PATTERNS = ["*", "s*", "?1", "[hs]1", "[^s]*", "h[1-2]", "\\*", "", "k", "*1", "[", "[a", "[z-a]1",
            "nothing", "**", "s1", "[\\h]?", "*\xff*"]
TYPES = ["string", "hash", "set", "list", "zset", "stream", "STRING", "none", "other"]
CHANNELS = [b"news", b"news:1", b"other", b"\x00\xff", b""]
CHANNEL_PATTERNS = [b"news*", b"*", b"n?ws", b"[no]*", b"nothing"]
WORDS = ["NX", "XX", "GT", "LT", "EX", "PX", "GET", "KEEPTTL", "PERSIST", "MATCH", "COUNT", "TYPE",
         "WITHVALUES", "REPLACE", "DB", "foo", "", "a b", "\x00", "é"]


# Scripts that clients send: a text is known by its SHA1.
_HOLDS = """
        local token = redis.call('get', KEYS[1])
        if not token or token ~= ARGV[1] then
            return 0
        end
"""
SCRIPTS = [
    # phpredis and Redis' documentation: unlock
    'if redis.call("get",KEYS[1]) == ARGV[1] then return redis.call("del",KEYS[1]) else return 0 '
    'end',
    # redis-py: release, extend, reacquire
    _HOLDS + """        redis.call('del', KEYS[1])
        return 1
    """,
    _HOLDS + """        local expiration = redis.call('pttl', KEYS[1])
        if not expiration then
            expiration = 0
        end
        if expiration < 0 then
            return 0
        end

        local newttl = ARGV[2]
        if ARGV[3] == "0" then
            newttl = ARGV[2] + expiration
        end
        redis.call('pexpire', KEYS[1], newttl)
        return 1
    """,
    _HOLDS + """        redis.call('pexpire', KEYS[1], ARGV[2])
        return 1
    """,
]
SHA1S = [hashlib.sha1(text.encode()).hexdigest() for text in SCRIPTS]


def _mostly(usual, odd, share=0.12):
    return lambda rng: rng.choice(odd if rng.random() < share else usual)


def _key_of(prefix):
    own = [key for key in KEYS if key.startswith(prefix)]
    return lambda rng: rng.choice(own if rng.random() < 0.85 else KEYS)


def _time(usual, unit):
    """`usual` in seconds; times that are soon over are only made by $short."""
    usual = [str(number * unit) for number in usual]
    odd = ["0", "-1", "-5", "1.5", "abc", "", "9223372036854775807", "-9223372036854775808",
           "9223372036854775", "9223372036854776", "9223372036854775808", str((1 << 46) * unit)]
    return _mostly(usual, odd)


VALUES = {
    "key": lambda rng: rng.choice(KEYS),
    "skey": _key_of(b"s"),
    "hkey": _key_of(b"h"),
    "tkey": _key_of(b"t"),
    "field": lambda rng: rng.choice(NAMES),
    "member": lambda rng: rng.choice(NAMES),
    "value": lambda rng: rng.choice(TEXTS if rng.random() < 0.5 else NUMBERS + FLOATS + ODD_NUMBERS),
    "text": lambda rng: rng.choice(TEXTS),
    "int": _mostly(NUMBERS, ODD_NUMBERS),
    "float": _mostly(FLOATS, ODD_FLOATS),
    "count": _mostly(["0", "1", "2", "3", "10", "-1", "-4"], ["abc", "", "9223372036854775808"]),
    "many": _mostly(["1", "2", "10", "1000"], ["0", "-1", "abc", ""]),
    "at": _mostly(["0", "1", "3", "-1", "-3", "100", "-100"], ODD_NUMBERS),
    "offset": _mostly(["0", "1", "5", "40"], ["-1", "536870912", "9223372036854775807",
                                             "abc", "9223372036854775808"]),
    "s": _time([100, 5000, 86400], 1),
    "ms": _time([100, 5000, 86400], 1000),
    # For what compares it with the time a key has: equal ones would be that only within the same
    # millisecond. Equal times that are absolute are $at_s.
    "other_s": _time(OTHER_S, 1),
    "other_ms": _time(OTHER_S, 1000),
    "at_s": _time([FAR_AHEAD_S, FAR_AHEAD_S + 100], 1),
    "at_ms": _time([FAR_AHEAD_S, FAR_AHEAD_S + 100], 1000),
    "past_s": lambda rng: rng.choice(["1", "1000000000", "-1000"]),
    "pattern": lambda rng: rng.choice(PATTERNS),
    "type": lambda rng: rng.choice(TYPES),
    "db": lambda rng: rng.choice(["0", "0", "1", "1", "15", "16", "-1", "abc", ""]),
    "channel": lambda rng: rng.choice(CHANNELS),
    "cpattern": lambda rng: rng.choice(CHANNEL_PATTERNS),
    "word": lambda rng: rng.choice(WORDS),
    "script": lambda rng: rng.choice(SCRIPTS),
    "sha1": lambda rng: rng.choice(SHA1S),
    "proto": lambda rng: rng.choice(["2", "3", "3", "3", "4", "1", "abc", ""]),
}


def _parse(tokens):
    """Until the end or `)`: ("any", [alternatives]), each a list of parts."""
    alternatives = [[]]
    while tokens:
        token = tokens.pop(0)
        if token == ")":
            break
        if token == "|":
            alternatives.append([])
        elif token in ("?", "+"):
            alternatives[-1][-1] = (token, alternatives[-1][-1])
        elif token == "(":
            alternatives[-1].append(_parse(tokens))
        else:
            alternatives[-1].append(token)
    return "any", alternatives


def _expand(rng, part, out):
    if isinstance(part, str):
        out.append(VALUES[part[1:]](rng) if part.startswith("$") and len(part) > 1 else part)
        return
    kind, inner = part
    if kind == "any":
        for item in rng.choice(inner):
            _expand(rng, item, out)
    else:
        times = rng.choice((1, 1, 2, 3)) if kind == "+" else rng.random() < 0.35
        for _ in range(times):
            _expand(rng, inner, out)


CONTAINERS = ("client", "cluster", "command", "config", "memory", "object", "pubsub", "script")


def name_of(args):
    """The command's name, "client|id" of a container's."""
    name = args[0].decode("latin-1").lower()
    if name in CONTAINERS and len(args) > 1:
        return f"{name}|{args[1].decode('latin-1').lower()}"
    return name


class Grammar:
    """Commands of a text with a template a line."""

    def __init__(self, text):
        self.templates = {}  # by the command's name in lower case, "client|setname" of a container's
        for line in text.strip().splitlines():
            tokens = re.findall(r"[()|?+]|[^\s()|?+]+", line)
            names = [token.lower() for token in tokens[:2]]
            name = "|".join(names) if names[0] in CONTAINERS and names[1:] else names[0]
            self.templates.setdefault(name, []).append(_parse(tokens))

    def command(self, rng, name=None):
        """A command as a list of bytes; of that name, or of any."""
        name = name or rng.choice(list(self.templates))
        args = []
        _expand(rng, rng.choice(self.templates[name]), args)
        args = [arg if isinstance(arg, bytes) else arg.encode() for arg in args]
        return bend(rng, args) if rng.random() < 0.08 else args


def bend(rng, args):
    """The same command with something wrong, or only different, about it."""
    args = list(args)
    way = rng.randrange(6)
    at = rng.randrange(len(args))
    if way == 0 and len(args) > 1:
        args.pop()
    elif way == 1:
        args.append(VALUES["word"](rng).encode())
    elif way == 2 and at > 0:
        args.insert(at, VALUES["word"](rng).encode())
    elif way == 3 and at > 1:
        args[at], args[at - 1] = args[at - 1], args[at]
    elif way == 4:
        args[0] = args[0].swapcase()
    elif at > 0:
        args[at] = args[at].swapcase()
    return args


def generator(seed):
    """The random numbers of one sequence; the same for the same seed, on every machine."""
    return random.Random(seed)


COMMANDS = Grammar(r"""
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
EXPIRE $key $other_s ( NX | XX | GT | LT )?
EXPIRE $key $other_s ( NX | XX | GT | LT | foo )+
PEXPIRE $key $other_ms ( NX | XX | GT | LT )?
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
SET $skey token PX 100000 NX
EVAL $script 1 $skey token
EVAL $script 1 $skey ( token | $value ) $ms ( 0 | 1 )?
EVAL $script $count $skey token $ms
EVALSHA $sha1 1 $skey token $ms
EVALSHA ( abc | ffffffffffffffffffffffffffffffffffffffff ) $count $key
EVAL_RO $script 1 $skey token
EVALSHA_RO ffffffffffffffffffffffffffffffffffffffff 1 $key
SCRIPT EXISTS ( $sha1 | abc )+
SCRIPT LOAD $script
SCRIPT FLUSH foo
SCRIPT foo
CLIENT GETREDIR
CLIENT REPLY ( ON | foo )
CLIENT HELP
CONFIG SET notify-keyspace-events ( KEA | Kg$ | Ehsx | K | "" | KEAfoo )
CONFIG GET ( notify-keyspace-events | notify* | maxmem* )
CONFIG RESETSTAT
CONFIG REWRITE
CONFIG HELP
COMMAND INFO nothing
COMMAND LIST
COMMAND DOCS get
COMMAND GETKEYS ( MSET $key a $key b | GET $key | PING | EVAL x 1 $key | SET )
COMMAND HELP
MEMORY HELP
SCRIPT HELP
PUBSUB HELP
CLUSTER ( INFO | NODES | SLOTS )
READONLY
READWRITE
ASKING
""")
