"""Gives cases to long-living workers and counts what comes of them."""

import contextlib
import os
import pickle
import select
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field

PATIENCE = 60  # seconds for one case, on a busy machine
AHEAD = 4  # cases that a worker has


@dataclass
class Result:
    """counts: (kind, outcome) -> cases.  failures: (outcome, case)."""

    counts: Counter = field(default_factory=Counter)
    failures: list = field(default_factory=list)


class Worker:
    def __init__(self, bases):
        self.directory = tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.malformed.worker", self.directory.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            bufsize=0,
        )
        self.waiting = []
        self.read = b""
        self.send({name: {"files": base.files, "engine": base.engine} for name, base in bases.items()})

    def send(self, what):
        data = pickle.dumps(what)
        while data:
            data = data[os.write(self.process.stdin.fileno(), data) :]

    def take(self, case):
        """If the worker has died meanwhile, answer() says so."""
        self.waiting.append(case)
        with contextlib.suppress(BrokenPipeError):
            self.send(case[1:])

    def answer(self):
        """An outcome for the first of the waiting cases; None: the worker has died."""
        while True:
            try:
                answer = pickle.loads(self.read)
            except (EOFError, pickle.UnpicklingError):
                pass
            else:
                self.read = self.read[len(pickle.dumps(answer)) :]
                return answer
            if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
                self.process.kill()
                return None
            part = os.read(self.process.stdout.fileno(), 65536)
            if not part:
                return None
            self.read += part

    def said(self):
        self.errors.seek(0)
        return self.errors.read().decode("utf-8", "replace")[-3000:]

    def end(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.kill()
        self.process.wait()
        self.errors.close()
        self.directory.cleanup()


def run(bases, cases, workers=2):
    """Tries all cases.  A worker that dies is a failure of the case it had, and is replaced."""
    result = Result()
    crew = [Worker(bases) for _ in range(workers)]
    cases = iter(cases)
    more = True
    try:
        while more or any(worker.waiting for worker in crew):
            for place, worker in enumerate(crew):
                while more and len(worker.waiting) < AHEAD:
                    case = next(cases, None)
                    if case is None:
                        more = False
                        break
                    worker.take(case)
                if not worker.waiting:
                    continue
                outcome = worker.answer()
                case = worker.waiting.pop(0)
                if outcome is None:
                    worker.process.wait()
                    code = worker.process.returncode
                    outcome = f"WRONG the worker ended with {code}: {worker.said()}"
                    rest, worker.waiting = worker.waiting, []
                    worker.end()
                    crew[place] = Worker(bases)
                    for other in rest:
                        crew[place].take(other)
                if outcome.startswith("WRONG"):
                    result.failures.append((outcome, case))
                    outcome = "WRONG"
                result.counts[case[0], outcome] += 1
    finally:
        for worker in crew:
            worker.end()
    return result
