"""What comes of failing file calls under the direct engine, which syncs each change with msync."""

from tests.faults import sweep
from tests.reliability import faults

TITLE = "Failing file calls, direct engine"
TEXT = """
The same workload, faults and requirements for the direct engine on a file that is not persistent memory, where each
entry of the undo log and each change is a sync of its own. The log begins with 4 KiB, so that it grows, and is given
back. What is recovered is a commit that has noted its allocations and came no further. When a sync fails the pool
fails, also when the error says that the disk is full.

A mapping alone fails, or together with other calls only once: when the undo log cannot grow and the pool cannot be
mapped privately either, the program ends itself before the store that nothing could undo
(a test of its own).
"""


def measure() -> tuple[list[str], list[list[object]]]:
    return faults.counted("direct", sweep.RESULTS)
