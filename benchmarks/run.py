"""The micro benchmarks: every operation of the containers against the builtins.

python benchmarks/run.py [--match TEXT] [--sizes 1000 100000] [--sync interval ...] [--scale]
"""

import argparse
import platform
import sys
import time
from itertools import groupby
from pathlib import Path

# Run as a file, the repository's root is not on the path.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pmemobj
from benchmarks import harness, micro, report
from benchmarks.micro import scale

POLICIES = ("commit", "interval", "manual")


def arguments(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--match", default="", help="only cases whose name contains this")
    parser.add_argument(
        "--sizes",
        type=lambda text: int(float(text)),
        nargs="+",
        default=[1000, 100_000],
        help="entries, such as 1e6",
    )
    parser.add_argument("--sync", nargs="+", default=["interval"], choices=POLICIES)
    parser.add_argument("--scale", action="store_true", help="instead: 10^7 entries against 10^4")
    parser.add_argument("--repeats", type=int, default=harness.REPEATS)
    parser.add_argument("--directory", help="where the pool is made (default: below build/)")
    parser.add_argument("--output", type=Path, default=report.DIRECTORY, help="where the results go")
    parser.add_argument("--name", help="name of the results (default: micro or scale)")
    return parser.parse_args(argv)


def title(sync, entries, options):
    """What tells the groups of several runs apart."""
    parts = [f"{entries:,} entries"] if len(options.sizes) > 1 else []
    parts += [f"sync={sync!r}"] if len(options.sync) > 1 else []
    return f" ({', '.join(parts)})" if parts else ""


def run_micro(options, sync, pool):
    rows = []
    for entries in options.sizes:
        plan = harness.Plan.for_sync(sync, entries)
        cases = [case for case in micro.cases(plan) if options.match in case.name]
        for group, members in groupby(cases, key=lambda case: case.group):
            results = [harness.measure(case, pool, options.repeats) for case in members]
            heading = group + title(sync, entries, options)
            print(f"\n{heading}\n\n{harness.table(results)}", flush=True)
            rows += [report.Row(heading, r.name, "ns", r.row().values) for r in results]
    return rows


def main(argv=None):
    options = arguments(argv)
    print(
        f"Python {platform.python_version()}, pmemobj {pmemobj.__version__}, sync={', '.join(options.sync)}"
    )
    start, rows = time.monotonic(), []
    for sync in options.sync:
        with (
            report.scratch(options.directory) as directory,
            pmemobj.open(Path(directory, "bench.pool"), sync=sync) as pool,
        ):
            if options.scale:
                times, compared = scale.measured(pool, repeats=options.repeats)
                print("\n" + report.markdown(times + compared))
                rows += times + compared
            else:
                rows += run_micro(options, sync, pool)
    name = options.name or ("scale" if options.scale else "micro")
    sizes = ", ".join(f"{size:,}" for size in options.sizes)
    report.save(
        name,
        rows,
        options.output,
        sync=", ".join(options.sync),
        **({} if options.scale else {"entries": sizes}),
    )
    print(f"{time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
