"""Crash testing: what does a pool look like after the power fails, wherever it fails?

explore() runs operations on a pool under a trace of all its file calls, flushes and fences, builds the images that a
crash could have left at every moment, and opens each in another process.  CrashMachine does so for sequences of
operations that hypothesis invents; it needs that package (``pip install pmemobj[testing]``).
"""

from typing import TYPE_CHECKING, Any

from pmemobj.testing.explore import Bug, CrashError, Report, explore
from pmemobj.testing.faults import EVERYTHING, Faults
from pmemobj.testing.images import Budget
from pmemobj.testing.tokens import replay

if TYPE_CHECKING:
    from pmemobj.testing.machine import CrashMachine, crash_rule

__all__ = [
    "EVERYTHING",
    "Budget",
    "Bug",
    "CrashError",
    "CrashMachine",
    "Faults",
    "Report",
    "crash_rule",
    "explore",
    "replay",
]


def __getattr__(name: str) -> Any:
    if name in ("CrashMachine", "crash_rule"):
        from pmemobj.testing import machine

        return getattr(machine, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
