"""Writes results of benchmarks: numbers as JSON, tables as Markdown, bars as SVG and PNG, each with the machine.

A plot needs matplotlib, which the package's `bench` extra has; without it the tables are written all the same, and
a line says what is missing.
"""

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DIRECTORY = ROOT / "build" / "benchmarks"

#: A column of this name is a ratio, whatever the unit of the row: shown in tables, left out of plots.
RATIO = "ratio"


@dataclass(frozen=True)
class Row:
    group: str  # heading, e.g. "single put, no sync"
    name: str  # what is measured, e.g. "lmdb"
    unit: str  # "ns", "x", "bytes", "ms", "MB"
    values: dict[str, float]  # column -> value


def scratch(directory: str | os.PathLike[str] | None = None) -> tempfile.TemporaryDirectory[str]:
    """A directory for pools, that goes with its `with` block: inside the given one, or on the disk where the
    repository is, because the system's own for temporary files may be in memory."""
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    return tempfile.TemporaryDirectory(dir=directory or build, prefix="bench-")


def _field(path: str, name: str) -> str:
    """What follows `name:` in a file of /proc."""
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"


def filesystem(directory: str | os.PathLike[str]) -> str:
    """The type of the file system that holds a directory, such as "ext4"."""
    device = os.stat(directory).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, source = line.partition(" - ")
        if mount.split()[2] == number:
            return source.split()[0]
    return "unknown"


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


def commit() -> str:
    """The short name of the commit that was measured, with a + if files differ from it.  Texts do not count:
    a run of the benchmarks changes some itself."""
    try:
        changed = _git("status", "--porcelain", "-uno", "--", ".", ":!*.md")
        return _git("rev-parse", "--short", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def machine(packages: Sequence[str] = (), directory: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """Where and what is measured.  directory: where the pools were, for the file system; the repository's if
    not given.  packages: distributions whose versions matter."""
    memory = int(_field("/proc/meminfo", "MemTotal").split()[0])
    return {
        "cpu": _field("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory": f"{memory / 2**20:.1f} GiB",
        "filesystem": filesystem(directory or ROOT),
        "kernel": platform.release(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "compiler": platform.python_compiler(),
        "packages": {name: version(name) for name in ("pmemobj", *packages)},
        "commit": commit(),
        "date": datetime.date.today().isoformat(),
    }


def machine_text(about: dict[str, Any]) -> str:
    """The machine as one sentence of Markdown."""
    packages = ", ".join(f"{name} {number}" for name, number in about["packages"].items())
    return (
        f"{about['cpu']}, {about['cores']} cores, {about['memory']}, {about['filesystem']}, Linux "
        f"{about['kernel']}; {about['python']} ({about['compiler']}); {packages}; commit {about['commit']}, "
        f"{about['date']}."
    )


def number(value: float) -> str:
    """Three digits or all before the point, whichever is more."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    digits = 1 if abs(value) >= 10 else 2 if abs(value) >= 0.1 else 4
    return f"{value:.{digits}f}"


def groups(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    """Rows of one table, by heading and unit, in the order of first appearance."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.group, row.unit), []).append(row)
    return found


def columns(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(column for row in rows for column in row.values))


def markdown(rows: Sequence[Row]) -> str:
    """A table for each group."""
    parts = []
    for (group, unit), members in groups(rows).items():
        names = columns(members)
        lines = [f"### {group}", "", f"| {unit} | {' | '.join(names)} |", "|---" + "|--:" * len(names) + "|"]
        for row in members:
            cells = [number(row.values[name]) if name in row.values else "" for name in names]
            lines.append(f"| {row.name} | {' | '.join(cells)} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def save(
    name: str, rows: list[Row], directory: Path = DIRECTORY, packages: Sequence[str] = (), **extra: Any
) -> None:
    """Writes name.json, name.md, name.svg and name.png.  extra: what else the JSON and the head of the table
    say, such as sync="commit"."""
    directory.mkdir(parents=True, exist_ok=True)
    about = machine(packages)
    data = {"machine": about, "options": extra, "rows": [asdict(row) for row in rows]}
    (directory / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n")
    options = "".join(f" {key}: {value}." for key, value in extra.items())
    (directory / f"{name}.md").write_text(f"# {name}\n\n{machine_text(about)}{options}\n\n{markdown(rows)}")
    try:
        from benchmarks import plot

        plot.bars(name, groups(rows), directory)
    except ImportError as error:
        print(f"no plot of {name}: {error.name} is not installed (pip install matplotlib)")
    print(f"written: {name}.json, {name}.md in {os.path.relpath(directory)}")
