"""The run that is traced."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pmemobj import _core
from pmemobj import pool as pools
from pmemobj.testing.scratch import Scratch
from pmemobj.testing.slim import SMALL_JOURNAL, slim
from pmemobj.testing.worker import Questions

__all__ = ["Run", "Step", "record"]

Step = Callable[[pools.PersistentObjectPool], object]


@dataclass
class Run:
    """states: before the first step and after each."""

    trace: bytes
    states: list[Any]


def record(steps: Sequence[Step], factory: Step | None, questions: Questions, create: bool) -> Run:
    """Marks 2i and 2i+1 stand around step i; the pool is opened under the trace, so that it knows all mappings."""
    scratch = Scratch()
    path = os.path.join(scratch.path, questions.pool)
    journal = dict(pools.JOURNAL)
    pools.JOURNAL.update(SMALL_JOURNAL)
    states = []
    try:
        if not create:
            pools.open(path, "x", **questions.options).close()
            slim(path)
            with pools.open(path, "w", **questions.options) as pool:
                if factory is not None:
                    factory(pool)
                states.append(questions.observe(pool))
        _core._trace_start(scratch.path)
        try:
            with pools.open(path, "c", **questions.options) as pool:
                for number, step in enumerate(steps):
                    _core._trace_mark(2 * number)
                    step(pool)
                    _core._trace_mark(2 * number + 1)
                    states.append(questions.observe(pool))
        finally:
            trace = _core._trace_stop()
        return Run(trace, states)
    finally:
        pools.JOURNAL.update(journal)
        scratch.close()
