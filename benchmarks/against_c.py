"""The same effect from C with libpmemobj and from Python with pmemobj, and what the disk itself takes.

    python benchmarks/against_c.py [--directory DIR] [--rounds N]

The C programs are idiomatic users of the system's libpmemobj: a snapshot, then a store, in TX_BEGIN.  On an ordinary
file libpmemobj makes each flush an msync.  They are measured a second time with PMEM_IS_PMEM_FORCE=1, which leaves
the msyncs out: then nothing is safe against power loss, as with sync="manual", and less is against a kill.
"""

import argparse
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

# Run as a file, the repository's root is not on the path.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pmemobj
from benchmarks import durable, report
from benchmarks.report import Row

SOURCES = Path(__file__).resolve().parent / "c"
BUILT = report.DIRECTORY / "c"

WORDS, STRIDE = 65536, 7919  # as in list_set.c
STOCK, FORCED = "libpmemobj", "libpmemobj, no msync"
COMMIT, MANUAL = "pmemobj, commit", "pmemobj, manual"
DURABLE, NOT_DURABLE = "with power loss in mind", "without"


class NoCompilerError(RuntimeError):
    """gcc, pkg-config or libpmemobj's headers are missing."""


def build(name: str, directory: Path = BUILT) -> Path:
    """Compiles a program, with the system's libpmemobj."""
    compiler = shlex.split(os.environ.get("CC", "gcc"))  # "ccache gcc", perhaps
    if not shutil.which(compiler[0]) or not shutil.which("pkg-config"):
        raise NoCompilerError("a C compiler and pkg-config are needed")
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libpmemobj"], capture_output=True, text=True)
    if flags.returncode:
        raise NoCompilerError(flags.stderr.strip())
    directory.mkdir(parents=True, exist_ok=True)
    program = directory / name
    command = [
        *compiler,
        "-O2",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-o",
        str(program),
        str(SOURCES / f"{name}.c"),
    ]
    subprocess.run(command + flags.stdout.split(), check=True)
    return program


@contextmanager
def program(executable: Path, pool: Path, operations: int, forced: bool) -> Iterator[Callable[[int], float]]:
    """A running program: calling it with a number of transactions gives ns per operation."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PMEM")}
    if forced:
        environment["PMEM_IS_PMEM_FORCE"] = "1"
    process = subprocess.Popen(
        [executable, pool, str(operations)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdin is not None and process.stdout is not None

    def transactions(count: int) -> float:
        process.stdin.write(f"{count}\n")
        process.stdin.flush()
        return int(process.stdout.readline()) / (count * operations)

    try:
        yield transactions
    finally:
        process.stdin.close()
        status = process.wait()
        process.stdout.close()
        pool.unlink(missing_ok=True)
    if status:
        raise subprocess.CalledProcessError(status, str(executable))


def set_words(items, first, operations):
    for turn in range(first, first + operations):
        items[turn * STRIDE % WORDS] = turn


def insert_keys(mapping, first, operations):
    for turn in range(first, first + operations):
        mapping[f"key-{turn:09d}"] = 5


@contextmanager
def from_python(work: str, path: Path, operations: int, sync: str) -> Iterator[Callable[[int], float]]:
    """Ours, to be called in the same way."""
    run, value = (set_words, list(range(WORDS))) if work == "list_set" else (insert_keys, {})
    with pmemobj.open(path, sync=sync) as pool:
        pool.root = value
        container, turn = pool.root, 0

        def transactions(count: int) -> float:
            nonlocal turn
            first = turn
            start = time.perf_counter_ns()
            for _ in range(count):
                with pool.transaction():
                    run(container, turn, operations)
                turn += operations
            return (time.perf_counter_ns() - start) / (turn - first)

        yield transactions


@dataclass(frozen=True)
class Work:
    """A program, the operations of a transaction, and the transactions in a turn: durable ones, and others."""

    program: str
    name: str
    operations: int
    durable: int
    others: int


WORKS = [
    Work("list_set", "list set, a transaction each", 1, 20, 5000),
    Work("list_set", "list set, 1000 in a transaction", 1000, 1, 20),
    Work("hashmap_insert", "insert, a transaction each", 1, 20, 5000),
    Work("hashmap_insert", "insert, 1000 in a transaction", 1000, 1, 20),
]


def compare(work: Work, directory: Path, rounds: int) -> list[Row]:
    """Medians of rounds in which each rival has one turn: ns per operation, and how much faster ours is."""
    executable = build(work.program)
    few, many, each = work.durable, work.others, work.operations
    rivals = {
        STOCK: (program(executable, directory / "c.pool", each, forced=False), few),
        COMMIT: (from_python(work.program, directory / "ours.pool", each, "commit"), few),
        FORCED: (program(executable, directory / "c-forced.pool", each, forced=True), many),
        MANUAL: (from_python(work.program, directory / "ours-manual.pool", each, "manual"), many),
    }
    with ExitStack() as stack:
        running = {name: (stack.enter_context(rival), count) for name, (rival, count) in rivals.items()}
        samples: dict[str, list[float]] = {name: [] for name in running}
        for turn in range(rounds + 1):
            for name, (transactions, count) in running.items():
                taken = transactions(count)
                if turn:  # the first touches memory and files that are new
                    samples[name].append(taken)
    for path in directory.glob("*.pool*"):
        path.unlink()
    times = {name: statistics.median(taken) for name, taken in samples.items()}
    faster = {DURABLE: times[STOCK] / times[COMMIT], NOT_DURABLE: times[FORCED] / times[MANUAL]}
    return [
        Row("libpmemobj from C and pmemobj from Python, per operation", work.name, "ns", times),
        Row("pmemobj is faster than libpmemobj by", work.name, "x", faster),
    ]


def measured(directory: Path, rounds: int = 9, works: Sequence[Work] = tuple(WORKS)) -> list[Row]:
    return [row for work in works for row in compare(work, directory, rounds)]


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--directory", help="where the pools are made (default: below build/)")
    parser.add_argument("--output", type=Path, default=report.DIRECTORY, help="where the results go")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--pairs", type=int, default=durable.PAIRS)
    options = parser.parse_args(argv)
    start = time.monotonic()
    with report.scratch(options.directory) as directory:
        rows = durable.measured(Path(directory), options.pairs)
        print(report.markdown(rows), flush=True)
        compared = measured(Path(directory), options.rounds)
        print(report.markdown(compared))
    report.save("against-c", rows + compared, options.output)
    print(f"{time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
