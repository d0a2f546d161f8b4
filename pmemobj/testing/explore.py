"""explore(): runs operations on a pool, and then every crash that could have happened meanwhile."""

import collections
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from pmemobj import _core
from pmemobj import pool as pools
from pmemobj.testing.disk import SECTOR, WORD, Cut, Disk, Kind
from pmemobj.testing.images import Budget, Files, Image, Images, digest
from pmemobj.testing.scratch import Scratch
from pmemobj.testing.worker import SMALL_JOURNAL, Job, Outcome, Questions, serve

__all__ = ["Bug", "CrashError", "Report", "explore"]

NAME = "explored.pool"
OPTIONS: dict[str, Any] = {"max_size": 8 << 20, "sync": "commit", "engine": "journal"}
MOST_BUGS = 20
MINIMISED = 3  # bugs of one moment; the others are as a rule the same
PATIENCE = 60.0  # seconds until an image is said to hang

Step = Callable[[pools.PersistentObjectPool], object]


class CrashError(AssertionError):
    """A crash loses or damages something.  report: the whole Report."""

    def __init__(self, report: "Report"):
        super().__init__(str(report))
        self.report = report


@dataclass(frozen=True)
class Bug:
    """What is wrong; at which moment; which writes were lost.  step: index of the operation that was under way,
    or that had just ended."""

    what: str
    moment: str
    step: int
    lost: tuple[str, ...]
    nested: bool = False

    def __str__(self) -> str:
        lost = "".join(f"\n    lost: {text}" for text in self.lost)
        inside = " inside recovery" if self.nested else ""
        return f"crash{inside} {self.moment}: {self.what}{lost}"


