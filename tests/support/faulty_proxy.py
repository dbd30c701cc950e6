"""A proxy before an S3 server, for the failures that a real one does not produce when asked to.

    with FaultyProxy(server.endpoint) as proxy:
        client = server.client(endpoint=proxy.endpoint)
        proxy.add(Delay(0.5), method="PUT")         # see s3_faults.py
        proxy.clear()
        proxy.refuse()                              # nobody listens, until
        proxy.accept()
        proxy.requests(method="PUT")                # what came, in the order of arrival

The signature of a request covers the Host header, which here names the proxy. Heads are passed on
as they came, so it stays valid: radosgw and Swift do not care by which name they were called.
"""

import contextlib
import random
import re
import socket
import threading
import time

from http_stream import LAST_CHUNK, PIECE_BYTES, Stream, frame

END_DEADLINE_S = 10
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
BODILESS = (204, 304)


class Cut(Exception):
    """Raised by a fault: the connection ends here, on both sides. `last` is still passed on.
    The client sees a reset, unless it has the beginning of a reply."""

    def __init__(self, last=b""):
        super().__init__()
        self.last = last


class Answered(Exception):
    """Raised by a fault before the request is passed on: this is the reply, and the server never
    hears of it. Without a status the connection ends instead."""

    def __init__(self, status, body=b""):
        super().__init__()
        self.status = status
        self.body = body


class Exchange:
    """One request and its reply: what faults see and tests ask about. Written by the connection's
    thread, each member before the bytes that tell the client about it."""

    def __init__(self, proxy, head):
        self.proxy = proxy
        self.head = head
        self.method, self.target, _ = head.line.split(" ", 2)  # the target with its query, encoded
        self.headers = head.headers
        self.faults = []
        self.request_bytes = 0  # of the body, as far as it was passed on
        self.upstream_status = None  # what the server said; None: nothing
        self.status = None  # what the client was told; None: nothing
        self.reply = None  # the head of the server's reply; faults may replace it
        self.reply_bytes = 0  # of the body, as far as the client was sent it

    @property
    def succeeded(self):
        return self.upstream_status is not None and 200 <= self.upstream_status < 300

    def __repr__(self):
        return (f"<{self.method} {self.target} {self.status} ({self.upstream_status}) "
                f"{self.request_bytes}>{self.reply_bytes} {self.faults}>")


class Rule:
    """When a fault applies. Guarded by the proxy's lock."""

    def __init__(self, fault, times, fraction, method, path):
        self.fault = fault
        self.times = times
        self.fraction = fraction
        self.method = method
        self.path = path

    def fits(self, method, target):
        return ((self.method is None or method == self.method)
                and (self.path is None or re.search(self.path, target) is not None))

    def applies(self, exchange, dice):
        if (self.times == 0 or not self.fits(exchange.method, exchange.target)
                or (self.fraction < 1 and dice.random() >= self.fraction)):
            return False
        if self.times is not None:
            self.times -= 1
        self.fault.hits += 1
        return True


class Relay:
    """The way of the requests of one client's connection, over one connection to the server."""

    def __init__(self, proxy, client):
        self.proxy = proxy
        self.client = client
        self.upstream = None
        self.held = contextlib.ExitStack()  # keeps `upstream` open

    def serve(self):
        """Returns when one side has closed; raises Cut or OSError when it ended otherwise."""
        with self.held:
            while (head := self.client.read_head()) is not None:
                if not self.pass_on(self.proxy.arrived(head)):
                    return

    def pass_on(self, exchange):
        """True when the connection can be used for another request."""
        if exchange.headers.get("expect", "").lower() == "100-continue":
            self.client.send(CONTINUE)
        piece_bytes = min((fault.piece_bytes for fault in exchange.faults), default=PIECE_BYTES)
        body = self.client.read_body(exchange.head, piece_bytes=piece_bytes)
        try:
            for fault in exchange.faults:
                fault.on_request(exchange)
        except Answered as answer:
            for _ in body:
                pass
            self.answer(exchange, answer)
            return True
        self.connect()
        self.send_request(exchange, body)
        return self.send_reply(exchange, piece_bytes)

    def answer(self, exchange, answer):
        if answer.status is None:
            raise Cut
        exchange.status = answer.status
        head = (f"HTTP/1.1 {answer.status} Fault\r\nContent-Type: application/xml\r\n"
                f"Content-Length: {len(answer.body)}\r\n\r\n").encode()
        body = b"" if exchange.method == "HEAD" else answer.body
        exchange.reply_bytes = len(body)
        self.client.send(head + body)

    def connect(self):
        """Has a connection to the server, another one if it has closed the last meanwhile."""
        if self.upstream is None or self.upstream.is_stale():
            self.disconnect()
            try:
                connection = socket.create_connection(self.proxy.upstream_address)
            except OSError:
                raise Cut from None
            self.upstream = self.held.enter_context(self.proxy.stream(connection))

    def disconnect(self):
        """From the server; the next request makes another connection."""
        self.held.close()
        self.upstream = None

    def send_request(self, exchange, body):
        self.upstream.send(exchange.head.raw)
        is_chunked = exchange.head.is_chunked
        try:
            for piece in body:
                for fault in exchange.faults:
                    piece = fault.on_request_piece(exchange, piece)
                exchange.request_bytes += len(piece)
                self.upstream.send(frame(piece, is_chunked))
        except Cut as cut:
            exchange.request_bytes += len(cut.last)
            self.upstream.send(frame(cut.last, is_chunked))
            raise Cut from None
        if is_chunked:
            self.upstream.send(LAST_CHUNK)

    def send_reply(self, exchange, piece_bytes):
        """True when both connections can be used again."""
        while (reply := self.upstream.read_head()) is not None and reply.status < 200:
            pass
        if reply is None:
            raise Cut
        exchange.upstream_status = reply.status
        exchange.reply = reply
        for fault in exchange.faults:
            fault.on_reply(exchange)
        exchange.status = exchange.reply.status
        self.client.send(exchange.reply.raw)
        if exchange.method == "HEAD" or reply.status in BODILESS:
            if reply.status >= 400:  # Swift sends a body all the same
                self.disconnect()
            return not reply.is_last
        try:
            for piece in self.upstream.read_body(reply, until_end=True, piece_bytes=piece_bytes):
                for fault in exchange.faults:
                    piece = fault.on_reply_piece(exchange, piece)
                exchange.reply_bytes += len(piece)
                self.client.send(frame(piece, reply.is_chunked))
        except Cut as cut:
            exchange.reply_bytes += len(cut.last)
            self.client.send(frame(cut.last, reply.is_chunked))
            return False  # closed without a reset, which would overtake what was sent
        if reply.is_chunked:
            self.client.send(LAST_CHUNK)
        return not reply.is_last and (reply.is_chunked or reply.length is not None)


