"""Is everything in a pool as it must be?  Of an open pool, and of a file that nobody has open."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pmemobj import errors
from pmemobj._check import Checker
from pmemobj._core import Pool

__all__ = ["Report", "check_file", "check_pool"]

Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]
Progress = Callable[[int, int], object]


@dataclass(frozen=True)
class Report:
    """What a check found.

    findings: one line for each fault, beginning with the path of the object; empty when all is well.
    counts: how many lists, dicts, ... and values were looked at.
    unreachable: blocks in use to which nothing leads, and their bytes: garbage cycles, which pool.gc() collects.
    """

    findings: list[str]
    counts: dict[str, int] = field(default_factory=dict)
    unreachable: tuple[int, int] = (0, 0)

    @property
    def ok(self) -> bool:
        return not self.findings

    def __str__(self) -> str:
        looked_at = ", ".join(f"{number} {name}" for name, number in sorted(self.counts.items())) or "nothing"
        lines = [f"looked at {looked_at}"]
        if self.unreachable[0]:
            lines.append(
                f"{self.unreachable[0]} blocks ({self.unreachable[1]} bytes) are unreachable: run pool.gc()"
            )
        return "\n".join(lines + (self.findings or ["no faults"]))


def check_pool(pool: Pool, progress: Progress | None = None) -> Report:
    """Verifies every structure of an open pool, in time and memory proportional to its contents."""
    checker = Checker(pool, progress)
    checker.run()
    return Report(
        findings=checker.findings,
        counts=checker.counts,
        unreachable=(len(checker.blocks), sum(checker.blocks.values())),
    )


def check_file(open_pool: Callable[..., Any], path: Path, progress: Progress | None) -> Report:
    """See pmemobj.check()."""
    try:
        pool = open_pool(path, "r")
    except errors.PoolFormatError as error:
        return Report([f"file: {error}"])
    except errors.JournalError as error:
        return Report([f"journal: {error}"])
    except errors.PoolDamagedError as error:
        return Report([f"heap: {error}"])
    with pool:
        return check_pool(pool, progress)
