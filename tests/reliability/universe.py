"""Any value, in any container, stored and read by another process."""

import tempfile
from pathlib import Path

from tests.values.universe import examples, survive

VALUES = 1_000_000
ROUND = 2000

TITLE = "Any value"

TEXT = """
Values of every type that needs no registration, nested up to five deep in lists, tuples, deques, dicts and their kinds,
sets and frozensets, drawn by hypothesis. Each is stored, and compared by another process with another hash seed, which
must find it equal and of equal type, all the way down; then it runs `pool.check()`.
"""


def measure(values: int = VALUES) -> tuple[list[str], list[list[object]]]:
    done = seed = 0
    while done < values:
        with tempfile.TemporaryDirectory() as directory:
            drawn = examples(min(ROUND, values - done), seed=seed)
            survive(drawn, Path(directory))
        done += len(drawn)
        seed += 1
    return ["values", "processes", "wrong"], [[done, seed, 0]]
