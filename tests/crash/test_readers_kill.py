"""A writer, readers of its snapshots, and kill -9 for all of them: each snapshot is a state after some transfer, no
older than what was acknowledged, and none takes anything back."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest
from readers_workload import DONE, READERS, SESSIONS, Marks, fill, verify, word_of

import pmemobj

HERE = Path(__file__).parent
SEED = int(os.environ.get("PMEMOBJ_KILL_SEED", "20240602"))


def spawn(*arguments):
    return subprocess.Popen(
        [sys.executable, "-X", "faulthandler", str(HERE / "readers_workload.py"), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(Path(pmemobj.__file__).parents[1])},
        stderr=subprocess.PIPE,
        text=True,
    )


def kill(process):
    process.kill()
    _, err = process.communicate()
    assert process.returncode == -signal.SIGKILL, err


def rounds_of(tmp_path, rounds, readers, seconds):
    """Counts for the table; the pool is verified after each round."""
    path, marks_path = tmp_path / "pool", tmp_path / "marks"
    marks, rng = Marks.make(marks_path), Random(SEED)
    with pmemobj.open(path, max_size=1 << 30) as pool:
        fill(pool)
    working = {number: spawn("reader", path, marks_path, number) for number in range(readers)}
    killed = 0
    try:
        for number in range(rounds):
            sync = rng.choice(["commit", "interval", "manual"])
            writer = working["writer"] = spawn("writer", path, marks_path, sync)
            sessions, deadline = marks[SESSIONS], time.monotonic() + 90
            while marks[SESSIONS] == sessions and time.monotonic() < deadline and writer.poll() is None:
                time.sleep(0.001)
            time.sleep(rng.random() * seconds)
            for _ in range(rng.randrange(3)):
                one = rng.randrange(readers)
                kill(working[one])
                killed += 1
                working[one] = spawn("reader", path, marks_path, one)
                time.sleep(rng.random() * seconds / 2)
            for one, process in working.items():
                if process.poll() is not None:
                    raise AssertionError(f"round {number}, {one}: {process.stderr.read()}")
            kill(working.pop("writer"))
            if rng.random() < 0.5:
                with pmemobj.open(path, "w", timeout=60) as pool:
                    assert verify(pool.root) >= marks[DONE]
                    report = pool.check()
                    assert report.ok, f"round {number}: {report}"
    finally:
        for process in working.values():
            process.kill()
            process.wait()
            process.stderr.close()
    with pmemobj.open(path, timeout=60) as pool:
        count = verify(pool.root)
        assert count >= marks[DONE]
        assert pool.check().ok
    return {
        "rounds": rounds,
        "killed readers": killed,
        "transfers": count,
        "snapshots verified": sum(marks[word_of(i, 0)] for i in range(READERS)),
        "refreshes with changes": sum(marks[word_of(i, 1)] for i in range(READERS)),
    }


@pytest.mark.journal_engine("snapshots")
def test_killed_writers_and_readers(tmp_path):
    counts = rounds_of(tmp_path, 12, 3, 0.8)
    print(counts)
    assert counts["snapshots verified"] > 100
    assert counts["refreshes with changes"] > 20


@pytest.mark.journal_engine("snapshots")
@pytest.mark.long
@pytest.mark.timeout(0)
def test_killed_writers_and_readers_long(tmp_path):
    print(rounds_of(tmp_path, 300, 4, 2.0))
