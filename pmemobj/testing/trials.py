"""Operations that fail: worked through in the process that also opens images (see worker.py), from the same questions.

A trial runs one operation on a pool in the state before it, while the k-th file call fails, or the k-th allocation of
Python, or while the pool is full but for some blocks.  An operation that raises must have changed nothing, and one that
returns all that it does; the pool must be sound, lose no block, and go on working.  Where a failed call has made the
pool fail (PoolFailedError), that holds after it was closed and opened again, and either state is right.
"""

import contextlib
import errno
import importlib
import itertools
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, NamedTuple

from pmemobj import _core
from pmemobj import pool as pools
from pmemobj._list import PersistentList
from pmemobj.errors import PoolFailedError, PoolFullError
from pmemobj.testing.slim import SMALL_JOURNAL, slim

if TYPE_CHECKING:
    from pmemobj.testing.worker import Bench, Content, Questions

try:
    testcapi: Any = importlib.import_module("_testcapi")
except ImportError:  # an interpreter without its own tests
    testcapi = None

__all__ = ["Fault", "Program", "Stage", "Trial", "Tried", "run_and_die", "testcapi"]

Step = Callable[[pools.PersistentObjectPool], object]

#: Calls that can fail because of a disk; memory for a mapping is another matter, and nothing is read in an operation.
CALLS = tuple(kind for kind in _core._faults_counts() if kind not in ("pread", "mmap"))
QUIET = 20  # trials without a failure, one after the other: then there are no more allocations to fail
FILLERS = 4000
#: Bytes of texts that fill a pool: whole chunks, spans of pages, then the classes of small blocks.
LARGE, SIZES = 258_040, (65_528, 16_376, 4_088, 2_008, 1_000, 496, 248, 120, 56, 40, 24, 16, 8)
FEW = 4  # of each size at least are left to be released


class Program(NamedTuple):
    factory: Step | None
    steps: tuple[Step, ...]


class Fault(NamedTuple):
    """kind: "io", "full" or "memory"; error: of a file call, an errno, or 0 for a transfer that is cut short."""

    kind: str
    error: int = 0
    sticky: bool = False

    def __str__(self) -> str:
        if self.kind == "full":
            return "the pool is full"
        what = "memory" if self.kind == "memory" else errno.errorcode.get(self.error, "a short write")
        return f"{what}, from then on" if self.sticky else f"{what}, once"


class Trial(NamedTuple):
    """Numbers first, first + 1, ... of a fault in one step, `many` of them."""

    step: int
    fault: Fault
    first: int
    many: int


class Tried(NamedTuple):
    """points: at which the operation was disturbed; over: there are no more of them; bugs: (number, what is wrong)."""

    points: int
    over: bool
    bugs: tuple[tuple[int, str], ...]


