"""The process that opens images: what does the library make of what a crash has left?

Never a fork of the process that explores: libpmemobj must not know the pool, nor may threads be missing.  It lives
until it dies of an image.  Its files lie in a directory of its own, best in memory: nothing of
them has to survive.
"""

import gc
import hashlib
import os
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from pmemobj import _core
from pmemobj import pool as pools
from pmemobj._check import Namer
from pmemobj.testing.disk import Base, Layer
from pmemobj.testing.images import Changes, Names
from pmemobj.testing.slim import SMALL_JOURNAL
from pmemobj.testing.trials import Program, Stage, Trial, Tried

__all__ = ["Found", "Job", "NewBase", "Outcome", "Questions", "serve"]

PAGE = 4096


@dataclass(frozen=True)
class Questions:
    """What is asked of every image.  pool: the file's name; options: of pmemobj.open; observe: pool -> its state, to
    be compared with ==; check: raises if something is wrong; both depend on the files alone."""

    pool: str
    options: dict[str, Any]
    observe: Callable[[Any], Any]
    check: Callable[[Any], None] | None


class Job(NamedTuple):
    """names: as in Image; changes: on top of base, and of the layer if there is one.  power: the system was restarted,
    too.  trace: of the recovery.  layered: the layer is the one that was sent last.  named: words of the pool file, by
    their offsets, whose names are asked for, and nothing else."""

    names: Names
    changes: Changes
    base: Base | None
    power: bool
    trace: bool = False
    layer: Layer | None = None
    layered: bool = False
    named: tuple[int, ...] = ()


class Found(NamedTuple):
    """Files that a killed process has left in a directory."""

    directory: str
    base: None = None


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
    tried: Tried | None = None


class Content:
    """Of a file: pages by their offsets; those that are not there are zeros."""

    def __init__(self) -> None:
        self.size = 0
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


NOTHING = Content()
#: By file and offset.
Pages = dict[int, dict[int, bytearray]]
MOST_KNOWN = 4096


def extents(file: int) -> Iterator[tuple[int, int]]:
    """Where a file is no hole."""
    end = 0
    while True:
        try:
            start = os.lseek(file, end, os.SEEK_DATA)
        except OSError:  # there is none behind it
            return
        end = os.lseek(file, start, os.SEEK_HOLE)
        yield start, end


