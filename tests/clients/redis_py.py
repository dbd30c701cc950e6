#!/usr/bin/python3
"""redis_py.py --satcheld PATH [--write] [redis-py] [django-redis]

What applications in Python do beside sessions: transactions, locks, messages, a cache.
"""

import asyncio
import sys
import threading
import time
from pathlib import Path

import django
import django_redis
import redis
import redis.asyncio
from django.conf import settings
from redis.exceptions import LockError, LockNotOwnedError, ResponseError, WatchError

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import kit  # noqa: E402
from apps import at_once  # noqa: E402
from processes import DEADLINE_S, wait_until  # noqa: E402

SCANNED = 250  # keys, fields and members: several steps of a SCAN
AT_ONCE = 8
ROUNDS = 10


class RedisPy(kit.ClientTest):
    def row(self):
        return f"redis-py {redis.__version__}", "`pipeline`, `transaction`, `Lock`, `pubsub`, `asyncio`", "works"

    def setUp(self):
        host, port = self.store.address.split(":")
        self.place = {"host": host, "port": int(port), "socket_timeout": DEADLINE_S}
        self.client = redis.Redis(**self.place, decode_responses=True, client_name="test")
        self.addCleanup(self.client.close)
        self.client.flushall()

    def test_a_pipeline_is_one_transaction(self):
        with self.client.pipeline() as pipe:
            pipe.set("name", "ann", ex=60).incr("logins").hset("cart", mapping={"apple": 1, "pear": 2})
            pipe.sadd("devices", "phone").expire("cart", 60).hgetall("cart")
            self.assertEqual(pipe.execute(), [True, 1, 2, 1, True, {"apple": "1", "pear": "2"}])
            pipe.set("name", "bob").hget("name", "field").incr("logins")
            with self.assertRaisesRegex(ResponseError, "WRONGTYPE"):
                pipe.execute()
        self.assertEqual(self.client.mget("name", "logins", "none"), ["bob", "2", None])

    def test_watch_tells_of_a_change(self):
        with self.client.pipeline() as pipe:
            pipe.watch("stock")
            self.client.set("stock", 1)
            pipe.multi()
            pipe.set("stock", 2)
            with self.assertRaises(WatchError):
                pipe.execute()

        def count(pipe):
            stock = int(pipe.get("stock"))
            pipe.multi()
            pipe.set("stock", stock + 1)

        at_once(AT_ONCE, lambda _: [self.client.transaction(count, "stock") for _ in range(ROUNDS)])
        self.assertEqual(self.client.get("stock"), str(1 + AT_ONCE * ROUNDS))

    def test_locks_exclude_each_other(self):
        self.client.set("count", 0)

        def count(_):
            for _ in range(ROUNDS):
                with self.client.lock("lock", timeout=DEADLINE_S, sleep=0.001):
                    self.client.set("count", int(self.client.get("count")) + 1)

        at_once(AT_ONCE, count)
        self.assertEqual(self.client.get("count"), str(AT_ONCE * ROUNDS))

    def test_a_lock_belongs_to_who_took_it(self):
        lock = self.client.lock("lock", timeout=60)
        self.assertTrue(lock.acquire())
        self.assertFalse(self.client.lock("lock").acquire(blocking=False))
        self.assertTrue(lock.extend(100))
        self.assertTrue(60 < self.client.ttl("lock") <= 160)
        self.assertTrue(lock.reacquire())
        self.assertTrue(self.client.ttl("lock") <= 60)
        self.client.set("lock", "another's")
        for use in (lambda: lock.extend(1), lock.reacquire):
            self.assertRaises(LockNotOwnedError, use)
        with self.assertRaises(LockError):
            lock.release()
        self.assertEqual(self.client.get("lock"), "another's")

    def test_walks_find_everything_once(self):
        names = [f"name:{number}" for number in range(SCANNED)]
        self.client.mset(dict.fromkeys(names, "x"))
        self.client.hset("hash", mapping=dict.fromkeys(names, "x"))
        self.client.sadd("set", *names)
        for found in (self.client.scan_iter("name:*", count=20), self.client.sscan_iter("set"),
                      (field for field, _ in self.client.hscan_iter("hash"))):
            self.assertEqual(sorted(found), sorted(names))
        self.assertEqual(list(self.client.scan_iter(_type="hash")), ["hash"])

    def test_messages_and_events_arrive(self):
        self.client.config_set("notify-keyspace-events", "Ex")
        with self.client.pubsub() as listener:
            listener.subscribe("news", "__keyevent@0__:expired")
            listener.psubscribe("new*")
            wait_until(lambda: self.client.pubsub_numsub("news") == [("news", 1)], "it listens")
            self.assertEqual(self.client.publish("news", "hello"), 2)
            self.client.set("short", "x", px=50)
            heard = set()

            def listen():
                message = listener.get_message(timeout=1)
                if message and message["type"].endswith("message"):
                    heard.add((message["type"], message["channel"], message["data"]))
                return len(heard) == 3

            wait_until(listen, "all messages have come")
        self.assertEqual(heard, {("message", "news", "hello"), ("pmessage", "news", "hello"),
                                 ("message", "__keyevent@0__:expired", "short")})

    def test_asyncio(self):
        async def story():
            client = redis.asyncio.Redis(**self.place, decode_responses=True, db=3)
            await client.set("session", "x", ex=60)

            async def append():
                async with client.lock("lock", timeout=DEADLINE_S, sleep=0.001):
                    value = await client.get("session")
                    await client.set("session", value + "+", keepttl=True)

            await asyncio.gather(*(append() for _ in range(AT_ONCE)))
            result = await client.get("session"), 0 < await client.ttl("session") <= 60
            await client.close()
            return result

        self.assertEqual(asyncio.run(story()), ("x" + "+" * AT_ONCE, True))

    def test_a_client_connects_again_by_itself(self):
        self.client.set("before", "x")
        self.store.kill()
        with self.assertRaises(redis.ConnectionError):
            self.client.get("before")
        self.store.start()
        self.assertEqual(self.client.get("before"), "x")


