"""The guest as a program that tests start, watch and kill.

    with Guest("tests/nfs/takeover.py --rounds 1", clients=2) as guest:
        code = guest.finish()

Its lines come out of the guest over a serial port and end up in `lines`; a second port, named by
$GUEST_REPORTS in there, writes into a file of this machine, which keeps what was written when the
guest is killed.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile

import image

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from processes import Program  # pylint: disable=wrong-import-position

DISK_BYTES = 2 << 30  # sparse
BOOT_S = 120  # generous: an emulated processor on a loaded machine


def make_disk(path):
    """An empty ext4 file system in a sparse file."""
    with open(path, "wb") as file:
        file.truncate(DISK_BYTES)
    subprocess.run([image.program("mkfs.ext4"), "-q", "-F", "-E",
                    "lazy_itable_init=1,lazy_journal_init=1,nodiscard", path], check=True)


def accelerator():
    """KVM only where the processor can: the device alone says nothing."""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as cpuinfo:
        able = {"vmx", "svm"} & set(cpuinfo.read().split())
    if able and os.access("/dev/kvm", os.W_OK):
        return ["-accel", "kvm", "-cpu", "host"]
    return ["-accel", "tcg,thread=multi", "-cpu", "max,la57=off"]


class Guest(Program):
    """One guest. `disk` is a file or unix:SOCKET of an NBD server; None: a new one, unsynced.
    `show`: the command's lines appear on standard output as they come."""

    def __init__(self, command, show=False, clients=1, lease_s=10, disk=None, reports=None,
                 console=None):
        super().__init__("guest")
        self.show = show
        self.kernel, self.initrd = image.prepare()  # raises image.Missing
        self.work = tempfile.mkdtemp(prefix="satchel-guest-")
        self.command = command
        self.reports = reports
        self.console = console or os.path.join(self.work, "console")
        self.disk = disk
        self.settings = {"GUEST_COMMAND": command, "GUEST_CLIENTS": clients,
                         "GUEST_LEASE_S": lease_s, "GUEST_INSIDE": os.path.join(HERE, "inside"),
                         "GUEST_DIRECTORY": os.getcwd()}

    def take_line(self, line):
        super().take_line(line)
        if self.show and not line.startswith("guest: "):
            print(line, flush=True)

    def drive(self):
        if self.disk is not None and self.disk.startswith("unix:"):
            return ("driver=raw,file.driver=nbd,file.server.type=unix,file.server.path="
                    + self.disk.removeprefix("unix:") + ",cache=writeback")
        path = self.disk
        if path is None:
            path = os.path.join(self.work, "disk")
            make_disk(path)
        return f"format=raw,file={path},cache=unsafe"  # it need not outlive this machine

    def start(self):
        settings = os.path.join(self.work, "settings")
        with open(settings, "w", encoding="utf-8") as file:
            for name, value in self.settings.items():
                file.write(f"{name}={shlex.quote(str(value))}\n")
        self.launch([
            image.program("qemu-system-x86_64"), "-nodefaults", "-no-user-config", "-no-reboot",
            "-display", "none", "-monitor", "none", "-machine", "q35,usb=off,vmport=off",
            *accelerator(), "-smp", str(min(2, os.cpu_count() or 1)), "-m", "1024",
            "-kernel", self.kernel, "-initrd", self.initrd, "-append",
            "console=ttyS0 quiet panic=-1 oops=panic nokaslr mitigations=off random.trust_cpu=on "
            f"satchel_settings={settings}",
            "-chardev", f"file,id=console,path={self.console}", "-serial", "chardev:console",
            "-device", "virtio-serial-pci",
            "-chardev", "file,id=lines,path=/dev/stderr",
            "-device", "virtserialport,chardev=lines,name=lines",
            "-chardev", f"file,id=reports,path={self.reports or '/dev/null'},append=on",
            "-device", "virtserialport,chardev=reports,name=reports",
            "-drive", "if=none,id=efs," + self.drive(), "-device", "virtio-blk-pci,drive=efs",
            "-fsdev", "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap",
            "-device", "virtio-9p-pci,fsdev=root,mount_tag=hostroot"])

    def wait_ready(self):
        self.wait_for_line(r"^guest: ready", BOOT_S)

    def finish(self, deadline_s):
        """Waits until the command has ended and returns its exit status."""
        try:
            self.wait(deadline_s)
        except AssertionError:
            self.kill()
            return self.fail(f"the command did not end within {deadline_s} s")
        for line in reversed(self.lines):
            if line.startswith("guest: status "):
                return int(line.split()[2])
        return self.fail("ended without a status")

    def fail(self, why):
        """Says why on standard error, with the end of the kernel's log; 125."""
        print(f"guest: {why}; last lines of its kernel:", file=sys.stderr)
        with open(self.console, encoding="utf-8", errors="replace") as console:
            sys.stderr.writelines(console.readlines()[-15:])
        return 125

    def __exit__(self, kind, value, trace):
        if self.is_running():
            self.kill()
        self.clean_up()

    def clean_up(self):
        shutil.rmtree(self.work, ignore_errors=True)
