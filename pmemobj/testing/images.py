"""Which images of the disk a crash may leave, and which of them to look at.

At a cut every unsynced block is old, new, or one of the contents it had in between; every unsynced size and name is the
old one or one of the newer.  A block that was being written may also be torn: what would change in it is zeros or
garbage.  What would not change stays: pmemobj relies, as SQLite does by default, on disks that do not destroy bytes
next to those that are written (SQLite calls that powersafe overwrite), and on a word being written whole.

With few enough of them (Budget.exhaustive) every combination of old and new is made, and torn ones block by block;
else, if these are few, every combination of lines of 64 bytes, those that keep at most two or drop at most two, and a
number of random ones.  Images that have been made before are left out.
"""

import functools
import itertools
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pmemobj.testing.disk import LINE, SECTOR, WORD, ZEROS, Cut, fingerprint

__all__ = ["Budget", "Choice", "Image", "Images", "Names", "digest"]

TRIES = 4  # for each image: where a name is not there yet, what is behind it makes no difference
GARBAGE = b"\xa5\x5a\xff\x00" * (SECTOR // 4)


@dataclass(frozen=True)
class Budget:
    """exhaustive: so many unsynced pieces are combined in all ways; random: otherwise, so many combinations;
    per_cut: images of one cut, at most; nested: crashes inside recovery are explored for one image in so many,
    never with 0; seed: of everything random."""

    exhaustive: int = 12
    random: int = 256
    per_cut: int = 5000
    nested: int = 200
    seed: int = 1

    @classmethod
    def chosen(cls, wanted: "Budget | None") -> "Budget":
        """What `pytest --pmem-crash` says, else what is wanted, else the default."""
        return CHOSEN.get(os.environ.get("PMEMOBJ_CRASH", ""), wanted or cls())


#: By the option of the pytest plugin.
CHOSEN = {
    "quick": Budget(exhaustive=6, random=16, per_cut=60, nested=0),
    "exhaustive": Budget(exhaustive=16, random=4096, per_cut=100_000, nested=20),
}


@dataclass(frozen=True)
class Choice:
    """Something that is not durable yet.  kind: "block", "size" or "name"; number: the offset of a block; line: of the
    program, that changed it last; values[0] is
    what the disk surely has, values[-1] what the program has written last."""

    kind: str
    where: str
    ino: int
    number: int
    values: tuple[Any, ...]
    line: int = 0

    @functools.cached_property
    def changing(self) -> tuple[int, ...]:
        """Where the words begin that differ between old and new."""
        old, new = self.values[0], self.values[-1]
        return tuple(i for i in range(0, len(old), WORD) if old[i : i + WORD] != new[i : i + WORD])

    def torn(self, filler: bytes) -> bytes:
        content = bytearray(self.values[0])
        for i in self.changing:
            content[i : i + WORD] = filler[i : i + WORD]
        return bytes(content)

    def __str__(self) -> str:
        if self.kind == "block":
            return f"{self.where}, bytes {self.number} to {self.number + len(self.values[0])}"
        return f"the {self.kind} of {self.where}"


#: name -> (number of the file, its size)
Names = dict[str, tuple[int, int]]


@dataclass(frozen=True)
class Image:
    """names: the files; changes: (number of a file, offset, content) on top of the cut's base.  lost: the choices that
    are not what was written last, and what they are instead."""

    cut: int
    picks: tuple[int, ...]
    digest: int
    names: Names
    changes: tuple[tuple[int, int, bytes], ...]
    lost: tuple[tuple[Choice, str], ...]


def digest(names: Names, known: dict[int, int]) -> int:
    """Tells images apart.  known: fingerprints of the files' contents."""
    return hash(tuple(sorted((name, ino, size, known[ino]) for name, (ino, size) in names.items())))


def choices(cut: Cut) -> list[Choice]:
    """Everything in which images of this cut differ; blocks with zeros and garbage as further values."""
    found, zeros = [], ZEROS[: cut.unit]
    for name in sorted({*cut.names, *cut.durable_names}):
        now, durable = cut.names.get(name), cut.durable_names.get(name)
        if now != durable:
            found.append(Choice("name", name, 0, 0, (durable, now)))
    for ino, file in cut.files.items():
        where = cut.name_of(ino)
        if ino not in cut.names.values() and ino not in cut.durable_names.values():
            continue
        sizes = tuple(dict.fromkeys([file.durable_size, *file.sizes]))
        if len(sizes) > 1:
            found.append(Choice("size", where, ino, 0, sizes))
        for block, versions in sorted(file.pending.items()):
            values = tuple(dict.fromkeys([file.durable.get(block, zeros), *versions]))
            if len(values) > 1 or versions[-1] != values[-1]:
                if versions[-1] != values[-1]:
                    values = (*(v for v in values if v != versions[-1]), versions[-1])
                found.append(Choice("block", where, ino, block, values, file.lines.get(block, 0)))
    return found


@dataclass
class Images:
    """The images of one cut.  seen: digests of images made before, of any cut; sampled: were some left out?"""

    cut: Cut
    budget: Budget
    seen: set[int] = field(default_factory=set)
    sampled: bool = False

    def __post_init__(self) -> None:
        self.choices = choices(self.cut)
        self._random = random.Random(self.budget.seed * 1_000_003 + self.cut.event.number)

    def __iter__(self) -> Iterator[Image]:
        made = 0
        for tried, picks in enumerate(self._picks()):
            if made >= self.budget.per_cut or tried >= TRIES * self.budget.per_cut:
                self.sampled = True
                return
            image = self.image(picks)
            if image.digest not in self.seen:
                self.seen.add(image.digest)
                made += 1
                yield image

    # A pick is an index into a choice's values; len(values) means zeros, len(values) + 1 garbage.

    def newest(self) -> tuple[int, ...]:
        return tuple(len(choice.values) - 1 for choice in self.choices)

    def _picks(self) -> Iterator[tuple[int, ...]]:
        old, new = (0,) * len(self.choices), self.newest()
        yield old
        yield new
        if len(self.choices) <= self.budget.exhaustive:
            yield from self._all([(i,) for i in range(len(self.choices))])
        else:
            self.sampled = True
            lines = self._by_line()
            if len(lines) <= self.budget.exhaustive:
                yield from self._all(lines)
            yield from self._few(old, new)
            yield from self._few(new, old)
        yield from self._torn(new)
        yield from self._torn(old)
        for _ in range(self.budget.random if self.sampled or max(new, default=0) > 1 else 0):
            yield tuple(self._any(choice) for choice in self.choices)

    def _by_line(self) -> list[tuple[int, ...]]:
        """Indices of choices together that lie in the same line."""
        lines: dict[Any, list[int]] = {}
        for i, choice in enumerate(self.choices):
            lines.setdefault((choice.kind, choice.where, choice.number // LINE), []).append(i)
        return [tuple(line) for line in lines.values()]

    def _all(self, groups: list[tuple[int, ...]]) -> Iterator[tuple[int, ...]]:
        """Each group is old or new."""
        newest = self.newest()
        for taken in itertools.product((False, True), repeat=len(groups)):
            picks = [0] * len(newest)
            for group, is_new in zip(groups, taken, strict=True):
                if is_new:
                    for i in group:
                        picks[i] = newest[i]
            yield tuple(picks)

    @staticmethod
    def _few(most: tuple[int, ...], others: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        for count in (1, 2):
            for places in itertools.combinations(range(len(most)), count):
                picks = list(most)
                for place in places:
                    picks[place] = others[place]
                yield tuple(picks)

    @staticmethod
    def _may_be_torn(choice: Choice) -> bool:
        return choice.kind == "block" and len(choice.changing) > 1

    def _torn(self, others: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        """One block is being written when the power fails."""
        for place, choice in enumerate(self.choices):
            if self._may_be_torn(choice):
                for extra in (0, 1):
                    yield (*others[:place], len(choice.values) + extra, *others[place + 1 :])

    def _any(self, choice: Choice) -> int:
        torn = self._may_be_torn(choice) and self._random.random() < 0.05
        return (
            len(choice.values) + self._random.randrange(2)
            if torn
            else self._random.randrange(len(choice.values))
        )

    @staticmethod
    def _value(choice: Choice, pick: int) -> Any:
        extra = pick - len(choice.values)
        return choice.values[pick] if extra < 0 else choice.torn((ZEROS, GARBAGE)[extra])

    @staticmethod
    def _state(choice: Choice, pick: int) -> str:
        extra = pick - len(choice.values)
        return ("zeros", "garbage")[extra] if extra >= 0 else "old" if pick == 0 else "earlier"

    def image(self, picks: tuple[int, ...]) -> Image:
        names, sizes, changes, lost = dict(self.cut.durable_names), {}, [], []
        for choice, pick in zip(self.choices, picks, strict=True):
            if pick != len(choice.values) - 1:
                lost.append((choice, self._state(choice, pick)))
            if pick == 0:
                continue
            value = self._value(choice, pick)
            if choice.kind == "size":
                sizes[choice.ino] = value
            elif choice.kind == "block":
                changes.append((choice.ino, choice.number, value))
            elif value is None:
                names.pop(choice.where, None)
            else:
                names[choice.where] = value
        files = self.cut.files
        sized = {name: (ino, sizes.get(ino, files[ino].durable_size)) for name, ino in names.items()}
        known = {ino: files[ino].durable_known for ino in names.values()}
        for ino, block, content in changes:
            if ino in known:
                known[ino] ^= fingerprint(block, files[ino].durable.get(block, b""))
                known[ino] ^= fingerprint(block, content)
        return Image(self.cut.event.number, picks, digest(sized, known), sized, tuple(changes), tuple(lost))
