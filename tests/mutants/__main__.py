"""Leaves out one flush, fence, sync, undo image or note after the other, and sees whether exploration notices.

    python -m tests.mutants [--match TEXT] [--jobs N] [--again]

`make mutants` makes the build that this needs, in build/mutants, and runs all.  What was found is kept in
build/mutants/results.json, from which `python -m tests.reliability mutants` makes the table; mutants that were judged
before are left out unless --again.
"""

import argparse
import collections
import concurrent.futures
import fcntl
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from tests.mutants.explained import EXPLAINED
from tests.mutants.sites import Mutant, all_mutants

HERE = Path(__file__).resolve().parents[2]
ROOT = HERE / "build" / "mutants"
RESULTS = ROOT / "results.json"
PATIENCE = 600  # seconds for the probes of one mutant
HANGS = 900  # more than that after the last probe may begin: it hangs; an image that does is noticed before

#: By a part of the source's path: groups of rows to look at word by word.
WORDS = {
    "slab": ("memory",),
    "_core_collect": ("memory",),
    "_core_objects": ("memory", "object", "list"),
    "_core_heap": ("list", "table", "memory"),
    "_deque": ("deque",),
    "_sorted": ("sorted",),
    "heads.h": ("sorted",),
    "_array": ("buffers",),
    "_buffer": ("buffers",),
    "_bytearray": ("buffers",),
    "bytes.h": ("buffers",),
    "_dict_kinds": ("kinds",),
    "_list": ("list",),
    "_object_": ("object", "classes"),
    "_object.": ("object", "classes"),
    "_core_index": ("table",),
    "_table": ("table", "kinds"),
    "table.h": ("table",),
    "keys.h": ("table", "object"),
    "_dict": ("table", "kinds"),
    "_set": ("table",),
    "_values": ("values", "table"),
    "": ("list", "table", "deque"),
}
#: Kinds of mutants that are first looked for so.
STORES = ("note of a range", "note of a store", "undo image", "flush and fence")

#: Without persistent memory, where a flush is an msync.
ON_A_DISK = "tests:tests/testing/test_matrix.py -k on_a_disk"
#: Arrays that go to the pool file past the journal.
MEMORY_TESTS = "tests/containers/test_array_memory.py tests/pool/test_pool_copies.py"
#: What is undone because there is no room.
FULL_TESTS = "tests/containers/test_dict_full_pool.py tests/containers/test_list_full_pool.py"
#: By a part of the source's path: what to explore, in this order.
FOCUS = {
    "/direct/": (
        "direct:quick",
        "direct:pending",
        "thorough:one by one",
        "direct:recovery",
        ON_A_DISK,
        "direct:engine",
        "direct:memory",
        "direct:random",
    ),
    "journal.c": (
        "ring:quick",
        "words:order",
        "journal:ranges",
        "ring:ranges",
        "manual:ranges",
        "journal:recovery",
        "ring:recovery",
        "ring:engine",
    ),
    "journal_threads.c": (
        "words:order",
        "ring:quick",
        "tests:tests/pool/test_pool_durability.py",
        "journal:files",
        "journal:recovery",
        "ring:recovery",
        "ring:engine",
        "journal:engine",
        "journal:large",
    ),
    "/journal/": (
        "words:order",
        "ring:quick",
        "journal:recovery",
        "ring:recovery",
        "ring:engine",
        "journal:engine",
        "journal:large",
    ),
    "persist.c": ("journal:quick", "direct:quick", "journal:recovery", "direct:recovery", "journal:memory"),
    "/files/": ("journal:recovery", "direct:recovery", "journal:files", "direct:files", "journal:pool"),
    "pmemobj/_compact": (
        "tests:tests/containers tests/objects tests/pool/test_pool_space.py -k compact",
        "journal:copies",
    ),
    "_core_direct": ("direct:quick", "direct:pending", "direct:recovery", ON_A_DISK, "direct:memory"),
    "_core_objects": ("journal:quick", "journal:memory", "kills:trees", "direct:memory"),
    "drop.c": (f"tests:{MEMORY_TESTS}", "journal:large"),
    "engine.c": (
        "journal:ranges",
        "ring:ranges",
        f"tests:{MEMORY_TESTS}",
        "journal:quick",
        "journal:buffers",
        "journal:large",
    ),
    "_core_pool": ("journal:recovery", "direct:recovery"),
    "_core_resize": ("journal:pool", "journal:recovery", "direct:pool"),
    "_core_deque": ("journal:deque", "direct:deque"),
    "_core_sorted": ("journal:sorted", "direct:sorted"),
    "_core_tx": (f"tests:{FULL_TESTS}", "journal:quick", "journal:memory", "journal:pool", "direct:memory"),
    "_core_buffer": ("journal:buffers", "direct:buffers"),
    "_deque": ("journal:deque", "direct:deque"),
    "_sorted": ("journal:sorted", "direct:sorted"),
    "heads.h": ("journal:sorted", "direct:sorted"),
    "_buffer": ("journal:buffers", "direct:buffers"),
    "_bytearray": ("journal:buffers", "direct:buffers"),
    "_array": ("journal:buffers", "direct:buffers"),
    "bytes.h": ("journal:buffers", "direct:buffers"),
    "_dict_kinds": ("journal:kinds", "direct:kinds"),
    "_list": ("journal:list", "direct:list", "journal:large"),
    "_dict": ("journal:table", "direct:table"),
    "_table": ("journal:table", "direct:table", "journal:large"),
    "table.h": ("journal:table", "direct:table", "journal:large"),
    "keys.h": ("journal:table", "direct:table"),
    "_core_index": ("journal:table", "journal:large"),
    "_core_blocks": ("journal:quick", "journal:memory", "journal:large"),
    "_object": ("journal:object", "direct:object"),
    "_values": ("journal:values", "direct:values", "journal:table", "journal:large"),
    "slab": ("journal:memory", "direct:memory"),
    "_core": (
        "journal:quick",
        "journal:memory",
        "journal:pool",
        "direct:memory",
        "journal:random",
        "journal:large",
    ),
    "": ("journal:quick", "direct:quick", "journal:engine", "direct:engine", "journal:list", "journal:large"),
}
#: What only large containers do.
LARGE = (
    "index_drop",
    "empty_step",
    "drop_items",
    "directory",
    "divide",
    "vec_reserve (2)",
    "pm_add_range",
    "add_range",
    "journal.c:441",
    "jr_write_direct",
)
#: What only uncommitted changes need shows under the direct engine first.
DIRECT_FIRST = ("undo image", "flush and fence")


