"""A well-behaved client beside those that mean no good: one read after the other, timed."""

import threading
import time


class Bystander(threading.Thread):
    """`read` asks for a value and says whether it was right; `close` ends the connection. Use with
    `with`; afterwards took_s has what each read took."""

    def __init__(self, read, close):
        super().__init__()
        self.read = read
        self.close = close
        self.took_s = []
        self.error = None
        self.ended = threading.Event()

    def run(self):
        try:
            while not self.ended.is_set() or not self.took_s:
                start = time.monotonic()
                assert self.read()
                self.took_s.append(time.monotonic() - start)
        except BaseException as error:  # pylint: disable=broad-exception-caught # told in __exit__
            self.error = error

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, value, trace):
        self.ended.set()
        self.join()
        self.close()
        if kind is None and self.error is not None:
            raise self.error

    def p99_ms(self):
        ordered = sorted(self.took_s)
        return ordered[len(ordered) * 99 // 100] * 1000
