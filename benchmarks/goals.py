"""What docs/performance.md promises: each row with what it must reach and what it aims at, and who measures it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import against_c, collecting, durable, harness, latency, micro, opening, peer_figures
from benchmarks.micro import scale
from benchmarks.report import RATIO, Row

#: name of a row -> what was measured, and what else is worth saying about it
Figures = dict[str, tuple[float, str]]


@dataclass(frozen=True)
class Goal:
    """unit: "x" is a multiple of the other's time, "x faster" how many times faster than the other; the latter is
    met from below.  None: there is no such goal."""

    name: str
    must: float | None
    aim: float | None
    unit: str = "x"

    def reached(self, measured: float, goal: float | None) -> bool:
        if goal is None:
            return True
        return measured >= goal if self.unit == "x faster" else measured <= goal

    def verdict(self, measured: float) -> str:
        if not self.reached(measured, self.must):
            return "**missed**"
        if self.aim is None:
            return "met"
        if self.reached(measured, self.aim):
            return "met, and the aim" if self.must is not None else "aim met"
        return "met" if self.must is not None else "aim not met"


@dataclass(frozen=True)
class Effort:
    """How much is measured; the small one sees that everything works."""

    repeats: int = 9
    reads: int = 200_000
    inserts: int = 20_000
    small: int = scale.SMALL
    large: int = scale.LARGE
    picks: int = scale.PICKS
    operations: int = latency.OPERATIONS
    pairs: int = durable.PAIRS
    rounds: int = 9
    entries: int = opening.ENTRIES
    sorted_entries: int = 1_000_000
    quick: bool = False
    overwritten: int = 100_000_000
    references: int = collecting.REFERENCES


SMOKE = Effort(1, 1000, 200, 100, 1000, 200, 400, 5, 1, 1000, 200, True, 8_000_000, 300)


@dataclass(frozen=True)
class Part:
    """Goals that are measured together.  group: heading in the table."""

    group: str
    goals: tuple[Goal, ...]
    measure: Callable[[Path, Effort], tuple[list[Row], Figures]]


# Row of the table -> case of the micro benchmarks.
CASES = {
    "list get": "list get, small int",
    "list set": "list set, small int",
    "list append": "list append",
    "list set in a transaction": "list set in a transaction",
    "list iterate": "list iterate, small int",
    "dict items": "dict items",
    "dict get": "dict get, 13-character keys",
    "dict overwrite": "dict overwrite",
    "dict insert": "dict insert",
    "set contains": "set contains",
    "set add": "set add",
    "PersistentObject attribute get": "attribute get",
    "PersistentObject attribute set": "attribute set",
}


def builtins(directory: Path, effort: Effort) -> tuple[list[Row], Figures]:
    import pmemobj

    plan = harness.Plan(reads=effort.reads, writes=effort.reads, inserts=effort.inserts)
    cases = micro.cases(plan)
    rows, figures = [], {}
    with pmemobj.open(directory / "builtins.pool") as pool:
        for name, case in CASES.items():
            result = harness.measure(harness.find(cases, case), pool, 3 * effort.repeats)
            rows.append(result.row())
            times = ", ".join(f"{rival} {ns:.1f} ns" for rival, ns in result.ns.items())
            figures[name] = (result.ratio, times)
    return rows, figures


DEQUE_CASES = {
    "deque append": ["deque append", "deque appendleft"],
    "deque pop": ["deque pop", "deque popleft"],
}
TYPED_CASES = {
    "typed attribute get, to __slots__": "typed attribute get",
    "typed attribute set, to __slots__": "typed attribute set",
}
BUFFER_CASES = {
    "array, read by NumPy": "array sum of a view of 1 MiB",
    "byte array, read through its buffer": "bytearray copy of 1 MiB",
    "array get item": "array get item",
    "array set item": "array set item",
    "byte array set item": "bytearray set",
}
OVERWRITE = "array, all of 100 MB replaced"
KINDS = ("int", "text")
SORTED_CASES = {
    "get": [f"sorted dict get, {kind} keys" for kind in KINDS],
    "insert": [f"sorted dict insert among others, {kind} keys" for kind in KINDS],
    "scan": [f"sorted dict iterate over items, {kind} keys" for kind in KINDS],
}
SORTED, TREE = "sorted dict {}, to SortedDict's", "sorted dict {}, to OOBTree's"


def measured_cases(
    directory: Path, cases: list[harness.Case], repeats: int, names: Iterable[str]
) -> list[harness.Result]:
    import pmemobj

    with pmemobj.open(directory / "cases.pool") as pool:
        return [harness.measure(harness.find(cases, name), pool, repeats) for name in names]


def deques(directory: Path, effort: Effort) -> tuple[list[Row], Figures]:
    made = micro.deques.cases(harness.Plan(reads=effort.reads, writes=effort.reads, inserts=effort.inserts))
    rows, figures = [], {}
    for name, cases in DEQUE_CASES.items():
        results = measured_cases(directory, made, effort.repeats, cases)
        worst = max(results, key=lambda result: result.ratio)
        rows += [result.row() for result in results]
        figures[name] = (worst.ratio, f"the worst: {worst.name}")
    return rows, figures


def typed(directory: Path, effort: Effort) -> tuple[list[Row], Figures]:
    made = micro.objects.cases(harness.Plan(reads=effort.reads, writes=effort.reads))
    results = measured_cases(directory, made, effort.repeats, TYPED_CASES.values())
    figures: Figures = {
        name: (one.ns[harness.OURS] / one.ns["slots"], f"{one.ns[harness.OURS]:.1f} ns")
        for name, one in zip(TYPED_CASES, results, strict=True)
    }
    return [result.row() for result in results], figures


def buffers(directory: Path, effort: Effort) -> tuple[list[Row], Figures]:
    plan = harness.Plan(reads=effort.reads, writes=effort.reads)
    made = micro.arrays.cases(plan) + micro.bytearrays.cases(plan)
    results = measured_cases(directory, made, effort.repeats, BUFFER_CASES.values())
    large = micro.arrays.overwritten(directory, effort.overwritten, effort.repeats)
    figures: Figures = {
        name: (one.ratio, f"{one.ns[harness.OURS]:.1f} ns")
        for name, one in zip(BUFFER_CASES, results, strict=True)
    }
    times = ", ".join(f"{name} {ns / 1e6:.0f} ms" for name, ns in large.ns.items())
    figures[OVERWRITE] = (large.ratio, times)
    return [result.row() for result in [*results, large]], figures


def sorteds(directory: Path, effort: Effort) -> tuple[list[Row], Figures]:
    """The medians of all repetitions are compared: a tree of a million entries is not built often."""
    made = micro.sorteds.cases(
        harness.Plan(effort.sorted_entries, reads=effort.reads, inserts=effort.inserts)
    )
    rows: list[Row] = []
    figures: Figures = {}
    for name, cases in SORTED_CASES.items():
        results = measured_cases(directory, made, min(effort.repeats, 5), cases)
        rows += [result.row() for result in results]
        for title, rival in ((SORTED, "sortedcontainers"), (TREE, "OOBTree")):
            ratios = {one.name: one.ns[harness.OURS] / one.ns[rival] for one in results if rival in one.ns}
            if not ratios:
                continue
            case = max(ratios, key=ratios.__getitem__)
            figure = ratios[case] if title is SORTED else 1 / ratios[case]
            note = f"the worst: {case}"
            if title is TREE:
                ns = next(one.ns for one in results if one.name == case)
                others = [other for other in ns if other not in (rival, harness.OURS)]
                note += "".join(f"; {other} {ns[rival] / ns[other]:.2f}" for other in others)
            figures[title.format(name)] = (figure, note)
    return rows, figures


SCALE = "ratio at 10^7 entries to ratio at 10^4"
SCALE_COLUMN = "ratio, large to small"


def sizes(directory: Path, effort: Effort) -> tuple[list[Row], Figures]:
    import pmemobj

    with pmemobj.open(directory / "scale.pool") as pool:
        times, compared = scale.measured(pool, effort.small, effort.large, effort.repeats, effort.picks)
    worst = max(compared, key=lambda row: row.values[SCALE_COLUMN])
    return times + compared, {SCALE: (worst.values[SCALE_COLUMN], f"the worst: {worst.name}")}


COMMIT = "durable commit, to one fdatasync"


def commits(directory: Path, effort: Effort) -> tuple[list[Row], Figures]:
    rows = durable.measured(directory, effort.pairs)
    worst = max(rows, key=lambda row: row.values[RATIO])
    note = f"the worst: {worst.name}; fdatasync {worst.values['fdatasync']:.0f} µs"
    return rows, {COMMIT: (worst.values[RATIO], note)}


STOCK = "durable transaction of 1000 operations, to libpmemobj from C"


def libpmemobj(directory: Path, effort: Effort) -> tuple[list[Row], Figures]:
    works = [work for work in against_c.WORKS if work.operations == 1000]
    try:
        rows = against_c.measured(directory, effort.rounds, works)
    except against_c.NoCompilerError as error:
        print(f"not measured against C: {error}")
        return [], {}
    faster = [row for row in rows if against_c.DURABLE in row.values]
    worst = min(faster, key=lambda row: row.values[against_c.DURABLE])
    return rows, {STOCK: (worst.values[against_c.DURABLE], f"the worst: {worst.name}")}


CLEAN = "open a pool of 10^7 entries, closed"
# An open after a kill may take a fixed time and, for each megabyte of journal, what this speed allows.
REPLAY = {
    "open it after kill -9, less 2 ms for each MB of journal": 500,
    "open it after kill -9, less 1 ms for each MB of journal": 1000,
}


def opens(directory: Path, effort: Effort) -> tuple[list[Row], Figures]:
    amounts = (1, 2) if effort.quick else (1, 300)
    rows = opening.measured(directory, effort.entries, amounts, effort.repeats)
    closed, killed = rows[0], rows[1:]
    figures: Figures = {CLEAN: (closed.values["open"], "")}
    for name, speed in REPLAY.items():
        beyond = [row.values["open"] - row.values.get("replayed MB", 0) / speed * 1000 for row in killed]
        worst = killed[beyond.index(max(beyond))]
        replayed = worst.values.get("replayed MB", 0)
        note = f"{worst.name}: {worst.values['open']:.1f} ms for {replayed:.2f} MB"
        figures[name] = (max(beyond), note)
    return rows, figures


TAIL, WORST = "latency of one operation, p99.99", "latency of one operation, worst"


def latencies(directory: Path, effort: Effort) -> tuple[list[Row], Figures]:
    rows = latency.measured(directory, effort.operations, filled=effort.operations // 10)
    ours = [row for row in rows if row.name == "pmemobj"]
    figures: Figures = {}
    for name, point in ((TAIL, "p99.99"), (WORST, "worst")):
        worst = max(ours, key=lambda row: row.values[point])
        builtin = next(row for row in rows if row.group == worst.group and row.name == "builtin")
        note = f"{worst.group.partition(':')[0]}; the builtin's {builtin.values[point] / 1e6:.3f} ms"
        figures[name] = (worst.values[point] / 1e6, note)
    return rows, figures


LONGEST_STEP = "the longest of gc()'s steps of a millisecond"


def gc_steps(directory: Path, effort: Effort) -> tuple[list[Row], Figures]:
    rows = collecting.measured(directory, effort.references)
    worst = max(rows, key=lambda row: row.values[collecting.LONGEST])
    return rows, {LONGEST_STEP: (worst.values[collecting.LONGEST], f"the worst: {worst.name}")}


def peers(directory: Path, effort: Effort) -> tuple[list[Row], Figures]:
    return [], peer_figures.figures(directory, effort.quick)


def at_least(name: str, must: float, aim: float | None = None) -> Goal:
    return Goal(name, must, aim, "x faster")


PARTS = (
    Part(
        "Against builtin containers, hot, the loop included",
        (
            Goal("list get", 1.8, 1.4),
            Goal("list set", 2.0, 1.5),
            Goal("list append", 2.8, 1.8),
            Goal("list set in a transaction", 1.9, 1.3),
            Goal("list iterate", 2.2, 1.5),
            Goal("dict items", 2.2, 1.5),
            Goal("dict get", 1.4, 1.0),
            Goal("dict overwrite", 1.6, 1.0),
            Goal("dict insert", 2.2, 1.3),
            Goal("set contains", 1.5, 1.1),
            Goal("set add", 2.2, 1.3),
            Goal("PersistentObject attribute get", 3.0, 2.0),
            Goal("PersistentObject attribute set", 4.0, 2.5),
        ),
        builtins,
    ),
    Part(
        "Attributes with types",
        tuple(
            Goal(name, must, aim) for name, must, aim in zip(TYPED_CASES, (2.5, 3.5), (1.7, 2.5), strict=True)
        ),
        typed,
    ),
    Part(
        "Arrays and byte arrays",
        (
            Goal("array, read by NumPy", 1.05, 1.0),
            Goal("byte array, read through its buffer", 1.05, 1.0),
            Goal("array get item", 2.0, 1.3),
            Goal("array set item", 2.0, 1.3),
            Goal("byte array set item", 2.0, 1.3),
            Goal(OVERWRITE, 1.3, 1.0),
        ),
        buffers,
    ),
    Part("Deques", (Goal("deque append", 3.0, None), Goal("deque pop", 3.0, None)), deques),
    Part(
        "Sorted dicts of a million entries",
        (
            *(Goal(SORTED.format(name), 1.0, None) for name in SORTED_CASES),
            *(at_least(TREE.format(name), 5) for name in SORTED_CASES),
        ),
        sorteds,
    ),
    Part("Growing", (Goal(SCALE, 1.5, 1.2),), sizes),
    Part(
        "Latency of ten million single operations",
        (Goal(TAIL, 1, 0.1, "ms"), Goal(WORST, 20, 5, "ms")),
        latencies,
    ),
    Part("Garbage collection", (Goal(LONGEST_STEP, 20, 5, "ms"),), gc_steps),
    Part("Durable commits", (Goal(COMMIT, 1.15, 1.03),), commits),
    Part("Against libpmemobj from C", (at_least(STOCK, 200, 400),), libpmemobj),
    Part(
        "Opening",
        (
            Goal(CLEAN, 10, 4, "ms"),
            *(Goal(name, *goal, "ms") for name, goal in zip(REPLAY, [(10, None), (None, 4)], strict=True)),
        ),
        opens,
    ),
    Part(
        "Against other stores",
        (
            at_least("LMDB, no sync: get", 3, 5),
            at_least("LMDB, no sync: batch put", 2.5, 5),
            at_least("LMDB, no sync: single put", 15, 25),
            at_least("SQLite, NORMAL: get", 20, 40),
            at_least("SQLite, NORMAL: batch put", 8, 15),
            at_least("SQLite, NORMAL: single put", 30, 60),
            at_least("ZODB: cached get", 15),
            at_least("ZODB: batch put", 10),
            at_least("ZODB: single commit", 200),
            at_least("LMDB, sync: durable commit", 1.5, 2),
            at_least("SQLite, FULL: durable commit", 1.5, 2),
            at_least("pynvm: any operation", 50, 500),
            Goal("bytes on disk, to LMDB's", 1.0, 0.6),
        ),
        peers,
    ),
)
