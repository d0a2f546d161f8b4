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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pmemobj.testing.disk import LINE, SECTOR, WORD, ZEROS, Cut, File, Layer, fingerprint

__all__ = ["Budget", "Changes", "Choice", "Image", "Images", "Names", "digest"]

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

    @functools.cached_property
    def may_be_torn(self) -> bool:
        return self.kind == "block" and len(self.changing) > 1

    def torn(self, filler: bytes) -> bytes:
        content = bytearray(self.values[0])
        for i in self.changing:
            content[i : i + WORD] = filler[i : i + WORD]
        return bytes(content)

    def value(self, pick: int) -> Any:
        """A pick is an index into the values; len(values) means zeros, len(values) + 1 garbage."""
        extra = pick - len(self.values)
        return self.values[pick] if extra < 0 else self.torn((ZEROS, GARBAGE)[extra])

    def state(self, pick: int) -> str:
        extra = pick - len(self.values)
        return ("zeros", "garbage")[extra] if extra >= 0 else "old" if pick == 0 else "earlier"

    def change(self, pick: int) -> int:
        """Of the file's fingerprint, in the place of the durable content."""
        if pick == 0:
            return 0
        known = self._changes.get(pick)
        if known is None:
            old = fingerprint(self.number, self.values[0])
            known = self._changes[pick] = old ^ fingerprint(self.number, self.value(pick))
        return known

    @functools.cached_property
    def _changes(self) -> dict[int, int]:
        return {}

    def __str__(self) -> str:
        if self.kind == "block":
            return f"{self.where}, bytes {self.number} to {self.number + len(self.values[0])}"
        return f"the {self.kind} of {self.where}"


#: name -> (number of the file, its size)
Names = dict[str, tuple[int, int]]
#: (number of a file, offset, content)
Changes = tuple[tuple[int, int, bytes], ...]


@dataclass(frozen=True, eq=False)
class Image:
    """names: the files.  Every choice of its cut is what was written last if `newest`, else what is durable; but for
    `others`: picks by places."""

    cut: int
    digest: int
    names: Names
    choices: Sequence[Choice]
    newest: bool
    others: dict[int, int]

    @property
    def picks(self) -> tuple[int, ...]:
        return tuple(
            self.others.get(i, len(choice.values) - 1 if self.newest else 0)
            for i, choice in enumerate(self.choices)
        )

    @property
    def changes(self) -> Changes:
        """On top of the cut's base."""
        return tuple(
            (choice.ino, choice.number, choice.value(pick))
            for choice, pick in zip(self.choices, self.picks, strict=True)
            if choice.kind == "block" and pick
        )

    @property
    def differences(self) -> Changes:
        """On top of the cut's base, and of its layer if `newest`."""
        return tuple(
            (choice.ino, choice.number, choice.value(pick))
            for choice, pick in ((self.choices[place], pick) for place, pick in self.others.items())
            if choice.kind == "block"
        )

    @property
    def lost(self) -> tuple[tuple[Choice, str], ...]:
        """The choices that are not what was written last, and what they are instead."""
        return tuple(
            (choice, choice.state(pick))
            for choice, pick in zip(self.choices, self.picks, strict=True)
            if pick != len(choice.values) - 1
        )


def digest(names: Names, known: dict[int, int]) -> int:
    """Tells images apart.  known: fingerprints of the files' contents."""
    return hash(tuple(sorted((name, ino, size, known[ino]) for name, (ino, size) in names.items())))


def choices(cut: Cut) -> list[Choice]:
    """Everything in which images of this cut differ; names, sizes, and then blocks with zeros and garbage as further
    values."""
    found, blocks = [], []
    for name in sorted({*cut.names, *cut.durable_names}):
        now, durable = cut.names.get(name), cut.durable_names.get(name)
        if now != durable:
            found.append(Choice("name", name, 0, 0, (durable, now)))
    named = {*cut.names.values(), *cut.durable_names.values()}
    for ino, file in cut.files.items():
        if ino not in named:
            continue
        where = cut.name_of(ino)
        sizes = tuple(dict.fromkeys([file.durable_size, *file.sizes]))
        if len(sizes) > 1:
            found.append(Choice("size", where, ino, 0, sizes))
        for block in sorted(file.pending):
            choice = file.choices.get(block)
            if choice is None or choice.where != where:
                choice = file.choices[block] = _of_block(where, ino, block, file, cut.unit)
            if len(choice.values) > 1:
                blocks.append(choice)
    return found + blocks


def _of_block(where: str, ino: int, block: int, file: File, unit: int) -> Choice:
    """With one value only where nothing can be told apart."""
    versions = file.pending[block]
    old, new = file.durable.get(block) or ZEROS[:unit], versions[-1]
    between = dict.fromkeys(version for version in versions if version not in (old, new))
    values = (old, *between, new) if between or old != new else (old,)
    return Choice("block", where, ino, block, values, file.lines.get(block, 0))