class DjangoRedis(kit.ClientTest):
    def row(self):
        series = ".".join(django.get_version().split(".")[:2])
        return (f"redis-py {redis.__version__}", f"Django {series}, "
                f"django-redis {'.'.join(map(str, django_redis.VERSION))}: its cache and locks", "works")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        settings.configure(CACHES={"default": {"BACKEND": "django_redis.cache.RedisCache",
                                               "LOCATION": f"redis://{cls.store.address}/1"}})
        from django.core.cache import cache  # pylint: disable=import-outside-toplevel
        cls.cache = cache

    def setUp(self):
        self.cache.clear()

    def test_the_cache(self):
        cache = self.cache
        cache.set("a", {"b": [1, 2]}, timeout=60)
        self.assertEqual(cache.get("a"), {"b": [1, 2]})
        self.assertFalse(cache.add("a", "other"))
        cache.set_many({"one": 1, "two": 2})
        self.assertEqual(cache.get_many(["one", "two", "three"]), {"one": 1, "two": 2})
        self.assertEqual((cache.incr("one", 41), cache.decr("two")), (42, 1))
        with self.assertRaises(ValueError):
            cache.incr("three")
        self.assertTrue(cache.touch("a", 100) and 60 < cache.ttl("a") <= 100)
        self.assertTrue(cache.persist("a") and cache.ttl("a") is None)
        self.assertTrue(cache.expire("a", 30) and cache.pttl("a") <= 30000)
        self.assertEqual(sorted(cache.keys("*")), ["a", "one", "two"])
        self.assertEqual(cache.delete_pattern("*o*"), 2)
        self.assertEqual(cache.delete_many(["a", "none"]), 1)
        cache.set("short", 1, timeout=0.05)
        wait_until(lambda: "short" not in cache, "it has expired")
        cache.set("last", 1)
        cache.clear()
        self.assertIsNone(cache.get("last"))

    def test_its_locks(self):
        holder, is_held, is_over = [], threading.Event(), threading.Event()

        def hold():
            with self.cache.lock("lock", timeout=DEADLINE_S):
                is_held.set()
                is_over.wait(DEADLINE_S)
                holder.append(time.monotonic())

        thread = threading.Thread(target=hold)
        thread.start()
        self.assertTrue(is_held.wait(DEADLINE_S))
        self.assertFalse(self.cache.lock("lock").acquire(blocking=False))
        is_over.set()
        with self.cache.lock("lock", timeout=DEADLINE_S, sleep=0.01):
            self.assertEqual(len(holder), 1)
        thread.join()


if __name__ == "__main__":
    kit.run({"redis-py": RedisPy, "django-redis": DjangoRedis}, __doc__)
