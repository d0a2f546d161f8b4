"""Where the time of the missed targets goes: samples of each workload by thread, place and function.

    python benchmarks/profiles.py [NAME...] [--quick] [--output docs/profiles.md]

Each workload is a process of its own: it makes everything ready, has `perf record` attach to all of its threads, works
for a while and has it let go.  What is asleep gives no samples: "busy" says how much of the time the program's
own thread was running.  NAME: only workloads whose names contain one of these; the page then has only those.
"""

import argparse
import collections
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

# Run as a file, the repository's root is not on the path.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pmemobj
from benchmarks import opening, report
from benchmarks.micro import dicts, sets
from benchmarks.peers import timing
from benchmarks.peers.store import key
from benchmarks.peers.stores.pmemobj_store import PmemobjStore

PAGE = report.ROOT / "docs" / "profiles.md"
FREQUENCY = 5000  # samples a second and running thread
ENTRIES = 100_000  # as in the comparison with other stores
BATCHED = 500_000  # into each new store: opening it is not what is looked at
SHOWN = 12  # functions of a workload, at most
LEAST = 1.5  # percent
SECONDS = 4.0

HEAD = """\
# Profiles of the missed targets

Why rows of [the performance page](performance.md) miss their targets: where the time goes. `make bench-profile`
measures this again and writes this page. Samples are taken {frequency} times a second of every thread that runs;
"program" is the thread that calls, "pm-merger", "pm-keeper" and "pm-checkpoint" are the threads of the journal,
"interpreter" is CPython, "kernel" the page faults, copies and file system work on behalf of the thread named.

"""

Work = Callable[[], int]  # does a piece of work; the number of operations
Ready = Callable[[Path], Work]


def _mapping(pool: pmemobj.PersistentObjectPool, kind: type) -> object:
    pool.root = kind()
    return pool.root


def inserting(kind: type, insert: Callable[..., None], directory: Path) -> Work:
    """New keys into a container that grows to a million, then into the next one."""
    pool = pmemobj.open(directory / "insert.pool")
    new = [key(number) for number in random.Random(1).sample(range(10**9), 1_000_000)]
    state = {"container": _mapping(pool, kind), "at": 0}

    def work() -> int:
        if state["at"] == len(new):
            state.update(container=_mapping(pool, kind), at=0)
        part = new[state["at"] : state["at"] + 100_000]
        insert(state["container"], wanted=part)
        state["at"] += len(part)
        return len(part)

    return work


def stored(directory: Path, *, shuffled: bool, sync: str = "interval") -> tuple[PmemobjStore, random.Random]:
    store, choose = PmemobjStore(directory, sync), random.Random(2)
    numbers = list(range(0, 2 * ENTRIES, 2))
    if shuffled:
        choose.shuffle(numbers)
    store.open()
    timing.put_batches(store, timing.batches([(key(number), number) for number in numbers]))
    store.settle()
    return store, choose


def getting(in_order: bool, directory: Path) -> Work:
    store, choose = stored(directory, shuffled=not in_order)
    fetched = [key(2 * i) for i in (range(ENTRIES) if in_order else choose.sample(range(ENTRIES), ENTRIES))]

    def work() -> int:
        store.get(fetched)
        return len(fetched)

    return work


def batching(directory: Path) -> Work:
    """Each time into an empty store, as the comparison does."""
    state = {"turn": 0}
    work_items = timing.batches([(key(number), number) for number in range(0, 2 * BATCHED, 2)])

    def work() -> int:
        state["turn"] += 1
        place = directory / str(state["turn"])
        place.mkdir()
        store = PmemobjStore(place, "interval")
        store.open()
        timing.put_batches(store, work_items)
        return BATCHED

    return work


def durable(directory: Path) -> Work:
    store, choose = stored(directory, shuffled=True, sync="commit")

    def work() -> int:
        store.put_single([(key(choose.randrange(10**9) | 1), 1) for _ in range(100)])
        return 100

    return work


def reopening(directory: Path) -> Work:
    path = directory / "killed.pool"
    opening.fill(path, 2_000_000)
    opening.kill(path, 2_000_000, 300, "in random places")

    def work() -> int:
        pool = pmemobj.open(path, "w")
        pool.root[key(5)]
        os.environ["PROFILED"] = "1"  # once is all there is
        return 1

    return work


WORKLOADS: dict[str, tuple[str, Ready]] = {
    "dict insert": ("an insert of a new 13-character key", lambda d: inserting(dict, dicts.insert, d)),
    "set add": ("an add of a new 13-character key", lambda d: inserting(set, sets.add, d)),
    "random get": (
        "a get of one of 100,000 keys, in no order (LMDB, SQLite)",
        lambda d: getting(False, d),
    ),
    "sequential get": ("a get of one of 100,000 keys, in order (ZODB)", lambda d: getting(True, d)),
    "batch put in order": (
        "a put, 1000 in a transaction, keys in order, into a new store (LMDB, SQLite, ZODB)",
        batching,
    ),
    "durable single put": ("a put that is durable when it returns (SQLite FULL, pynvm)", durable),
    "open after kill": (
        "the open of a pool of 2,000,000 entries, 300,000 of which had been changed in random places",
        reopening,
    ),
}


