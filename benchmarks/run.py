"""Prints the micro benchmarks: python -m benchmarks.run [--match TEXT] [--sync POLICY] [--directory DIR]."""

import argparse
import platform
import sys
import tempfile
from pathlib import Path

# Run as a file, the repository's root is not on the path.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pmemobj
from benchmarks import harness, micro


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--match", default="", help="only cases whose name contains this")
    parser.add_argument("--sync", default="interval", choices=["commit", "interval", "manual"])
    parser.add_argument(
        "--directory", default=None, help="where the pool is made (default: a temporary directory)"
    )
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, pmemobj {pmemobj.__version__}, sync={options.sync!r}\n")
    with (
        tempfile.TemporaryDirectory(dir=options.directory) as directory,
        pmemobj.open(Path(directory, "bench.pool"), sync=options.sync) as pool,
    ):
        results = [harness.measure(case, pool) for case in micro.CASES if options.match in case.name]
    print(harness.table(results))


if __name__ == "__main__":
    main()
