"""Runs cases of the matrix, with workers that stay from one case to the next."""

import atexit
from collections.abc import Callable
from typing import Any

from pmemobj.testing import Budget, CrashError, Report
from pmemobj.testing.crew import Crew
from pmemobj.testing.explore import NAME, OPTIONS, explore_with
from pmemobj.testing.worker import Questions
from tests.testing.matrix import Case, observe

FAULTS = frozenset({"power", "kill"})
MOST_CREWS = 4

_crews: dict[Any, Crew] = {}


@atexit.register
def dismiss() -> None:
    while _crews:
        _crews.popitem()[1].close()


def crew_of(observe: Callable[[Any], Any], options: dict[str, Any]) -> Crew:
    key = observe, *sorted(options.items())
    if key not in _crews and len(_crews) == MOST_CREWS:
        _crews.pop(next(iter(_crews))).close()
    if key not in _crews:
        _crews[key] = Crew(2, Questions(NAME, {**OPTIONS, **options}, observe, None))
    return _crews[key]


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
) -> Report:
    """around: also the open and the close; create: also the making of the pool."""
    crew = crew_of(observe, {"engine": engine, "max_size": case.max_size, "sync": sync})
    around |= create
    report = explore_with(crew, case.steps, case.start, faults, budget, create=create, around=around)
    if not report.ok:
        raise CrashError(report)
    return report
