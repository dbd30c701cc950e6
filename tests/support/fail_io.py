"""Storage calls of a server that fail, or wait, as a test says (see fail_io.c)."""

import os
import unittest.mock


class FaultyStorage:
    """Storage whose `call` can be made to fail, or wait. `library` is the built fail_io.c."""

    def __init__(self, library, store, call):
        self.library = library
        self.call = call
        self.flag = os.path.join(store.directory, "fault")

    def preloaded(self):
        """For a store that is started inside `with`."""
        sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        return unittest.mock.patch.dict(os.environ, {
            "LD_PRELOAD": self.library, "FAIL_IO_CALL": self.call, "FAIL_IO_FLAG": self.flag,
            "ASAN_OPTIONS": sanitizer})

    def fault(self):
        with open(self.flag, "wb"):
            pass

    def recover(self):
        os.unlink(self.flag)
