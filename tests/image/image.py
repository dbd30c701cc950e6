#!/usr/bin/python3
"""image.py: builds the images twice and runs them as confined as on Fargate.

What is in them, that the bill of materials says so, that a second build gives the same bytes and
takes its packages from the first, and a life of the store without a shell, a capability, or a root
file system that it could write to."""

import datetime
import hashlib
import json
import os
import re
import signal
import stat
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from processes import wait_until  # noqa: E402
from radosgw import Radosgw  # noqa: E402
from stand import EPOCH, Stand, text_of, wait_until_serving, why_not  # noqa: E402

SKIPPED = 77
BYTES_MAX = 25_000_000
UID = 10001
START_S_MAX = 1
CREATED = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(EPOCH))
SBOM = "usr/share/satchel/sbom.cdx.json"
TOKEN = "a secret of sixteen bytes or more"
SHELLS = re.compile(r"/(sh|bash|dash|ash|busybox|env|python[\d.]*|perl)$")
STAND = None
IMAGE = None  # the store's, tagged with its version


def setUpModule():
    global IMAGE  # pylint: disable=global-statement
    version = re.search(r"^project\(satchel VERSION ([\d.]+)",
                        text_of(STAND.tree / "CMakeLists.txt"), re.MULTILINE)[1]
    IMAGE = f"satchel:{version}"
    STAND.build("runtime")


def regular_files(root):
    for path in sorted(root.rglob("*")):
        if not path.is_symlink() and path.is_file():
            yield path


def is_elf(path):
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


def digest(path, kind="sha256"):
    return hashlib.new(kind, path.read_bytes()).hexdigest()


def listed_files(bill):
    """{path: (component, SHA-256)} of a bill of materials."""
    files = {}
    for component in bill["components"]:
        for file in component["components"]:
            assert file["name"] not in files, f"{file['name']} is listed twice"
            files[file["name"]] = (component, file["hashes"][0]["content"])
    return files


