"""The process that opens images: what does the library make of what a crash has left?

A fresh interpreter (multiprocessing's "spawn"), never a fork: libpmemobj must not know the pool, nor may threads
be missing.  It lives until it dies of an image.  Its files lie in a directory of its own, best in memory: nothing of
them has to survive.
"""

import os
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from pmemobj import _core
from pmemobj import pool as pools
from pmemobj.testing.images import Files

GAP = 32768  # bytes; to write zeros is quicker than another call

__all__ = ["Job", "Outcome", "Questions", "serve"]

#: Small journals: less to write and to compare, and every boundary is met soon.
SMALL_JOURNAL = {"first_segment": 1 << 16, "max_segment": 1 << 16, "limit": 1 << 19, "ring": 1 << 16}


@dataclass(frozen=True)
class Questions:
    """What is asked of every image.  pool: the file's name; options: of pmemobj.open; observe: pool -> its state, to
    be compared with ==; check: raises if something is wrong; power: the system was restarted, too."""

    pool: str
    options: dict[str, Any]
    observe: Callable[[Any], Any]
    check: Callable[[Any], None] | None


@dataclass(frozen=True)
class Job:
    """changes: on top of the files last sent as a base; files: instead of them.  trace: of the recovery."""

    changes: tuple[tuple[str, int, bytes], ...]
    files: Files | None
    power: bool
    trace: bool = False


@dataclass(frozen=True)
class Outcome:
    """state: what was observed; absent: there is no pool file; error: what is wrong, and nothing else counts."""

    state: Any = None
    absent: bool = False
    error: str | None = None
    trace: bytes | None = None


def _runs(blocks: dict[int, bytes]) -> list[tuple[int, bytes]]:
    """(offset, bytes) of blocks that are neighbours, or not far apart, with the zeros between them."""
    found: list[tuple[int, list[bytes]]] = []
    end = -GAP
    for offset in sorted(blocks):
        content = blocks[offset]
        if offset - end < GAP:
            if offset > end:
                found[-1][1].append(bytes(offset - end))
            found[-1][1].append(content)
        else:
            found.append((offset, [content]))
        end = offset + len(content)
    return [(offset, b"".join(parts)) for offset, parts in found]


class Bench:
    """The directory in which images are laid out."""

    def __init__(self, directory: str, questions: Questions):
        self.directory = directory
        self.questions = questions
        self.base: dict[str, tuple[int, list[tuple[int, bytes]]]] = {}

    def set_base(self, files: Files) -> None:
        self.base = {name: (size, _runs(blocks)) for name, (size, blocks) in files.items()}

    def lay_out(self, job: Job) -> None:
        for name in os.listdir(self.directory):
            os.unlink(os.path.join(self.directory, name))
        files = self.base
        if job.files is not None:
            files = {name: (size, _runs(blocks)) for name, (size, blocks) in job.files.items()}
        descriptors = {}
        try:
            for name, (size, runs) in files.items():
                path = os.path.join(self.directory, name)
                descriptors[name] = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                os.ftruncate(descriptors[name], size)
                for offset, content in runs:
                    os.pwrite(descriptors[name], content[: max(0, size - offset)], offset)
            for name, offset, content in job.changes:
                if name in files and offset < files[name][0]:
                    os.pwrite(descriptors[name], content[: files[name][0] - offset], offset)
        finally:
            for descriptor in descriptors.values():
                os.close(descriptor)

    def look(self, job: Job) -> Outcome:
        self.lay_out(job)
        path = os.path.join(self.directory, self.questions.pool)
        if not os.path.lexists(path):
            return Outcome(absent=True)
        _core._trace_boot("a boot after the power failure" if job.power else None)
        trace = None
        try:
            if job.trace:
                _core._trace_start(self.directory)
            try:
                pool = pools.open(path, "w", **self.questions.options)
            finally:
                if job.trace:
                    trace = _core._trace_stop()
            with pool:
                return Outcome(self._examine(pool), trace=trace)
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            return Outcome(
                error=f"{type(error).__name__}: {error} ({last.name}, line {last.lineno})", trace=trace
            )

    def _examine(self, pool: pools.PersistentObjectPool) -> Any:
        state = self.questions.observe(pool)
        if self.questions.check is not None:
            self.questions.check(pool)
        report = pool.check()
        if report.unreachable[0]:  # garbage in cycles is no leak
            pool.gc()
            report = pool.check()
        if not report.ok:
            raise AssertionError("; ".join(report.findings[:5]))
        if report.unreachable[0]:
            raise AssertionError(f"leaked {report.unreachable[0]} blocks, {report.unreachable[1]} bytes")
        # The pool is not only right but goes on working.
        with pool.transaction():
            before, pool.root = pool.root, ["one more operation", 1 << 70]
            pool.root.append("and another one, which needs a block")
            pool.root = before
        if self.questions.observe(pool) != state:
            raise AssertionError("one more operation changed what it should not")
        return state


def serve(connection: Connection, directory: str, questions: Questions) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to handle
    pools.JOURNAL.update(SMALL_JOURNAL)
    bench = Bench(directory, questions)
    while True:
        try:
            message = connection.recv()
        except EOFError:
            return
        if isinstance(message, Job):
            connection.send(bench.look(message))
        else:
            bench.set_base(message)
