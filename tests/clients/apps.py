"""The web applications of the tests, one for each client: what each is called and how it is started.

Each offers the same: POST /login?user=NAME, GET /whoami ("nobody" without a session), POST /count
(one more, and how many), POST /logout, and GET /versions: the client's name and version, and on the
second line what uses it.
"""

import http.client
import os
import platform
import signal
import threading
import urllib.parse
from collections import namedtuple
from pathlib import Path

from processes import DEADLINE_S, Program

HERE = Path(__file__).resolve().parent
PHP_WORKERS = 24  # more than there are requests at once: with locks, each waits in a process of its own

# `ids`: how the ids of its sessions begin. `database`: where they are. `is_locked`: requests of one
# session wait for each other. `forgets`: takes every error for "no such session" and gives the browser
# another cookie, whichever server it was that failed.
Client = namedtuple("Client", "command environment ids database is_locked forgets",
                    defaults=({}, b"sess:", 0, False, False))


def express(client, sessions):
    return Client(["node", "express/app.js"], {"CLIENT": client, "SESSIONS": sessions})


def php(*settings, is_locked=False):
    settings = {"session.save_handler": "redis", "session.save_path": "tcp://{store}",
                "session.use_strict_mode": "1", "session.gc_maxlifetime": "{ttl_s}",
                "display_errors": "stderr", **dict(settings)}
    options = [text for pair in settings.items() for text in ("-d", "=".join(pair))]
    return Client(["php", *options, "-S", "127.0.0.1:0", "php/app.php"],
                  {"PHP_CLI_SERVER_WORKERS": str(PHP_WORKERS)}, b"PHPREDIS_SESSION:",
                  is_locked=is_locked, forgets=True)  # in PHP's strict mode


CLIENTS = {
    "express-node-redis-4": express("redis-4", "connect-redis-7"),
    "express-node-redis-4-store-8": express("redis-4", "connect-redis-8"),
    "express-node-redis-5": express("redis-5", "connect-redis-9"),
    "express-node-redis-6": express("redis-6", "connect-redis-10"),
    "express-ioredis-5": express("ioredis-5", "connect-redis-7"),
    "express-ioredis-5-store-8": express("ioredis-5", "connect-redis-8"),
    "express-ioredis-6": express("ioredis-6", "connect-redis-8"),
    "flask": Client(["/usr/bin/python3", "flask/app.py"], ids=b"session:"),
    "django": Client(["/usr/bin/python3", "django/app.py"],
                     ids=b":1:django.contrib.sessions.cache", database=1, forgets=True),
    "php": php(),
    "php-locked": php(("redis.session.locking_enabled", "1"), ("redis.session.lock_retries", "-1"),
                      is_locked=True),
    "rack": Client(["ruby", "rack/app.rb"], ids=b"rack:session:2::"),
}


class App(Program):
    """One web application. It listens on a port that the kernel chose."""

    def __init__(self, name, store, node_modules, ttl_s):
        super().__init__(name)
        self.client = CLIENTS[name]
        machine = {"aarch64": "arm64"}.get(platform.machine(), "x64")
        self.node = f"{node_modules}/node-linux-{machine}/bin/node"
        self.environment = {"STORE": store.address, "TTL_S": str(ttl_s),
                            "NODE_PATH": str(node_modules), **self.client.environment}
        self.places = {"store": store.address, "ttl_s": ttl_s}
        self.host = None

    def start(self):
        program, *arguments = [word.format(**self.places) for word in self.client.command]
        program = self.node if program == "node" else program
        # In a group of its own: PHP's workers end with it.
        self.launch(["setsid", "env", "-C", str(HERE),
                     *(f"{name}={value}" for name, value in self.environment.items()),
                     program, *arguments])
        self.host = self.wait_for_line(r"(?:listen=|http://)([\d.]+:[1-9]\d*)").group(1)

    def terminate(self, deadline_s=DEADLINE_S):
        """Ends it; that it is ended by a signal is no failure."""
        self.kill()
        return 0

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        return self.wait()


class Browser:
    """Somebody with cookies. Not for use by several threads, but `twin` makes others alike."""

    def __init__(self, app, cookies=()):
        self.app = app
        self.cookies = dict(cookies)

    def twin(self):
        return Browser(self.app, self.cookies)

    def ask(self, method, path):
        """The status and the text of an answer; (0, why) when there is none."""
        connection = http.client.HTTPConnection(self.app.host, timeout=DEADLINE_S)
        cookie = "; ".join("=".join(pair) for pair in self.cookies.items())
        try:
            connection.request(method, path, headers={"Cookie": cookie} if cookie else {})
            answer = connection.getresponse()
            text = answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            return 0, repr(error)
        finally:
            connection.close()
        for header in answer.headers.get_all("Set-Cookie", []):
            name, value = header.split(";")[0].split("=", 1)
            self.cookies[name] = value
        return answer.status, text

    def get(self, path):
        status, text = self.ask("GET", path)
        assert status == 200, f"GET {path}: {status} {text}"
        return text

    def post(self, path):
        status, text = self.ask("POST", path)
        assert status == 200, f"POST {path}: {status} {text}"
        return text

    def try_login(self, user):
        """True when the login is acknowledged: it succeeded, and there is a cookie."""
        status, text = self.ask("POST", "/login?" + urllib.parse.urlencode({"user": user}))
        return (status, text) == (200, user) and bool(self.cookies)

    def login(self, user):
        assert self.try_login(user), f"{user} cannot log in"


def at_once(count, work):
    """Calls work(0) … work(count - 1), each on a thread of its own, and returns what they return."""
    results = [None] * count

    def run(number):
        results[number] = work(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
