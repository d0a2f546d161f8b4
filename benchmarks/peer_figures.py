"""The figures that compare with other stores, from the run of benchmarks/peers; where these two packages meet.

`python -m benchmarks.peers` leaves what it measured in a file, and `benchmarks.peers.targets.saved(directory)`
reads it: a list of label, measured, unit.  FROM_LABELS says which of its labels stand behind a row of
docs/performance.md; of several, the one that is worst for us is shown.
"""

import importlib.util
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.report import ROOT

# Row -> (beginning of the label, a part of its rest).
FROM_LABELS = {
    "LMDB, no sync: get": ("LMDB, no sync: ", "get"),
    "LMDB, no sync: batch put": ("LMDB, no sync: ", "batch put"),
    "LMDB, no sync: single put": ("LMDB, no sync: ", "single put"),
    "SQLite, NORMAL: get": ("SQLite, WAL NORMAL: ", "get"),
    "SQLite, NORMAL: batch put": ("SQLite, WAL NORMAL: ", "batch put"),
    "SQLite, NORMAL: single put": ("SQLite, WAL NORMAL: ", "single put"),
    "ZODB: cached get": ("ZODB, cached: ", "get"),
    # Without fsync on either side: with it, both wait for the disk and little else.
    "ZODB: batch put": ("ZODB, neither side syncing: ", "batch put"),
    "ZODB: single commit": ("ZODB, neither side syncing: ", "single put"),
    "LMDB, sync: durable commit": ("LMDB, sync: ", "single put"),
    "SQLite, FULL: durable commit": ("SQLite, WAL FULL: ", "single put"),
    "pynvm: any operation": ("pynvm: ", ""),
    "bytes on disk, to LMDB's": ("bytes on disk", ""),
}


def worst(found: Iterable[Any], beginning: str, part: str) -> tuple[float, str] | None:
    """Of those that match, the measured figure that is worst for us, and its label."""
    matching = [
        one for one in found if one.label.startswith(beginning) and part in one.label[len(beginning) :]
    ]
    if not matching:
        return None
    choose = min if matching[0].unit == "x faster" else max
    one = choose(matching, key=lambda one: one.measured)
    return one.measured, one.label


def figures(directory: Path, quick: bool = False) -> dict[str, tuple[float, str]]:
    """Runs the comparison, stores in `directory`; nothing if it is not there or fails."""
    if importlib.util.find_spec("benchmarks.peers") is None:
        print("benchmarks/peers is not there: nothing measured against other stores")
        return {}
    from benchmarks.peers import targets

    output = directory / "peers-report"
    command = [
        sys.executable,
        "-m",
        "benchmarks.peers",
        "--directory",
        str(directory),
        "--output",
        str(output),
    ]
    if subprocess.run(command + ["--quick"] * quick, cwd=ROOT).returncode:
        print("benchmarks/peers failed: nothing measured against other stores")
        return {}
    chosen = {row: worst(targets.saved(output), *labels) for row, labels in FROM_LABELS.items()}
    return {row: figure for row, figure in chosen.items() if figure is not None}
