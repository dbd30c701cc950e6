"""What is measured, and what Satchel has to reach: one entry a row.

A Series is one workload against some servers; a Target compares one figure of it with a limit or
with another server. The comparison (bench/peers), bench/engine, bench/slow-disk and bench/report
read these lists and know nothing else about what they show.
"""

import dataclasses

CONNECTIONS = 50
VALUE_BYTES = 512
MIXED = "get 80, set 20"
SETS = "set 100"


@dataclasses.dataclass(frozen=True)
class Series:
    """One workload. `options` are those of satchel-bench; `group` says which servers run side by
    side for it (see GROUPS)."""

    name: str
    what: str
    group: str
    servers: tuple
    options: dict
    is_long: bool = False  # a part of --full only


@dataclasses.dataclass(frozen=True)
class Group:
    """Servers that are started together, one of which is asked at a time."""

    name: str
    shares_cores: bool = False  # every server and the load may use every core; the load is niced
    idle: dict = dataclasses.field(default_factory=dict)  # server: connections that do nothing


@dataclasses.dataclass(frozen=True)
class Floor:
    """What of a target's ratio no store can help: the same ratio of servers that are not Satchel.
    Each is a pair, a server and the one it is compared with."""

    null: tuple  # the transport alone
    floor: tuple  # and the least of a store


@dataclasses.dataclass(frozen=True)
class Target:
    """figure of server (divided by that of `against`) is at_most or at_least so much."""

    what: str
    series: str
    figure: str
    server: str
    against: str | None = None
    against_figure: str | None = None
    at_most: float | None = None
    at_least: float | None = None
    unit: str = ""  # of the value when there is nobody to compare with
    scale: float = 1  # shown value = measured value / scale
    floor: Floor | None = None


def load_of(mix, pipeline, **more):
    return {"mix": mix, "pipeline": pipeline, "connections": CONNECTIONS,
            "value-bytes": VALUE_BYTES, "threads": 1, **more}


ALL = ("null", "floor", "satchel-fast", "satchel-durable", "redis-no-aof", "redis-everysec",
       "redis-always", "memcached")
DURABLE = ("satchel-durable", "redis-always")

GROUPS = {group.name: group for group in (
    Group("one-core"),
    Group("two-workers", shares_cores=True),
    Group("idle", idle={"satchel-idle": 10000}),
)}

WARMUP_S = 0.5
DURABLE_S_MIN = 2  # of a run against a server with durable answers: disks are moody
UPDATES_PER_S = 1000  # where writes are counted
CHECKPOINT_S = 1800  # between two checkpoints of Satchel at most: --checkpoint-interval as shipped
OPEN_RATE = 20000

SERIES = {series.name: series for series in (
    Series("mixed-p1", "mixed 1:4, no pipelining", "one-core", ALL, load_of(MIXED, 1)),
    Series("mixed-p16", "mixed 1:4, 16 pipelined", "one-core", ALL, load_of(MIXED, 16)),
    Series("set-p16", "SET only, 16 pipelined", "one-core", ALL, load_of(SETS, 16)),
    Series("set-p1", "SET only, no pipelining", "one-core", DURABLE, load_of(SETS, 1)),
    Series("workers-p1", "mixed 1:4, no pipelining, on all cores with the load niced",
           "two-workers", ("null", "null-2-workers", "floor", "floor-2-workers", "satchel-fast",
                           "satchel-2-workers"), load_of(MIXED, 1, threads=2)),
    Series("idle", "mixed 1:4, no pipelining, beside idle connections", "idle",
           ("satchel-fast", "satchel-idle"), load_of(MIXED, 1)),
    Series("open", f"mixed 1:4 that arrives at {OPEN_RATE:,} operations/s (open loop)", "one-core",
           ALL, load_of(MIXED, 1, rate=OPEN_RATE), is_long=True),
)}

FSYNC_US, READ_US = 2700, 1000  # what storage like EFS takes


OF_TRANSPORT = Floor(null=("null", "null"), floor=("floor", "null"))
OF_TWO_WORKERS = Floor(null=("null-2-workers", "null"), floor=("floor-2-workers", "floor"))


def cpu(what, series, server, against, at_most, floor=None):
    return Target(f"CPU/op, {what}", series, "cpu_us_per_op", server, against, at_most=at_most,
                  floor=floor)


def rate(what, series, at_least):
    return Target(what, series, "ops_per_s", "satchel-durable", "redis-always", at_least=at_least)