class Content(unittest.TestCase):
    def test_size_tags_and_labels_are_as_told(self):
        told = STAND.build("runtime")  # nothing is left to do
        image = STAND.inspect(IMAGE)
        self.assertLessEqual(image["Size"], BYTES_MAX)
        megabytes = float(re.search(r"^image: size    ([\d.]+) MB$", told, re.MULTILINE)[1])
        self.assertAlmostEqual(megabytes, image["Size"] / 1e6, delta=0.5)
        commit = STAND.git("rev-parse", "--short=12", "HEAD")
        tags = {tag.removeprefix("localhost/") for tag in image["RepoTags"]}
        self.assertEqual(tags, {IMAGE, IMAGE.rpartition(".")[0], f"satchel:sha-{commit}"})
        for tag in tags:
            self.assertIn(f"image: tag     {tag}\n", told)
        self.assertIn(f"sha256:{image['Id']}", told)
        labels = {name.removeprefix("org.opencontainers.image."): value
                  for name, value in image["Labels"].items()}
        self.assertEqual(labels["version"], IMAGE.partition(":")[2])
        self.assertEqual(labels["revision"], commit)
        self.assertEqual(labels["created"], CREATED)
        self.assertEqual(labels["licenses"], "Apache-2.0")
        self.assertEqual(image["Config"]["User"], f"{UID}:{UID}")
        print(f"  image of {image['Size'] / 1e6:.1f} MB")

    def test_there_is_nothing_to_misuse(self):
        with STAND.mounted(IMAGE) as root:
            for path in root.rglob("*"):
                inside = "/" + str(path.relative_to(root))
                self.assertNotRegex(inside, SHELLS)
                status = path.lstat()
                self.assertFalse(status.st_mode & (stat.S_ISUID | stat.S_ISGID), inside)
                own = inside in ("/data", "/run/satchel")
                owner = UID if own else 0
                self.assertEqual((status.st_uid, status.st_gid), (owner, owner), inside)
                if not own and not path.is_symlink():
                    self.assertFalse(status.st_mode & 0o022, f"{inside} can be written")
            self.assertEqual(sorted(path.name for path in (root / "usr/bin").iterdir()),
                             ["satchel", "satchel-backup", "satchel-bench", "satchel-store", "satcheld"])

    def test_the_bill_lists_every_file(self):
        beside = text_of(STAND.sbom("runtime"))
        with STAND.mounted(IMAGE) as root:
            self.assertEqual(text_of(root / SBOM), beside)
            there = {"/" + str(path.relative_to(root)): digest(path)
                     for path in regular_files(root) if path != root / SBOM}
        bill = json.loads(beside)
        self.assertEqual((bill["bomFormat"], bill["metadata"]["component"]["name"]),
                         ("CycloneDX", "satchel"))
        self.assertEqual({path: file[1] for path, file in listed_files(bill).items()}, there)

    def test_the_bill_names_the_package_that_each_object_is_from(self):
        """Against what dpkg knows in another image from the same sources: versions and bytes."""
        STAND.build("debug")
        files = listed_files(json.loads(text_of(STAND.sbom("runtime"))))
        checked = 0
        with STAND.mounted(IMAGE) as root, \
                STAND.mounted(IMAGE.replace("satchel", "satchel-debug")) as debian:
            known = installed(debian)
            for path, (component, _) in files.items():
                if not is_elf(root / path[1:]):
                    continue
                if path.startswith("/usr/bin/"):
                    self.assertEqual(component["name"], "satchel")
                    continue
                name, version = component["name"], component["version"]
                self.assertTrue(component["purl"].startswith(f"pkg:deb/debian/{name}@"))
                self.assertEqual(version, known[name])
                self.assertIn(digest(root / path[1:], "md5"), md5sums(debian, name), path)
                status = text_of(root / "var/lib/dpkg/status.d" / name)
                self.assertIn(f"\nVersion: {version}\n", status)
                checked += 1
        self.assertGreater(checked, 20)
        print(f"checked {checked} shared objects against their packages")

    def test_the_cart_is_an_image_too(self):
        STAND.build("cart")
        told = STAND.job(IMAGE.replace("satchel", "satchel-cart"), "cart", "--version")
        self.assertEqual((told.returncode, told.stdout), (0, f"cart {IMAGE.partition(':')[2]}\n"))


def installed(root):
    """{package: version} as dpkg in a root file system knows them."""
    text = text_of(root / "var/lib/dpkg/status")
    return dict(re.findall(r"^Package: (\S+)\n(?:.+\n)*?Version: (\S+)$", text, re.MULTILINE))


def md5sums(root, package):
    lists = [*(root / "var/lib/dpkg/info").glob(f"{package}.md5sums"),
             *(root / "var/lib/dpkg/info").glob(f"{package}:*.md5sums")]
    return {line.split()[0] for path in lists for line in text_of(path).splitlines()}


class Again(unittest.TestCase):
    def test_a_second_build_gives_the_same_bytes_from_the_same_packages(self):
        """A new file among the sources, of which nothing is built: all is compiled anew."""
        before = STAND.inspect(IMAGE)
        (STAND.tree / "examples/touched.txt").write_text("new\n", encoding="utf-8")
        STAND.commit()
        told = STAND.build("runtime")
        packages, compiled = steps(told, "RUN ./dev install build"), steps(told, "RUN ./dev build")
        self.assertIn("Using cache", packages)
        self.assertNotIn("Using cache", compiled)
        after = STAND.inspect(IMAGE)
        self.assertNotEqual(after["Id"], before["Id"])  # another revision
        self.assertEqual(after["RootFS"]["Layers"], before["RootFS"]["Layers"])
        self.assertIn(after["RootFS"]["Layers"][0], told)

    def test_a_tree_with_changes_gets_no_version(self):
        (STAND.tree / "README.md").write_text("changed\n", encoding="utf-8")
        self.addCleanup(STAND.git, "checkout", "--", "README.md")
        told = STAND.build("runtime")
        self.assertEqual(re.findall(r"^image: tag     (\S+)", told, re.MULTILINE),
                         [f"satchel:sha-{STAND.git('rev-parse', '--short=12', 'HEAD')}-changed"])