@dataclass
class Report:
    """What was explored.

    cuts: moments at which the power failed or the program was killed; images: that were opened; states: different
    ones among what they were recovered to; kills, power_losses, nested: images by their kind; sampled: cuts of which
    not every image was made; bugs: what was found; seconds.
    """

    cuts: int = 0
    images: int = 0
    kills: int = 0
    power_losses: int = 0
    nested: int = 0
    sampled: int = 0
    seconds: float = 0.0
    steps: int = 0
    bugs: list[Bug] = field(default_factory=list)
    found: collections.Counter[str] = field(default_factory=collections.Counter)

    @property
    def ok(self) -> bool:
        return not self.bugs

    @property
    def states(self) -> int:
        return len(self.found)

    def add(self, other: "Report") -> None:
        for name in ("cuts", "images", "kills", "power_losses", "nested", "sampled", "seconds", "steps"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.bugs += other.bugs
        self.found += other.found

    def __str__(self) -> str:
        lines = [
            f"{self.steps} operations, {self.cuts} moments, {self.images} images ({self.kills} kills, "
            f"{self.power_losses} power losses, {self.nested} of them inside recovery), {self.states} states, "
            f"{self.seconds:.1f} s"
        ]
        if self.sampled:
            lines.append(f"SAMPLED: of {self.sampled} moments not every image was made")
        lines += [str(bug) for bug in self.bugs] or ["no bugs"]
        return "\n".join(lines)


# --- the workers


class Workers:
    """A few processes; run() gives outcomes as they come."""

    def __init__(self, count: int, questions: Questions):
        self.questions = questions
        self.context = multiprocessing.get_context("spawn")
        self.scratch = Scratch()
        self.base: Files = {}
        self.started = 0
        self.members = [self._start() for _ in range(count)]

    def _start(self) -> tuple[Any, Connection]:
        place = os.path.join(self.scratch.path, str(self.started))
        self.started += 1
        os.mkdir(place)
        ours, theirs = self.context.Pipe()
        process = self.context.Process(target=serve, args=(theirs, place, self.questions), daemon=True)
        process.start()
        theirs.close()
        if self.base:
            ours.send(self.base)
        return process, ours

    def set_base(self, base: Files) -> None:
        self.base = base
        for _process, connection in self.members:
            connection.send(base)

    def run(self, jobs: Iterable[tuple[Any, Job]]) -> Iterator[tuple[Any, Outcome]]:
        """(key, outcome) of every (key, job)."""
        waiting = iter(jobs)
        busy: dict[Any, tuple[int, Any, float]] = {}
        idle = list(range(len(self.members)))
        try:
            while True:
                while idle and (following := next(waiting, None)) is not None:
                    member = idle.pop()
                    self.members[member][1].send(following[1])
                    busy[self.members[member][1]] = (member, following[0], time.monotonic() + PATIENCE)
                if not busy:
                    return
                for connection in wait(list(busy), timeout=1.0):
                    member, key, _ = busy.pop(connection)
                    idle.append(member)
                    yield key, self._answer(member)
                for connection, (member, key, until) in list(busy.items()):
                    if time.monotonic() > until:
                        del busy[connection]
                        self._replace(member)
                        idle.append(member)
                        yield key, Outcome(error=f"hangs: no answer within {PATIENCE:.0f} s")
        finally:
            for member, _key, _until in busy.values():  # whoever asks no more leaves answers behind
                self._answer(member)

    def _answer(self, member: int) -> Outcome:
        process, connection = self.members[member]
        try:
            outcome: Outcome = connection.recv()
            return outcome
        except (EOFError, ConnectionError):
            process.join()
            code = process.exitcode
            self._replace(member)
            return Outcome(error=f"the process died (exit code {code})")

    def _replace(self, member: int) -> None:
        process, connection = self.members[member]
        process.kill()
        process.join()
        connection.close()
        self.members[member] = self._start()

    def close(self) -> None:
        for process, connection in self.members:
            connection.close()
            process.kill()
            process.join()
        self.scratch.close()


# --- the run that is traced


@dataclass
class _Run:
    """states: before the first step and after each; durable: how many of these the trace's end is sure to keep."""

    trace: bytes
    states: list[Any]


def _record(steps: Sequence[Step], factory: Step | None, questions: Questions, create: bool) -> _Run:
    """Marks 2i and 2i+1 stand around step i; the pool is opened under the trace, so that it knows all mappings."""
    scratch = Scratch()
    path = os.path.join(scratch.path, questions.pool)
    journal = dict(pools.JOURNAL)
    pools.JOURNAL.update(SMALL_JOURNAL)
    states = []
    try:
        if not create:
            with pools.open(path, "x", **questions.options) as pool:
                if factory is not None:
                    factory(pool)
                states.append(questions.observe(pool))
        _core._trace_start(scratch.path)
        try:
            with pools.open(path, "c", **questions.options) as pool:
                for number, step in enumerate(steps):
                    _core._trace_mark(2 * number)
                    step(pool)
                    _core._trace_mark(2 * number + 1)
                    states.append(questions.observe(pool))
        finally:
            trace = _core._trace_stop()
        return _Run(trace, states)
    finally:
        pools.JOURNAL.update(journal)
        scratch.close()


# --- the exploration


@dataclass(frozen=True)
class _Legal:
    """Which states may be found: those with these indices; absent: also that there is no pool."""

    first: int
    last: int
    absent: bool = False


MOMENTS = {
    Kind.SYNC_BEGIN: "before a sync of {name}",
    Kind.DIRECTORY_BEGIN: "before the sync of the directory",
    Kind.MARK: "at the end of a step",
    Kind.CALL: "at a file call",
    Kind.SYNC_END: "after a sync of {name}",
    Kind.DIRECTORY_END: "after the sync of the directory",
    Kind.START: "before everything",
    Kind.FLUSH: "at a flush",
    Kind.FENCE: "at a fence",
}

#: Before these; between two of them only fewer writes are pending.
POWER_CUTS = {
    SECTOR: {Kind.SYNC_BEGIN, Kind.DIRECTORY_BEGIN, Kind.MARK},
    WORD: {Kind.SYNC_BEGIN, Kind.DIRECTORY_BEGIN, Kind.MARK, Kind.FLUSH, Kind.FENCE},
}
KILL_CUTS = {SECTOR: set(Kind) - {Kind.FLUSH, Kind.FENCE}, WORD: set(Kind)}


class _Explorer:
    def __init__(
        self,
        run: _Run,
        workers: Workers,
        budget: Budget,
        faults: frozenset[str],
        *,
        durable: bool,
        create: bool,
        around: bool,
        ignored_sync: int | None = None,
    ):
        self.run = run
        self.workers = workers
        self.budget = budget
        self.faults = faults
        self.durable = durable  # is every finished step?
        self.create = create
        self.around = around  # also while the pool is opened and closed?
        self.unit = WORD if workers.questions.options.get("engine") == "direct" else SECTOR
        self.disk = Disk(self.unit, ignored_sync)
        self.stops = ignored_sync is not None  # at the first bug
        self.report = Report()
        self.seen: set[int] = set()
        self.killed: set[int] = set()
        self.begun = self.ended = 0
        self.steps = len(run.states) - 1

    def legal(self, power: bool) -> _Legal:
        floor = self.ended if self.durable or not power else 0
        return _Legal(floor, self.begun, absent=self.create and self.begun == 0)

    def explore(self) -> Report:
        start = time.monotonic()
        disk = self.disk
        for event in disk.replay(self.run.trace):
            if self.stops and self.report.bugs:
                break
            if event.kind is Kind.MARK:
                self.begun, self.ended = event.offset // 2 + 1, (event.offset + 1) // 2
            if not self.around and (
                self.begun == 0 or (self.ended == self.steps and event.kind is not Kind.MARK)
            ):
                continue
            cut = disk.cut(event)
            if "kill" in self.faults and event.kind in KILL_CUTS[self.unit]:
                self._kill(cut)
            if "power" in self.faults and event.kind in POWER_CUTS[self.unit]:
                self._power(cut)
        self.report.steps = self.steps
        self.report.seconds = time.monotonic() - start
        return self.report

    def _moment(self, cut: Cut) -> str:
        text = MOMENTS[cut.event.kind].format(name=cut.name_of(cut.event.ino))
        if self.begun == 0:
            return f"{text}, while the pool is opened"
        return (
            f"{text}, in step {self.begun - 1}"
            if self.ended < self.begun
            else f"{text}, after step {self.ended - 1}"
        )

    def _kill(self, cut: Cut) -> None:
        """The page cache survives the program."""
        files: Files = {name: (cut.files[ino].size, cut.files[ino].blocks) for name, ino in cut.names.items()}
        found = digest(files)
        if found in self.killed:
            return
        self.killed.add(found)
        jobs = [(None, Job((), files, power=False))]
        self.report.cuts += 1
        for _key, outcome in self.workers.run(jobs):
            self.report.images += 1
            self.report.kills += 1
            self._judge(outcome, self.legal(power=False), cut, ())

    def _power(self, cut: Cut) -> None:
        images = Images(cut, self.budget, self.seen)
        if not images.choices and not self._is_new(images):
            return
        self.report.cuts += 1
        legal = self.legal(power=True)
        self.workers.set_base(images.base)
        numbered = enumerate(images)
        jobs = (
            (image, Job(image.changes, image.files, power=True, trace=self._is_nested(number)))
            for number, image in numbered
        )
        traces, failed = [], []
        for image, outcome in self.workers.run(jobs):
            self.report.images += 1
            self.report.power_losses += 1
            if not self._judge(outcome, legal, cut, image.lost):
                failed.append((len(self.report.bugs) - 1, image))
                if self.stops:
                    break
            if outcome.trace is not None:
                traces.append((image, outcome.trace))
        self.report.sampled += images.sampled
        for number, image in failed[:MINIMISED]:
            self._minimise(number, images, image, legal)
        for image, trace in traces:
            self._inside_recovery(images, image, trace, legal)

    def _is_new(self, images: Images) -> bool:
        known = images.image(()).digest
        return known not in self.seen

    def _is_nested(self, number: int) -> bool:
        return bool(self.budget.nested) and number % self.budget.nested == 0

    def _inside_recovery(self, images: Images, image: Image, trace: bytes, legal: _Legal) -> None:
        """The power fails again while the open repairs what the first failure has left."""
        disk = Disk(self.unit)
        few = Budget(exhaustive=4, random=8, per_cut=40, nested=0, seed=self.budget.seed)
        for event in disk.replay(trace):
            if event.kind not in POWER_CUTS[self.unit]:
                continue
            cut = disk.cut(event)
            inner = Images(cut, few, self.seen)
            self.workers.set_base(inner.base)
            jobs = ((one, Job(one.changes, one.files, power=True)) for one in inner)
            for one, outcome in self.workers.run(jobs):
                self.report.images += 1
                self.report.power_losses += 1
                self.report.nested += 1
                self._judge(outcome, legal, cut, (*image.lost, *one.lost), nested=True)

    def _judge(
        self, outcome: Outcome, legal: _Legal, cut: Cut, lost: Iterable[Any], nested: bool = False
    ) -> bool:
        wrong = self._wrong(outcome, legal)
        if wrong is None:
            self.report.found[repr(outcome.state)[:1000]] += 1
            return True
        if len(self.report.bugs) < MOST_BUGS:
            texts = tuple(f"{choice} ({state})" for choice, state in lost)
            self.report.bugs.append(Bug(wrong, self._moment(cut), max(0, self.begun - 1), texts, nested))
        return False

    def _wrong(self, outcome: Outcome, legal: _Legal) -> str | None:
        if outcome.error is not None:
            return outcome.error
        if outcome.absent:
            return None if legal.absent else "the pool file is not there"
        if outcome.state in self.run.states[legal.first : legal.last + 1]:
            return None
        return (
            f"recovered to {outcome.state!r}, which is the state after none of the operations that may count"
        )

    def _minimise(self, number: int, images: Images, image: Image, legal: _Legal) -> None:
        """Gives back one lost write after the other, as long as the bug remains one; replaces its list."""
        bug = self.report.bugs[number]
        picks = list(image.picks)
        newest = images.newest()
        for place, new in enumerate(newest):
            if picks[place] == new:
                continue
            kept, picks[place] = picks[place], new
            again = images.image(tuple(picks))
            ((_key, outcome),) = self.workers.run([(None, Job(again.changes, again.files, power=True))])
            if self._wrong(outcome, legal) is None:
                picks[place] = kept
        lost = images.image(tuple(picks)).lost
        texts = tuple(f"{choice} ({state})" for choice, state in lost)
        self.report.bugs[number] = Bug(bug.what, bug.moment, bug.step, texts, bug.nested)


def whole_root(pool: pools.PersistentObjectPool) -> object:
    """The state of a pool whose root leads to plain containers only."""
    return pool.to_python(pool.root)


def explore(
    steps: Step | Sequence[Step],
    factory: Step | None = None,
    *,
    observe: Callable[[Any], Any] = whole_root,
    check: Callable[[Any], None] | None = None,
    faults: Iterable[str] = ("power", "kill"),
    budget: Budget | None = None,
    create: bool = False,
    workers: int | None = None,
    **options: Any,
) -> Report:
    """Runs operations on a new pool and then opens everything that a crash meanwhile could have left.

    steps: one function of the pool, or several, one after the other.  Each must be one operation or transaction.
    factory: prepares the pool; a crash in it is not explored.
    observe: what counts as the pool's state; by default the root as plain builtins.  It and `check`, which may
        raise, are called in other processes, so they must be importable.
    faults: "power", the machine dies: what was not synced is on the disk or not, in any order; "kill": only the
        program does.
    budget: how many images are made where it is too many for all of them.
    create: also the making of the pool is explored; there is no factory then.
    workers: processes that open images; by default one for each processor.
    options: of pmemobj.open; sync is "commit" unless given.

    Every image has to open, to be found free of faults and leaks by pool.check(), to be in the state before or after
    the step that was under way (with another sync policy than "commit": after any earlier one), and one more
    operation has to work.  Report.bugs says what did not hold.
    """
    unknown = set(faults) - {"power", "kill"}
    if unknown:
        raise ValueError(f"unknown faults {sorted(unknown)}: there are 'power' and 'kill'")
    if create and factory is not None:
        raise ValueError("with create=True the pool begins empty: there is nothing for a factory to do")
    each = [steps] if callable(steps) else list(steps)
    questions = Questions(NAME, {**OPTIONS, **options}, observe, check)
    crew = Workers(workers or os.cpu_count() or 1, questions)
    try:
        return explore_with(crew, each, factory, frozenset(faults), budget or Budget(), create=create)
    finally:
        crew.close()


def explore_with(
    crew: Workers,
    steps: Sequence[Step],
    factory: Step | None,
    faults: frozenset[str],
    budget: Budget,
    *,
    create: bool = False,
    around: bool = True,
) -> Report:
    """As explore(), with workers that are there already.  around: also the open and the close are explored."""
    run = _record(steps, factory, crew.questions, create)
    if create:
        run.states.insert(0, None)
    durable = crew.questions.options["sync"] == "commit"
    return _Explorer(run, crew, budget, faults, durable=durable, create=create, around=around).explore()
