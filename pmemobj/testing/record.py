"""The run that is traced."""

import os
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from pmemobj import _core
from pmemobj import pool as pools
from pmemobj.testing.scratch import Scratch
from pmemobj.testing.slim import SMALL_JOURNAL, slim
from pmemobj.testing.worker import Bench, Content, Questions

__all__ = ["Run", "Step", "record"]

Step = Callable[[pools.PersistentObjectPool], object]


@dataclass
class Run:
    """states: before the first step and after each; lines: (file, number) of those that events name, from 1 on."""

    trace: bytes
    states: list[Any]
    lines: list[tuple[str, int]] = field(default_factory=list)


#: Code that is nobody's to change for the sake of a crash.
FOREIGN = (os.path.dirname(os.path.dirname(os.path.abspath(__file__))), sysconfig.get_path("stdlib"), "<")


@contextmanager
def followed(lines: list[tuple[str, int]]) -> Iterator[None]:
    """Tells the trace which line of the program is at work.  Where somebody else follows it (a debugger, a measurement
    of coverage), he goes on, and lines stay unknown."""
    numbers: dict[tuple[str, int], int] = {}

    def note(frame: FrameType) -> None:
        place = frame.f_code.co_filename, frame.f_lineno
        if place not in numbers:
            lines.append(place)
            numbers[place] = len(lines)
        _core._trace_line(numbers[place])

    def follow(frame: FrameType, what: str, argument: Any) -> Any:
        if frame.f_code.co_filename.startswith(FOREIGN):
            return None
        if what == "return":
            caller = frame.f_back
            if caller is not None and not caller.f_code.co_filename.startswith(FOREIGN):
                note(caller)
        else:
            note(frame)
        return follow

    if sys.gettrace() is not None:
        yield
        return
    sys.settrace(follow)
    try:
        yield
    finally:
        sys.settrace(None)
        _core._trace_line(0)


#: What pools are like that were just made, by their options.
_blanks: dict[str, Content] = {}
_blanks_lock = threading.Lock()  # they have one identity, so no two of them may be open


@contextmanager
def blank(path: str, options: dict[str, Any]) -> Iterator[None]:
    """A new pool; making each would take longer than most operations on it."""
    if not _blanks_lock.acquire(blocking=False):
        make(path, options)
        yield
        return
    try:
        key = repr(sorted(options.items()))
        if key in _blanks:
            Bench.write(path, _blanks[key])
        else:
            make(path, options)
            _blanks[key] = Bench.load(path)
        yield
    finally:
        _blanks_lock.release()


def make(path: str, options: dict[str, Any]) -> None:
    pools.open(path, "x", **options).close()
    slim(path)


def record(steps: Sequence[Step], factory: Step | None, questions: Questions, create: bool) -> Run:
    """Marks 2i and 2i+1 stand around step i; the pool is opened under the trace, so that it knows all mappings."""
    scratch = Scratch()
    path = os.path.join(scratch.path, questions.pool)
    journal = dict(pools.JOURNAL)
    pools.JOURNAL.update(SMALL_JOURNAL)
    states = []
    lines: list[tuple[str, int]] = []
    begin = ExitStack()
    try:
        if not create:
            begin.enter_context(blank(path, questions.options))
            with pools.open(path, "w", **questions.options) as pool:
                if factory is not None:
                    factory(pool)
                states.append(questions.observe(pool))
        _core._trace_start(scratch.path)
        try:
            with pools.open(path, "c", **questions.options) as pool:
                for number, step in enumerate(steps):
                    _core._trace_mark(2 * number)
                    with followed(lines):
                        step(pool)
                    _core._trace_mark(2 * number + 1)
                    states.append(questions.observe(pool))
        finally:
            trace = _core._trace_stop()
        return Run(trace, states, lines)
    finally:
        begin.close()
        pools.JOURNAL.update(journal)
        scratch.close()
