"""How long single operations take while changed pages have used up their memory."""

import random
import tempfile
import time
from array import array
from pathlib import Path
from typing import Any

import pmemobj
from pmemobj import _core

TITLE = "Short of memory"

TEXT = """\
Items at random places of a list that is much larger than the option `memory` are set, so that almost each operation
changes another page. Each operation is timed by itself; the journal engine, `sync="interval"`.
*Changed, peak* is the largest amount of changed pages that was seen, in MiB. A commit that finds the budget used up
waits for 1 to 10 ms, the longer the more is above it, and pages are dropped in slices of 2 ms; at twice the budget,
which needs transactions of many megabytes or a disk that stands still, it waits for a whole checkpoint. What is longer
than these together is the operating system's: page faults that read the file, and processors that are taken by others,
as the first row shows, the same loop on a list in memory."""

OPERATIONS = 500_000
ITEMS = {32: 30_000_000, 256: 60_000_000}


def timed(items: Any, count: int, peak: list[int], pool: Any = None) -> list[int]:
    """Nanoseconds of each operation, sorted; peak gets the bytes of changed pages, now and then."""
    times = array("q", bytes(8 * OPERATIONS))
    clock, choose = time.perf_counter_ns, random.Random(3).random
    for i in range(OPERATIONS):
        place = int(choose() * count)
        start = clock()
        items[place] = i
        times[i] = clock() - start
        if pool is not None and i % 256 == 0:
            peak.append(_core.changed_bytes(pool))
    return sorted(times)


def row(what: str, memory: object, times: list[int], peak: list[int]) -> list[object]:
    points = [times[int(len(times) * part)] / 1e3 for part in (0.5, 0.99, 0.9999)]
    long = sum(time > 20_000_000 for time in times)
    changed = str(max(peak) >> 20) if peak else ""
    return [what, memory, len(times), *points, times[-1] / 1e6, long, changed]


def measure() -> tuple[list[str], list[list[object]]]:
    points = ["p50, us", "p99, us", "p99.99, us", "worst, ms", "above 20 ms"]
    heads = ["work", "memory, MiB", "operations", *points, "changed, peak"]
    count = ITEMS[32]
    rows = [row("builtin, random places", "", timed([0] * count, count, []), [])]
    for memory, count in ITEMS.items():
        with tempfile.TemporaryDirectory(dir="build", prefix="latency-") as directory:
            path = Path(directory) / "pool"
            with pmemobj.open(path, max_size=4 << 30, memory=memory << 20) as pool:
                pool.root = list(range(count))
                pool.checkpoint()
                _core.drop_pages(pool)
                peak: list[int] = []
                rows.append(row("list, random places", memory, timed(pool.root, count, peak, pool), peak))
    return heads, rows
