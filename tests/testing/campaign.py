"""Crash exploration of our own code in large numbers.

    python -m tests.testing.campaign ci             the matrix, row by row, until enough images have been seen
    python -m tests.testing.campaign long --hours 8 [--seed N] [--record]
    python -m tests.testing.campaign replay TOKEN   a case that failed, as it was

`long` draws one case after the other: triples of operations of the matrix, random operations on all containers,
crashes inside recovery, the making of pools, other sync policies, and rounds of kill -9.  A case is named by a token,
SEED:NUMBER, which is printed when it fails.  --record writes what was reached into docs/reliability.md.
"""

import argparse
import contextlib
import io
import itertools
import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from benchmarks.report import machine
from pmemobj import _core
from pmemobj.testing import Budget, CrashError, Report
from tests.testing import matrix, tally
from tests.testing.exploring import dismiss, explored

sys.path.insert(0, str(Path(__file__).parents[1] / "crash"))

import test_kill
import workload

ENGINES = ("journal", "direct")
#: In CI: of the journal engine power losses, of the direct one all images.
TARGET = {"journal": 50_000, "direct": 50_000}
COUNTED = {"journal": "power_losses", "direct": "images"}
LEAST_KILLS = 200
RECORDS = (
    Path(__file__).resolve().parents[2] / "build" / "campaign"
)  # one file of each run; those of a page together
#: Much to write or to look at in each image: drawn less often, and one sequence at a time.
SLOW = ("copies", "spans", "sorted dict of thin nodes", "sorted dict of uneven nodes")
ROUNDS = 50  # of kill -9, in one case
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

#: Under the direct engine there are ten times as many moments.  Of crashes inside recovery there are as many images,
#: about, as in the first place for one in so many.
FEW = {
    "journal": Budget(exhaustive=4, random=8, per_cut=24, nested=90),
    "direct": Budget(exhaustive=3, random=2, per_cut=5, nested=1200),
}
MANY = {
    "journal": Budget(exhaustive=8, random=32, per_cut=150, nested=500),
    "direct": Budget(exhaustive=6, random=8, per_cut=30, nested=5000),
}
NESTED = {
    "journal": Budget(exhaustive=4, random=8, per_cut=12, nested=6),
    "direct": Budget(exhaustive=2, random=2, per_cut=3, nested=11),
}


@dataclass
class Totals:
    """What has been seen, by engine."""

    reports: dict[str, Report] = field(default_factory=lambda: {engine: Report() for engine in ENGINES})
    cases: int = 0
    sigkills: int = 0
    operations: int = 0
    failed: list[str] = field(default_factory=list)

    def add(self, engine: str, report: Report) -> None:
        report.found.clear()  # states would take all memory
        report.bugs.clear()
        self.reports[engine].add(report)

    @property
    def images(self) -> int:
        return sum(report.images for report in self.reports.values())

    def __str__(self) -> str:
        parts = [
            f"{engine}: {r.steps:,} operations, {r.cuts:,} moments, {r.images:,} images ({r.power_losses:,} power "
            f"losses, {r.nested:,} of them inside recovery, {r.kills:,} kills), sampled {r.sampled:,}"
            for engine, r in self.reports.items()
        ]
        failed = [f"FAILED: {text}" for text in self.failed]
        return "\n".join(
            [*parts, f"{self.sigkills:,} times SIGKILL; {self.cases:,} cases, {len(failed)} failed", *failed]
        )


# --- random operations on all containers at once


@dataclass(frozen=True)
class Applied:
    number: int
    seed: int

    def __call__(self, pool: Any) -> None:
        workload.apply(pool.root, self.number, self.seed, pool.transaction)


def filled(seed: int, count: int, pool: Any) -> None:
    pool.root = workload.new_state()
    with pool.transaction():
        for number in range(count):
            workload.apply(pool.root, number, seed, pool.transaction)


def whole(pool: Any) -> str:
    text = repr(matrix.canonical(pool.to_python(pool.root)))
    return matrix.shortened(text)


def random_case(rng: random.Random) -> matrix.Case:
    seed, count, length = rng.randrange(1 << 30), rng.choice((0, 5, 50, 300)), rng.randrange(3, 25)
    steps = tuple(Applied(number, seed) for number in range(count, count + length))
    return matrix.Case(
        f"operations from {count} of seed {seed}", partial(filled, seed, count), steps, 32 << 20
    )


# --- one case of a long run


