"""Runs cases of the matrix, with workers that stay from one case to the next."""

import atexit
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pmemobj.testing import Budget, CrashError, Report
from pmemobj.testing.crew import Crew
from pmemobj.testing.explore import NAME, OPTIONS, _Explorer
from pmemobj.testing.record import record
from pmemobj.testing.worker import Questions
from tests.testing import tally
from tests.testing.matrix import Case, observe

FAULTS = frozenset({"power", "kill"})

#: By their numbers of workers.  Whoever begins in one has the modules to import first.
_crews: dict[int, Crew] = {}


@atexit.register
def dismiss() -> None:
    while _crews:
        _crews.popitem()[1].close()


def crew_of(observe: Callable[[Any], Any], options: dict[str, Any], workers: int = 2) -> Crew:
    questions = Questions(NAME, {**OPTIONS, **options}, observe, None)
    if workers not in _crews:
        _crews[workers] = Crew(workers, questions)
    _crews[workers].questions = questions
    return _crews[workers]


@dataclass(frozen=True)
class Synced:
    """A step, and then sync(): so it is durable under the policy "manual" too, where commits go through the ring."""

    step: Callable[[Any], object]

    def __call__(self, pool: Any) -> None:
        self.step(pool)
        pool.sync()


def explored(
    case: Case,
    engine: str,
    budget: Budget,
    *,
    sync: str = "commit",
    observe: Callable[[Any], Any] = observe,
    around: bool = False,
    create: bool = False,
    faults: frozenset[str] = FAULTS,
    stops: bool = False,
    workers: int = 2,
) -> Report:
    """sync: "synced" is "manual", with a sync() at the end of each step; around: also the open and the close; create:
    also the making of the pool; stops: at the first bug, which is no error then."""
    policy = "manual" if sync == "synced" else sync
    crew = crew_of(observe, {"engine": engine, "max_size": case.max_size, "sync": policy}, workers)
    steps = [Synced(step) for step in case.steps] if sync == "synced" else case.steps
    run = record(steps, case.start, crew.questions, create)
    if create:
        run.states.insert(0, None)
    durable = sync in ("commit", "synced")
    explorer = _Explorer(run, crew, budget, faults, durable=durable, create=create, around=around or create)
    explorer.stops = stops
    report = explorer.explore()
    if not report.ok and not stops:
        raise CrashError(report)
    tally.add(engine, report)
    return report