class FaultyProxy:
    """Listens on a port of its own that stays the same. Its methods may be called by any thread."""

    def __init__(self, upstream, seed=1):
        """`upstream`: the endpoint behind it. `seed` is for the faults that apply to a fraction."""
        host, port = upstream.removeprefix("http://").rsplit(":", 1)
        self.upstream_address = (host, int(port))
        self.random = random.Random(seed)
        self.changed = threading.Condition()  # guards what follows
        self.rules = []
        self.exchanges = []
        self.streams = set()
        self.threads = []
        self.is_closing = False
        self.listener = None

    def __enter__(self):
        # Never listens; keeps the port for the times when nobody does.
        self.keeper = self._bind(0)
        self.port = self.keeper.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.accept()
        return self

    def __exit__(self, kind, value, trace):
        with self.changed:
            self.is_closing = True
            self.rules.clear()
            self.changed.notify_all()
        self.refuse()
        self.keeper.close()
        end_s = time.monotonic() + END_DEADLINE_S
        for thread in self.threads:
            thread.join(max(end_s - time.monotonic(), 0))
            assert not thread.is_alive(), "a connection of the proxy does not end"

    def _bind(self, port):
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(("127.0.0.1", port))
        return bound

    # What tests say.

    def add(self, fault, times=None, fraction=1, method=None, path=None):
        """From now on the fault applies to requests of that method (None: any) whose target matches
        the regular expression `path`: to the next `times` of them (None: all), or to each with the
        probability `fraction`. Several may apply to one. Returns the fault."""
        with self.changed:
            self.rules.append(Rule(fault, times, fraction, method, path))
        return fault

    def remove(self, fault):
        """Ends it, also for the requests that it holds."""
        with self.changed:
            self.rules = [rule for rule in self.rules if rule.fault is not fault]
            self.changed.notify_all()

    def clear(self):
        """Ends all faults."""
        with self.changed:
            self.rules.clear()
            self.changed.notify_all()

    def refuse(self):
        """As if the server's process had ended: connections are cut, and new ones refused."""
        with self.changed:
            if self.listener is not None:
                self.listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept()
                self.listener.close()
                self.listener = None
            for stream in self.streams:
                stream.shut()

    def accept(self):
        """Listens again."""
        listener = self._bind(self.port)
        listener.listen(1024)
        with self.changed:
            self.listener = listener
        self._start(self._accept_all, listener)

    def requests(self, method=None, path=None):
        """The Exchanges that fit, in the order of arrival; the last may still be under way."""
        fitting = Rule(None, None, 1, method, path)
        with self.changed:
            return [exchange for exchange in self.exchanges
                    if fitting.fits(exchange.method, exchange.target)]

    def forget(self):
        """Empties the list of requests."""
        with self.changed:
            self.exchanges = []

    # What faults ask for.

    def wait(self, seconds):
        """Lets time pass, unless the proxy ends."""
        with self.changed:
            self.changed.wait_for(lambda: self.is_closing, seconds)

    def wait_while_active(self, fault):
        """Waits until the fault is removed. One that applied for the last time is still there."""
        with self.changed:
            self.changed.wait_for(lambda: all(rule.fault is not fault for rule in self.rules))

    # What its threads do.

    def _start(self, function, *arguments):
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        with self.changed:
            self.threads = [other for other in self.threads if other.is_alive()] + [thread]
            thread.start()

    def _accept_all(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # refuse() has ended it
            self._start(self._serve, connection, listener)

    def _serve(self, connection, listener):
        with self.stream(connection) as client:
            with self.changed:
                if self.listener is not listener:
                    return  # accepted while refuse() went on
            try:
                Relay(self, client).serve()
            except Cut:
                client.close(reset=True)
            except OSError:
                pass  # one of the two has gone; so does the other

    @contextlib.contextmanager
    def stream(self, connection):
        """A Stream that refuse() ends."""
        stream = Stream(connection)
        with self.changed:
            self.streams.add(stream)
            if self.listener is None:
                stream.shut()
        try:
            yield stream
        finally:
            with self.changed:
                self.streams.discard(stream)
            stream.close()

    def arrived(self, head):
        """Writes a request down and says which faults apply to it."""
        exchange = Exchange(self, head)
        with self.changed:
            self.exchanges.append(exchange)
            for rule in self.rules:
                if rule.applies(exchange, self.random):
                    exchange.faults.append(rule.fault)
        return exchange