class Stage:
    """Brings the pool into the state before each step, as often as it is needed."""

    def __init__(self, bench: "Bench", program: Program):
        self.bench = bench
        self.questions: Questions = bench.questions
        self.steps = program.steps
        self.path = os.path.join(bench.directory, self.questions.pool)
        self.states: list[Any] = []
        self.contents: list[Content] = []
        _core._trace_boot(None)
        _core._faults_install()
        bench.clear()
        pools.open(self.path, "x", **self.questions.options).close()
        slim(self.path)
        if program.factory is not None:
            self._do(program.factory)
        self._keep()
        for step in program.steps:
            self._do(step)
            self._keep()

    def _open(self) -> pools.PersistentObjectPool:
        return pools.open(self.path, "w", **self.questions.options)

    def _do(self, step: Step) -> None:
        with self._open() as pool:
            step(pool)

    def _keep(self) -> None:
        with self._open() as pool:
            self.states.append(self.questions.observe(pool))
        self.contents.append(self.bench.load(self.path))

    def run(self, trial: Trial) -> Tried:
        points = quiet = 0
        bugs = []
        for number in range(trial.first, trial.first + trial.many):
            self.bench.clear()
            self.bench.write(self.path, self.contents[trial.step])
            try:
                hit = TRIALS[trial.fault.kind](self, trial.step, trial.fault, number)
            except Exception as error:
                hit = True
                bugs.append((number, f"{type(error).__name__}: {error}"))
            points += hit
            quiet = 0 if hit else quiet + 1
            if quiet > (QUIET if trial.fault.kind == "memory" else 0):
                return Tried(points, True, tuple(bugs))
        return Tried(points, False, tuple(bugs))

    # --- what all of them ask

    def _attempt(self, pool: pools.PersistentObjectPool, step: int) -> Exception | None:
        try:
            self.steps[step](pool)
        except Exception as error:
            return error
        return None

    def _compare(
        self, pool: pools.PersistentObjectPool, step: int, error: Exception | None, failed: bool
    ) -> Any:
        """The state; raises if it is none that may follow."""
        before, after = self.states[step : step + 2]
        found = self.questions.observe(pool)
        legal = [after] if error is None else [before, after] if failed else [before]
        if found not in legal:
            how = (
                "the operation returned" if error is None else f"{type(error).__name__} was raised ({error})"
            )
            raise AssertionError(f"{how}, and the state is {found!r}")
        if isinstance(error, SystemError):
            raise error
        return found

    def _reopen(self, step: int, error: Exception | None, failed: bool) -> None:
        with self._open() as pool:
            self._compare(pool, step, error, failed)
            self.bench.examine(pool)

    def _fail_call(self, step: int, fault: Fault, number: int) -> bool:
        cut = fault.error == 0
        pool = self._open()
        _core._faults_arm(
            ("pwrite",) if cut else CALLS, number + 1, fault.error, sticky=fault.sticky, cut=cut
        )
        failed = False
        try:
            error = self._attempt(pool, step)
            failed = isinstance(error, PoolFailedError)
            with contextlib.suppress(PoolFailedError):
                pool.sync()  # a thread of the journal may have met the fault: it is known to the next one who asks
            self._compare(pool, step, error, failed)
        finally:
            with contextlib.suppress(OSError):
                pool.close()
            hits = _core._faults_hits()[1]
            _core._faults_disarm()
        self._reopen(step, error, failed)
        return bool(hits)

    def _fill(self, step: int, fault: Fault, number: int) -> bool:
        with self._open() as pool:
            filler = pool.new(PersistentList, [None] * FILLERS)
            used = fill(filler)
            for places in used[:number]:
                for place in places:
                    filler[place] = None
            error = self._attempt(pool, step)
            if error is not None and number >= len(used):
                raise error  # the empty pool is not enough either
            state = self._compare(pool, step, error, failed=False)
            del filler
            if self.bench.examine(pool) != state:
                raise AssertionError("the state changes with the room there is")
        self._reopen(step, error, failed=False)
        return error is not None

    def _starve(self, step: int, fault: Fault, number: int) -> bool:
        with self._open() as pool:
            operation = self.steps[step]
            error: Exception | None = None
            testcapi.set_nomemory(number, 0 if fault.sticky else number + 1)
            try:
                operation(pool)
            except Exception as raised:
                error = raised
            finally:
                testcapi.remove_mem_hooks()
            self._compare(pool, step, error, failed=False)
            self.bench.examine(pool)
        self._reopen(step, error, failed=False)
        return error is not None


TRIALS = {"io": Stage._fail_call, "full": Stage._fill, "memory": Stage._starve}


def fill(filler: Any) -> list[list[int]]:
    """Takes all room there is; gives the places that hold something, in the order in which to release them: from the
    smallest blocks on, some of each size one by one, then the others."""
    places = iter(range(FILLERS))
    groups: list[list[int]] = []

    def take(size: int, most: int) -> list[int]:
        used: list[int] = []
        for place in itertools.islice(places, most):
            try:
                filler[place] = "f" * size
            except PoolFullError:
                break
            used.append(place)
        return used

    large = take(LARGE, FILLERS // 2)
    for place in large[-2:]:
        filler[place] = None
    for used in (large[:-2], *(take(size, FEW if size > SIZES[2] else FILLERS) for size in SIZES)):
        if used[FEW:]:
            groups.append(used[FEW:])
        groups += [[place] for place in used[:FEW]]
    return groups[::-1]


def run_and_die(
    connection: Connection, directory: str, questions: "Questions", program: Program, kill_at: int
) -> None:
    """The steps, each acknowledged through `connection` when it is done; killed at that event (-1: never), or by
    whoever holds the other end."""
    pools.JOURNAL.update(SMALL_JOURNAL)
    _core._scratch_calls()
    path = os.path.join(directory, questions.pool)
    pools.open(path, "x", **questions.options).close()
    slim(path)
    with pools.open(path, "w", **questions.options) as pool:
        if program.factory is not None:
            program.factory(pool)
    connection.send("ready")
    _core._trace_start(directory, kill_at if kill_at > 0 else (1 << 64) - 1)
    with pools.open(path, "w", **questions.options) as pool:
        for number, step in enumerate(program.steps):
            connection.send(("begun", number))
            step(pool)
            connection.send(("ended", number))
    connection.send(("events", _core._trace_count()))
