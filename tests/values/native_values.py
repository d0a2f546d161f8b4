"""Values of pmemobj.native, in a module of their own: other processes import it."""

import collections
import dataclasses
import datetime as dt
import enum
import functools
import http
import ipaddress
import math
import pathlib
import types
import typing
import uuid
import zoneinfo
from decimal import Decimal
from fractions import Fraction

import numpy as np


class Color(enum.Enum):
    RED = 1
    GREEN = ("any", "value")


class Level(enum.IntEnum):
    ONE = 1
    TWO = 2


class Word(enum.StrEnum):
    SHORT = "a"
    LONG = "a text that needs a block"


class Mixed(str, enum.Enum):  # noqa: UP042 - not the same
    TEXT = "mixed in"


class Right(enum.Flag):
    READ = 1
    WRITE = 2


class Mask(enum.IntFlag):
    LOW = 1
    HIGH = 128


Point = collections.namedtuple("Point", "x y")


class Named(typing.NamedTuple):
    name: str
    size: int = 5


class Child(Point):
    """Has a __dict__, as most have that do not say __slots__."""


@dataclasses.dataclass(frozen=True)
class Money:
    amount: Decimal
    currency: str = "EUR"


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    a: int
    inner: Money | None = None


@dataclasses.dataclass(frozen=True)
class Computed:
    a: int
    twice: int = dataclasses.field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "twice", 2 * self.a)
        object.__setattr__(self, "note", "no field")

    @functools.cached_property
    def volatile(self):
        return [self.a]


@dataclasses.dataclass(frozen=True)
class OwnHash:
    a: int

    def __hash__(self):
        return 5


class NamedOwnHash(Named):
    def __hash__(self):
        return 5


def function():
    pass


STRUCTURED = np.array([((1, 2), [3, 4])], dtype=[("a", [("x", "i4"), ("y", "i4")]), ("b", "f8", (2,))])[0]

VALUES = [
    Decimal("1.50"), Decimal("-0"), Decimal("Infinity"), Decimal("1E+500"), Decimal(10) ** 40, Fraction(1, 3),
    Fraction(-(10**30), 7), dt.date(2020, 1, 2), dt.date.min, dt.date.max, dt.time(1, 2, 3, 4), dt.time(1, fold=1),
    dt.time(23, 59, tzinfo=dt.UTC), dt.datetime(2024, 2, 29, 1, 2, 3, 4), dt.datetime.max, dt.datetime.min,
    dt.datetime(2020, 10, 25, 2, 30, fold=1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
    dt.datetime(2020, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=2), "X")), dt.timedelta.max, dt.timedelta.min,
    dt.timedelta(days=-1, microseconds=1), dt.UTC, dt.timezone(dt.timedelta(hours=2), "X"),
    dt.timezone(dt.timedelta(hours=-3)), zoneinfo.ZoneInfo("Asia/Tokyo"), uuid.UUID(int=5), uuid.uuid1(),
    pathlib.Path("/a/b"), pathlib.PurePosixPath("x"), pathlib.PureWindowsPath("C:\\X"),
    ipaddress.ip_address("1.2.3.4"), ipaddress.ip_address("fe80::1%eth0"), ipaddress.ip_network("10.0.0.0/8"),
    ipaddress.ip_network("::/64"), ipaddress.ip_interface("10.0.0.1/8"), ipaddress.ip_interface("::1/64"),
    range(3), range(0), range(10**30), range(9, 0, -2), Color.RED, Color.GREEN, Level.ONE, Word.SHORT, Word.LONG,
    Mixed.TEXT, Right.READ | Right.WRITE, Right(0), Mask.HIGH, Mask(3), http.HTTPStatus.OK, Point(1, "b"),
    Named("a name"), Child(1, 2), Money(Decimal("0.10")), Slotted(1, Money(Decimal(2), "USD")), Computed(4), int, dict,
    type(None), Color, Money, types.FunctionType, function, len, math.sin, np.float64(1.5), np.float32(0.1), np.int8(3),
    np.uint64(2**64 - 1), np.bool_(True), np.str_("h\u00e9"), np.str_(""), np.bytes_(b"x"),
    np.datetime64("2020-01-01"), np.timedelta64(3, "h"), np.complex64(1 + 2j), np.longdouble(1) / 3,
]  # fmt: skip

#: Without a hash, or that cannot be a key.
NO_KEYS = [
    slice(1, "a", None),
    np.void(b"abc"),
    STRUCTURED,
    np.datetime64("NaT"),
    Decimal("NaN"),
    Decimal("sNaN"),
]

#: Keys that are one key for a builtin dict.
EQUAL = [
    [1, 1.0, True, Decimal(1), Decimal("1.00"), Fraction(1), Level.ONE, Mask.LOW, complex(1)],
    [2, np.int8(2), np.float64(2), Level.TWO, 2.0, np.uint64(2), np.complex64(2)],
    [0.5, Decimal("0.5"), Fraction(1, 2)],
    [2**70, Decimal(2**70), Fraction(2**70), float(2**70)],
    ["a", Word.SHORT, np.str_("a")],
    ["a text that needs a block", Word.LONG, np.str_("a text that needs a block")],
    ["mixed in", Mixed.TEXT],
    [b"bytes", np.bytes_(b"bytes")],
    [(1, "b"), Point(1, "b"), (Decimal(1), "b"), (True, np.str_("b"))],
    [Child(3, 4), (3, 4), Point(3, 4)],
    [(1, (2, "c")), (Fraction(1), (Level.TWO, np.str_("c")))],
    [frozenset({1, 2}), frozenset({Decimal(1), Level.TWO})],
    [
        dt.datetime(2020, 1, 1, 12, tzinfo=dt.UTC),
        dt.datetime(2020, 1, 1, 13, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
        dt.datetime(2020, 1, 1, 14, tzinfo=dt.timezone(dt.timedelta(hours=2), "X")),
    ],
    [dt.datetime(2020, 1, 1, 12), dt.datetime(2020, 1, 1, 12, fold=1)],
    [dt.time(12, tzinfo=dt.UTC), dt.time(14, tzinfo=dt.timezone(dt.timedelta(hours=2)))],
    [pathlib.Path("/a"), pathlib.PurePosixPath("/a")],
    [pathlib.PureWindowsPath("C:\\A"), pathlib.PureWindowsPath("c:/a")],
    [range(0), range(3, 3), range(5, 0)],
    [range(0, 3, 2), range(0, 4, 2)],
    [Slotted(1, Money(Decimal(1))), Slotted(1, Money(Fraction(1)))],
    [np.datetime64("2020-01-01"), np.datetime64("2020-01-01T00:00:00")],
    [np.timedelta64(1, "h"), np.timedelta64(3600, "s")],
]  # fmt: skip


def same(a, b):
    """Equal and of the same type, also where values are not equal to themselves."""
    return type(a) is type(b) and repr(a) == repr(b) and (bool(np.all(a == b)) or bool(np.all(a != a)))
