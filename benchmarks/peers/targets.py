"""The figures that pmemobj is judged by, taken from the rows of a run.

Times and sizes are ratios, with both sides measured in the same run and, where both write, equally durable.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.peers import timing
from benchmarks.peers.catalogue import POWER, PROCESS, RATIO
from benchmarks.report import Row

#: The file beside the report; saved() reads it.
FILE = "peers-targets.json"


class Target(NamedTuple):
    """unit "x faster": so many times as fast as the other.  "x": a multiple of the other, less is better."""

    label: str
    measured: float
    unit: str


GETS = ["random get" + timing.AFTER_RANDOM, "sequential get" + timing.AFTER_ORDER]
PUTS = [timing.RANDOM_ORDER, timing.IN_ORDER, timing.OVERWRITE.name]

# Who, in which class, called what, in which operations.
FASTER = [
    ("lmdb sync=False", PROCESS, "LMDB, no sync", [*GETS, *PUTS, "single put"]),
    ("sqlite3 WAL NORMAL", PROCESS, "SQLite, WAL NORMAL", [*GETS, *PUTS, "single put"]),
    ("ZODB without fsync", PROCESS, "ZODB, cached", GETS),
    ("ZODB", POWER, "ZODB", [*PUTS, "single put"]),
    ("ZODB without fsync", PROCESS, "ZODB, neither side syncing", [*PUTS, "single put"]),
    ("lmdb sync=True", POWER, "LMDB, sync", ["single put", timing.RANDOM_ORDER, timing.OVERWRITE.name]),
    (
        "sqlite3 WAL FULL",
        POWER,
        "SQLite, WAL FULL",
        ["single put", timing.RANDOM_ORDER, timing.OVERWRITE.name],
    ),
]
PYNVM = ["pynvm, flush only", "pynvm"]


def targets(rows: Sequence[Row]) -> list[Target]:
    """In the order of the table; what was not measured is left out."""
    found = {(row.group, row.name): row.values.get(RATIO) for row in rows}
    result = []
    for name, durability, label, operations in FASTER:
        for operation in operations:
            ratio = found.get((f"{durability}: {operation}", name))
            if ratio is not None:
                result.append(Target(f"{label}: {operation}", ratio, "x faster"))
    fdatasync = found.get((f"{POWER}: single put", "one fdatasync"))
    if fdatasync is not None:
        result.append(Target("durable commit, as a multiple of one fdatasync", 1 / fdatasync, "x"))
    pynvm = {row.group: row.values[RATIO] for row in rows if row.name in PYNVM and RATIO in row.values}
    if pynvm:
        slowest = min(pynvm, key=pynvm.__getitem__)
        result.append(Target(f"pynvm: its best operation ({slowest})", pynvm[slowest], "x faster"))
    for row in rows:
        if row.group.startswith("bytes on disk") and row.name == "lmdb sync=False":
            label = row.group.removeprefix("bytes on disk, ")
            result.append(Target(f"bytes on disk over LMDB's: {label}", 1 / row.values[RATIO], "x"))
    return result


def save(found: Sequence[Target], directory: Path) -> None:
    (directory / FILE).write_text(json.dumps([target._asdict() for target in found], indent=2) + "\n")


def saved(directory: Path) -> list[Target]:
    """The targets of the last run that reported to this directory."""
    return [Target(**target) for target in json.loads((directory / FILE).read_text())]
