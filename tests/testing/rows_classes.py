"""Rows of the matrix: objects of an older version of their class, and collections in steps (see rows.py)."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pmemobj
from pmemobj import PersistentObject
from tests.testing.rows import TEXT, Operation, Row, Undone, cycle

# --- objects that were stored when their class was another one; the first use of each upgrades it


class Upgraded(PersistentObject):
    __p_version__ = 2

    def __p_upgrade__(self, old_version: int) -> None:
        self.parts = self.text.split()
        self.count = len(self.parts)
        del self.text

    def plain(self) -> list[str]:
        """The same before and after."""
        if self.count != len(self.parts):
            raise AssertionError("half upgraded")
        return list(self.parts)


class _Old(PersistentObject):
    __p_version__ = 1

    def plain(self) -> list[str]:
        return str(self.text).split()


_Old.__name__, _Old.__qualname__ = Upgraded.__name__, Upgraded.__qualname__


@contextlib.contextmanager
def as_it_was() -> Iterator[type[_Old]]:
    """A class is what its module says it is."""
    now = globals()["Upgraded"]
    globals()["Upgraded"] = _Old
    try:
        yield _Old
    finally:
        globals()["Upgraded"] = now


def old(pool: Any, size: int) -> Any:
    """Each but the first refers to the one before it."""
    made = None
    with as_it_was() as cls:
        for number in range(size):
            made, before = pool.new(cls), made
            made.text = f"{TEXT}, number {number}"
            if before is not None:
                made.before = before
    return made


def use(pool: Any, x: Any) -> None:
    x.plain()


def use_all(pool: Any, x: Any) -> None:
    with pool.transaction():
        while x is not None:
            x.plain()
            x = getattr(x, "before", None)


def replace(pool: Any, x: Any) -> None:
    with pool.transaction():
        x.parts = [TEXT]
        x.count = 1


def used_in_vain(pool: Any, x: Any) -> None:
    with pool.transaction():
        x.plain()
        raise Undone


def used_in_a_savepoint(pool: Any, x: Any) -> None:
    with pool.transaction():
        with contextlib.suppress(Undone), pool.transaction():
            x.plain()
            raise Undone
        x.plain()


UPGRADES: dict[str, Operation] = {
    "use": use,
    "use all": use_all,
    "replace": replace,
    "use, undone": used_in_vain,
    "use in a savepoint, undone": used_in_a_savepoint,
}

# --- collections


def with_garbage(pool: Any, size: int) -> Any:
    """Rings to which nothing leads, and lists to which this one does."""
    made = pool.new(pmemobj.PersistentList, [TEXT])
    for _ in range(size):
        cycle(pool, made)
        made.append([TEXT])
    return made


def in_steps(pool: Any, x: Any) -> None:
    while not pool.gc(max_seconds=0).finished:
        pass


def drop_as_a_ring(pool: Any, x: Any) -> None:
    with pool.transaction():
        x[1].append(x[1])
        del x[1]


def move(pool: Any, x: Any) -> None:
    """Away from where a collection under way may have looked already."""
    with pool.transaction():
        x.append({1: x.pop(1)})


COLLECTIONS: dict[str, Operation] = {
    "a step": lambda pool, x: pool.gc(max_seconds=0),
    "another step": lambda pool, x: pool.gc(max_seconds=0),
    "in steps": in_steps,
    "at once": lambda pool, x: pool.gc(),
    "make a ring": cycle,
    "drop as a ring": drop_as_a_ring,
    "move": move,
}

CLASS_ROWS: dict[str, Row] = {
    "upgraded": Row(
        old,
        (1, 2, 5),
        UPGRADES,
        small=2,
        unlike=None,
        unchanged=frozenset(UPGRADES) - {"replace"},
    ),
    "collected": Row(
        with_garbage,
        (0, 1, 3, 20),
        COLLECTIONS,
        small=3,
        unlike=None,
        unchanged=frozenset({"a step", "another step", "in steps", "at once", "make a ring"}),
    ),
}
