"""Pools as somebody with bad intentions would make them, and how: word -> what it puts into each place of a pool.

A word is a list of values.  Most are made by a codec, which writes any name with any payload; the others are numbers
that are replaced in the closed pool by a slot (see patch()).
"""

import collections
import contextlib
import pickle
import struct
from pathlib import Path
from typing import ClassVar

import pmemobj
from pmemobj import native
from pmemobj._values import Codec

POOL_SIZE = 8 << 20
REF = {
    "object": 0,
    "str1": 1,
    "str1l": 2,
    "str2": 3,
    "str4": 4,
    "bytes": 5,
    "int": 6,
    "tuple": 9,
    "frozenset": 10,
}
#: In place of a slot, until the pool is closed.
TOKEN = 0x0123_4567_89AB_CDE
SECOND = 0x0123_4567_89AB_CDF


class Account(pmemobj.PersistentObject):
    """The program knows this class, and calls its methods."""

    def balance(self) -> str:
        return "its own"


class Typed(pmemobj.PersistentObject):
    """A pool may hold anything in its fields: see LooseTyped."""

    number: int = 0
    text: str = ""
    other: "Typed | None" = None


class Nominated:
    """A type that the program takes pickles of."""

    def __init__(self, *args):
        self.args = args


class Crafted:
    """A value whose codec writes what it likes."""

    def __init__(self, number):
        self.number = number

    def __lt__(self, other):
        return True

    def __call__(self):
        raise AssertionError("called")


def crafted(pool, name, payload, pickled=False):
    cls = type("Crafted", (Crafted,), {})
    pool.registry.codecs[cls] = Codec(name, lambda value: payload, None, pickled, lambda value: value.number)
    return cls(id(cls))


