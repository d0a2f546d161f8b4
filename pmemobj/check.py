"""Is everything in a pool as it must be?  Of an open pool, and of a file that nobody has open."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pmemobj import _core, errors
from pmemobj._check import Checker
from pmemobj._core import Persistent, Pool

__all__ = ["Path", "Report", "check_file", "check_pool", "path_to"]

FilePath = str | bytes | os.PathLike[str] | os.PathLike[bytes]
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


class Path(NamedTuple):
    """What leads from the root to an object.

    text: as a program would write it, ``root['a'][3].name``; also str() of the path.
    steps: the objects on the way, from the root's on, each with the text of the step from there.
    """

    text: str
    steps: tuple[tuple[object, str], ...]

    def __str__(self) -> str:
        return self.text


def path_to(pool: Pool, obj: object) -> Path | None:
    """See pool.why()."""
    if not isinstance(obj, Persistent):
        raise TypeError(
            f"why() takes a persistent object, not a {type(obj).__name__}: values have one owner each"
        )
    if obj._p_mm is not pool:
        raise errors.CrossPoolError(
            f"this {type(obj).__name__} lives in {obj._p_mm.path}, not in {pool.path}"
        )
    found = Checker(pool).lead_to(_core.object_at(obj))
    return None if found is None else Path(*found)


def check_file(open_pool: Callable[..., Any], path: FilePath, progress: Progress | None) -> Report:
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