def run_numbered(seed: int, number: int, totals: Totals) -> str:
    """Everything about it comes from the two numbers.  What it was."""
    rng = random.Random(f"{seed}:{number}")
    engine = rng.choice(ENGINES)
    kind = rng.choices(
        ("triples", "single", "random", "nested", "created", "lazy", "killed"), (30, 20, 20, 10, 2, 5, 20)
    )[0]
    if kind == "killed":
        return kill(rng, totals)
    if kind == "created":
        totals.add(engine, explored(CREATED, engine, FEW[engine], create=True))
        return f"{engine}, making a pool"
    if kind == "random":
        case, watch = random_case(rng), whole
    else:
        name = rng.choices(list(matrix.ROWS), [1 if n in SLOW else 8 for n in matrix.ROWS])[0]
        watch = matrix.observe
        if kind == "single":
            many = [*matrix.single(name), *matrix.undone(name)]
            case = rng.choice([*matrix.single(name, large=True)] or many if rng.random() < 0.04 else many)
            case = matrix.part(case, 1 if name in SLOW else 4, rng)
        else:
            case = matrix.triples(name, 1 if name in SLOW else rng.randrange(2, 6), rng.randrange(1 << 30))
    budgets = NESTED if kind == "nested" else rng.choice((FEW, MANY, MANY))
    chosen = budgets[engine]
    budget = Budget(chosen.exhaustive, chosen.random, chosen.per_cut, chosen.nested, rng.randrange(1 << 30))
    sync = rng.choice(("manual", "interval")) if kind == "lazy" else rng.choice(("commit", "synced"))
    report = explored(case, engine, budget, sync=sync, observe=watch, around=rng.random() < 0.2)
    totals.add(engine, report)
    return f"{engine}, {kind}: {case.name}"


CREATED = matrix.Case("making a pool", None, (lambda pool: setattr(pool, "root", [matrix.TEXT]),), 8 << 20)


def kill(rng: random.Random, totals: Totals) -> str:
    which = rng.choice((test_kill.JOURNAL, test_kill.DIRECT))
    test_kill.SEED = rng.randrange(1 << 30)
    memory = rng.choice((MEMORY, None))  # where a sync takes no time more is done between two kills
    with (
        tempfile.TemporaryDirectory(dir=memory, prefix="pmemobj-kills-") as directory,
        test_kill.running_starters() as starters,
        contextlib.redirect_stdout(io.StringIO()),
    ):
        kills, _recoveries, operations = test_kill.kill_rounds(Path(directory), ROUNDS, which, starters)
    totals.sigkills += kills
    totals.operations += operations
    return f"{ROUNDS} rounds of kill -9 of {which[0]}"


# --- runs


def progress(total: float, unit: str) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, unit=unit, unit_scale=True, mininterval=2.0, smoothing=0.05)


def long_run(hours: float, seed: int, record: bool) -> Totals:
    print(
        f"seed {seed}; a case N is repeated by: python -m tests.testing.campaign replay {seed}:N", flush=True
    )
    prepare()
    totals, start, number = Totals(), time.monotonic(), 0
    end = start + hours * 3600
    with progress(round(hours * 3600), "s") as bar:
        while time.monotonic() < end:
            try:
                run_numbered(seed, number, totals)
            except Exception as error:
                totals.failed.append(f"{seed}:{number}")
                bar.write(f"FAILED: {seed}:{number}\n{''.join(traceback.format_exception(error, limit=-3))}")
            totals.cases += 1
            number += 1
            bar.n = min(bar.total, round(time.monotonic() - start))
            bar.set_postfix(images=f"{totals.images:,}", kills=totals.sigkills, failed=len(totals.failed))
            if record:
                save(totals, seed, time.monotonic() - start)
    if record:
        save(totals, seed, time.monotonic() - start)
    return totals


def save(totals: Totals, seed: int, seconds: float) -> None:
    """For tests/reliability/campaign.py."""
    fields = ("steps", "cuts", "images", "power_losses", "nested", "kills", "sampled")
    RECORDS.mkdir(parents=True, exist_ok=True)
    (RECORDS / f"{seed}.json").write_text(
        json.dumps(
            {
                "seed": seed,
                "commit": machine(directory=RECORDS.parents[1])["commit"],
                "seconds": round(seconds),
                "cases": totals.cases,
                "sigkills": totals.sigkills,
                "operations": totals.operations,
                "failed": totals.failed,
                "engines": {
                    engine: {name: getattr(report, name) for name in fields}
                    for engine, report in totals.reports.items()
                },
            },
            indent=1,
        )
    )


def of_row(name: str, engine: str) -> Iterator[matrix.Case]:
    """What is done to a container: at all sizes, undone, in pairs, and then triples, which never end."""
    rng = random.Random(f"{engine} {name}")
    first = [*matrix.single(name), *matrix.undone(name)]
    rng.shuffle(first)
    pairs = list(matrix.pairs(name))
    rng.shuffle(pairs)
    most = 1 if name in SLOW else 4
    yield from (matrix.part(case, most, rng) for case in (*first, *pairs))
    for number in itertools.count():
        yield matrix.triples(name, most, number)


