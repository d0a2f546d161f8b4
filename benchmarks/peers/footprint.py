"""Bytes on disk, memory, and the time of an open, after a clean close and after SIGKILL: each in its own process."""

import json
import shutil
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers import child
from benchmarks.peers.catalogue import RATIO, Variant
from benchmarks.report import Row

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = "pmemobj manual"

#: Compared at this size as well: they are filled in a second or two.
LARGE = ("pmemobj manual", "lmdb sync=False", "sqlite3 WAL NORMAL", "rocksdict")


@dataclass(frozen=True)
class Plan:
    """entries: as in timing.Plan.  large: entries of the comparison of bytes on disk.  kills: per store.

    writing: seconds that a writer has before it is killed.
    """

    entries: int = 100_000
    large: int = 1_000_000
    kills: int = 5
    writing: float = 0.1


QUICK = Plan(entries=2000, large=10_000, kills=1, writing=0.02)


def start(action: str, variant: Variant, directory: Path, entries: int, *rest: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "benchmarks.peers.child",
        action,
        variant.name,
        str(directory),
        str(entries),
    ]
    return subprocess.Popen(
        [*command, *rest], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def call(action: str, variant: Variant, directory: Path, entries: int, *rest: str) -> dict[str, Any]:
    process = start(action, variant, directory, entries, *rest)
    out, err = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"{variant.name}: {action} failed\n{err}")
    return json.loads(out)


def kill_and_recover(variant: Variant, directory: Path, plan: Plan) -> list[dict[str, Any]]:
    """A writer is killed in the middle and the store opened again, plan.kills times over the same store."""
    progress = directory.parent / child.PROGRESS
    progress.write_bytes(struct.pack("<q", 0))

    def written() -> int:
        return struct.unpack("<q", progress.read_bytes())[0]

    answers = []
    for _ in range(plan.kills):
        before = written()
        writer = start("write", variant, directory, 0)
        while written() < before + 5 and writer.poll() is None:
            time.sleep(0.002)
        time.sleep(plan.writing)
        writer.kill()
        _, err = writer.communicate()
        if writer.returncode != -9:
            raise RuntimeError(f"{variant.name}: the writer died by itself\n{err}")
        answers.append(call("recover", variant, directory, before))
        if "error" in answers[-1]:
            break
    return answers


def recovery_values(answers: list[dict[str, Any]], clean: float) -> dict[str, float]:
    """An open that failed counts as one that lost all."""
    opened = [answer["open"] for answer in answers if "open" in answer]
    return {
        "after a clean close": clean / 1e6,
        "after SIGKILL": statistics.median(opened) / 1e6 if opened else float("nan"),
        "puts lost": sum(answer.get("lost", answer["written"]) for answer in answers),
        "opens failed": sum("error" in answer for answer in answers),
    }


def measure(
    variants: list[Variant], plan: Plan, directory: Path, note: Callable[[str, str], None]
) -> list[Row]:
    """All of it, for those variants that stand for their store."""
    variants = [variant for variant in variants if variant.footprint]
    result = []
    for order in ("in order", "random"):
        sizes = {}
        for variant in variants:
            if variant.name in LARGE:
                store = directory / variant.name.replace(" ", "-")
                store.mkdir()
                sizes[variant.name] = call("fill", variant, store, plan.large, order)
                shutil.rmtree(store)
        group = f"bytes on disk, {plan.large} entries stored {ORDERS[order]}"
        result += [
            Row(group, name, "bytes", {**size, RATIO: size["on disk"] / sizes[REFERENCE]["on disk"]})
            for name, size in sizes.items()
        ]
    small, resident, opens = [], [], []
    for variant in variants:
        store = directory / variant.name.replace(" ", "-") / "store"
        store.mkdir(parents=True)
        entries = max(1000, plan.entries // variant.shrink)
        size = call("fill", variant, store, entries, "random")
        seen = call("read", variant, store, entries)
        small.append((variant.name, entries, size))
        resident.append((variant.name, entries, seen))
        answers = kill_and_recover(variant, store, plan)
        opens.append((variant.name, recovery_values(answers, statistics.median(seen["open"]))))
        for answer in answers:
            if "error" in answer:
                note(variant.name, f"could not be opened after SIGKILL: {answer['error']}")
        shutil.rmtree(store.parent)
    result += [
        Row(
            f"bytes per entry on disk, {plan.entries} entries or fewer",
            name,
            "bytes",
            {**{column: value / entries for column, value in size.items()}, "entries": entries},
        )
        for name, entries, size in small
    ]
    result += [
        Row(
            "resident memory of a process that has read every entry",
            name,
            "MB",
            {
                "before open": seen["before"]["resident"] / 1e6,
                "after": seen["after"]["resident"] / 1e6,
                "of it anonymous": seen["after"]["anonymous"] / 1e6,
                "peak": seen["after"]["peak"] / 1e6,
                "entries": entries,
            },
        )
        for name, entries, seen in resident
    ]
    result += [Row("open and first get", name, "ms", values) for name, values in opens]
    return result


ORDERS = {"in order": "in order", "random": "in random order"}