#: Picks by places, where they are not all the newest (True) or the old ones.
Picks = tuple[bool, dict[int, int]]


@dataclass(eq=False)
class Images:
    """The images of one cut.  seen: digests of images made before, of any cut; sampled: were some left out?"""

    cut: Cut
    budget: Budget
    seen: set[int] = field(default_factory=set)
    sampled: bool = False

    def __post_init__(self) -> None:
        self.choices = choices(self.cut)
        self._random = random.Random(self.budget.seed * 1_000_003 + self.cut.event.number)
        files, names = self.cut.files, self.cut.durable_names
        self._others = sum(choice.kind != "block" for choice in self.choices)  # they come first
        self._old = {ino: file.durable_known for ino, file in files.items()}
        self._new = dict(self._old)
        for choice in self.choices[self._others :]:
            self._new[choice.ino] ^= choice.change(len(choice.values) - 1)
        self._sized = {name: (ino, files[ino].durable_size) for name, ino in names.items()}

    def __iter__(self) -> Iterator[Image]:
        made = 0
        for tried, (newest, others) in enumerate(self._picks()):
            if made >= self.budget.per_cut or tried >= TRIES * self.budget.per_cut:
                self.sampled = True
                return
            image = self.image(newest, others)
            if image.digest not in self.seen:
                self.seen.add(image.digest)
                made += 1
                yield image

    @functools.cached_property
    def layer(self) -> Layer:
        """What was written last, on top of the cut's base."""
        files: dict[int, dict[int, bytes]] = {}
        for choice in self.choices[self._others :]:
            files.setdefault(choice.ino, {})[choice.number] = choice.values[-1]
        return Layer(files)

    def _newest(self, place: int) -> int:
        return len(self.choices[place].values) - 1

    def _picks(self) -> Iterator[Picks]:
        count = len(self.choices)
        yield False, {}
        yield True, {}
        if count <= self.budget.exhaustive:
            yield from self._all([(i,) for i in range(count)])
        else:
            self.sampled = True
            lines = self._by_line()
            if len(lines) <= self.budget.exhaustive:
                yield from self._all(lines)
            yield from self._few(False)
            yield from self._few(True)
        yield from self._torn(True)
        yield from self._torn(False)
        if self.sampled or any(len(choice.values) > 2 for choice in self.choices):
            for _ in range(self.budget.random):
                yield True, self._any()

    def _by_line(self) -> list[tuple[int, ...]]:
        """Indices of choices together that lie in the same line."""
        lines: dict[Any, list[int]] = {}
        for i, choice in enumerate(self.choices):
            lines.setdefault((choice.kind, choice.where, choice.number // LINE), []).append(i)
        return [tuple(line) for line in lines.values()]

    def _all(self, groups: list[tuple[int, ...]]) -> Iterator[Picks]:
        """Each group is old or new."""
        for taken in itertools.product((False, True), repeat=len(groups)):
            old = (group for group, is_new in zip(groups, taken, strict=True) if not is_new)
            yield True, dict.fromkeys(itertools.chain.from_iterable(old), 0)

    def _few(self, newest: bool) -> Iterator[Picks]:
        for count in (1, 2):
            for places in itertools.combinations(range(len(self.choices)), count):
                yield newest, {place: 0 if newest else self._newest(place) for place in places}

    def _torn(self, newest: bool) -> Iterator[Picks]:
        """One block is being written when the power fails."""
        for place, choice in enumerate(self.choices):
            if choice.may_be_torn:
                for extra in (0, 1):
                    yield newest, {place: len(choice.values) + extra}

    def _any(self) -> dict[int, int]:
        picks = {}
        for place, choice in enumerate(self.choices):
            count = len(choice.values)
            if choice.may_be_torn and self._random.random() < 0.05:
                pick = count + self._random.getrandbits(1)
            else:
                pick = self._random.getrandbits(1) if count == 2 else self._random.randrange(count)
            if pick != count - 1:
                picks[place] = pick
        return picks

    def image(self, newest: bool, others: dict[int, int]) -> Image:
        known = dict(self._new if newest else self._old)
        for place, pick in others.items():
            choice = self.choices[place]
            if choice.kind == "block":
                known[choice.ino] ^= choice.change(self._newest(place) if newest else 0) ^ choice.change(pick)
        sized = self._names(newest, others) if self._others else self._sized
        return Image(self.cut.event.number, digest(sized, known), sized, self.choices, newest, others)

    def _names(self, newest: bool, others: dict[int, int]) -> Names:
        names, sizes = dict(self.cut.durable_names), {}
        for place in range(self._others):
            choice = self.choices[place]
            value = choice.values[others.get(place, self._newest(place) if newest else 0)]
            if choice.kind == "size":
                sizes[choice.ino] = value
            elif value is None:
                names.pop(choice.where, None)
            else:
                names[choice.where] = value
        files = self.cut.files
        return {name: (ino, sizes.get(ino, files[ino].durable_size)) for name, ino in names.items()}