def steps(told, instruction):
    """What was said after an instruction of the Dockerfile, up to the next."""
    parts = re.split(r"^(?=\[\d+/\d+\] STEP )", told, flags=re.MULTILINE)
    return next(part for part in parts if f": {instruction}" in part)


def with_environment(**values):
    pairs = [("--env", f"{name}={value}") for name, value in values.items()]
    return [word for pair in pairs for word in pair]


class Life(unittest.TestCase):
    def test_a_confined_life(self):
        token = STAND.secret("token", TOKEN)
        options = (*STAND.new_data(), "--network", "none", "--env", "SATCHEL_TOKEN_FILE=/run/secrets/token",
                   "--volume", f"{token}:/run/secrets/token:ro")
        box = STAND.run(IMAGE, *options)
        wait_until_serving(box)
        self.check_start(box)
        self.check_confinement(box.pid)
        self.assertNotEqual(box.execute("/bin/sh", "-c", "true", check=False).returncode, 0)
        box.execute("satchel", "set", "cart:42", "apples")
        self.assertEqual(box.execute("satchel", "get", "cart:42").stdout, "apples")
        beside = STAND.job(IMAGE, "satchel-store", "verify", "/data", options=options)
        self.assertEqual(beside.returncode, 0, beside.stdout + beside.stderr)
        self.assertIn("beside     a running store (", beside.stdout)
        self.assertEqual(box.terminate(), 0, box.log())

        sound = STAND.job(IMAGE, "satchel", "verify", "/data", options=options)
        self.assertEqual(sound.returncode, 0, sound.stderr)
        self.assertTrue(sound.stdout.endswith("sound\n"), sound.stdout)
        again = STAND.run(IMAGE, *options)
        wait_until_serving(again)
        self.assertEqual(again.execute("satchel", "get", "cart:42").stdout, "apples")
        self.assertEqual(again.terminate(), 0)

    def check_start(self, box):
        begin = datetime.datetime.fromisoformat(
            re.sub(r"(\.\d{6})\d* ", r"\1", box.inspect()["State"]["StartedAt"])
            .removesuffix("UTC").strip())
        serving = datetime.datetime.fromisoformat(
            re.search(r"^(\S+)Z info serving", box.log(), re.MULTILINE)[1] + "+00:00")
        seconds = (serving - begin).total_seconds()
        self.assertLess(seconds, START_S_MAX)
        print(f"  serving {seconds:.3f} s after the start of the container")

    def check_confinement(self, pid):
        status = dict(line.split(":\t", 1) for line in
                      text_of(f"/proc/{pid}/status").splitlines() if ":\t" in line)
        self.assertEqual(set(status["Uid"].split() + status["Gid"].split()), {str(UID)})
        for capabilities in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            self.assertEqual(int(status[capabilities], 16), 0, capabilities)
        self.assertEqual(status["NoNewPrivs"], "1")
        mounts = [line.split() for line in text_of(f"/proc/{pid}/mountinfo").splitlines()]
        root = next(fields for fields in mounts if fields[4] == "/")
        self.assertIn("ro", root[5].split(","))

    def test_a_built_in_load_with_the_token_of_the_environment(self):
        """As ECS hands secrets out, to the store and to the job alike."""
        options = ["--network", "host", *STAND.new_data(), *with_environment(
            SATCHEL_TOKEN=TOKEN, SATCHEL_LISTEN="127.0.0.1:0", SATCHEL_OPS="127.0.0.1:0")]
        box = STAND.run(IMAGE, *options)
        wait_until(lambda: " serving " in box.log(), "it serves")
        listen = re.search(r"listening listen=(\S+)", box.log())[1]
        bench = ("satchel-bench", "--server", listen, "--scenario", "cart", "--keys", "500",
                 "--connections", "5", "--seconds", "1")
        done = STAND.job(IMAGE, *bench, options=options + with_environment(SATCHEL_JSON="yes"))
        self.assertEqual(done.returncode, 0, done.stderr)
        told = json.loads(done.stdout.splitlines()[-1])
        self.assertEqual((told["command"], told["ok"], told["wrong_values"]), ("bench", True, 0))
        self.assertGreater(told["operations"], 0)
        refused = STAND.job(IMAGE, *bench, options=options + with_environment(SATCHEL_TOKEN=TOKEN[::-1]))
        self.assertEqual(refused.returncode, 3, refused.stderr)
        self.assertEqual(box.terminate(), 0, box.log())
        self.assertNotIn(TOKEN, box.log() + done.stdout + done.stderr)

    def test_jobs_say_by_their_exit_code_what_is_wrong(self):
        health = STAND.job(IMAGE, "satchel", "health", options=("--network", "none"))
        self.assertEqual(health.returncode, 3)
        no_archive = STAND.job(IMAGE, "satchel", "backup", "list", options=("--network", "none"))
        self.assertEqual(no_archive.returncode, 2, no_archive.stderr)


