"""Crash exploration of our own operations: see pmemobj.testing."""

from pmemobj.testing import Budget, CrashError, Report, explore
from tests.testing import tally
from tests.testing.mutators import WORK

TITLE = "Crashes explored"
TEXT = """\
Operations ran on a pool under a trace of every file call, flush and fence; then every image that a crash could have
left at each *moment* was made, within the budget, and opened in another process: it had to open, to be free of faults
and leaks, in the state before or after the operation under way, and to take one more operation. *Kills*: the program
died, everything written is there. *Power losses*: unsynced sectors of 512 bytes (journal engine), or words that are not
yet flushed and fenced (direct engine), are old, new, in between or torn; *in recovery*: the power failed once more
while the open repaired what the first failure had left. *Sampled*: moments with more images than the budget allows."""

#: Under the direct engine there are hundreds of moments: before each flush and each fence.
BUDGETS = {
    "journal": Budget(exhaustive=10, random=64, per_cut=200, nested=100),
    "direct": Budget(exhaustive=8, random=16, per_cut=15, nested=0),
}
HEADS = [
    "engine",
    "what",
    "operations",
    "moments",
    "images",
    "kills",
    "power losses",
    "in recovery",
    "sampled",
]


def explored(engine: str, name: str, budget: Budget | None = None) -> Report:
    start, operations, observe = WORK[name]
    more = {} if observe is None else {"observe": observe}
    report = explore(operations, start, engine=engine, budget=budget or BUDGETS[engine], **more)
    if not report.ok:
        raise CrashError(report)
    tally.add(engine, report)
    return report


def measure() -> tuple[list[str], list[list[object]]]:
    rows: list[list[object]] = []
    for engine in ("journal", "direct"):
        reports = {name: explored(engine, name) for name in WORK}
        if engine == "journal":
            reports["making a pool"] = explore(WORK["list"][0], create=True, budget=BUDGETS[engine])
            if not reports["making a pool"].ok:
                raise CrashError(reports["making a pool"])
        for name, r in reports.items():
            rows.append(
                [engine, name, r.steps, r.cuts, r.images, r.kills, r.power_losses, r.nested, r.sampled]
            )
    rows.append(["both", "all", *(sum(row[i] for row in rows) for i in range(2, len(HEADS)))])
    return HEADS, rows
