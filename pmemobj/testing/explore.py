"""explore(): runs operations on a pool, and then every crash that could have happened meanwhile."""

import collections
import linecache
import os
import pickle
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from pmemobj import pool as pools
from pmemobj.testing.crew import Crew, Keyed
from pmemobj.testing.disk import SECTOR, WORD, Cut, Disk, Event, Kind
from pmemobj.testing.faults import Faults, kills, sweep
from pmemobj.testing.images import Budget, Choice, Image, Images, digest
from pmemobj.testing.naming import about, told
from pmemobj.testing.record import Run, Step, record
from pmemobj.testing.tokens import keep, wrong
from pmemobj.testing.trials import Program, testcapi
from pmemobj.testing.worker import Job, Outcome, Questions

__all__ = ["Bug", "CrashError", "Report", "explore"]

NAME = "explored.pool"
OPTIONS: dict[str, Any] = {"max_size": 8 << 20, "sync": "commit", "engine": "journal"}
MOST_BUGS = 20
MINIMISED = 3  # bugs of one moment; the others are as a rule the same


class CrashError(AssertionError):
    """A crash loses or damages something.  report: the whole Report."""

    def __init__(self, report: "Report"):
        super().__init__(str(report))
        self.report = report


@dataclass(frozen=True)
class Bug:
    """What is wrong; at which moment; which writes were lost.  step: index of the operation that was under way,
    or that had just ended; event: number of the moment; line: of the program, and its text; token: for replay()."""

    what: str
    moment: str
    step: int
    lost: tuple[str, ...]
    nested: bool = False
    event: int | None = None
    line: str = ""
    token: str | None = None

    def __str__(self) -> str:
        lost = "".join(f"\n    lost: {text}" for text in self.lost)
        inside = " inside recovery" if self.nested else ""
        number = "" if self.event is None else f" (moment {self.event})"
        line = f"\n    the program was at {self.line}" if self.line else ""
        token = f"\n    again: pmemobj.testing.replay({self.token!r})" if self.token else ""
        return f"crash{inside} {self.moment}{number}: {self.what}{line}{lost}{token}"


COUNTS = (
    *("steps", "cuts", "images", "kills", "power_losses", "nested", "sampled", "seconds"),
    *("failed_calls", "full_pools", "failed_memory", "killed_processes"),
)
#: Kinds of trials, and what counts them.
TRIALS = {"io": "failed_calls", "full": "full_pools", "memory": "failed_memory"}


@dataclass
class Report:
    """What was explored.

    cuts: moments at which the power failed or the program was killed; images: that were opened; states: different
    ones among what they were recovered to; kills, power_losses, nested: images by their kind; sampled: cuts of which
    not every image was made; failed_calls, full_pools, failed_memory: trials in which a file call failed, there was no
    room, or an allocation of Python failed; killed_processes; notes: what was asked for and could not be done; bugs:
    what was found; seconds.
    """

    cuts: int = 0
    images: int = 0
    kills: int = 0
    power_losses: int = 0
    nested: int = 0
    sampled: int = 0
    failed_calls: int = 0
    full_pools: int = 0
    failed_memory: int = 0
    killed_processes: int = 0
    seconds: float = 0.0
    steps: int = 0
    notes: list[str] = field(default_factory=list)
    bugs: list[Bug] = field(default_factory=list)
    found: collections.Counter[str] = field(default_factory=collections.Counter)

    @property
    def ok(self) -> bool:
        return not self.bugs

    @property
    def states(self) -> int:
        return len(self.found)

    def add(self, other: "Report") -> None:
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.notes += [note for note in other.notes if note not in self.notes]
        self.bugs += other.bugs
        self.found += other.found

    def __str__(self) -> str:
        lines = [
            f"{self.steps} operations, {self.cuts} moments, {self.images} images ({self.kills} kills, "
            f"{self.power_losses} power losses, {self.nested} of them inside recovery), {self.states} states, "
            f"{self.seconds:.1f} s"
        ]
        if any((self.failed_calls, self.full_pools, self.failed_memory, self.killed_processes)):
            lines.append(
                f"{self.failed_calls} file calls failed, {self.full_pools} times the pool was full, "
                f"{self.failed_memory} allocations failed, {self.killed_processes} processes were killed"
            )
        lines += [f"NOT DONE: {note}" for note in self.notes]
        if self.sampled:
            lines.append(f"SAMPLED: of {self.sampled} moments not every image was made")
        lines += [str(bug) for bug in self.bugs] or ["no bugs"]
        return "\n".join(lines)


