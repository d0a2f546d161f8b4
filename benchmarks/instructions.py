"""Counts the instructions of each hot path with callgrind, and keeps the table in benchmarks/instructions.md.

    python benchmarks/instructions.py            write the table anew
    python benchmarks/instructions.py --check    compare with the kept one; fails if a row moved by a tenth

Only the thread that runs the operations is counted. Counts do not depend on what else the machine does, so a
change of one instruction can be seen; they do depend on the interpreter and on the compilers, which the table names.
"""

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# Run as a file, the repository's root is not on the path.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import hotpaths
from benchmarks.harness import BUILTIN, OURS

HERE = Path(__file__).resolve().parent
TABLE = HERE / "instructions.md"
LIMIT = 0.10

HEAD = """\
# Instructions of the hot paths

Instructions that one operation executes in the thread that calls it, the loop around it included, counted by
callgrind: the difference between a run and one twice as long. `make bench-instructions` writes this table;
with `BENCH_ARGS=--check` it compares and names the rows that moved by more than a tenth. Rows in which a container
grows include its growing.

"""


def build_marks(directory: Path) -> Path:
    library = directory / "marks.so"
    compiler = os.environ.get("CC", "gcc")
    source = HERE / "c" / "marks.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(source)], check=True)
    return library


def run_callgrind(directory: Path) -> None:
    pools = directory / "pools"
    pools.mkdir()
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    subprocess.run(
        [
            "valgrind",
            "--quiet",
            "--tool=callgrind",
            "--separate-threads=yes",
            f"--callgrind-out-file={directory / 'out'}",
            sys.executable,
            str(HERE / "hotpaths.py"),
            str(build_marks(directory)),
            str(pools),
        ],
        check=True,
        env=environment,
        cwd=HERE.parent,
    )


def counted(directory: Path) -> dict[str, int]:
    """What callgrind counted in the first thread up to each mark, by the mark's name."""
    found = {}
    for path in directory.glob("out.*-01"):
        text = path.read_text(errors="replace")
        name = re.search(r"^desc: Trigger: Client Request: (.*)$", text, re.MULTILINE)
        total = re.search(r"^summary: (\d+)", text, re.MULTILINE)
        if name and total:
            found[name[1]] = int(total[1])
    return found


def measured() -> dict[str, dict[str, float]]:
    """Instructions of one operation: path -> rival -> number."""
    with tempfile.TemporaryDirectory() as directory:
        run_callgrind(Path(directory))
        totals = counted(Path(directory))
    table: dict[str, dict[str, float]] = {}
    for path in hotpaths.paths():
        table[path.name] = {}
        for rival in (BUILTIN, OURS):
            once, twice = (totals[hotpaths.SEPARATOR.join((rival, path.name, times))] for times in "12")
            table[path.name][rival] = (twice - once) / (path.operations * path.rounds)
    return table


def versions() -> str:
    def first_line(*command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]

    return (
        f"{platform.python_implementation()} {platform.python_version()} ({platform.python_compiler()}); modules "
        f"compiled with {first_line(os.environ.get('CC', 'gcc'), '--version')}; {first_line('valgrind', '--version')}."
    )


def write(table: dict[str, dict[str, float]], path: Path) -> None:
    lines = ["| operation | builtin | pmemobj | ratio |", "|---|--:|--:|--:|"]
    for name, counts in table.items():
        builtin, ours = counts[BUILTIN], counts[OURS]
        lines.append(f"| {name} | {builtin:.1f} | {ours:.1f} | {ours / builtin:.2f} |")
    path.write_text(HEAD + versions() + "\n\n" + "\n".join(lines) + "\n")


def read(path: Path) -> dict[str, dict[str, float]]:
    """The table as `write` left it."""
    rows = re.findall(r"^\| ([^|]+) \| ([\d.]+) \| ([\d.]+) \| [\d.]+ \|$", path.read_text(), re.MULTILINE)
    return {name: {BUILTIN: float(builtin), OURS: float(ours)} for name, builtin, ours in rows}


def moved(kept: dict[str, dict[str, float]], now: dict[str, dict[str, float]]) -> list[str]:
    """A sentence for each row of ours that changed by more than LIMIT, or is in only one table."""
    changes = [f"{name}: not counted any more" for name in kept if name not in now]
    for name, counts in now.items():
        if name not in kept:
            changes.append(f"{name}: not in the kept table")
            continue
        before, after = kept[name][OURS], counts[OURS]
        if abs(after - before) > LIMIT * before:
            changes.append(f"{name}: {before:.1f} before, {after:.1f} now ({after / before - 1:+.0%})")
    return changes


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the kept table")
    parser.add_argument("--table", type=Path, default=TABLE)
    options = parser.parse_args(argv)
    if not shutil.which("valgrind"):
        sys.exit("valgrind is not installed: apt-get install valgrind")
    now = measured()
    if not options.check:
        write(now, options.table)
        print(options.table.read_text())
        return
    if versions() not in options.table.read_text():
        print(f"The kept table is of another interpreter or compiler than this one: {versions()}")
    changes = moved(read(options.table), now)
    print("\n".join(changes) or "no row moved by more than a tenth")
    sys.exit(bool(changes))


if __name__ == "__main__":
    main()
