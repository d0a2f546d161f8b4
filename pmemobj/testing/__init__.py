"""Crash testing: what does a pool look like after the power fails, wherever it fails?

explore() runs operations on a pool under a trace of all its file calls, builds the images that a crash could have
left at every moment, and opens each in another process.
"""

from pmemobj.testing.explore import Bug, CrashError, Report, explore
from pmemobj.testing.images import Budget
from pmemobj.testing.machine import CrashMachine, crash_rule

__all__ = ["Budget", "Bug", "CrashError", "CrashMachine", "Report", "crash_rule", "explore"]
