"""A headless Chromium for tests, driven over its own pipe.

The DevTools protocol over --remote-debugging-pipe needs neither a driver program nor a port: JSON
messages, each ended by a zero byte, go in at descriptor 3 and come out at descriptor 4.

One browser serves all tests of a file, since its start is the slow part: 300 MB of program, which a
fresh machine reads from a cold disk. Each test gets a visitor, whose cookies and stored pages are
apart from those of all others and go with it.

    with Chromium() as browser, browser.visitor() as visitor:
        page = visitor.open("http://127.0.0.1:8080/")
"""

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import tempfile
import time
from pathlib import Path

from processes import DEADLINE_S, wait_until

# A cold and busy machine may need long; the browser answers nothing before it has started.
START_DEADLINE_S = 60
START_TRIES = 3
PROGRAM_FILES = Path("/usr/lib/chromium")  # the binary itself is started by a script

FLAGS = [
    "--headless=new", "--no-sandbox", "--no-first-run", "--lang=en", "--remote-debugging-pipe",
    "--disable-dev-shm-usage", "--disable-default-apps", "--disable-extensions",
    # A slow machine is no reason to end or restart one of its processes.
    "--disable-gpu", "--disable-gpu-watchdog", "--disable-hang-monitor",
    # Nothing is looked up or fetched but what a test asks for.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--no-proxy-server",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-domain-reliability", "--disable-breakpad", "--metrics-recording-only",
    "--no-pings", "--disable-quic",
    # Two pages of the browser's own that no test looks at.
    "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup",
]


class NotStarted(Exception):
    """The browser did not come up, which says nothing about what is tested."""


