"""The process that opens images: what does the library make of what a crash has left?

Never a fork of the process that explores: libpmemobj must not know the pool, nor may threads be missing.  It lives
until it dies of an image.  Its files lie in a directory of its own, best in memory: nothing of
them has to survive.
"""

import os
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from pmemobj import _core
from pmemobj import pool as pools
from pmemobj.testing.disk import Base
from pmemobj.testing.images import Names

__all__ = ["Job", "NewBase", "Outcome", "Questions", "serve"]

PAGE = 4096
#: Small journals: less to write and to compare, and every boundary is met soon.
SMALL_JOURNAL = {"first_segment": 1 << 16, "max_segment": 1 << 16, "limit": 1 << 19, "ring": 1 << 16}


@dataclass(frozen=True)
class Questions:
    """What is asked of every image.  pool: the file's name; options: of pmemobj.open; observe: pool -> its state, to
    be compared with ==; check: raises if something is wrong."""

    pool: str
    options: dict[str, Any]
    observe: Callable[[Any], Any]
    check: Callable[[Any], None] | None


class Job(NamedTuple):
    """names and changes: as in Image, on top of base.  power: the system was restarted, too.  trace: of the
    recovery."""

    names: Names
    changes: tuple[tuple[int, int, bytes], ...]
    base: Base | None
    power: bool
    trace: bool = False


class NewBase(NamedTuple):
    """What the following jobs' changes are on top of: these contents, and if not `whole` those that were there."""

    whole: bool
    files: dict[int, dict[int, bytes]]


class Outcome(NamedTuple):
    """state: what was observed; absent: there is no pool file; error: what is wrong, and nothing else counts."""

    state: Any = None
    absent: bool = False
    error: str | None = None
    trace: bytes | None = None


class Content:
    """Of a file: pages by their offsets; those that are not there are zeros."""

    def __init__(self) -> None:
        self.pages: dict[int, bytearray] = {}
        self._runs: list[tuple[int, bytes]] = []

    def write(self, offset: int, content: bytes) -> None:
        put(self.pages, offset, content)
        self._runs.clear()

    def runs(self) -> list[tuple[int, bytes]]:
        """(offset, bytes) of pages that are neighbours."""
        if not self._runs:
            found: list[tuple[int, list[bytearray]]] = []
            end = -1
            for offset in sorted(self.pages):
                if offset != end:
                    found.append((offset, []))
                found[-1][1].append(self.pages[offset])
                end = offset + PAGE
            self._runs = [(offset, b"".join(parts)) for offset, parts in found]
        return self._runs


def put(pages: dict[int, bytearray], offset: int, content: bytes) -> None:
    """A block, which never crosses the end of a page."""
    page = pages.get(offset // PAGE * PAGE)
    if page is None:
        page = pages[offset // PAGE * PAGE] = bytearray(PAGE)
    page[offset % PAGE : offset % PAGE + len(content)] = content


class Bench:
    """The directory in which images are laid out."""

    def __init__(self, directory: str, questions: Questions):
        self.directory = directory
        self.questions = questions
        self.base: dict[int, Content] = {}

    def set_base(self, base: NewBase) -> None:
        if base.whole:
            self.base = {}
        for ino, blocks in base.files.items():
            content = self.base.setdefault(ino, Content())
            for offset, block in blocks.items():
                content.write(offset, block)

    def lay_out(self, job: Job) -> None:
        for name in os.listdir(self.directory):
            os.unlink(os.path.join(self.directory, name))
        changed: dict[int, dict[int, bytearray]] = {}
        for ino, offset, block in job.changes:
            pages = changed.setdefault(ino, {})
            at = offset // PAGE * PAGE
            if at not in pages and ino in self.base and at in self.base[ino].pages:
                pages[at] = self.base[ino].pages[at].copy()
            put(pages, offset, block)
        made: dict[int, str] = {}
        for name, (ino, size) in job.names.items():
            path = os.path.join(self.directory, name)
            if ino in made:
                os.link(made[ino], path)
                continue
            made[ino] = path
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                for offset, content in self.base[ino].runs() if ino in self.base else ():
                    os.pwrite(file, content, offset)
                for offset, page in changed.get(ino, {}).items():
                    os.pwrite(file, page, offset)
                os.ftruncate(file, size)
            finally:
                os.close(file)

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
    """Answers each list of jobs and bases with the list of the jobs' outcomes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to handle
    pools.JOURNAL.update(SMALL_JOURNAL)
    _core._scratch_calls()
    bench = Bench(directory, questions)
    while True:
        try:
            messages = connection.recv()
        except EOFError:
            return
        outcomes = []
        for message in messages:
            if isinstance(message, NewBase):
                bench.set_base(message)
            else:
                outcomes.append(bench.look(message))
        connection.send(outcomes)