def put(pages: dict[int, bytearray], offset: int, content: bytes) -> None:
    """A block, which never crosses the end of a page."""
    page = pages.get(offset // PAGE * PAGE)
    if page is None:
        page = pages[offset // PAGE * PAGE] = bytearray(PAGE)
    page[offset % PAGE : offset % PAGE + len(content)] = content


class _Known(Exception):
    """Recovery has made what it made before."""

    def __init__(self, outcome: Outcome):
        super().__init__()
        self.outcome = outcome


class Bench:
    """The directory in which images are laid out.

    Most images of a run are recovered to the same few pools, byte by byte.  What follows recovery depends on nothing
    but these bytes (of the journal that is left no open reads anything: it makes a new one in its place).  So each is
    opened and examined once.
    """

    def __init__(self, directory: str, questions: Questions):
        self.directory = directory
        self.questions = questions
        self.base: dict[int, Content] = {}
        self.layer: Pages = {}
        self.known: dict[bytes, Outcome] = {}

    def set_base(self, base: NewBase) -> None:
        if base.whole:
            self.base = {}
            self.known.clear()
        for ino, blocks in base.files.items():
            content = self.base.setdefault(ino, Content())
            for offset, block in blocks.items():
                content.write(offset, block)
        self.layer = {}

    def set_layer(self, layer: Layer) -> None:
        self.layer = {}
        changes = ((ino, at, block) for ino, blocks in layer.files.items() for at, block in blocks.items())
        self._change(self.layer, {}, changes)

    def _change(self, pages: Pages, below: Pages, changes: Iterable[tuple[int, int, bytes]]) -> None:
        """Into copies of the pages below."""
        for ino, offset, block in changes:
            changed = pages.setdefault(ino, {})
            at = offset // PAGE * PAGE
            if at not in changed:
                page = below.get(ino, {}).get(at) or self.base.get(ino, NOTHING).pages.get(at)
                if page is not None:
                    changed[at] = page.copy()
            put(changed, offset, block)

    def clear(self) -> None:
        for name in os.listdir(self.directory):
            os.unlink(os.path.join(self.directory, name))

    def lay_out(self, job: Job) -> None:
        self.clear()
        layer = self.layer if job.layered else {}
        changed: Pages = {}
        self._change(changed, layer, job.changes)
        made: dict[int, str] = {}
        for name, (ino, size) in job.names.items():
            path = os.path.join(self.directory, name)
            if ino in made:
                os.link(made[ino], path)
            else:
                made[ino] = path
                pages = layer.get(ino, {}) | changed.get(ino, {})
                self.write(path, self.base.get(ino, NOTHING), pages, size)

    @staticmethod
    def write(
        path: str, content: Content, changed: dict[int, bytearray] | None = None, size: int = -1
    ) -> None:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            for offset, run in content.runs():
                os.pwrite(file, run, offset)
            for offset, page in (changed or {}).items():
                os.pwrite(file, page, offset)
            os.ftruncate(file, content.size if size < 0 else size)
        finally:
            os.close(file)

    @staticmethod
    def load(path: str) -> Content:
        content = Content()
        with open(path, "rb") as file:
            content.size = os.fstat(file.fileno()).st_size
            for start, end in extents(file.fileno()):
                for at in range(start, end, PAGE):
                    content.write(at, os.pread(file.fileno(), PAGE, at))
        return content

    def look(self, job: Job) -> Outcome:
        self.lay_out(job)
        return self._names(job.named) if job.named else self._open(job.power, job.trace)

    def _names(self, offsets: tuple[int, ...]) -> Outcome:
        """state: what lies at these offsets once the image has been recovered."""
        try:
            with pools.open(
                os.path.join(self.directory, self.questions.pool), "w", **self.questions.options
            ) as pool:
                return Outcome(Namer(pool).names(offsets))
        except Exception as error:
            return Outcome(error=told(error, self.directory))

    def look_at(self, found: Found) -> Outcome:
        self.clear()
        for name in os.listdir(found.directory):
            os.rename(os.path.join(found.directory, name), os.path.join(self.directory, name))
        return self._open(power=False, trace=False)

    def _open(self, power: bool, trace: bool) -> Outcome:
        path = os.path.join(self.directory, self.questions.pool)
        if not os.path.lexists(path):
            return Outcome(absent=True)
        _core._trace_boot("a boot after the power failure" if power else None)
        seen = found = None

        def recovered(path: str) -> None:
            nonlocal found
            found = self._digest()
            if found in self.known:
                raise _Known(self.known[found])

        try:
            if trace:
                _core._trace_start(self.directory)
            else:
                _core._trace_recovered(recovered)
            try:
                pool = pools.open(path, "w", **self.questions.options)
            finally:
                _core._trace_boot(None)
                _core._trace_recovered(None)
                if trace:
                    seen = _core._trace_stop()
            with pool:
                outcome = Outcome(self.examine(pool))
        except _Known as known:
            return known.outcome
        except Exception as error:
            outcome = Outcome(error=told(error, self.directory))
        if found is not None and len(self.known) < MOST_KNOWN:
            self.known[found] = outcome
        return outcome._replace(trace=seen)

    def _digest(self) -> bytes:
        """Of all files; of the journal, that it is there."""
        digest = hashlib.sha256()
        for name in sorted(os.listdir(self.directory)):
            file = os.open(os.path.join(self.directory, name), os.O_RDONLY | os.O_CLOEXEC)
            try:
                digest.update(b"%b %d\0" % (os.fsencode(name), os.fstat(file).st_size))
                for start, end in () if name.endswith(_core.JOURNAL_SUFFIX) else extents(file):
                    digest.update(b"%d " % start)
                    digest.update(os.pread(file, end - start, start))
            finally:
                os.close(file)
        return digest.digest()

    def examine(self, pool: pools.PersistentObjectPool) -> Any:
        """The state; raises if anything is wrong."""
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


def told(error: Exception, directory: str) -> str:
    """The same for the same image, wherever it lies."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    text = str(error).replace(directory + os.sep, "")
    return f"{type(error).__name__}: {text} ({last.name}, line {last.lineno})"


def serve(connection: Connection, directory: str, questions: Questions) -> None:
    """Answers each list of jobs, and of what they are on top of, with the list of the jobs' outcomes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to handle
    pools.JOURNAL.update(SMALL_JOURNAL)
    _core._scratch_calls()
    gc.freeze()  # nothing of what is there by now will be garbage
    bench = Bench(directory, questions)
    stage: Stage | None = None
    while True:
        try:
            messages = connection.recv()
        except EOFError:
            return
        outcomes = []
        for message in messages:
            if isinstance(message, Questions):
                bench.clear()
                bench = Bench(directory, message)
            elif isinstance(message, NewBase):
                bench.set_base(message)
            elif isinstance(message, Layer):
                bench.set_layer(message)
            elif isinstance(message, Program):
                stage = Stage(bench, message)
            elif isinstance(message, Trial):
                assert stage is not None
                outcomes.append(Outcome(tried=stage.run(message)))
            elif isinstance(message, Found):
                outcomes.append(bench.look_at(message))
            else:
                outcomes.append(bench.look(message))
        connection.send(outcomes)
