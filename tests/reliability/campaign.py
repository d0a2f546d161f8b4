"""The last recorded run of `make test-long HOURS=n RECORD=1`, for the page docs/reliability.md."""

import json

from tests.testing.campaign import ENGINES, RECORDS

TITLE = "A long run"
TEXT = """\
`make test-long HOURS=n RECORD=1`: random cases, one after the other: triples of operations of the matrix
(tests/testing/matrix.py: every mutator of every container at sizes on each side of every boundary), random operations
and transactions on all containers at once, crashes inside recovery, the making of pools, the sync policies that may
lose the last commits, and rounds of SIGKILL at random moments. Each case is explored as told under *Crashes explored*.

*Images* were recovered, each by a process that had to find a committed state and no fault or leak, and then to do one
more operation; what became the same bytes as an image before was not looked at again; *kills* among them are of
programs that died with everything written in place. *SIGKILL*: programs that were
really killed. *Failed*: cases in which anything else was found."""

HEADS = ["engine", "operations", "moments", "images", "power losses", "in recovery", "kills", "sampled"]


def measure() -> tuple[list[str], list[list[object]]]:
    runs = [json.loads(path.read_text()) for path in sorted(RECORDS.glob("*.json"))]
    if not runs:
        raise FileNotFoundError(f"{RECORDS}: nothing is recorded; run `make test-long HOURS=n RECORD=1`")
    if failed := [token for run in runs for token in run["failed"]]:
        raise AssertionError(f"cases failed: {failed}")
    fields = ("steps", "cuts", "images", "power_losses", "nested", "kills", "sampled")
    rows: list[list[object]] = [
        [engine, *(sum(run["engines"][engine][name] for run in runs) for name in fields)]
        for engine in ENGINES
    ]
    rows.append(["both", *(sum(row[i] for row in rows) for i in range(1, len(HEADS)))])
    seeds = ", ".join(
        f"{run['seed']} ({run['seconds'] / 60:.0f} minutes, commit {run['commit']})" for run in runs
    )
    cases, kills, operations = (
        sum(run[name] for run in runs) for name in ("cases", "sigkills", "operations")
    )
    global TEXT
    TEXT += (
        f"\n\nSeeds {seeds}: {cases:,} cases, 0 failed; {kills:,} times SIGKILL, {operations:,} acknowledged "
        "operations, 0 lost."
    )
    return HEADS, rows
