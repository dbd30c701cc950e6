"""What the code has: its metrics, its options, its image. The templates are held against these."""

import pathlib
import re
import subprocess

# A row of a metric table (base/metric.h).
ROW = re.compile(r'X\((counter|gauge|histogram),\s*\w+,[\s\\]*"((?:satchel|process)_\w+)",[\s\\]*'
                 r'"((?:[^"\\]|\\.)*)"')


def metrics(server):
    """The rows of all metric tables: (type, name, {label: value})."""
    rows = set()
    for path in pathlib.Path(server).rglob("*.[ch]"):
        for kind, name, labels in ROW.findall(path.read_text(encoding="utf-8")):
            rows.add((kind, name, tuple(re.findall(r'(\w+)=\\"(\w+)\\"', labels))))
    assert len(rows) > 50, "the metric tables were not found"
    return [(kind, name, dict(labels)) for kind, name, labels in sorted(rows)]


def prometheus_names(rows):
    """Every series name that /metrics can have."""
    names = set()
    for kind, name, _ in rows:
        names |= {name + end for end in ("_bucket", "_sum", "_count")} if kind == "histogram" else {name}
    return names


def cloudwatch_name(kind, name, labels):
    """The rule of server/ops/emf_name.h."""
    words = name.removeprefix("satchel_").removesuffix("_total").removesuffix("_seconds").split("_")
    words += ["latency"] if kind == "histogram" else []
    words += [value for label, value in labels.items() if label != "op"]
    return "".join(word[0].upper() + word[1:] for part in words for word in part.split("_"))


def cloudwatch_names(rows):
    """The name of every metric in the namespace Satchel."""
    return {cloudwatch_name(*row) for row in rows}


def help_of(*command):
    """What a program says to --help."""
    return subprocess.run([*command, "--help"], check=True, capture_output=True, text=True,
                          timeout=20).stdout


def variables(text):
    """The environment variables that a --help tells."""
    return set(re.findall(r"\b(?:SATCHEL|CART|AWS_EMF)_[A-Z_]+\b", text))


def options(text):
    """The options that a --help tells."""
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))


class Image:
    """What a target of the Dockerfile says of itself."""

    def __init__(self, dockerfile, target):
        text = pathlib.Path(dockerfile).read_text(encoding="utf-8").replace("\\\n", " ")
        stages = re.split(r"^(?=FROM )", text, flags=re.M)
        self.text, = [stage for stage in stages if re.match(rf"FROM \S+ AS {target}\n", stage)]
        self.user = re.search(r"^USER (\S+)", self.text, re.M)[1]
        exposed = " ".join(re.findall(r"^EXPOSE (.+)", self.text, re.M))
        self.ports = {int(port) for port in exposed.split()}
        self.environment = dict(each.split("=", 1) for line in re.findall(r"^ENV (.+)", self.text, re.M)
                                for each in line.split())
        self.volumes = set(re.findall(r'"(/[^"]+)"', " ".join(re.findall(r"^VOLUME (.+)", self.text, re.M))))
        self.programs = set(re.findall(r"/usr/bin/[a-z-]+", self.text))
