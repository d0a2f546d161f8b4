"""The journal's C tests, compiled and run: as it ships, with ASan and UBSan, and with TSan."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ENGINE = HERE.parents[1] / "pmemobj" / "_engine"
SOURCES = [
    *(HERE / name for name in ("test_journal.c", "test_crash.c", "test_space.c", "world.c", "crash_io.c")),
    *(
        ENGINE / name
        for name in (
            "files/io.c",
            "files/locks.c",
            "files/poolfile.c",
            "journal/pages.c",
            "journal/ring.c",
            "journal/journal.c",
            "journal/journal_files.c",
            "journal/journal_threads.c",
            "journal/recovery.c",
            "journal/target.c",
        )
    ),
]
FLAGS = ["-std=c11", "-O2", "-g", "-Wall", "-Wextra", "-Werror", f"-I{ENGINE}"]
VARIANTS = {
    "plain": [],
    "memory": ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    "threads": ["-fsanitize=thread"],
}
NAMES = re.findall(r'^    \{"(\w+)", test_\w+\}', (HERE / "test_journal.c").read_text(), re.MULTILINE)
THREADED = [
    "many_segments",
    "growth",
    "oversized_record",
    "checkpoint",
    "direct_write",
    "interval",
    "group_commit",
    "full_pool",
    "order_of_calls",
]
#: With a ring in front of the log; the others are about single records of the log.
WITH_RING = [
    "round_trip",
    "many_segments",
    "growth",
    "oversized_record",
    "checkpoint",
    "direct_write",
    "interval",
    "group_commit",
    "forked_child",
    "full_pool",
    "interrupted_calls",
    "failing_calls",
    "power_loss",
    "power_loss_during_recovery",
    "power_loss_after_kill",
    "kill",
    "kill_during_recovery",
    "ring_tail",
    "ring_damage",
    "ring_gap",
    "ring_turns",
]


def cases(names):
    """With one group for each variant, so that it is compiled once."""
    return [
        pytest.param(variant, name, marks=pytest.mark.xdist_group(f"journal-{variant}"))
        for variant in VARIANTS
        for name in names
        if variant != "threads" or name in THREADED
    ]


pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")


def fixed_addresses():
    """TSan of some compilers cannot start with the address layout of newer kernels."""
    setarch = shutil.which("setarch")
    return [setarch, os.uname().machine, "-R"] if setarch else []


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    """Compiles a variant when it is first asked for."""
    directory = tmp_path_factory.mktemp("engine")
    compiled = {}

    def program(variant):
        if variant not in compiled:
            target = directory / variant
            command = ["gcc", *FLAGS, *VARIANTS[variant], "-o", target, *SOURCES, "-lpthread"]
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            compiled[variant] = target
        return compiled[variant]

    return program


def test_every_test_is_found():
    assert len(NAMES) > 20
    assert set(THREADED) | set(WITH_RING) <= set(NAMES)


@pytest.mark.parametrize(("variant", "name"), cases(NAMES))
def test_journal(programs, memory_path, variant, name):
    run(programs(variant), variant, [memory_path, name])


@pytest.mark.parametrize(("variant", "name"), cases(WITH_RING))
def test_journal_with_ring(programs, memory_path, variant, name):
    run(programs(variant), variant, [memory_path, "ring", name])


def run(program, variant, arguments):
    prefix = fixed_addresses() if variant == "threads" else []
    environment = {**os.environ, "TSAN_OPTIONS": "halt_on_error=1 exitcode=66"}
    environment.pop("LD_PRELOAD", None)  # make test-asan's, which a program with TSan cannot have
    done = subprocess.run(
        [*prefix, program, *arguments], capture_output=True, text=True, timeout=120, env=environment
    )
    if "unexpected memory mapping" in done.stderr:
        pytest.skip("TSan does not run on this kernel")
    assert done.returncode == 0, done.stdout + done.stderr
