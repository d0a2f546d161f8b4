"""Measures pmemobj and its peers, equal durability with equal durability: python -m benchmarks.peers."""

import argparse
import dataclasses
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks import report
from benchmarks.peers import footprint, targets, timing
from benchmarks.peers.catalogue import CLASSES, PROCESS, VARIANTS, Variant, usable

ROOT = Path(__file__).resolve().parents[2]
FOOTPRINT = "footprint"
PACKAGES = ["lmdb", "diskcache", "sqlitedict", "rocksdict", "ZODB", "BTrees", "SQLAlchemy", "pynvm"]
#: Where fsync may return at once.
IN_MEMORY = {"tmpfs", "ramfs", "devtmpfs"}

Notes = list[tuple[str, str]]


def file_system(path: Path) -> str:
    """The type of the one that holds path: the mount point with the longest name above it."""
    mounts = [line.split()[1:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
    above = [(len(point), kind) for point, kind in mounts if path.resolve().is_relative_to(point)]
    return max(above)[1]


def in_process_of_its_own(*arguments):
    """The result of a function that a module other than this one has.

    Some settings hold for a process (pynvm's flushes, ZODB's fsync), and none should meet the others' memory.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        return executor.submit(*arguments).result()


def explanations(variants: list[Variant], notes: Notes) -> str:
    lines = [
        "## What was compared",
        "",
        "The ratio is to pmemobj: 3 means that it takes a third of the time.",
        "",
    ]
    for durability in CLASSES:
        lines += [f'Class "{durability}":', ""]
        for variant in variants:
            if variant.durability == durability:
                fewer = f" Measured with 1/{variant.shrink} of the entries." if variant.shrink > 1 else ""
                lines.append(f"- **{variant.name}**: {variant.note}{fewer}")
        lines.append("")
    lines += ["- " + f"**{name}**: {text}" for name, text in notes]
    return "\n".join(lines) + "\n"


def selection(text: str | None) -> list[Variant]:
    """pmemobj, which the others are compared with, and those whose name has one of the parts given."""
    if text is None:
        return VARIANTS
    wanted = ["pmemobj", *(part.strip() for part in text.split(","))]
    return [variant for variant in VARIANTS if any(part in variant.name for part in wanted)]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--entries", type=int, help="in each store (default: 100000)")
    parser.add_argument(
        "--large", type=int, help="entries where bytes on disk are compared (default: 1000000)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="see that everything works; the figures mean little"
    )
    parser.add_argument("--peers", help="comma-separated parts of names, such as lmdb,sqlite3 (default: all)")
    parser.add_argument("--only", choices=[*CLASSES, FOOTPRINT], help="one part of it")
    parser.add_argument(
        "--directory", type=Path, help="for the stores (default: a temporary one below build/)"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "benchmarks", help="for the report")
    return parser.parse_args()


def main() -> None:
    options = parse()
    how, how_large = (timing.QUICK, footprint.QUICK) if options.quick else (timing.Plan(), footprint.Plan())
    if options.entries:
        how = dataclasses.replace(how, entries=options.entries)
        how_large = dataclasses.replace(how_large, entries=options.entries)
    if options.large:
        how_large = dataclasses.replace(how_large, large=options.large)
    variants = selection(options.peers)
    base = options.directory or ROOT / "build"
    base.mkdir(parents=True, exist_ok=True)
    rows: list[report.Row] = []
    notes: Notes = [("shelve", f"it keeps its data by {shelf_backend()} here.")]
    if file_system(base) in IN_MEMORY:
        notes.append(
            ("file system", "in memory: nothing here is safe from a power loss, and syncs cost nothing.")
        )
    with tempfile.TemporaryDirectory(prefix="peers-", dir=base) as temporary:
        for part in CLASSES:
            if options.only in (None, part):
                started = time.monotonic()
                chosen = [variant for variant in variants if variant.durability == part]
                directory = Path(temporary, part.replace(" ", "-"))
                found, said = in_process_of_its_own(timing.measure_usable, chosen, how, directory)
                rows += found
                notes += said
                print(f"{part}: measured in {time.monotonic() - started:.0f} s", flush=True)
        if options.only in (None, FOOTPRINT):
            started = time.monotonic()
            chosen = usable((v for v in variants if v.durability == PROCESS), lambda *_: None)
            rows += footprint.measure(chosen, how_large, Path(temporary), lambda *note: notes.append(note))
            print(f"{FOOTPRINT}: measured in {time.monotonic() - started:.0f} s", flush=True)
    finish(rows, explanations(variants, notes), options.output)


def shelf_backend() -> str:
    from benchmarks.peers.stores.shelve_store import backend

    return backend()


def finish(rows: list[report.Row], text: str, output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    report.save("peers", rows, output, PACKAGES)
    table = output / "peers.md"
    table.write_text(f"{table.read_text().rstrip()}\n\n{text}")
    found = targets.targets(rows)
    targets.save(found, output)
    print(table.read_text())
    for target in found:
        print(f"{target.measured:9.2f} {target.unit:8}  {target.label}")


if __name__ == "__main__":
    main()