TARGETS = (
    cpu("mixed, no pipelining: fast", "mixed-p1", "satchel-fast", "null", 1.08, OF_TRANSPORT),
    cpu("mixed, no pipelining: fast", "mixed-p1", "satchel-fast", "redis-no-aof", 1),
    cpu("mixed, no pipelining: fast", "mixed-p1", "satchel-fast", "memcached", 1),
    cpu("mixed, no pipelining: durable", "mixed-p1", "satchel-durable", "redis-always", 0.9),
    cpu("mixed, 16 pipelined: fast", "mixed-p16", "satchel-fast", "null", 1.10, OF_TRANSPORT),
    cpu("mixed, 16 pipelined: fast", "mixed-p16", "satchel-fast", "redis-no-aof", 0.85),
    cpu("mixed, 16 pipelined: durable", "mixed-p16", "satchel-durable", "redis-always", 0.9),
    cpu("SET, 16 pipelined: fast", "set-p16", "satchel-fast", "null", 1.25, OF_TRANSPORT),
    cpu("SET, 16 pipelined: durable", "set-p16", "satchel-durable", "redis-always", 0.9),
    *(cpu(f"redis-benchmark {test}, {how}: fast", f"redis-{test.lower()}-{which}",
          "satchel-resp-fast", "redis-no-aof", 1)
      for which, how in (("p1", "no pipelining"), ("p16", "16 pipelined"))
      for test in ("GET", "SET")),
    rate("durable SET/s, no pipelining", "set-p1", 1.3),
    rate("durable SET/s, 16 pipelined", "set-p16", 1.3),
    rate("durable mixed/s, no pipelining", "mixed-p1", 1.6),
    rate("durable mixed/s, 16 pipelined", "mixed-p16", 1.3),
    cpu("2 workers on 2 cores", "workers-p1", "satchel-2-workers", "satchel-fast", 1.1,
        OF_TWO_WORKERS),
    Target("memory of an idle connection", "idle", "idle_bytes_each", "satchel-idle",
           at_most=10 * 1024, unit="KiB", scale=1024),
    Target("p99 of 50 active connections beside 10,000 idle ones", "idle", "all_p99_us",
           "satchel-idle", "satchel-fast", at_most=1.2),
    Target("fsync 2.7 ms, 50 connections: throughput", "slow-50", "ops_per_s", "satchel-durable",
           "redis-always", at_least=5),
    Target("fsync 2.7 ms, 200 connections: throughput", "slow-200", "ops_per_s", "satchel-durable",
           "redis-always", at_least=3),
    Target("fsync 2.7 ms, 50 connections: GET p99", "slow-50", "get_p99_us", "satchel-durable",
           "redis-always", at_most=1 / 14),
    Target("fsync 2.7 ms, 200 connections: GET p99", "slow-200", "get_p99_us", "satchel-durable",
           "redis-always", at_most=1 / 6),
    Target("fsync 2.7 ms, 50 connections: durable SET p50", "slow-50", "set_p50_us",
           "satchel-durable", "fsync", at_most=1.6),
    Target("fsync 2.7 ms, 200 connections: durable SET p50", "slow-200", "set_p50_us",
           "satchel-durable", "fsync", at_most=1.6),
    Target("memory a session beyond id and value, 1 M sessions", "start-1000000",
           "beyond_bytes", "satchel-durable", at_most=80, unit="bytes"),
    Target("1 M sessions: SIGKILL to serving", "start-1000000", "serving_s", "satchel-durable",
           "redis-always", at_most=1),
    Target("a snapshot is taken, 10,000 requests/s: GET p99", "backup", "get_p99_us",
           "satchel-snapshot", "satchel-backup", at_most=1.5),
    Target("a snapshot is taken, 10,000 requests/s: data file", "backup", "data_file_bytes",
           "satchel-snapshot", "satchel-backup", at_most=1.2),
    Target("a snapshot is taken, 10,000 requests/s: memory", "backup", "memory_peak_bytes",
           "satchel-snapshot", "satchel-backup", at_most=1.2),
    Target("1,000 updates/s, fsync 2.7 ms: write calls per update, fast", "updates-500000",
           "writes_per_update", "satchel-fast", at_most=0.2),
    Target("1,000 updates/s, fsync 2.7 ms: write calls per update, durable", "updates-500000",
           "writes_per_update", "satchel-durable", at_most=0.2),
    Target("1,000 updates/s: bytes written per byte changed, 500,000 sessions", "updates-500000",
           "bytes_per_changed_byte", "satchel-durable", at_most=2),
    Target("1,000 updates/s: bytes written per byte changed, 50,000 sessions",
           "updates-50000", "bytes_per_changed_byte", "satchel-durable", at_most=2),
)