class Chromium:
    """One browser with a fresh profile."""

    def __init__(self, binary="/usr/bin/chromium"):
        self.binary = binary

    def __enter__(self):
        for left in reversed(range(START_TRIES)):
            self._read_program()
            self._launch()
            try:
                self._wait_for_start()
                return self
            except NotStarted as reason:
                self._end(signal.SIGKILL)
                if left == 0:
                    raise
                print(f"  chromium did not start ({reason}); {left} more tries", flush=True)
            except BaseException:
                self._end(signal.SIGKILL)
                raise
        raise AssertionError("not reached")

    def __exit__(self, *_):
        try:
            self.call("Browser.close", deadline_s=5)
        except (AssertionError, OSError):
            pass
        self._end(0)

    @staticmethod
    def _read_program():
        """Brings the program into the page cache in one sweep: left to page faults, a cold disk that
        others keep busy has made the start last longer than any deadline."""
        for path in PROGRAM_FILES.glob("*"):
            if path.is_file():
                with open(path, "rb", buffering=0) as file:
                    while file.read(1 << 20):
                        pass

    def _launch(self):
        self.profile = tempfile.mkdtemp(prefix="satchel-chromium-")
        to_browser, self.to_browser = os.pipe()
        self.from_browser, from_browser = os.pipe()
        # Out of the way of 3 and 4 before they are put there.
        child = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 16) for fd in (to_browser, from_browser)]
        quiet = os.open(os.devnull, os.O_RDWR)
        self.pid = os.posix_spawn(
            self.binary, [self.binary, *FLAGS, f"--user-data-dir={self.profile}", "about:blank"],
            {**os.environ, "HOME": self.profile},
            file_actions=[(os.POSIX_SPAWN_DUP2, child[0], 3), (os.POSIX_SPAWN_DUP2, child[1], 4),
                          *((os.POSIX_SPAWN_DUP2, quiet, fd) for fd in (0, 1, 2))],
            setpgroup=0)
        for fd in (to_browser, from_browser, quiet, *child):
            os.close(fd)
        self.buffer = b""
        self.last_id = 0

    def _wait_for_start(self):
        """Waits until the browser answers and its own first page is there."""
        end = time.monotonic() + START_DEADLINE_S
        try:
            while True:
                left = max(end - time.monotonic(), 0)
                targets = self.call("Target.getTargets", deadline_s=left)["targetInfos"]
                if any(target["type"] == "page" for target in targets):
                    return
                time.sleep(0.02)
        except (AssertionError, OSError) as reason:
            raise NotStarted(str(reason)) from reason

    def _end(self, kill):
        """Waits for the end of the browser, or with `kill` brings it about."""
        if kill:
            os.killpg(self.pid, kill)  # the group that was made for it
        try:
            wait_until(lambda: os.waitpid(self.pid, os.WNOHANG)[0] != 0, "chromium ended", 5)
        except AssertionError:
            os.killpg(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.to_browser)
        os.close(self.from_browser)
        shutil.rmtree(self.profile, ignore_errors=True)

    def call(self, method, session=None, deadline_s=DEADLINE_S, **params):
        """Sends one command and returns its result."""
        self.last_id += 1
        message = {"id": self.last_id, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self.to_browser, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + deadline_s
        while True:
            answer = self._receive(method, end)
            if answer.get("id") == self.last_id:
                assert "error" not in answer, f"{method}: {answer}"
                return answer["result"]

    def _receive(self, method, end):
        while b"\0" not in self.buffer:
            left = end - time.monotonic()
            readable, _, _ = select.select([self.from_browser], [], [], max(left, 0))
            assert readable, f"chromium does not answer {method}"
            chunk = os.read(self.from_browser, 1 << 16)
            assert chunk, f"chromium ended during {method}"
            self.buffer += chunk
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def visitor(self):
        """Somebody new: no cookie, nothing stored."""
        return Visitor(self)


class Visitor:
    """One person at the browser, with cookies and a store of their own, until the end of `with`."""

    def __init__(self, browser):
        self.browser = browser

    def __enter__(self):
        self.context = self.browser.call("Target.createBrowserContext")["browserContextId"]
        return self

    def __exit__(self, *_):
        # Closes their windows, too.
        self.browser.call("Target.disposeBrowserContext", browserContextId=self.context)

    def open(self, url):
        """Opens a page in a window of its own, so that it counts as visible."""
        target = self.browser.call("Target.createTarget", url="about:blank", newWindow=True,
                                   browserContextId=self.context)["targetId"]
        session = self.browser.call("Target.attachToTarget", targetId=target,
                                    flatten=True)["sessionId"]
        page = Page(self.browser, session)
        page.goto(url)
        return page


class Page:
    """One page. Clicks and keys go through the browser's input, as a person's would."""

    def __init__(self, browser, session):
        self.browser = browser
        self.session = session

    def call(self, method, **params):
        return self.browser.call(method, session=self.session, **params)

    def goto(self, url):
        self.call("Page.navigate", url=url)
        wait_until(lambda: self.js("document.readyState") == "complete"
                   and self.js("location.href").startswith(url), f"{url} is loaded")

    def js(self, expression):
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True,
                           awaitPromise=True)
        assert "exceptionDetails" not in answer, f"{expression}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    def click(self, selector):
        """Scrolls the element into view and clicks on its middle; it must be what is there."""
        quoted = json.dumps(selector)
        wait_until(lambda: self.js(f"!!document.querySelector({quoted})"), f"there is {selector}")
        spot = self.js(f"""(() => {{
            const element = document.querySelector({quoted});
            element.scrollIntoView({{block: "center", behavior: "instant"}});
            const box = element.getBoundingClientRect();
            const x = box.x + box.width / 2, y = box.y + box.height / 2;
            return {{x, y, hit: element.contains(document.elementFromPoint(x, y))}};
        }})()""")
        assert spot["hit"], f"{selector} is covered by something else"
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=spot["x"], y=spot["y"],
                      button="left", clickCount=1)

    def press(self, key, code, text=""):
        """Presses a key; `code` is its Windows virtual key code."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code,
                      **({"text": text} if text and kind == "keyDown" else {}))

    def is_shown(self, selector):
        """True when the element is there and takes up room."""
        return self.js(f"""(() => {{
            const element = document.querySelector({json.dumps(selector)});
            return !!element && element.getClientRects().length > 0;
        }})()""")

    def view(self, width, height, dark=False, mobile=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=mobile)
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def screenshot(self, path):
        data = self.call("Page.captureScreenshot", format="png")["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))
