"""What the guest boots: Debian's stock kernel and a small initramfs, made once and kept in a cache.

The kernel comes out of the package `linux-image-amd64`, which is downloaded and unpacked, never
installed. The initramfs holds busybox, `inside/init` and the modules that it loads; everything
else the guest takes from this machine's own root file system, read-only.
"""

import fcntl
import glob
import gzip
import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile

INIT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "inside", "init")
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"),
                     "satchel-nfs-guest")
PACKAGE = "linux-image-amd64"
MODULES = """virtio_pci virtio_blk virtio_console 9pnet_virtio 9p overlay crc32c_generic ext4 veth
    sch_netem nfsd nfs nfsv4""".split()
PROGRAMS = {  # what has to be on this machine, and the Debian package that brings it
    "qemu-system-x86_64": "qemu-system-x86", "busybox": "busybox-static", "ip": "iproute2",
    "tc": "iproute2", "mkfs.ext4": "e2fsprogs", "dpkg-deb": "dpkg", "apt-get": "apt",
}
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"  # not everybody has the last two


class Missing(Exception):
    """The guest cannot run on this machine; the text says why, in one line."""


def program(name):
    return shutil.which(name, path=PATH)


def need_programs():
    if platform.machine() != "x86_64":
        raise Missing(f"the guest is for x86_64 and this machine is {platform.machine()}")
    missing = sorted({package for name, package in PROGRAMS.items() if not program(name)})
    if missing:
        raise Missing("missing packages: apt-get install --no-install-recommends "
                      + " ".join(missing))


def fetch_kernel():
    """The path of the kernel's package, downloaded when the cache does not have it."""
    kept = sorted(glob.glob(os.path.join(CACHE, "linux-image-*.deb")))
    if kept:
        return kept[-1]
    asked = subprocess.run(["apt-cache", "depends", PACKAGE], check=False, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    found = re.search(r"Depends: (linux-image-\S+)", asked.stdout)
    if not found:
        raise Missing(f"apt knows no {PACKAGE}: apt-get update")
    with tempfile.TemporaryDirectory(dir=CACHE) as directory:
        got = subprocess.run(
            ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", found.group(1)],
            cwd=directory, check=False, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        debs = glob.glob(os.path.join(directory, "*.deb"))
        if got.returncode != 0 or not debs:
            why = (got.stdout.strip().splitlines() or ["no output"])[-1]
            raise Missing(f"the kernel's package {found.group(1)} cannot be downloaded: {why}")
        kept = os.path.join(CACHE, os.path.basename(debs[0]))
        os.rename(debs[0], kept)
    return kept


def module_files(directory):
    """The modules and what they depend on, each after its own needs."""
    files = {}
    for path in glob.glob(os.path.join(directory, "**", "*.ko"), recursive=True):
        files[os.path.basename(path)[:-3].replace("-", "_")] = path
    with open(os.path.join(directory, "modules.builtin"), encoding="ascii") as builtin:
        built_in = {os.path.basename(line.strip())[:-3].replace("-", "_") for line in builtin}
    ordered = []

    def visit(name):
        name = name.replace("-", "_")
        if name in built_in or files.get(name) in ordered:
            return
        if name not in files:
            raise Missing(f"the kernel's package has no module {name}")
        with open(files[name], "rb") as file:
            depends = re.search(rb"\0depends=([^\0]*)\0", file.read()).group(1).decode()
        for other in filter(None, depends.split(",")):
            visit(other)
        ordered.append(files[name])

    for module in MODULES:
        visit(module)
    return ordered


class Archive:
    """An initramfs: a cpio archive in the "newc" form."""

    def __init__(self):
        self.parts = []

    def add(self, name, mode, content=b""):
        name = name.encode() + b"\0"
        fields = [len(self.parts) + 1, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0]
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
        self.parts += [head + bytes(-len(head) % 4), content + bytes(-len(content) % 4)]

    def add_file(self, name, path):
        with open(path, "rb") as file:
            self.add(name, 0o100755, file.read())

    def write(self, path):
        self.add("TRAILER!!!", 0)
        with gzip.open(path, "wb", compresslevel=1) as file:
            file.write(b"".join(self.parts))


def build(deb, work):
    """Makes `kernel` and `initrd` in the folder `work`."""
    unpacked = os.path.join(work, "deb")
    if subprocess.run(["dpkg-deb", "-x", deb, unpacked], check=False).returncode != 0:
        os.unlink(deb)
        raise Missing(f"{deb} was damaged and is removed: try again")
    kernel = glob.glob(os.path.join(unpacked, "boot", "vmlinuz-*"))[0]
    archive = Archive()
    for directory in "bin proc sys dev host new rw modules".split():
        archive.add(directory, 0o040755)
    archive.add_file("init", INIT)
    archive.add_file("bin/busybox", program("busybox"))
    archive.add("bin/sh", 0o120777, b"busybox")
    modules = module_files(glob.glob(os.path.join(unpacked, "lib", "modules", "*"))[0])
    for number, path in enumerate(modules):
        archive.add_file(f"modules/{number:03}-{os.path.basename(path)}", path)
    archive.write(os.path.join(work, "initrd"))
    os.rename(kernel, os.path.join(work, "kernel"))


def prepare():
    """The paths of the kernel and the initramfs; raises Missing."""
    need_programs()
    os.makedirs(CACHE, exist_ok=True)
    with open(os.path.join(CACHE, "lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two tests may begin at the same time
        deb = fetch_kernel()
        digest = hashlib.sha256(os.path.basename(deb).encode())
        for path in (INIT, os.path.abspath(__file__), program("busybox")):
            with open(path, "rb") as file:
                digest.update(file.read())
        stamp = os.path.join(CACHE, "image-" + digest.hexdigest()[:16])
        if not os.path.isdir(stamp):
            for old in glob.glob(os.path.join(CACHE, "image-*")):
                shutil.rmtree(old)
            with tempfile.TemporaryDirectory(dir=CACHE) as work:
                build(deb, work)
                os.mkdir(stamp + ".new")
                for name in ("kernel", "initrd"):
                    os.rename(os.path.join(work, name), os.path.join(stamp + ".new", name))
            os.rename(stamp + ".new", stamp)
    return os.path.join(stamp, "kernel"), os.path.join(stamp, "initrd")
