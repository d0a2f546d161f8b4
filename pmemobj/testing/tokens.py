"""An image that shows a bug, kept in a file: its token is the file's name, and replay() opens it again."""

import hashlib
import os
import pickle
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

from pmemobj.testing.crew import Crew, since
from pmemobj.testing.disk import Base
from pmemobj.testing.images import Names
from pmemobj.testing.worker import Bench, Job, Outcome, Questions

__all__ = ["Kept", "keep", "replay"]

#: Of the current directory.
DIRECTORY = ".pmemobj-crashes"


class Kept(NamedTuple):
    """legal: the states that may be found; absent: also none."""

    questions: Questions
    names: Names
    files: dict[int, dict[int, bytes]]
    power: bool
    legal: list[Any]
    absent: bool


def keep(questions: Questions, job: Job, legal: list[Any], absent: bool) -> str | None:
    """The token; None where nothing can be kept: the directory is not writable, or a state no pickle."""
    assert job.base is not None
    files = since(job.base, None).files
    for ino, blocks in job.layer.files.items() if job.layer else ():
        files.setdefault(ino, {}).update(blocks)
    for ino, offset, block in job.changes:
        files.setdefault(ino, {})[offset] = block
    try:
        data = zlib.compress(pickle.dumps(Kept(questions, job.names, files, job.power, legal, absent)))
        token = "crash-" + hashlib.blake2b(data, digest_size=6).hexdigest()
        os.makedirs(DIRECTORY, exist_ok=True)
        with open(os.path.join(DIRECTORY, token), "wb") as file:
            file.write(data)
    except (OSError, pickle.PicklingError, AttributeError, TypeError):
        return None
    return token


def wrong(outcome: Outcome, legal: list[Any], absent: bool) -> str | None:
    if outcome.error is not None:
        return outcome.error
    if outcome.absent:
        return None if absent else "the pool file is not there"
    if outcome.state in legal:
        return None
    return f"recovered to {outcome.state!r}, which is the state after none of the operations that may count"


def replay(
    token: str,
    *,
    directory: str | os.PathLike[str] = DIRECTORY,
    lay_out: str | os.PathLike[str] | None = None,
    observe: Callable[[Any], Any] | None = None,
    check: Callable[[Any], None] | None = None,
) -> str | None:
    """Opens the very image that a Bug's token names, in another process; returns what is wrong, or None.

    directory: where the exploration has kept it.  lay_out: a directory that gets the image's files first, for a
    debugger; they are left as the crash left them.  observe, check: instead of those of the exploration.

    Raises FileNotFoundError for a token that is not there.  The file is a pickle: replay nothing that others made.
    """
    with open(os.path.join(directory, token), "rb") as file:
        kept: Kept = pickle.loads(zlib.decompress(file.read()))
    questions = Questions(
        kept.questions.pool,
        kept.questions.options,
        observe or kept.questions.observe,
        check or kept.questions.check,
    )
    job = Job(kept.names, (), Base(None, kept.files), kept.power)
    if lay_out is not None:
        os.makedirs(lay_out, exist_ok=True)
        bench = Bench(os.fspath(lay_out), questions)
        bench.set_base(since(Base(None, kept.files), None))
        bench.lay_out(job)
    crew = Crew(1, questions)
    try:
        ((_key, outcome),) = crew.run([(None, job)])
    finally:
        crew.close()
    return wrong(outcome, kept.legal, kept.absent)
