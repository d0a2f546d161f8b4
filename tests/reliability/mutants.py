"""What the exploration notices of mutants: see tests/mutants."""

import collections
import json

from tests.mutants.__main__ import ROOT
from tests.mutants.explained import EXPLAINED, OPEN
from tests.mutants.sites import all_mutants

TITLE = "Mutants"
TEXT = """\
`make mutants` compiles the package without any inlining, and then leaves out one call after the other, in the compiled
file: each sync, each flush and fence, each undo image, each point of the order of journal, checkpoint, recovery and
direct commit, and each note that a range of fresh memory or a store belongs to the next record. A mutant
goes through groups of explorations (sizes at boundaries, undone transactions, crashes inside recovery, the making of
pools, copies; `FOCUS` in tests/mutants/__main__.py says which for which file) until one of them notices it.
*Tried* are those that have met at least the first group, which is a small one; *open* those that it did not notice."""

HEADS = [
    "left out",
    "mutants",
    "tried",
    "noticed",
    "with a reason",
    "open",
    "noticed, % of the others",
]


def measure() -> tuple[list[str], list[list[object]]]:
    results: dict[str, list[str]] = json.loads((ROOT / "results.json").read_text())
    there, tried, noticed, explained = (collections.Counter[str]() for _ in range(4))
    still = []
    for mutant in all_mutants(ROOT):
        there[mutant.kind] += 1
        if mutant.name not in results:
            continue
        tried[mutant.kind] += 1
        if results[mutant.name][1]:
            noticed[mutant.kind] += 1
        elif any(part in str(mutant) for part in EXPLAINED):
            explained[mutant.kind] += 1
        else:
            still.append(str(mutant))
    rows: list[list[object]] = [
        _row(kind, there[kind], tried[kind], noticed[kind], explained[kind]) for kind in there
    ]
    rows.append(_row("all", there.total(), tried.total(), noticed.total(), explained.total()))
    global TEXT
    TEXT += "\n\nNot noticed, for a reason:\n\n" + "\n".join(
        f"- `{part}`: {why}"
        for part, why in EXPLAINED.items()
        if any(part in name and not found for name, (_kind, found) in results.items())
    )
    if still:
        TEXT += "\n\nOpen:\n\n" + "\n".join(f"- `{name}`{_why(name)}" for name in sorted(still))
    return HEADS, rows


def _why(name: str) -> str:
    return next((f": {why}" for part, why in OPEN.items() if part in name), "")


def _row(kind: str, there: int, tried: int, noticed: int, explained: int) -> list[object]:
    mattering = tried - explained
    share = round(100 * noticed / mattering, 1) if mattering else 0.0
    return [kind, there, tried, noticed, explained, mattering - noticed, share]