class Calls:
    """Its pickle calls a function."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


# --- pickles


def attacks(marker):
    import builtins
    import os
    import subprocess

    command = f"touch {marker}"
    python = f"open({marker!r}, 'w')"
    made = {
        "os.system": Calls(os.system, command),
        "eval": Calls(eval, python),
        "exec": Calls(exec, python),
        "open": Calls(open, marker, "w"),
        "__import__": Calls(__import__, "antigravity"),
        "Popen": Calls(subprocess.Popen, ["touch", marker]),
        "getattr of eval": Calls(getattr, builtins, "eval"),
        "getattr of a nominated class": Calls(getattr, Nominated, "__init__"),
        "map": Calls(map, print, ["x"]),
        "type": Calls(type, "X", (), {}),
        "pool.new": Calls(pmemobj.PersistentList),
    }
    pickles = {f"{name}, protocol {n}": dump(o, n) for name, o in made.items() for n in (0, 2, 5)}
    name = b"ctests.hostile.words\nNominated\n"
    state = pickle.dumps({"__class__": 5, "args": 1}, 0)[:-1]
    pickles |= {
        "os.system as text": b"cos\nsystem\n(S'" + command.encode() + b"'\ntR.",
        "posix.system by INST": b"(S'" + command.encode() + b"'\niposix\nsystem\n.",
        "a state": name + b")\x81" + state + b"b.",
        "a name with dots": b"\x80\x04\x8c\x05posix\x8c\x13system.__self__.fork\x93.",
        "the class alone": name + b".",
        "an extension": b"\x80\x02\x82\x01.",
        "a persistent id": b"Pid\n.",
        "a memo that is not there": b"h\x05.",
        "it holds itself": b"]\x94h\x00a.",
        "a number without an end": b"\x80\x04\x8b\xff\xff\xff\x7f1.",
        "a frame without an end": b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
        "deep": b"\x80\x04" + b"(" * 5000 + b"t" * 5000 + b".",
        "deeper": b"]" * 20_000 + b"a" * 19_999 + b".",
        "nothing": b"",
        "cut": b"\x80\x04]\x94(",
    }
    return pickles


def dump(value, protocol):
    try:
        return pickle.dumps(value, protocol)
    except (TypeError, AttributeError, pickle.PicklingError):
        return pickle.dumps(value.call[0], protocol)


# --- names

NAMES = {
    "os.system": "os:system",
    "posix.system": "posix:system",
    "eval": "builtins:eval",
    "exec": "builtins:exec",
    "__import__": "builtins:__import__",
    "a class that is not registered": "subprocess:Popen",
    "a method of a class": "subprocess:Popen.__init__",
    "of the main program": "__main__:X",
    "a module that opens a browser": "antigravity:geohash",
    "a module": "sys:modules",
    "a dict": "sys:modules.os",
    "an instance": "os:environ",
    "empty": ":",
    "no module": ":eval",
    "no name": "os:",
    "no colon": "os.system",
    "two colons": "os:system:",
    "local": "tests.hostile.words:dump.<locals>.f",
    "lambda": "tests.hostile.words:<lambda>",
    "deep": "os:" + "path." * 2000 + "join",
    "dots": "os:....",
    "special names": "tests.hostile.words:Account.__class__.__base__.__subclasses__",
    "huge": "x" * 5_000 + ":" + "y" * 5_000,
    "surrogates": "\ud800os:\udfffsystem",
    "NUL": "os\0:system\0",
    "a PersistentObject": "tests.hostile.words:Account",
    "our own": "pmemobj._core:Pool",
}

#: What stands where a codec of ours expects something else.
PAYLOADS = [
    None,
    5,
    -1.5,
    "text",
    b"bytes",
    (),
    (1, 2, 3),
    ("os:system", "x", 5),
    (("os:system",) * 3,),
    1 << 80,
    True,
]


def plain(value):
    return lambda pool, marker: [value]


def slot_in_place(slot):
    return lambda pool, marker: [TOKEN], slot


#: word -> values(pool, marker), or (that, slot).
WORDS = {}
for name, text in NAMES.items():
    WORDS[f"named: {name}"] = lambda pool, marker, text=text: [
        crafted(pool, "type", text),
        crafted(pool, "func", text),
        crafted(pool, "enum", (text, "RED")),
        crafted(pool, "named", (text, 1, 2)),
        crafted(pool, "frozen", (text, "args", 1)),
        crafted(pool, text or "x", (1, 2)),
        crafted(pool, text or "x", pickle.dumps(Calls(print, marker)), pickled=True),
    ]
for name in native.HOMES:
    WORDS[f"payloads of {name}"] = lambda pool, marker, name=name: [crafted(pool, name, p) for p in PAYLOADS]
for first in range(0, len(attacks("marker")), 8):
    WORDS[f"pickles {first} to {first + 7}"] = lambda pool, marker, first=first: [
        crafted(pool, f"{__name__}:Nominated", data, pickled=True)
        for data in list(attacks(marker).values())[first : first + 8]
    ]
WORDS["pickles that are none"] = lambda pool, marker: [
    crafted(pool, "tests.hostile.words:Nominated", payload, pickled=True) for payload in PAYLOADS
]
SLOTS = {
    "0": 0,
    "an immediate of no kind": 31 << 3 | 4,
    "misaligned": 3 << 3 | 1 << 50 | 2,
    "an object past the end": POOL_SIZE,
    "an object far away": 1 << 47,
    "an object at the very start": 8,
    "the root block": 4096,
    "the last word": POOL_SIZE - 8,
    "of no kind": 99 << 48 | 1 << 20,
    "all bits": (1 << 64) - 8,
}
for kind, number in REF.items():
    if kind != "object":
        SLOTS[f"a {kind} past the end"] = number << 48 | POOL_SIZE
        SLOTS[f"a {kind} far away"] = number << 48 | 1 << 47
        SLOTS[f"a {kind} at the very start"] = number << 48 | 8
        SLOTS[f"a {kind} at the end"] = number << 48 | POOL_SIZE - 8
for kind in ("custom", "pickle"):
    SLOTS[f"a {kind} past the end"] = (11 + (kind == "pickle")) << 48 | POOL_SIZE
for name, slot in SLOTS.items():
    WORDS[f"slot: {name}"] = slot_in_place(lambda image, slot=slot: slot)


def block_of(image, token):
    """Offset of the block whose first item the number is, and of that."""
    at = image.find(struct.pack("<Q", token << 1 | 1))
    return at - 8, at


def cyclic(kind):
    def patched(image):
        """The tuple or frozenset whose first item is SECOND holds itself instead."""
        block, at = block_of(image, SECOND)
        slot = REF[kind] << 48 | block
        struct.pack_into("<Q", image, at, slot)
        return slot

    return patched


def counted(kind, count):
    def patched(image):
        block, _ = block_of(image, SECOND)
        struct.pack_into("<Q", image, block, count)
        return REF[kind] << 48 | block

    return patched


def inside_out(image):
    """What is an item of a tuple is taken for an object."""
    return block_of(image, SECOND)[0]


for kind in ("tuple", "frozenset"):
    WORDS[f"a {kind} that holds itself"] = (lambda pool, marker: [TOKEN]), cyclic(kind)
    for count in (2, 1000, 1 << 20, 1 << 61, (1 << 64) - 1):
        WORDS[f"a {kind} of {count:#x} items"] = (lambda pool, marker: [TOKEN]), counted(kind, count)
for kind in ("str1", "str2", "str4", "bytes", "int", "str1l"):
    WORDS[f"a {kind} that is a tuple"] = (lambda pool, marker: [TOKEN]), counted(kind, 40)
WORDS["an object that is a tuple"] = (lambda pool, marker: [TOKEN]), inside_out


# --- pools


class LooseAccount(pmemobj.PersistentObject):
    """Becomes an Account when the pool is made."""


class LooseTyped(pmemobj.PersistentObject):
    """Becomes a Typed, in whose fields then is what could not be assigned."""


def put(places, name, make):
    with contextlib.suppress(TypeError, ValueError, OverflowError):  # not as a key, for instance
        places[name] = make()


def places_for(pool, value):
    """The value in every place that takes it."""
    places = pool.new(pmemobj.PersistentDict)
    put(places, "list", lambda: [value, 1])
    put(places, "tuple", lambda: (1, value))
    put(places, "nested", lambda: (1, (frozenset({2}), (value,))))
    put(places, "frozenset", lambda: frozenset({value}))
    put(places, "big tuple", lambda: pool.new(pmemobj.PersistentTuple, [value, 1]))
    put(places, "big frozenset", lambda: pool.new(pmemobj.PersistentFrozenSet, [value, 1]))
    put(places, "dict", lambda: {"k": value, 1: 2})
    put(places, "key", lambda: {value: 1})
    put(places, "key in a tuple", lambda: {(1, value): 1})
    put(places, "set", lambda: {value, 1})
    put(places, "deque", lambda: collections.deque([1, value, 2]))
    put(places, "ordered", lambda: collections.OrderedDict(a=1, k=value))
    put(places, "default", lambda: collections.defaultdict(list, k=value))
    put(places, "counter", lambda: pool.new(pmemobj.PersistentCounter, {"k": 1}))
    places["counter"].__setitem__("k", value)
    put(places, "factory", lambda: pool.new(pmemobj.PersistentDefaultDict, value))
    put(places, "sorted", lambda: pool.new(pmemobj.PersistentSortedDict, {"k": value, "a": 1}))
    put(places, "sorted key", lambda: pool.new(pmemobj.PersistentSortedDict, {value: 1}))
    put(places, "sorted set", lambda: pool.new(pmemobj.PersistentSortedSet, [value]))
    for name, cls in (("object", LooseAccount), ("typed", LooseTyped)):
        o = places[name] = pool.new(cls)
        o.number, o.text, o.other = value, value, value
    return places


def make(path, word, marker):
    """A pool with the word in it."""
    values, slot = WORDS[word] if isinstance(WORDS[word], tuple) else (WORDS[word], None)
    with pmemobj.create(path, POOL_SIZE, sync="manual") as pool:
        made = values(pool, marker)
        pool.root = {"places": [], "held": [(SECOND, 1)]}
        if slot is not None and "frozenset" in word:
            pool.root["held"] = [frozenset({SECOND})]
        for value in made:
            pool.root["places"].append(places_for(pool, value))
        for name in ("Account", "Typed"):
            pool.rename_class(f"{__name__}:Loose{name}", f"{__name__}:{name}")
    if slot is not None:
        patch(path, slot)


def patch(path, slot):
    image = bytearray(Path(path).read_bytes())
    found = slot(image)
    token = struct.pack("<Q", TOKEN << 1 | 1)
    at, count = image.find(token), 0
    while at >= 0:
        if at % 8 == 0:
            struct.pack_into("<Q", image, at, found)
            count += 1
        at = image.find(token, at + 1)
    assert count > 10, count
    Path(path).write_bytes(image)


# --- class names


def with_class_name(path, name):
    """Objects of a class of that name: `name` is "module:qualname", or bytes that take the place of a name."""
    with pmemobj.create(path, POOL_SIZE, sync="manual") as pool:
        o = pool.new(LooseAccount)
        o.number, o.other = 5, [o]
        pool.root = {"places": [{"object": o, "list": [o], "key": {"k": o}, "tuple": (o, 1)}], "held": []}
        new = "z" * len(name) + ":z" if isinstance(name, bytes) else name
        pool.rename_class(f"{__name__}:LooseAccount", new)
    if isinstance(name, bytes):
        image = Path(path).read_bytes()
        assert b"z" * len(name) in image
        Path(path).write_bytes(image.replace(b"z" * len(name), name))


CLASS_NAMES = {f"class named: {name}": text for name, text in NAMES.items() if text.count(":") == 1} | {
    "class named: no UTF-8": b"\xff\xfe\x80\xc0no text",
    "class named: NULs": b"\0" * 12,
    "class named: as this one is": f"{__name__}:Nominated",
}

#: An object's attributes of these names hold a function of an imported module.
ATTRIBUTES = [
    "__class__",
    "__dict__",
    "__reduce__",
    "__reduce_ex__",
    "__deepcopy__",
    "__copy__",
    "__getstate__",
    "__eq__",
    "__hash__",
    "__repr__",
    "__len__",
    "__iter__",
    "__getattr__",
    "__setattr__",
    "__del__",
    "__fspath__",
    "__array__",
    "__p_upgrade__",
    "__p_version__",
    "__post_init__",
    "_v__init__",
    "_p_mm",
    "_p_new",
    "balance",
]


def with_attributes(path, marker):
    """Objects with attributes that no program would give them."""
    with pmemobj.create(path, POOL_SIZE, sync="manual") as pool:
        places = pool.new(pmemobj.PersistentList)
        for number, name in enumerate(ATTRIBUTES):
            o = pool.new(LooseAccount)
            setattr(o, "n" * (len(name) - 4) + f"{number:04}", harmful)
            places.append({"object": o, "list": [o]})
        pool.root = {"places": places, "held": []}
        pool.rename_class(f"{__name__}:LooseAccount", f"{__name__}:Account")
    image = Path(path).read_bytes()
    for number, name in enumerate(ATTRIBUTES):
        old = ("n" * (len(name) - 4) + f"{number:04}").encode()
        assert old in image, name
        image = image.replace(old, name.encode())
    Path(path).write_bytes(image)


def harmful(*args, **kwargs):
    """Stored by its name, as os.system could be; must never be called."""
    Harm.done.append(len(args))


class Harm:
    done: ClassVar[list] = []


ALL = [*WORDS, *CLASS_NAMES, "attributes"]
#: Tried by default; the others by the long tests.
SOME = list(
    dict.fromkeys(
        [
            "attributes",
            "a tuple that holds itself",
            "a frozenset that holds itself",
            "pickles 0 to 7",
            *ALL[::7],
        ]
    )
)


def make_any(path, word, marker):
    if word in WORDS:
        make(path, word, marker)
    elif word in CLASS_NAMES:
        with_class_name(path, CLASS_NAMES[word])
    else:
        with_attributes(path, marker)
