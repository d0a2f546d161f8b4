"""Whatever somebody puts into a pool, using the pool runs nothing of it, and ends no interpreter.

One test for each word and each way in; one process goes through all of them, and another goes on where it was ended.
"""

import json
import os
import pathlib
import pickle
import subprocess
import sys
import tempfile

import pytest

from tests.hostile import words, worker
from tests.hostile.worker import CLOSED, ENTRIES

ROOT = pathlib.Path(__file__).parents[2]


def tried(left):
    """(word, way in) -> what was noted that must not be."""
    found = {}
    with tempfile.TemporaryDirectory(
        prefix="pmemobj-hostile-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None
    ) as directory:
        while left:
            for name in os.listdir(directory):
                os.unlink(os.path.join(directory, name))
            process = subprocess.run(
                [sys.executable, "-m", "tests.hostile.worker", directory],
                input="".join(json.dumps(word) + "\n" for word in left),
                capture_output=True,
                text=True,
                cwd=ROOT,
                timeout=3600,
            )
            answers = [json.loads(line) for line in process.stdout.splitlines()]
            for answer in answers:
                found[answer["word"], answer["entry"]] = answer.get("noted")
            if process.returncode == 0:
                break
            assert answers, process.stderr
            last = answers[-1]
            found[last["word"], last["entry"]] = [
                f"ended with {process.returncode}: {process.stderr[-2000:]}"
            ]
            left = left[left.index(last["word"]) + 1 :]
    return found


@pytest.fixture(scope="module")
def outcomes():
    return tried(words.SOME)


@pytest.fixture(scope="module")
def all_outcomes():
    return tried([word for word in words.ALL if word not in words.SOME])


WAYS_IN = [*CLOSED, *ENTRIES]


@pytest.mark.xdist_group("hostile")
@pytest.mark.parametrize("entry", WAYS_IN)
@pytest.mark.parametrize("word", words.SOME)
def test_nothing_is_run(outcomes, word, entry):
    assert outcomes.get((word, entry), "it was not reached") == []


@pytest.mark.long
@pytest.mark.parametrize("entry", WAYS_IN)
@pytest.mark.parametrize("word", [word for word in words.ALL if word not in words.SOME])
def test_nothing_of_the_rest_is_run(all_outcomes, word, entry):
    assert all_outcomes.get((word, entry), "it was not reached") == []


#: What an unguarded reader would do, to see that the worker would note it.
HARMS = {
    "a command": lambda pool, directory: os.system("true"),
    "eval": lambda pool, directory: eval("1"),
    "an import": lambda pool, directory: __import__("this" + "_is_no_module"),
    "another process": lambda pool, directory: subprocess.run(["true"], check=True),
    "pickle": lambda pool, directory: pickle.loads(words.dump(words.Calls(os.getcwd), 2)),
    "a mistake of ours": lambda pool, directory: worker.swallow(lambda: undefined),  # noqa: F821
    "what the pool named": lambda pool, directory: words.harmful(1),
}


@pytest.mark.parametrize("harm", HARMS)
def test_harm_would_be_noted(harm, monkeypatch, tmp_path):
    """In a process of its own, since an audit hook stays."""
    program = f"""
import signal, sys
from tests.hostile import test_hostile, worker
sys.addaudithook(worker.watch)
signal.signal(signal.SIGALRM, worker.too_long)
assert worker.guarded(lambda *_: None) == []
assert worker.guarded(test_hostile.HARMS[{harm!r}], None, None) != []
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
