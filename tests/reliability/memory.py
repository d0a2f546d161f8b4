"""Peak memory of a process that writes a pool from end to end."""

import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "pool"))

from memory_use import written_end_to_end

TITLE = "Memory"

TEXT = """\
A process writes texts of 400 to 590 characters into a new pool, 2000 in each transaction, until their blocks are as
many bytes as the first column says. The journal is at most 72 MiB (64 of the log and 8 of the ring). *Limit* is the
option `memory`. *Private* is the largest `RssAnon` that was seen at the end of a transaction, with the interpreter,
*before* is that of the empty pool. *Resident* is `ru_maxrss` when all is written, which counts pages of the pool file
and of the journal in the page cache too, as far as they are mapped; the system takes those back when it needs memory.
The last row shows what it would be without a limit."""

GIB, MIB = 1 << 30, 1 << 20

RUNS = [(1 * GIB, 256 * MIB), (4 * GIB, 64 * MIB), (4 * GIB, 256 * MIB), (1 * GIB, 1 << 40)]


def mib(value: int) -> str:
    return f"{value / MIB:,.0f}"


def measure() -> tuple[list[str], list[list[object]]]:
    """One row for each run."""
    rows: list[list[object]] = []
    for size, limit in RUNS:
        directory = Path(tempfile.mkdtemp(prefix="pmemobj-memory-"))
        try:
            use = written_end_to_end(directory / "pool", size, limit)
        finally:
            shutil.rmtree(directory)
        rows.append(
            [
                mib(use.stored),
                mib(limit) if limit < 1 << 40 else "none",
                mib(use.journal),
                mib(use.private_before),
                mib(use.peak_private),
                mib(use.peak_resident),
                "yes" if use.ok else "NO",
            ]
        )
    heads = [
        "written, MiB",
        "limit",
        "journal",
        "private before",
        "private, peak",
        "resident, peak",
        "read back right",
    ]
    return heads, rows
