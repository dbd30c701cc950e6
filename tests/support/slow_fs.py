"""Storage that is as slow, stuck or broken as a test tells it to be (see slow_fs.c).

    with SlowFs(binary) as storage:
        store = Satcheld(path, data=storage.path("data"))
        storage.be("hang=all")
        storage.be("hang=none sync-us=2700 read-us=1000")
"""

import os
import shutil
import subprocess
import tempfile
import unittest

from processes import die_with_parent, wait_until


class SlowFs:
    """A mounted file system, gone with `with`; skips the test where it cannot be mounted."""

    def __init__(self, binary, parent=None):
        """`parent`: the directory to make it in; None: where temporary files go."""
        self.binary = binary
        self.directory = tempfile.mkdtemp(prefix="satchel-test-", dir=parent)
        self.behind = os.path.join(self.directory, "behind")  # what it shows, without faults
        self.mount_point = os.path.join(self.directory, "mnt")
        self.process = None

    def path(self, *names):
        return os.path.join(self.mount_point, *names)

    def be(self, words):
        """Says how it has to behave from now on."""
        with open(self.path(".control"), "w", encoding="ascii") as control:
            control.write(words)

    def calls(self):
        """How many calls there were: {"read": 7, "write": …, "sync": …, "other": …}."""
        with open(self.path(".control"), encoding="ascii") as control:
            return {name: int(count) for name, count in
                    (word.split("=") for word in control.read().split())}

    def __enter__(self):
        os.mkdir(self.behind)
        os.mkdir(self.mount_point)
        if not self.binary or not os.path.exists("/dev/fuse"):
            shutil.rmtree(self.directory)
            raise unittest.SkipTest("there is no FUSE here (libfuse3-dev, fuse3, /dev/fuse)")
        self.process = subprocess.Popen(  # pylint: disable=subprocess-popen-preexec-fn
            [self.binary, self.behind, self.mount_point], stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
        wait_until(lambda: os.path.ismount(self.mount_point) or self.process.poll() is not None,
                   "it is mounted")
        if self.process.poll() is not None:
            why = self.process.stderr.read().strip()
            shutil.rmtree(self.directory)
            raise unittest.SkipTest(f"a file system cannot be mounted here: {why}")
        return self

    def __exit__(self, kind, value, trace):
        # Without its process every waiting call fails, so nothing can be stuck in it after that.
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        subprocess.run(["umount", "-l", self.mount_point], capture_output=True, check=False)
        wait_until(lambda: not os.path.ismount(self.mount_point), "it is unmounted")
        shutil.rmtree(self.directory)
