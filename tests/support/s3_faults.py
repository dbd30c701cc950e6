"""What can go wrong with requests to an S3 server: faults for a FaultyProxy (faulty_proxy.py).

    proxy.add(slow_down(), times=3, method="PUT")       # the next three PUTs get a 503
    proxy.add(LoseReply(), times=1, path="/log/")       # done, but nobody is told
    proxy.add(Throttle(1 << 20))                        # from now on

A fault is an object with hooks that are called on the way of an Exchange; tests may write their
own. Those that damage objects leave replies other than 2xx alone.
"""

import threading
import time

from faulty_proxy import Answered, Cut
from http_stream import PIECE_BYTES

THROTTLE_STEPS_HZ = 20  # pieces a second, so that a slow line is even


class Fault:
    """Does nothing. Hooks run on the thread of a connection, several at a time."""

    hits = 0  # exchanges it was applied to
    piece_bytes = PIECE_BYTES  # of a body, at most

    def __repr__(self):
        return type(self).__name__

    def on_request(self, exchange):
        """The head of a request came, and nothing was passed on."""

    def on_request_piece(self, exchange, piece):
        """Returns what is passed on instead of a piece of the body."""
        return piece

    def on_reply(self, exchange):
        """The head of the reply came, and the client was told nothing."""

    def on_reply_piece(self, exchange, piece):
        """Returns what the client is sent instead of a piece of the body."""
        return piece


class Delay(Fault):
    """Requests wait before they are passed on."""

    def __init__(self, seconds):
        self.seconds = seconds

    def on_request(self, exchange):
        exchange.proxy.wait(self.seconds)


class Throttle(Fault):
    """A line of so many bytes a second, both directions and all connections together."""

    def __init__(self, bytes_per_s):
        self.bytes_per_s = bytes_per_s
        self.piece_bytes = max(min(bytes_per_s // THROTTLE_STEPS_HZ, PIECE_BYTES), 1)
        self.lock = threading.Lock()
        self.free_s = 0  # when the line has passed on what it was given

    def _pass(self, exchange, piece):
        with self.lock:
            now_s = time.monotonic()
            self.free_s = max(self.free_s, now_s) + len(piece) / self.bytes_per_s
            wait_s = self.free_s - now_s
        exchange.proxy.wait(wait_s)
        return piece

    on_request_piece = _pass
    on_reply_piece = _pass


class Answer(Fault):
    """The proxy answers with an S3 error, after it has read the request."""

    def __init__(self, status, code, message=""):
        self.status = status
        self.body = (f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code>'
                     f"<Message>{message}</Message></Error>").encode()

    def __repr__(self):
        return f"Answer({self.status})"

    def on_request(self, exchange):
        raise Answered(self.status, self.body)


def slow_down():
    return Answer(503, "SlowDown", "Please reduce your request rate.")


def internal_error():
    return Answer(500, "InternalError", "We encountered an internal error. Please try again.")


def clock_skewed():
    return Answer(403, "RequestTimeTooSkewed",
                  "The difference between the request time and the current time is too large.")


def expired_token(status=400):
    """AWS says it with a 400; others with a 403, and radosgw with the code AccessDenied."""
    return Answer(status, "ExpiredToken", "The provided token has expired.")


class Hang(Fault):
    """The client waits for as long as the fault is there, then its connection is cut. With
    `reached` the server has done what it was asked to."""

    def __init__(self, reached=False):
        self.reached = reached

    def on_request(self, exchange):
        if not self.reached:
            exchange.proxy.wait_while_active(self)
            raise Cut

    def on_reply(self, exchange):
        if self.reached:
            exchange.proxy.wait_while_active(self)
            raise Cut


class CutRequest(Fault):
    """The connection is lost after so many bytes of a request's body, or before its reply."""

    def __init__(self, after_bytes):
        self.after_bytes = after_bytes

    def on_request_piece(self, exchange, piece):
        left = self.after_bytes - exchange.request_bytes
        if len(piece) > left:
            raise Cut(piece[:left])
        return piece

    def on_reply(self, exchange):
        raise Cut


class LoseRequest(Fault):
    """The client sends all of it, the server gets none, the connection is lost."""

    def on_request(self, exchange):
        raise Answered(None)


class LoseReply(Fault):
    """The server has done it and answered; the client only sees that the connection is lost."""

    def on_reply(self, exchange):
        raise Cut


class CutReply(Fault):
    """The connection is lost after so many bytes of a reply's body."""

    def __init__(self, after_bytes):
        self.after_bytes = after_bytes

    def on_reply_piece(self, exchange, piece):
        left = self.after_bytes - exchange.reply_bytes
        if len(piece) > left:
            raise Cut(piece[:left])
        return piece


class Truncate(Fault):
    """Objects seem to end after so many bytes: the reply is a whole one, with a shorter length."""

    def __init__(self, kept_bytes):
        self.kept_bytes = kept_bytes

    def on_reply(self, exchange):
        if exchange.succeeded and exchange.reply.length is not None:
            kept = min(self.kept_bytes, exchange.reply.length)
            exchange.reply = exchange.reply.with_header("Content-Length", str(kept))

    def on_reply_piece(self, exchange, piece):
        return piece[:self.kept_bytes - exchange.reply_bytes] if exchange.succeeded else piece


class FlipBit(Fault):
    """One bit of an object is wrong in the reply: the lowest of a byte, by default of the middle
    one. An object that has no such byte is passed on as it is."""

    def __init__(self, at_byte=None):
        self.at_byte = at_byte

    def on_reply_piece(self, exchange, piece):
        if not exchange.succeeded:
            return piece
        at = self.at_byte if self.at_byte is not None else (exchange.reply.length or 0) // 2
        at -= exchange.reply_bytes
        if 0 <= at < len(piece):
            return piece[:at] + bytes([piece[at] ^ 1]) + piece[at + 1:]
        return piece


class FlipUploadedBit(Fault):
    """One bit in the middle of a body is wrong when it arrives at the server."""

    def on_request_piece(self, exchange, piece):
        at = (exchange.head.length or 0) // 2 - exchange.request_bytes
        if 0 <= at < len(piece):
            return piece[:at] + bytes([piece[at] ^ 1]) + piece[at + 1:]
        return piece


class TruncateUpload(Fault):
    """The server gets a whole request whose body is only the first half of what was sent."""

    def on_request(self, exchange):
        if exchange.head.length:
            exchange.head = exchange.head.with_header("Content-Length",
                                                      str(exchange.head.length // 2))

    def on_request_piece(self, exchange, piece):
        return piece[:(exchange.head.length or 0) - exchange.request_bytes]
