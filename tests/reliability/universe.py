"""Any value, in any container, stored and read by another process."""

import tempfile
from pathlib import Path

from tests.values.universe import combined, survive

VALUES = 2_000_000
ROUND = 20_000

TITLE = "Any value"

TEXT = """
Values of every type that needs no registration, also NumPy's, nested up to five deep in lists, tuples, deques, dicts
and their kinds, sets, frozensets and sorted containers: what hypothesis has drawn, put together at random. Each is
stored, and compared by another process with another hash seed, which must find it equal and of equal type, all the way
down; then it runs `pool.check()`.
"""


def measure(values: int = VALUES) -> tuple[list[str], list[list[object]]]:
    done = seed = 0
    while done < values:
        with tempfile.TemporaryDirectory() as directory:
            drawn = combined(min(ROUND, values - done), seed=seed)
            survive(drawn, Path(directory))
        done += len(drawn)
        seed += 1
    return ["values", "processes", "wrong"], [[done, seed, 0]]