class Backups(unittest.TestCase):
    def test_jobs_work_while_the_service_runs(self):
        """Each is a container of the same image. They share the network, to meet on loopback."""
        directory = self.enterContext(tempfile.TemporaryDirectory(prefix="satchel-s3-"))
        server = self.enterContext(Radosgw(directory))
        server.make_bucket("satchel")
        options = ["--network", "host", *STAND.new_data(), *with_environment(
            AWS_ACCESS_KEY_ID=server.access_key, AWS_SECRET_ACCESS_KEY=server.secret_key,
            SATCHEL_BACKUP="s3://satchel/image", SATCHEL_BACKUP_ENDPOINT=server.endpoint,
            SATCHEL_BACKUP_REGION=server.region, SATCHEL_BACKUP_PATH_STYLE="yes",
            SATCHEL_LISTEN="127.0.0.1:0", SATCHEL_OPS="127.0.0.1:0")]
        box = STAND.run(IMAGE, *options)
        wait_until(lambda: " serving " in box.log(), "it serves")
        listen, ops = re.search(r"listening listen=(\S+) ops=(\S+)", box.log()).groups()
        options += with_environment(SATCHEL_SERVER=listen, SATCHEL_OPS=ops)
        for command, expected in (
                (("satchel", "set", "cart:42", "apples"), ""),
                (("satchel-bench", "--server", listen, "--keys", "1000", "--seconds", "1"), "get"),
                (("satchel", "backup", "now"), ""),
                (("satchel", "backup", "list"), "good"),
                (("satchel", "backup", "verify"), "sound"),
                (("satchel", "restore", "--from", "s3://satchel/image", "--data-dir",
                  "/run/satchel/restored"), "")):
            done = STAND.job(IMAGE, *command, options=options)
            self.assertEqual(done.returncode, 0, f"{command}: {done.stdout}{done.stderr}")
            self.assertIn(expected, done.stdout)
        self.assertEqual(box.terminate(), 0, box.log())


def main():
    """Whatever ends it but SIGKILL, gigabytes of layers and mounts must not be left behind."""
    global STAND  # pylint: disable=global-statement
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    os.environ.pop("SOURCE_DATE_EPOCH", None)
    with Stand() as STAND:
        return unittest.main(exit=False).result.wasSuccessful()


if __name__ == "__main__":
    if why_not():
        print(f"skipped: {why_not()}")
        sys.exit(SKIPPED)
    sys.exit(not main())
