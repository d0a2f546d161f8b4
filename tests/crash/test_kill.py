"""kill -9 at random moments: nothing acknowledged is lost, nothing half done is found, the heap is sound.

A worker of the direct engine takes the file for persistent memory, or syncs each change, which is slow.  The engine
that finds its pool is sometimes the other one.
"""

import contextlib
import json
import mmap
import os
import select
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest
import workload
from worker import CHECKPOINT, CLOSE, OPEN, RUN

import pmemobj
from tests.testing import tally

HERE = Path(__file__).parent
SEED = int(os.environ.get("PMEMOBJ_KILL_SEED", "20240601"))


#: How often a worker is killed in which phase.  Without a journal a checkpoint is nothing, and on a disk the direct
#: engine takes long to come to its first close.
PHASES = {
    "journal": {RUN: 70, OPEN: 10, CHECKPOINT: 10, CLOSE: 10},
    "memory": {RUN: 80, OPEN: 10, CLOSE: 10},
    "disk": {RUN: 90, OPEN: 10},
}


class Marks:
    def __init__(self, path):
        path.write_bytes(bytes(24))
        with path.open("r+b") as file:
            self.map = mmap.mmap(file.fileno(), 24)

    def reset(self, number):
        self.map[:] = struct.pack("<QQQ", number, number, 0)

    @property
    def begun(self):
        return struct.unpack_from("<Q", self.map, 0)[0]

    @property
    def done(self):
        return struct.unpack_from("<Q", self.map, 8)[0]

    @property
    def phase(self):
        return struct.unpack_from("<Q", self.map, 16)[0]


def pmempool_check(path):
    tool = shutil.which("pmempool")
    assert tool, "pmempool is missing: apt-get install pmdk-tools"
    done = subprocess.run([tool, "check", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


class Starter:
    """Starts workers, one at a time, each a fork of a process that has never opened a pool."""

    def __init__(self, persistent_memory):
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py")],
            env={**os.environ, "PMEM_IS_PMEM_FORCE": str(int(persistent_memory))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )

    def start(self, *arguments):
        self.process.stdin.write(json.dumps(arguments).encode() + b"\n")
        self.worker = int(self.process.stdout.readline())

    def has_ended(self):
        return bool(select.select([self.process.stdout], [], [], 0)[0])

    def kill(self):
        """Its wait status."""
        if not self.has_ended():  # nobody has waited for it yet, so the number is its own
            os.kill(self.worker, signal.SIGKILL)
        return int(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture(scope="module")
def starters():
    with running_starters() as made:
        yield made


@contextlib.contextmanager
def running_starters():
    """By engine."""
    made = {True: Starter(True), False: Starter(False)}
    try:
        yield {engine: made[engine == "memory"] for engine in PHASES}
    finally:
        for starter in made.values():
            starter.close()


def wait_for_phase(starter, marks, phase, seconds=20):
    deadline = time.monotonic() + seconds
    while marks.phase != phase:
        assert not starter.has_ended(), "the worker ended by itself"
        assert time.monotonic() < deadline, f"phase {phase} was not reached"
        time.sleep(0.0001)


def kill_once(path, marks_path, marks, rng, number, sync, engine, starter):
    """Starts a worker at operation `number`, kills it at a random moment of a random phase."""
    marks.reset(number)
    phase = rng.choices(list(PHASES[engine]), PHASES[engine].values())[0]
    starter.start(
        str(path), str(marks_path), SEED, number, sync, "journal" if engine == "journal" else "direct"
    )
    try:
        wait_for_phase(starter, marks, phase)
        time.sleep(rng.random() * (0.03 if phase == RUN else 0.004))
    finally:
        status = starter.kill()
    assert status == signal.SIGKILL
    return phase


def same(found, model):
    """Equal, and dicts in the same order."""
    return found == model and repr(list(found["dict"])) == repr(list(model["dict"]))


def kill_rounds(tmp_path, rounds, engines, starters):
    path, marks_path = tmp_path / "kill.pool", tmp_path / "marks"
    marks, rng = Marks(marks_path), Random(SEED)
    print(f"seed {SEED} (PMEMOBJ_KILL_SEED)")
    with pmemobj.open(path, max_size=1 << 30) as pool:
        pool.root = workload.new_state()
    model, number, replayed = workload.new_state(), 0, 0
    openers = ["journal"] if engines is JOURNAL else ["journal", "direct"]
    for round_number in range(rounds):
        sync, engine = rng.choice(["interval", "manual", "commit"]), rng.choice(engines)
        phase = kill_once(path, marks_path, marks, rng, number, sync, engine, starters[engine])
        where = f"round {round_number}, {engine}, phase {phase}, begun {marks.begun}, done {marks.done}"
        while number < marks.done:
            workload.apply(model, number, SEED)
            number += 1
        with pmemobj.open(path, sync="manual", engine=rng.choice(openers)) as pool:
            replayed += pool.recovery is not None
            report = pool.check()
            assert report.ok, f"{where}: {report}"
            found = pool.to_python(pool.root)
        if not same(found, model) and marks.begun > number:
            workload.apply(model, number, SEED)
            number += 1
        assert same(found, model), f"{where}: neither the acknowledged state nor the one after it"
        pmempool_check(path)
    with pmemobj.open(path, sync="manual") as pool:
        pool.root = None
        pool.gc()
        assert pool.check().unreachable == (0, 0)
        assert pool.stats()["allocated"] == 0
    tally.add_killed(rounds)
    print(f"{rounds} kills, {replayed} recoveries, {number} operations")
    return rounds, replayed, number


JOURNAL, DIRECT = ["journal"], ["memory"] * 6 + ["disk", "journal"]


@pytest.mark.timeout(400)  # half a minute on an idle machine
@pytest.mark.parametrize(("engines", "rounds"), [(JOURNAL, 200), (DIRECT, 100)], ids=["journal", "direct"])
def test_kill_rounds(tmp_path, starters, engines, rounds):
    kill_rounds(tmp_path, rounds, engines, starters)


@pytest.mark.long
@pytest.mark.timeout(0)
@pytest.mark.parametrize("engines", [JOURNAL, DIRECT], ids=["journal", "direct"])
def test_kill_rounds_long(tmp_path, starters, engines):
    kill_rounds(tmp_path, 2000, engines, starters)
