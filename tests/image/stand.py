"""Images built by `./dev image` in a storage of their own, and containers of them.

    with Stand() as stand:
        told = stand.build("runtime")               # what ./dev image prints
        with stand.mounted("satchel:0.1.0") as root: ...
        box = stand.run("satchel:0.1.0", "--network", "none")
        box.execute("satchel", "health")

All that it makes lies in one temporary directory, which ends with it. Not for several threads.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
EPOCH = 1700000000
BUILD_S_MAX = 600
COMMAND_S_MAX = 60
IDENTITY = {"GIT_AUTHOR_NAME": "test", "GIT_AUTHOR_EMAIL": "test@localhost",
            "GIT_COMMITTER_NAME": "test", "GIT_COMMITTER_EMAIL": "test@localhost"}


def text_of(path):
    return Path(path).read_text(encoding="utf-8")


def why_not():
    """Why images cannot be built here, or None."""
    if os.geteuid() != 0:
        return "not root"
    for program in ("buildah", "mmdebstrap", "podman", "runc"):
        if not shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin"):
            return f"not installed: {program}"
    probe = subprocess.run(
        ("unshare", "--mount", "--pid", "--net", "--fork", "--mount-proc", "true"),
        check=False, capture_output=True, text=True)
    return f"no namespaces: {probe.stderr.strip()}" if probe.returncode else None


class Box:
    """A container that was started in the background."""

    def __init__(self, stand, ident):
        self.stand = stand
        self.ident = ident
        self.pid = int(self.inspect()["State"]["Pid"])

    def inspect(self):
        return json.loads(self.stand.podman("inspect", self.ident).stdout)[0]

    def execute(self, *command, check=True):
        return self.stand.podman("exec", self.ident, *command, check=check)

    def log(self):
        done = self.stand.podman("logs", self.ident)
        return done.stdout + done.stderr

    def terminate(self):
        """SIGTERM; returns the exit code."""
        os.kill(self.pid, signal.SIGTERM)
        return int(self.stand.podman("wait", self.ident).stdout)


class Stand:
    def __init__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="satchel-image-"))
        self.tree = self.directory / "tree"
        self.store = self.directory / "store"
        self.secrets = self.directory / "secrets"
        self.where = ("--root", str(self.store / "root"), "--runroot", str(self.store / "run"),
                      "--storage-driver", "overlay")

    def __enter__(self):
        """A clean repository with the files of this one, which tests may change and commit."""
        try:
            listed = subprocess.run(
                ("git", "ls-files", "-z", "-co", "--exclude-standard"), cwd=TREE, check=True,
                stdout=subprocess.PIPE, text=True).stdout
            for name in filter(None, listed.split("\0")):
                if (TREE / name).is_file() and not name.startswith(("tests/", "docs/")):
                    (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(TREE / name, self.tree / name)
            self.git("init", "--quiet")
            self.commit()
            os.chmod(self.directory, 0o755)
            self.secrets.mkdir()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Containers first, then what the storage driver mounted on itself, then the files."""
        with contextlib.suppress(subprocess.SubprocessError):
            self.podman("rm", "--all", "--force", "--volumes", "--time", "0", check=False)
        mounts = [line.split()[1] for line in text_of("/proc/mounts").splitlines()]
        for place in reversed(mounts):
            if place.startswith(str(self.directory) + "/"):
                subprocess.run(("umount", "--lazy", place), check=False)
        shutil.rmtree(self.directory)

    def git(self, *arguments):
        return subprocess.run(("git", "-C", self.tree, *arguments), check=True, text=True,
                              stdout=subprocess.PIPE, env={**os.environ, **IDENTITY}).stdout.strip()

    def commit(self):
        """Commits whatever the copy of the tree holds; returns the short name of the commit."""
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "--message", "as tested")
        return self.git("rev-parse", "--short=12", "HEAD")

    def build(self, target, *options):
        """What ./dev image prints about the target. Fails with the end of it."""
        command = (self.tree / "deploy/image/make", "--make-base", "--store", self.store,
                   "--epoch", str(EPOCH), "--sbom", self.sbom(target), *options, target)
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace",
                              start_new_session=True) as making:
            try:
                told, _ = making.communicate(timeout=BUILD_S_MAX)
            except BaseException:  # with all that it started, since the files go next
                os.killpg(making.pid, signal.SIGKILL)
                raise
        if making.returncode != 0:
            raise AssertionError("\n".join(told.splitlines()[-40:]))
        return told

    def sbom(self, target):
        return self.directory / f"{target}.cdx.json"

    def secret(self, name, text):
        """The path of a file that uid 10001 can read."""
        path = self.secrets / name
        path.write_text(text + "\n", encoding="utf-8")
        path.chmod(0o444)
        return path

    def new_data(self):
        """Options that mount an empty directory at /data."""
        data = tempfile.mkdtemp(dir=self.directory)
        os.chown(data, 10001, 10001)
        return "--volume", f"{data}:/data"

    def podman(self, *arguments, check=True):
        command = ("podman", *self.where, "--runtime", "/usr/sbin/runc",
                   "--cgroup-manager", "cgroupfs", *arguments)
        return self.finish(command, check)

    @staticmethod
    def finish(command, check):
        done = subprocess.run(command, check=False, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=COMMAND_S_MAX)
        if check and done.returncode != 0:
            raise AssertionError(f"{command} ended with {done.returncode}: {done.stderr}")
        return done

    def confined(self, *arguments, check=True):
        """`podman run`, as confined as ./dev image --run."""
        command = (self.tree / "deploy/image/run", "--store", self.store, *arguments)
        return self.finish(command, check)

    def run(self, image, *options):
        """Starts a container with the image's own command."""
        started = self.confined("--detach", *options, image)
        return Box(self, started.stdout.strip())

    def job(self, image, *command, options=()):
        """A one-off task: the same image with another command."""
        return self.confined("--rm", *options, image, *command, check=False)

    def inspect(self, image):
        return json.loads(self.podman("image", "inspect", image).stdout)[0]

    @contextlib.contextmanager
    def mounted(self, image):
        """The root file system of an image, to read."""
        container = self.finish(("buildah", *self.where, "from", "--pull-never", image), True)
        name = container.stdout.strip()
        try:
            root = self.finish(("buildah", *self.where, "mount", name), True).stdout.strip()
            yield Path(root)
        finally:
            self.finish(("buildah", *self.where, "rm", name), True)


def wait_until_serving(box, deadline_s=COMMAND_S_MAX):
    end = time.monotonic() + deadline_s
    while box.execute("satchel", "health", check=False).returncode != 0:
        if time.monotonic() > end or box.inspect()["State"]["Status"] != "running":
            raise AssertionError("it does not serve:\n" + box.log())
