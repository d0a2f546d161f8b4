"""kill -9 at random moments: nothing acknowledged is lost, nothing half done is found, the heap is sound."""

import mmap
import os
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

HERE = Path(__file__).parent
SEED = int(os.environ.get("PMEMOBJ_KILL_SEED", "20240601"))


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


def wait_for_phase(worker, marks, phase, seconds=20):
    deadline = time.monotonic() + seconds
    while marks.phase != phase:
        assert worker.poll() is None, f"the worker ended by itself: {worker.stderr.read()}"
        assert time.monotonic() < deadline, f"phase {phase} was not reached"


def kill_once(path, marks_path, marks, rng, number, sync):
    """Starts a worker at operation `number`, kills it at a random moment of a random phase."""
    marks.reset(number)
    phase = rng.choices([RUN, OPEN, CHECKPOINT, CLOSE], [70, 10, 10, 10])[0]
    worker = subprocess.Popen(
        [sys.executable, str(HERE / "worker.py"), str(path), str(marks_path), str(SEED), str(number), sync],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for_phase(worker, marks, phase)
        time.sleep(rng.random() * (0.03 if phase == RUN else 0.004))
    finally:
        worker.kill()
        worker.wait()
        worker.stderr.close()
    assert worker.returncode == -signal.SIGKILL
    return phase


def same(found, model):
    """Equal, and dicts in the same order."""
    return found == model and repr(list(found["dict"])) == repr(list(model["dict"]))


def kill_rounds(tmp_path, rounds):
    path, marks_path = tmp_path / "kill.pool", tmp_path / "marks"
    marks, rng = Marks(marks_path), Random(SEED)
    print(f"seed {SEED} (PMEMOBJ_KILL_SEED)")
    with pmemobj.open(path, max_size=1 << 30) as pool:
        pool.root = workload.new_state()
    model, number, replayed = workload.new_state(), 0, 0
    for round_number in range(rounds):
        phase = kill_once(path, marks_path, marks, rng, number, rng.choice(["interval", "manual", "commit"]))
        where = f"round {round_number}, phase {phase}, begun {marks.begun}, done {marks.done}"
        while number < marks.done:
            workload.apply(model, number, SEED)
            number += 1
        with pmemobj.open(path, sync="manual") as pool:
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
    print(f"{rounds} kills, {replayed} recoveries, {number} operations")


def test_kill_rounds(tmp_path):
    kill_rounds(tmp_path, 200)


@pytest.mark.long
@pytest.mark.timeout(0)
def test_kill_rounds_long(tmp_path):
    kill_rounds(tmp_path, 2000)
