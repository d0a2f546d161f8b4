"""The processes that open images (see worker.py), as the exploring process sees them.

Each is a fork of a server that has imported this package and never opened a pool, and has one thread: it starts in
milliseconds, and libpmemobj knows nothing in it.
"""

import itertools
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any

from pmemobj.testing.disk import Base, Layer
from pmemobj.testing.scratch import Scratch
from pmemobj.testing.trials import Program, Trial
from pmemobj.testing.worker import Found, Job, NewBase, Outcome, Questions, serve

__all__ = ["Crew"]

PATIENCE = 60.0  # seconds until an image is said to hang
BATCH = 16  # images sent at once; a process that dies of one is asked for each of them again, one by one

Keyed = tuple[Any, Job | Trial | Found]


def since(base: Base, known: Base | None) -> NewBase:
    """What has to be told to whoever has `known`, so that he has `base`."""
    steps: list[Base] = []
    step: Base | None = base
    while step is not None and step is not known:
        steps.append(step)
        step = step.before
    whole = step is None
    files: dict[int, dict[int, bytes]] = {}
    for one in reversed(steps):
        for ino, blocks in one.files.items():
            files.setdefault(ino, {}).update(blocks)
    return NewBase(whole, files)


class Member:
    """A process; batch: what it is working at."""

    def __init__(self, context: Any, place: str, questions: Questions):
        os.mkdir(place)
        self.connection: Connection
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, place, questions), daemon=True)
        self.process.start()
        theirs.close()
        self.questions = questions
        self.base: Base | None = None
        self.layer: Layer | None = None
        self.program: Program | None = None
        self.batch: list[Keyed] = []
        self.until = 0.0

    def send(self, batch: list[Keyed], questions: Questions, program: Program | None) -> None:
        messages: list[Any] = []
        if questions is not self.questions:
            messages.append(questions)
            self.questions, self.base, self.program = questions, None, None
        for _key, job in batch:
            if isinstance(job, Trial) and program is not self.program:
                messages.append(program)
                self.program = program
            if isinstance(job, Job):
                if job.base is not None and job.base is not self.base:
                    messages.append(since(job.base, self.base))
                    self.base, self.layer = job.base, None
                if job.layer is not None and job.layer is not self.layer:
                    messages.append(job.layer)
                    self.layer = job.layer
                messages.append(job._replace(base=None, layer=None, layered=job.layer is not None))
            else:
                messages.append(job)
        self.connection.send(messages)
        self.batch = batch
        self.until = time.monotonic() + PATIENCE

    def end(self) -> int | None:
        """The process's exit code."""
        self.process.join(0.1)
        self.process.kill()
        self.process.join()
        self.connection.close()
        code: int | None = self.process.exitcode
        return code


class Crew:
    """A few processes; run() gives outcomes as they come.  questions: may be replaced between two runs."""

    def __init__(self, count: int, questions: Questions):
        self.questions = questions
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["pmemobj.testing.worker"])
        self.scratch = Scratch()
        self.started = itertools.count()
        self.program: Program | None = None  # of the trials
        self.members = [self._start() for _ in range(count)]

    def _start(self) -> Member:
        place = os.path.join(self.scratch.path, str(next(self.started)))
        return Member(self.context, place, self.questions)

    def start(self, function: Callable[..., None], arguments: tuple[Any, ...]) -> Any:
        """A process that is nobody of the crew."""
        process = self.context.Process(target=function, args=arguments, daemon=True)
        process.start()
        return process

    def run(self, jobs: Iterable[Keyed], batch: int = BATCH) -> Iterator[tuple[Any, Outcome]]:
        """(key, outcome) of every (key, job), in any order.  Jobs are taken while others are worked at.  batch: so
        many are sent at once."""
        waiting = iter(jobs)
        again: list[Keyed] = []  # of batches that were not answered
        try:
            while True:
                for member in self.members:
                    if not member.batch:
                        following = [again.pop()] if again else list(itertools.islice(waiting, batch))
                        if following:
                            member.send(following, self.questions, self.program)
                busy: dict[Any, Member] = {
                    member.connection: member for member in self.members if member.batch
                }
                if not busy:
                    return
                for connection in wait(list(busy), timeout=1.0):
                    yield from self._answers(busy.pop(connection), again)
                for member in busy.values():
                    if time.monotonic() > member.until:
                        yield from self._give_up(member, f"hangs: no answer within {PATIENCE:.0f} s", again)
        finally:
            for member in self.members:  # whoever asks no more leaves answers behind
                if member.batch:
                    list(self._answers(member, []))

    def _answers(self, member: Member, again: list[Keyed]) -> Iterator[tuple[Any, Outcome]]:
        try:
            outcomes: list[Outcome] = member.connection.recv()
        except (EOFError, ConnectionError):
            yield from self._give_up(member, "the process died", again)
            return
        batch, member.batch = member.batch, []
        for (key, _job), outcome in zip(batch, outcomes, strict=True):
            yield key, outcome

    def _give_up(self, member: Member, why: str, again: list[Keyed]) -> Iterator[tuple[Any, Outcome]]:
        """Another process takes its place.  Which job of a batch it was is found out by asking for each alone."""
        code = member.end()
        self.members[self.members.index(member)] = self._start()
        if len(member.batch) > 1:
            again += reversed(member.batch)
        else:
            yield member.batch[0][0], Outcome(error=f"{why} (exit code {code})")

    def close(self) -> None:
        for member in self.members:
            member.end()
        self.scratch.close()
