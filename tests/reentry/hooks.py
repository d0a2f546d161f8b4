"""Values whose methods run what a test wants, wherever an operation calls user code."""

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

import pmemobj

DEEPEST = 3


class Fuse:
    """Runs action k at the k-th call of user code.  fired: (where, name of the action), for the report."""

    def __init__(self) -> None:
        self.actions: dict[int, Callable[[], object]] = {}
        self.fired: list[tuple[str, str]] = []
        self.calls = self.depth = 0

    def light(self, actions: dict[int, Callable[[], object]]) -> None:
        self.actions, self.calls = actions, 0

    def __call__(self, where: str) -> None:
        if not self.actions:
            return
        self.calls += 1
        action = self.actions.get(self.calls)
        if action is not None and self.depth < DEEPEST:
            self.depth += 1
            self.fired.append((where, getattr(action, "__name__", "")))
            try:
                action()
            finally:
                self.depth -= 1


fuse = Fuse()


def hooked(name: str, base: type, methods: str, **own: Any) -> Any:
    """A class like `base` whose methods first let the fuse burn on."""

    def hook(method: str, original: Any) -> Any:
        def call(self: Any, *arguments: Any, **options: Any) -> Any:
            fuse(f"{name}.{method}")
            return original(self, *arguments, **options)

        return call

    namespace = {method: hook(method, own.get(method) or getattr(base, method)) for method in methods.split()}
    return type(name, (base,), {**own, **namespace, "__module__": __name__})


def stepping(values: Any) -> Any:
    """An iterator: user code between any two items."""
    for value in values:
        fuse("next")
        yield value


# --- what is stored: keys and values of a registered type


class _Plain:
    def __init__(self, x: Any):
        self.x = x

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.x == other.x

    def __lt__(self, other: Any) -> bool:
        return repr(self.x) < repr(getattr(other, "x", other))

    def __hash__(self) -> int:
        return hash(self.x)

    def __repr__(self) -> str:
        return f"Key({self.x!r})"

    def __add__(self, other: object) -> int:
        return 1

    __radd__ = __sub__ = __rsub__ = __mul__ = __add__


Key = hooked("Key", _Plain, "__eq__ __lt__ __hash__ __repr__ __add__ __radd__ __sub__ __rsub__ __mul__")


def encode(key: Any) -> Any:
    fuse("encode")
    return key.x


def decode(x: Any) -> Any:
    fuse("decode")
    return Key(x)


def stable(key: Any) -> Any:
    fuse("stable_key")
    return key.x


def order(value: Any) -> int:
    fuse("key function")
    x = getattr(value, "x", value)
    return x if type(x) is int else -1


def factory() -> list[int]:
    fuse("default_factory")
    return [1]


pmemobj.register(Key, encode, decode, stable_key=stable)
pmemobj.register_factory(factory)
pmemobj.register_key(order)


class Thing(pmemobj.PersistentObject):
    a: int = 1

    def __init__(self) -> None:
        fuse("Thing.__init__")
        self.b = 2

    def __eq__(self, other: object) -> bool:
        fuse("Thing.__eq__")
        return self is other

    def __hash__(self) -> int:
        fuse("Thing.__hash__")
        return 5

    def __repr__(self) -> str:
        fuse("Thing.__repr__")
        return "Thing()"

    def __del__(self) -> None:
        with contextlib.suppress(BaseException):
            fuse("Thing.__del__")


# --- what is passed

COMPARED = "__eq__ __hash__ __lt__ __gt__"
Int = hooked("Int", int, f"{COMPARED} __index__ __add__ __radd__")
Str = hooked("Str", str, COMPARED)
Float = hooked("Float", float, COMPARED)
Tuple = hooked("Tuple", tuple, "__eq__ __hash__ __iter__ __len__ __getitem__")
List = hooked("List", list, "__eq__ __iter__ __len__ __getitem__ __add__ __iadd__",
              __iter__=lambda self: stepping(list.__iter__(self)))  # fmt: skip
Dict = hooked("Dict", dict, "__eq__ keys items values __iter__ __len__ __getitem__ __or__",
              keys=lambda self: stepping(list(dict.keys(self))))  # fmt: skip
Set = hooked("Set", set, "__eq__ __iter__ __len__ __contains__ __or__ __and__",
             __iter__=lambda self: stepping(list(set.__iter__(self))))  # fmt: skip


def _last(self: Any) -> None:
    with contextlib.suppress(BaseException):
        fuse("Anything.__del__")


_anything: dict[str, Callable[..., Any]] = {
    "__eq__": lambda self, other: self.x == other,
    "__ne__": lambda self, other: self.x != other,
    "__lt__": lambda self, other: True,
    "__gt__": lambda self, other: False,
    "__le__": lambda self, other: True,
    "__ge__": lambda self, other: False,
    "__hash__": lambda self: hash(self.x),
    "__index__": lambda self: self.x if isinstance(self.x, int) else 0,
    "__int__": lambda self: 1,
    "__float__": lambda self: 1.0,
    "__bool__": lambda self: True,
    "__len__": lambda self: 3,
    "__length_hint__": lambda self: 3,
    "__iter__": lambda self: stepping((self.x, 1, Key(1))),
    "__getitem__": lambda self, key: self.x,
    "__contains__": lambda self, value: True,
    "keys": lambda self: stepping((1, "a", self.x)),
    "items": lambda self: stepping(((1, 2), (self.x, 3))),
    "__call__": lambda self, *arguments, **options: self.x,
    "__repr__": lambda self: "Anything",
    "__array__": lambda self, *arguments, **options: np.arange(6),
    "__bytes__": lambda self: b"abc",
    "__add__": lambda self, other: 1,
    "__radd__": lambda self, other: 1,
    "__sub__": lambda self, other: 1,
    "__mul__": lambda self, other: 1,
    "__rmul__": lambda self, other: 1,
    "__enter__": lambda self: self,
    "__exit__": lambda self, *exception: None,
    "__deepcopy__": lambda self, memo: self,
}
#: Cannot be stored; answers whatever is asked.
Anything = hooked("Anything", _Plain, " ".join(_anything), **_anything, __del__=_last)