# --- the exploration


class _Legal(NamedTuple):
    """Which states may be found: those with these indices; absent: also that there is no pool."""

    first: int
    last: int
    absent: bool


class _Asked(NamedTuple):
    """What an image was about.  recovery: if the crash was inside that of another image, its trace, and the event;
    lost: what that one had lost."""

    event: int
    moment: str
    step: int
    legal: _Legal
    image: Image | None
    lost: tuple[tuple[Choice, str], ...] = ()
    recovery: tuple[bytes, int] | None = None
    line: int = 0


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


def fewest(items: list[int], fails: Callable[[Sequence[int]], bool]) -> list[int]:
    """Of items that fail together, some that still do, none of which can be left out: first halves are, then parts of
    half that size, and so on.  One of n is found by 2 log n questions.

    Source: A. Zeller, R. Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002 (ddmin, complements).
    """
    size = len(items)
    while items:
        size = (size + 1) // 2
        at = 0
        while at < len(items):
            rest = items[:at] + items[at + size :]
            if fails(rest):
                items = rest
            else:
                at += size
        if size == 1:
            break
    return items


class _Explorer:
    def __init__(
        self,
        run: Run,
        crew: Crew,
        budget: Budget,
        faults: Faults | Iterable[str],
        *,
        durable: bool,
        create: bool,
        around: bool,
        ignored_sync: int | None = None,
    ):
        self.run = run
        self.crew = crew
        self.budget = budget
        self.faults = Faults.of(faults)
        self.durable = durable  # is every finished step?
        self.create = create
        self.around = around  # also while the pool is opened and closed?
        self.unit = WORD if crew.questions.options.get("engine") == "direct" else SECTOR
        self.ignored = ignored_sync
        self.stops = ignored_sync is not None  # at the first bug
        self.report = Report()
        self.seen: set[int] = set()
        self.killed: set[int] = set()
        self.begun = self.ended = 0
        self.steps = len(run.states) - 1
        self.recoveries: collections.deque[tuple[_Asked, bytes]] = collections.deque()

    def explore(self) -> Report:
        start = time.monotonic()
        failed = []
        jobs = self._jobs()
        while True:
            for asked, outcome in self.crew.run(jobs):
                if not self._judge(asked, outcome):
                    failed.append((len(self.report.bugs) - 1, asked))
                    if self.stops:
                        break
                if outcome.trace is not None:
                    self.recoveries.append((asked, outcome.trace))
            if not self.recoveries or (self.stops and failed):
                break
            jobs = self._inside_recoveries()
        for number, asked in failed[:MINIMISED]:
            if asked.image is None:
                again = self._images_again(asked)
                self._keep(number, asked, self._killed(again.cut, again)[1])
            else:
                self._minimise(number, asked)
        self.report.steps = self.steps
        self.report.seconds = time.monotonic() - start
        return self.report

    def disturb(self, program: Program) -> Report:
        """Operations that fail, and processes that are killed; into the same report."""
        start = time.monotonic()
        if any(self.faults.each()) or self.faults.processes:
            try:
                pickle.dumps(program)
            except (pickle.PicklingError, AttributeError, TypeError) as error:
                raise TypeError(
                    "with the faults io, full, memory and processes the operations and the factory run in other "
                    f"processes, so they must be importable: {error}"
                ) from None
        if any(self.faults.each()):
            for done in sweep(self.crew, program, self.faults):
                name = TRIALS[done.kind]
                setattr(self.report, name, getattr(self.report, name) + done.points)
                for where, what in done.problems:
                    self._add_bug(Bug(what, where, done.step, ()))
        if self.faults.memory and testcapi is None:
            self.report.notes.append(
                "allocations of Python cannot be made to fail: there is no module _testcapi"
            )
        if self.faults.processes:
            for killed in kills(self.crew, program, self.faults.processes, self.budget.seed):
                self.report.killed_processes += 1
                floor = killed.ended
                wrong = self._wrong(killed.outcome, _Legal(floor, killed.begun, absent=False))
                if wrong is not None:
                    where = f"(a process was killed {killed.at}, {killed.ended} steps were acknowledged)"
                    self._add_bug(Bug(wrong, where, max(0, killed.begun - 1), ()))
        self.report.seconds += time.monotonic() - start
        return self.report

    def _add_bug(self, bug: Bug) -> None:
        if len(self.report.bugs) < MOST_BUGS:
            self.report.bugs.append(bug)

    # --- what is asked

    def _jobs(self) -> Iterator[Keyed]:
        """Of every moment.  Made while earlier ones are worked at: an image holds nothing that the replay changes."""
        disk = Disk(self.unit, self.ignored)
        for event in disk.replay(self.run.trace):
            if event.kind is Kind.MARK:
                self.begun, self.ended = event.offset // 2 + 1, (event.offset + 1) // 2
            if not self.around and (
                self.begun == 0 or (self.ended == self.steps and event.kind is not Kind.MARK)
            ):
                continue
            cut = disk.cut(event)
            images = Images(cut, self.budget, self.seen)
            if self.faults.kill and event.kind in KILL_CUTS[self.unit]:
                yield from self._kill(cut, images)
            if self.faults.power and event.kind in POWER_CUTS[self.unit]:
                yield from self._power(cut, images)
            yield from self._inside_recoveries()

    def _asked(self, cut: Cut, image: Image | None) -> _Asked:
        floor = self.ended if self.durable or image is None else 0
        legal = _Legal(floor, self.begun, absent=self.create and self.begun == 0)
        return _Asked(
            cut.event.number, self._moment(cut), max(0, self.begun - 1), legal, image, line=cut.event.line
        )

    def _moment(self, cut: Cut) -> str:
        text = MOMENTS[cut.event.kind].format(name=cut.name_of(cut.event.ino))
        if self.begun == 0:
            return f"{text}, while the pool is opened"
        return (
            f"{text}, in step {self.begun - 1}"
            if self.ended < self.begun
            else f"{text}, after step {self.ended - 1}"
        )

    def _kill(self, cut: Cut, images: Images) -> Iterator[Keyed]:
        found, job = self._killed(cut, images)
        if found not in self.killed:
            self.killed.add(found)
            self.report.cuts += 1
            self.report.kills += 1
            yield self._asked(cut, None), job

    @staticmethod
    def _killed(cut: Cut, images: Images) -> tuple[int, Job]:
        """The page cache survives the program."""
        names = {name: (ino, cut.files[ino].size) for name, ino in cut.names.items()}
        found = digest(names, {ino: cut.files[ino].known for ino, _size in names.values()})
        return found, Job(names, (), cut.base, power=False, layer=images.layer)

    def _power(self, cut: Cut, images: Images) -> Iterator[Keyed]:
        made = before = self.report.power_losses - self.report.nested
        for image in images:
            self.report.power_losses += 1
            made += 1
            nested = self.budget.nested
            trace = bool(nested) and made % nested == nested // 2
            yield self._asked(cut, image), _job(image, images, trace)
        self.report.cuts += made > before
        self.report.sampled += images.sampled

    def _inside_recoveries(self) -> Iterator[Keyed]:
        """The power fails again while the open repairs what the first failure has left."""
        few = Budget(exhaustive=4, random=8, per_cut=40, nested=0, seed=self.budget.seed)
        while self.recoveries:
            asked, trace = self.recoveries.popleft()
            disk = Disk(self.unit)
            for event in disk.replay(trace):
                if event.kind in POWER_CUTS[self.unit]:
                    cut = disk.cut(event)
                    moment = MOMENTS[event.kind].format(name=cut.name_of(event.ino))
                    lost = asked.image.lost if asked.image else ()
                    images = Images(cut, few, self.seen)
                    for image in images:
                        self.report.power_losses += 1
                        self.report.nested += 1
                        yield (
                            asked._replace(
                                moment=f"{moment}, after one {asked.moment}",
                                image=image,
                                lost=lost,
                                recovery=(trace, event.number),
                            ),
                            _job(image, images),
                        )

    # --- what is answered

    def _judge(self, asked: _Asked, outcome: Outcome) -> bool:
        self.report.images += 1
        wrong = self._wrong(outcome, asked.legal)
        if wrong is None:
            self.report.found[repr(outcome.state)[:1000]] += 1
            return True
        lost = (*asked.lost, *(asked.image.lost if asked.image else ()))
        self._add_bug(
            Bug(
                wrong,
                asked.moment,
                asked.step,
                self._texts(lost),
                asked.recovery is not None,
                asked.event,
                self._line(asked.line),
            )
        )
        return False

    def _wrong(self, outcome: Outcome, legal: _Legal) -> str | None:
        return wrong(outcome, self.run.states[legal.first : legal.last + 1], legal.absent)

    def _minimise(self, number: int, asked: _Asked) -> None:
        """Gives lost writes back, as long as the bug remains one; replaces its list."""
        assert asked.image is not None
        images = self._images_again(asked)
        newest = tuple(len(choice.values) - 1 for choice in images.choices)
        lost = {place: pick for place, pick in enumerate(asked.image.picks) if pick != newest[place]}
        bug = self.report.bugs[number]
        what = bug.what

        def is_bug(places: Sequence[int]) -> bool:
            nonlocal what
            image = images.image(True, {place: lost[place] for place in places})
            ((_key, outcome),) = self.crew.run([(None, _job(image, images))])
            found = self._wrong(outcome, asked.legal)
            what = found or what
            return found is not None

        last = images.image(True, {place: lost[place] for place in fewest(list(lost), is_bug)})
        names = self._names(images, [choice for choice, _state in last.lost])
        texts = (*self._texts(asked.lost), *self._texts(last.lost, names))
        self.report.bugs[number] = replace(bug, what=what, lost=texts)
        self._keep(number, asked, _job(last, images))

    def _names(self, images: Images, lost: Sequence[Choice]) -> dict[Choice, str]:
        """What is in these writes, as the pool has it when nothing is lost."""
        found = {choice: about(choice, images.cut, self.crew.questions.pool) for choice in lost}
        words = tuple({at: None for one in found.values() if one for at in one.words})
        known: dict[int, str] = {}
        if words:
            _digest, job = self._killed(images.cut, images)
            ((_key, outcome),) = self.crew.run([(None, job._replace(named=words))])
            known = dict(zip(words, outcome.state or (), strict=False))
        return {
            choice: told(one.what, [known[at] for at in one.words if at in known])
            for choice, one in found.items()
            if one
        }

    def _texts(
        self, lost: Iterable[tuple[Choice, str]], names: dict[Choice, str] | None = None
    ) -> tuple[str, ...]:
        texts = []
        for choice, state in lost:
            line = self._line(choice.line)
            name = (names or {}).get(choice)
            texts.append(
                (f"{name}: " if name else "")
                + f"{choice} ({state})"
                + (f", written at {line}" if line else "")
            )
        return tuple(texts)

    def _line(self, number: int) -> str:
        if not 0 < number <= len(self.run.lines):
            return ""
        file, line = self.run.lines[number - 1]
        return f"{os.path.basename(file)}:{line}: {linecache.getline(file, line).strip()}"

    def _keep(self, number: int, asked: _Asked, job: Job) -> None:
        legal = self.run.states[asked.legal.first : asked.legal.last + 1]
        token = keep(self.crew.questions, job, legal, asked.legal.absent)
        self.report.bugs[number] = replace(self.report.bugs[number], token=token)

    def _images_again(self, asked: _Asked) -> Images:
        """Of a moment that has passed."""
        disk, trace, number = Disk(self.unit, self.ignored), self.run.trace, asked.event
        if asked.recovery is not None:
            disk = Disk(self.unit)
            trace, number = asked.recovery
        event: Event = next(event for event in disk.replay(trace) if event.number == number)
        return Images(disk.cut(event), self.budget)