# --- the process that is looked at


def child(name: str, directory: Path, seconds: float) -> None:
    """Prints: operations, wall seconds, processor seconds of this thread."""
    work = WORKLOADS[name][1](directory)
    perf = subprocess.Popen(
        f"perf record -q -e task-clock -F {FREQUENCY} -o perf.data -p {os.getpid()}".split(),
        cwd=directory,
        stderr=subprocess.PIPE,
    )
    time.sleep(1.0)
    operations, wall, own = 0, time.perf_counter(), time.thread_time()
    while time.perf_counter() - wall < seconds and "PROFILED" not in os.environ:
        operations += work()
    wall, own = time.perf_counter() - wall, time.thread_time() - own
    perf.send_signal(signal.SIGINT)
    perf.communicate()
    print(operations, wall, own, flush=True)
    os._exit(0)


# --- what the samples say


def place_of(dso: str) -> str:
    if "kernel" in dso or dso == "[unknown]":
        return "kernel"
    if dso.startswith(("libpython", "python")):
        return "interpreter"
    if ".cpython-" in dso and dso.startswith("_"):
        return "pmemobj"
    return "libc" if dso.startswith("libc") else dso


def samples(script: str, main: int) -> collections.Counter[tuple[str, str, str]]:
    """(thread, place, function) -> samples, from lines "thread id address function (module)" of perf script."""
    found: collections.Counter[tuple[str, str, str]] = collections.Counter()
    for line in script.splitlines():
        fields = line.split()
        if len(fields) < 5 or not fields[1].isdigit():
            continue
        thread = "program" if int(fields[1]) == main else fields[0]
        dso = fields[-1].strip("()").rsplit("/", 1)[-1]
        symbol = " ".join(fields[3:-1]).split(".constprop")[0].split(".part")[0]
        found[thread, place_of(dso), symbol] += 1
    return found


def perf_script(directory: Path) -> str:
    command = ["perf", "script", "-F", "comm,tid,ip,sym,dso"]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=True).stdout


def measure(name: str, seconds: float) -> list[str]:
    """The section of one workload."""
    with report.scratch() as directory:
        command = [sys.executable, __file__, "--child", name, str(directory), str(seconds)]
        environment = {**os.environ, "PYTHONPATH": str(report.ROOT)}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        output = process.communicate()[0]
        if process.returncode:
            raise RuntimeError(f"the workload {name!r} failed")
        operations, wall, own = (float(field) for field in output.split())
        found = samples(perf_script(Path(directory)), process.pid)
    total = found.total()
    lines = [f"## {name}", ""]
    each, description = wall / operations, WORKLOADS[name][0]
    amount = f"{each * 1e9:,.0f} ns" if each < 1e-5 else f"{each * 1e6:,.0f} µs"
    lines += [
        f"{description[0].upper() + description[1:]}: {amount}; "
        f"the program's thread was busy {100 * own / wall:.0f}% of it.",
        "",
        "| thread | place | share |",
        "|---|---|--:|",
    ]
    places: collections.Counter[tuple[str, str]] = collections.Counter()
    for (thread, place, _symbol), count in found.items():
        places[thread, place] += count
    for (thread, place), count in places.most_common():
        if 100 * count / total >= LEAST:
            lines.append(f"| {thread} | {place} | {100 * count / total:.0f}% |")
    lines += ["", "| function | thread | place | share |", "|---|---|---|--:|"]
    for (thread, place, symbol), count in found.most_common(SHOWN):
        if 100 * count / total >= LEAST:
            lines.append(f"| `{symbol}` | {thread} | {place} | {100 * count / total:.1f}% |")
    return [*lines, ""]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="see that everything works")
    parser.add_argument("--output", type=Path, default=PAGE)
    parser.add_argument("--child", nargs=3, metavar=("NAME", "DIRECTORY", "SECONDS"), help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.child:
        child(options.child[0], Path(options.child[1]), float(options.child[2]))
    wanted = [name for name in WORKLOADS if not options.names or any(part in name for part in options.names)]
    about = report.machine([])
    text = HEAD.format(frequency=FREQUENCY)
    text += f"Command: `make bench-profile`. Date: {about['date']}. Machine: {report.machine_text(about)}\n\n"
    for name in wanted:
        text += "\n".join(measure(name, 0.5 if options.quick else SECONDS)) + "\n"
        print(f"{name}: done", flush=True)
    options.output.write_text(text.rstrip() + "\n")
    print(options.output.read_text())


if __name__ == "__main__":
    main()