def focus_of(mutant: Mutant) -> list[str]:
    name = str(mutant)
    groups = next(groups for part, groups in FOCUS.items() if part in name)
    if any(word in name for word in LARGE):
        first = [group for group in groups if group.startswith("tests:")]
        groups = (
            *first,
            "journal:large",
            *(group for group in groups if group not in (*first, "journal:large")),
        )
    explored = sorted(groups, key=lambda g: g[0] != "d") if mutant.kind in DIRECT_FIRST else list(groups)
    if mutant.kind not in STORES or name.startswith("pmemobj/_compact"):
        return explored
    if "/direct/" in name or mutant.kind == "flush and fence":
        return ["flushed:quick", *explored]
    near = next(groups for part, groups in WORDS.items() if part in name)
    looked = [
        *(f"words:{group}" for group in (*near, "grown")),
        f"flushed:{near[0]}",
    ]  # which takes ten times as long
    freed = []
    if "_core_sorted" in name:
        freed = ["kills:trees"]
    elif "drop" in name or "_collect" in name:
        freed = ["kills:freed"]
    return [*looked, *freed, *explored]


def made(mutant: Mutant | None, directory: Path) -> None:
    """A package of links, but for the patched modules."""
    package = directory / "pmemobj"
    package.mkdir()
    for path in (ROOT / "pmemobj").iterdir():
        if path.suffix != ".so" and path.name != "__pycache__":
            (package / path.name).symlink_to(path)
    for path in (ROOT / "pmemobj").glob("*.so"):
        content = path.read_bytes()
        mine = [site for site in (mutant.sites if mutant else ()) if site.binary == path.name]
        for site in mine:
            content = site.patched(content)
        if mine:
            (package / path.name).write_bytes(content)
        else:
            (package / path.name).symlink_to(path)
    for name in ("tests", "benchmarks"):
        (directory / name).symlink_to(ROOT / name)


def judged(mutant: Mutant | None, focus: list[str], patience: int = PATIENCE) -> str:
    """What was noticed, or ""."""
    directory = Path(tempfile.mkdtemp(prefix="pmemobj-mutant-"))
    try:
        made(mutant, directory)
        environment = {**os.environ, "PYTHONPATH": str(directory), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "tests.mutants.probe", f"--seconds={patience}", *focus]
        with subprocess.Popen(
            command, cwd=directory, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        ) as process:  # fmt: skip
            try:
                out, err = process.communicate(timeout=patience + HANGS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                return "hangs"
        if process.returncode:
            return f"exit code {process.returncode}: {err.strip().splitlines()[-1:]}"
        return out.strip()
    finally:
        shutil.rmtree(directory)


def kept() -> dict[str, list[str]]:
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def keep(mutant: Mutant, found: str) -> None:
    """Another run may do so at the same time."""
    with (ROOT / "results.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        known = {**kept(), mutant.name: [mutant.kind, found]}
        RESULTS.with_suffix(".new").write_text(json.dumps(known, indent=1))
        RESULTS.with_suffix(".new").replace(RESULTS)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__.splitlines()[0])
    parser.add_argument("--match", default="", help="only mutants whose name or kind contains this")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--unnoticed", action="store_true", help="only those that are open")
    parser.add_argument("--new", action="store_true", help="only those that were not tried")
    parser.add_argument("--seconds", type=int, default=PATIENCE, help="for each")
    parser.add_argument("--depth", type=int, default=99, help="so many groups of probes for each, at most")
    options = parser.parse_args(arguments)
    known = kept()
    mutants = all_mutants(ROOT)
    wanted = sorted(
        (
            m
            for m in mutants
            if options.match in f"{m.kind} {m}"
            and (not options.unnoticed or (m.name in known and not any(part in str(m) for part in EXPLAINED)))
            and not (options.new and m.name in known)
            and (options.again or not known.get(m.name, ["", ""])[1])
        ),
        key=str,
    )
    random.Random(1).shuffle(wanted)  # so that a part of them says something about all
    wanted.sort(key=lambda m: m.name in known)  # those that were not noticed again at the end
    lock = threading.Lock()

    def try_one(mutant: Mutant) -> None:
        found = judged(mutant, focus_of(mutant)[: options.depth], options.seconds)
        with lock:
            keep(mutant, found)
            print(
                f"{'noticed  ' if found else 'UNNOTICED'} {mutant.kind}: {mutant}: {found[:160]}", flush=True
            )

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for done in concurrent.futures.as_completed([pool.submit(try_one, mutant) for mutant in wanted]):
            done.result()
    counts = collections.Counter(bool(found) for _kind, found in kept().values())
    print(f"{len(mutants)} mutants; of {counts.total()} tried {counts[True]} noticed, {counts[False]} not")
    return 0


if __name__ == "__main__":
    sys.exit(main())