def _job(image: Image, images: Images, trace: bool = False) -> Job:
    layer = images.layer if image.newest else None
    return Job(image.names, image.differences, images.cut.base, power=True, trace=trace, layer=layer)


def whole_root(pool: pools.PersistentObjectPool) -> object:
    """The state of a pool whose root leads to plain containers only."""
    return pool.to_python(pool.root)


def explore(
    steps: Step | Sequence[Step],
    factory: Step | None = None,
    *,
    observe: Callable[[Any], Any] = whole_root,
    check: Callable[[Any], None] | None = None,
    faults: Faults | Iterable[str] = ("power", "kill"),
    budget: Budget | None = None,
    create: bool = False,
    workers: int | None = None,
    **options: Any,
) -> Report:
    """Runs operations on a new pool and then opens everything that a crash meanwhile could have left.

    steps: one function of the pool, or several, one after the other.  Each must be one operation or transaction.
    factory: prepares the pool; a crash in it is not explored.
    observe: what counts as the pool's state; by default the root as plain builtins.  It and `check`, which may
        raise, are called in other processes, so they must be importable; once for images that become the same pool.
    faults: a Faults, or names of its fields: "power", the machine dies: what was not synced is on the disk or not, in
        any order; "kill": only the program does; and others, for which the operations have to be importable, too.
    budget: how many images are made where it is too many for all of them.
    create: also the making of the pool is explored; there is no factory then.
    workers: processes that open images; by default one for each processor.
    options: of pmemobj.open; sync is "commit" unless given.

    Every image has to open, to be found free of faults and leaks by pool.check(), to be in the state before or after
    the step that was under way (with another sync policy than "commit": after any earlier one), and one more
    operation has to work.  Report.bugs says what did not hold.
    """
    faults = Faults.of(faults)
    if create and factory is not None:
        raise ValueError("with create=True the pool begins empty: there is nothing for a factory to do")
    each = [steps] if callable(steps) else list(steps)
    questions = Questions(NAME, {**OPTIONS, **options}, observe, check)
    crew = Crew(workers or os.cpu_count() or 1, questions)
    try:
        return explore_with(crew, each, factory, faults, Budget.chosen(budget), create=create)
    finally:
        crew.close()


def explore_with(
    crew: Crew,
    steps: Sequence[Step],
    factory: Step | None,
    faults: Faults | Iterable[str],
    budget: Budget,
    *,
    create: bool = False,
    around: bool = True,
) -> Report:
    """As explore(), with workers that are there already.  around: also the open and the close are explored."""
    run = record(steps, factory, crew.questions, create)
    if create:
        run.states.insert(0, None)
    durable = crew.questions.options["sync"] == "commit"
    explorer = _Explorer(run, crew, budget, faults, durable=durable, create=create, around=around)
    explorer.explore()
    return explorer.disturb(Program(factory, tuple(steps)))
