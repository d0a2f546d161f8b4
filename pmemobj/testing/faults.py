"""What may go wrong: Faults says what is tried; the trials of operations that fail and of processes that are killed."""

import collections
import errno
import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from pmemobj.testing.crew import Crew
from pmemobj.testing.scratch import Scratch
from pmemobj.testing.trials import Fault, Program, Trial, run_and_die, testcapi
from pmemobj.testing.worker import Found, Outcome

__all__ = ["EVERYTHING", "NAMES", "Faults", "Killed", "Sweep", "kills", "sweep"]

ERRORS = ("EIO", "ENOSPC", "EDQUOT", "short")
NAMES = ("power", "kill", "io", "full", "memory", "processes")
AT_ONCE = 32  # trials of one job; more than trials.QUIET
PATIENCE = 60.0  # seconds until a process that is to be killed is said to hang


@dataclass(frozen=True)
class Faults:
    """What may go wrong while operations run.

    power: the machine dies, kill: the program does; images are made of what may be left.
    io: errors that each file call of an operation gives, and of the close after it, one after the other, once and
        from then on: of "EIO", "ENOSPC", "EDQUOT" and "short", a write that is cut short.
    full: the pool is full but for a few blocks, one more each time; max_size has to be small.
    memory: each allocation of Python fails, once and from then on; needs the interpreter's module _testcapi.
    processes: so many processes are really killed (SIGKILL), one half at file calls and fences all over the run, the
        other half at random.
    With io, full, memory and processes the operations run in other processes, so they must be importable.
    """

    power: bool = True
    kill: bool = True
    io: tuple[str, ...] = ()
    full: bool = False
    memory: bool = False
    processes: int = 0

    def __post_init__(self) -> None:
        unknown = set(self.io) - set(ERRORS)
        if unknown:
            raise ValueError(f"unknown errors {sorted(unknown)}: there are {', '.join(ERRORS)}")

    @classmethod
    def of(cls, wanted: "Faults | Iterable[str]") -> "Faults":
        """From names of the fields, too: each then means everything of its kind, and 20 processes."""
        if isinstance(wanted, Faults):
            return wanted
        names = set(wanted)
        if unknown := names - set(NAMES):
            raise ValueError(f"unknown faults {sorted(unknown)}: there are {', '.join(map(repr, NAMES))}")
        return cls(
            power="power" in names,
            kill="kill" in names,
            io=ERRORS if "io" in names else (),
            full="full" in names,
            memory="memory" in names,
            processes=20 if "processes" in names else 0,
        )

    def each(self) -> Iterator[Fault]:
        """The faults of single calls and allocations."""
        for sticky in (False, True):
            for name in self.io:
                yield Fault("io", getattr(errno, name, 0), sticky)
        if self.full:
            yield Fault("full")
        if self.memory and testcapi is not None:
            yield Fault("memory")
            yield Fault("memory", sticky=True)


#: All of them.
EVERYTHING = Faults.of(NAMES)


class Sweep(NamedTuple):
    """Of one job of trials.  problems: (where, what)."""

    kind: str
    step: int
    points: int
    problems: tuple[tuple[str, str], ...]


def sweep(crew: Crew, program: Program, faults: Faults) -> Iterator[Sweep]:
    """Each step with each fault at each place, until there is none left for it to hit."""
    crew.program = program
    waiting = collections.deque(
        Trial(step, fault, 0, AT_ONCE) for step in range(len(program.steps)) for fault in faults.each()
    )

    def jobs() -> Iterator[tuple[Trial, Trial]]:
        while waiting:
            trial = waiting.popleft()
            yield trial, trial

    while waiting:
        for trial, outcome in crew.run(jobs(), batch=1):
            what = "file call" if trial.fault.kind == "io" else "allocation"
            if outcome.tried is None:
                where = f"{trial.fault}, {what}s from number {trial.first + 1} on, in step {trial.step}"
                yield Sweep(trial.fault.kind, trial.step, 0, ((where, outcome.error or "no answer"),))
                continue
            problems = tuple(
                (
                    f"{trial.fault}{_place(trial.fault, what, number)}, in step {trial.step}",
                    problem,
                )
                for number, problem in outcome.tried.bugs
            )
            yield Sweep(trial.fault.kind, trial.step, outcome.tried.points, problems)
            if not outcome.tried.over and not problems:
                waiting.append(trial._replace(first=trial.first + trial.many))


def _place(fault: Fault, what: str, number: int) -> str:
    return f", {number} times some room was made" if fault.kind == "full" else f", {what} {number + 1}"


class Killed(NamedTuple):
    """begun, ended: steps, as the process has told; outcome: what its files were recovered to."""

    at: str
    begun: int
    ended: int
    outcome: Outcome


def kills(crew: Crew, program: Program, count: int, seed: int) -> Iterator[Killed]:
    """Kills processes that run the steps, and opens what they leave."""
    started = time.monotonic()
    events, _begun, _ended, _directory = _doomed(crew, program, -1, None)
    lasts = time.monotonic() - started
    chosen = random.Random(seed)
    places = [1 + events * i // max(1, count // 2) for i in range(count // 2)]
    for number in range(count):
        at = places[number] if number < len(places) else 0
        delay = None if at else chosen.random() * lasts
        _events, begun, ended, left = _doomed(crew, program, at or -1, delay)
        try:
            ((_key, outcome),) = crew.run([(None, Found(left.path))])
        finally:
            left.close()
        yield Killed(f"at event {at}" if at else "at a random moment", begun, ended, outcome)


def _doomed(crew: Crew, program: Program, kill_at: int, delay: float | None) -> tuple[int, int, int, Scratch]:
    """(events of its run, or 0; steps begun; steps ended; its directory) of a process that is over."""
    scratch = Scratch()
    ours, theirs = crew.context.Pipe()
    process = crew.start(run_and_die, (theirs, scratch.path, crew.questions, program, kill_at))
    theirs.close()
    begun = ended = events = 0
    until: float = time.monotonic() + PATIENCE
    ready = False
    try:
        while True:
            if not ours.poll(max(0.0, until - time.monotonic())):
                process.kill()
                until = time.monotonic() + PATIENCE
                continue
            message: Any = ours.recv()
            if message == "ready":
                ready = True
                until = time.monotonic() + (PATIENCE if delay is None else delay)
            elif message[0] == "begun":
                begun = message[1] + 1
            elif message[0] == "ended":
                ended = message[1] + 1
            else:
                events = message[1]
    except EOFError:
        process.join()
    finally:
        process.kill()
        process.join()
        ours.close()
    if not ready:
        raise RuntimeError(
            f"a process that runs the operations ended before them (exit code {process.exitcode})"
        )
    return events, begun, ended, scratch
