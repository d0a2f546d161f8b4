"""What every store under measurement can do, in the way its own documentation would do it.

Keys are str of 13 characters, values int.  The loops are inside the methods, so that what is timed is the store and
a bare `for`, and not the call of an adapter.  A store that keeps bytes encodes keys with str.encode() and values
with a prepared struct.Struct("<q"), the cheapest of the usual ways (pack 27 ns, unpack 40 ns).
"""

import struct
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

Items = Sequence[tuple[str, int]]

#: Operations in one transaction, where an operation is "batched".
BATCH = 1000

_INT64 = struct.Struct("<q")
pack = _INT64.pack
unpack = _INT64.unpack


def key(number: int) -> str:
    """Made anew each time: its hash is not cached yet, as with keys that come from outside."""
    return f"key-{number:09d}"


class Store(ABC):
    """One store in a directory of its own, closed when made.

    There is one of them for each setting under measurement; the settings are arguments of its __init__.
    """

    #: pyproject's name of the package whose version belongs in the report; None for the standard library.
    package: str | None = None
    #: False if put_bulk is put_batch.
    has_bulk = False
    #: Fewer where deleting a thousand would take seconds.
    delete_batch = BATCH

    def __init__(self, directory: Path):
        self.directory = directory

    @classmethod
    def check_usable(cls, **_options: Any) -> None:
        """ImportError, with a reason for the report, if it cannot be used with these options."""
        return

    @abstractmethod
    def open(self) -> None:
        """Makes the store if there is none."""

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def get(self, keys: Iterable[str]) -> None:
        """Reads each, in one read transaction where there is such a thing."""

    @abstractmethod
    def put_single(self, items: Items) -> None:
        """Each put is a transaction."""

    @abstractmethod
    def put_batch(self, items: Items) -> None:
        """One transaction with a loop of puts; new keys are inserted, others overwritten."""

    def put_bulk(self, items: Items) -> None:
        """One transaction with the store's own call for many puts."""
        self.put_batch(items)

    @abstractmethod
    def delete(self, keys: Iterable[str]) -> None:
        """One transaction with a loop of deletions."""

    @abstractmethod
    def items(self) -> Iterable[tuple[str, int]]:
        """The store's own iterator where it yields decoded pairs; iterate() is what is timed."""

    def iterate(self) -> None:
        for _key, _value in self.items():
            pass

    @abstractmethod
    def values(self, keys: Iterable[str]) -> Iterator[int]:
        """KeyError if one is missing.  Not timed."""

    def settle(self) -> None:
        """Called after each timed piece: ends what would go on in the background while others are timed."""
        return