def ci_cases(engine: str) -> Iterator[matrix.Case]:
    """In turn one of each row, so that wherever it ends every row has had its share."""
    rows = [of_row(name, engine) for name in matrix.ROWS]
    while True:
        for row in rows:
            yield next(row)


def prepare() -> None:
    """This process opens explored pools only, so nothing has to survive: that makes the files small that are traced."""
    _core._scratch_calls()


def ci_share(share: int, shares: int, engine: str, results: Connection, enough: Any) -> None:
    """Runs in a process of its own: every shares-th case, until there are enough.  Sends reports, and as a text what
    has failed."""
    prepare()
    try:
        for number, case in enumerate(ci_cases(engine)):
            if enough.is_set():
                break
            if number % shares == share:
                sync = "synced" if number // len(matrix.ROWS) % 2 and engine == "journal" else "commit"
                try:
                    report = explored(case, engine, FEW[engine], sync=sync, workers=1)
                except Exception as error:
                    told = "".join(traceback.format_exception(error, limit=-3))
                    results.send(f"{engine}, {sync}, {case.name}\n{told}")
                    break
                report.found.clear()
                results.send(report)
    finally:
        dismiss()


def of_shares(engine: str, jobs: int, enough: Any) -> Iterator[Report | str]:
    """What the processes send, until all have ended."""
    context = multiprocessing.get_context("spawn")
    shares = {}
    for share in range(jobs):
        ours, theirs = context.Pipe(duplex=False)
        shares[ours] = context.Process(target=ci_share, args=(share, jobs, engine, theirs, enough))
        shares[ours].start()
        theirs.close()
    while shares:
        for connection in wait(list(shares)):
            try:
                yield connection.recv()
            except EOFError:
                process = shares.pop(connection)
                process.join()
                if process.exitcode:
                    yield f"{engine}: a process ended with exit code {process.exitcode}"


def ci(beside_tests: bool, jobs: int) -> Totals:
    """Up to TARGET; beside_tests: together with what the last test session has explored."""
    totals = Totals()
    before = tally.saved() if beside_tests else {}
    missing = {
        engine: max(0, TARGET[engine] - before.get(f"{engine} {COUNTED[engine].replace('_', ' ')}", 0))
        for engine in ENGINES
    }
    if before:
        print(f"the tests have explored: {dict(before)}", flush=True)
    if beside_tests and before.get("SIGKILL", 0) < LEAST_KILLS:
        totals.failed.append(f"{before.get('SIGKILL', 0)} programs were killed, fewer than {LEAST_KILLS}")
    with progress(sum(missing.values()), " images") as bar:
        for engine in ENGINES:
            if missing[engine] == 0:
                continue
            enough = multiprocessing.get_context("spawn").Event()
            for found in of_shares(engine, jobs, enough):
                if isinstance(found, str):
                    totals.failed.append(found)
                    enough.set()
                    continue
                totals.add(engine, found)
                totals.cases += 1
                bar.update(getattr(found, COUNTED[engine]))
                if getattr(totals.reports[engine], COUNTED[engine]) >= missing[engine]:
                    enough.set()
            if totals.reports[engine].nested == 0:
                totals.failed.append(f"{engine}: no crash inside recovery was explored")
    return totals


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.testing.campaign", description=__doc__.splitlines()[0]
    )
    commands = parser.add_subparsers(dest="command", required=True)
    short = commands.add_parser("ci")
    short.add_argument(
        "--beside-tests", action="store_true", help="count what the last test session has explored"
    )
    short.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    long = commands.add_parser("long")
    long.add_argument("--hours", type=float, required=True)
    long.add_argument("--seed", type=int, default=None)
    long.add_argument("--record", action="store_true")
    commands.add_parser("replay").add_argument("token", help="SEED:NUMBER")
    options = parser.parse_args(arguments)
    try:
        if options.command == "replay":
            prepare()
            seed, _, number = options.token.partition(":")
            totals = Totals()
            print(run_numbered(int(seed), int(number), totals))
        elif options.command == "long":
            seed = random.SystemRandom().randrange(1 << 30) if options.seed is None else options.seed
            totals = long_run(options.hours, seed, options.record)
        else:
            totals = ci(options.beside_tests, options.jobs)
    except CrashError as error:
        print(error)
        return 1
    finally:
        dismiss()
    print(totals)
    return 1 if totals.failed else 0


if __name__ == "__main__":
    sys.exit(main())
