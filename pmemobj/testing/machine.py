"""CrashMachine: hypothesis invents sequences of operations, and every one of them is explored."""

import atexit
import contextlib
import functools
import importlib
import shutil
import tempfile
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from hypothesis.stateful import RuleBasedStateMachine, rule

from pmemobj import pool as pools
from pmemobj.testing.crew import Crew
from pmemobj.testing.explore import NAME, OPTIONS, CrashError, Report, explore_with, whole_root
from pmemobj.testing.faults import Faults
from pmemobj.testing.images import Budget
from pmemobj.testing.worker import Questions

__all__ = ["CrashMachine", "crash_rule"]

_crews: dict[Any, Crew] = {}
#: By module and name: what another process finds again, having imported the module.
_operations: dict[tuple[str, str], Callable[..., None]] = {}


@atexit.register
def _dismiss() -> None:
    while _crews:
        _crews.popitem()[1].close()


def _operate(place: tuple[str, str], arguments: dict[str, Any], pool: pools.PersistentObjectPool) -> None:
    if place not in _operations:
        importlib.import_module(place[0])
    _operations.get(place, _operations.get(("__mp_main__", place[1]), _missing))(pool, **arguments)


def _missing(pool: pools.PersistentObjectPool, **arguments: Any) -> None:
    raise TypeError("an operation cannot be found in another process: its module has to be importable")


def crash_rule(*, allowed: tuple[type[BaseException], ...] = (), **strategies: Any) -> Callable[[Any], Any]:
    """Marks a function of the pool, and of one argument for each strategy, as an operation of a CrashMachine.

    allowed: exceptions that it may raise, and then must have changed nothing.
    """

    def decorate(operation: Callable[..., object]) -> Any:
        def step(pool: pools.PersistentObjectPool, **arguments: Any) -> None:
            with contextlib.suppress(*allowed):
                operation(pool, **arguments)

        place = operation.__module__, operation.__qualname__
        _operations[place] = step

        def run(self: "CrashMachine", **arguments: Any) -> None:
            self._run(functools.partial(_operate, place, arguments))

        run.__name__ = run.__qualname__ = operation.__name__
        run.__doc__ = operation.__doc__
        decorated: Any = rule(**strategies)
        return decorated(run)

    return decorate


class CrashMachine(RuleBasedStateMachine):
    """A hypothesis state machine whose rules are operations on a pool.

    Each sequence that hypothesis invents is run on a pool; then every crash that could have happened meanwhile is
    explored (see explore()).  A failing sequence is shrunk to the fewest operations, and the crash to the fewest
    lost writes.  In subclasses:

    start(pool): prepares the pool.  observe(pool): the state that is compared.  check(pool): raises if an invariant
    is broken; called after every operation and after every recovery.  All three are static methods of a class that can
    be imported, since other processes call them.  Operations are functions decorated with crash_rule.
    budget, faults, options: as for explore().
    """

    budget: ClassVar[Budget] = Budget(exhaustive=8, random=16, per_cut=200, nested=0)
    faults: ClassVar[Faults | Iterable[str]] = Faults()
    options: ClassVar[dict[str, Any]] = {}
    #: Of all sequences so far.
    report: ClassVar[Report]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.report = Report()

    @staticmethod
    def start(pool: Any) -> None:
        """Prepares the pool; by default the root is an empty dict."""
        pool.root = {}

    observe: Callable[[Any], Any] = staticmethod(whole_root)

    @staticmethod
    def check(pool: Any) -> None:
        """Raises if an invariant does not hold."""

    def __init__(self) -> None:
        super().__init__()
        self._steps: list[Callable[[Any], Any]] = []
        self._directory = tempfile.mkdtemp(prefix="pmemobj-machine-")
        self._pool = pools.open(
            f"{self._directory}/{NAME}", "x", **{**OPTIONS, **self.options, "sync": "manual"}
        )
        self.start(self._pool)
        self.check(self._pool)

    def _run(self, step: Callable[[Any], Any]) -> None:
        self._steps.append(step)
        step(self._pool)
        self.check(self._pool)

    def teardown(self) -> None:
        """Explores the sequence, unless one of its operations has failed without any crash."""
        self._pool.close()
        shutil.rmtree(self._directory)
        if not self._steps:
            return
        cls = type(self)
        if cls not in _crews:
            _crews[cls] = Crew(2, Questions(NAME, {**OPTIONS, **self.options}, cls.observe, cls.check))
        found = explore_with(
            _crews[cls], self._steps, cls.start, cls.faults, Budget.chosen(cls.budget), around=False
        )
        cls.report.add(found)
        if not found.ok:
            raise CrashError(found)
