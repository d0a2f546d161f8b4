"""Three small programs, each with pmemobj, in memory, and as one would write it with the standard library.

python benchmarks/applications.py [--scale 4] [--rounds 3]
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

# Run as a file, the repository's root is not on the path.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import report
from benchmarks.apps import frontier, jobs, words
from benchmarks.report import Row

APPLICATIONS = {"crawler frontier": frontier, "job queue": jobs, "word count": words}


def compare(name, application, amount, rounds, directory=None) -> list[Row]:
    """Operations per second: medians of rounds in which each version has one turn, in a directory of its own."""
    rates = {version: [] for version in application.VERSIONS}
    expected = None
    for _ in range(rounds):
        for version, run in application.VERSIONS.items():
            with report.scratch(directory) as own:
                start = time.perf_counter()
                operations, found = run(Path(own), amount)
                rates[version].append(operations / (time.perf_counter() - start))
            expected = expected or found
            if found is not None and found != expected:
                raise AssertionError(f"{name}: {version} found {found}, others {expected}")
    values = {version: statistics.median(found) for version, found in rates.items()}
    return [Row(f"{name}: each {application.OPERATION}", name, "operations/s", values)]


def measured(directory=None, scale: float = 1, rounds: int = 3) -> list[Row]:
    return [
        row
        for name, application in APPLICATIONS.items()
        for row in compare(name, application, max(2, int(application.AMOUNT * scale)), rounds, directory)
    ]


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=4, help="how much work (default: 4)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--directory", help="where the files are made (default: below build/)")
    parser.add_argument("--output", type=Path, default=report.DIRECTORY, help="where the results go")
    options = parser.parse_args(argv)
    start = time.monotonic()
    rows = measured(options.directory, options.scale, options.rounds)
    print(report.markdown(rows))
    report.save("applications", rows, options.output, scale=options.scale)
    print(f"{time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
