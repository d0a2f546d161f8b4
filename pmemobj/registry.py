"""Types of immutable values: register(), for every pool, and what one open pool knows beyond that."""

from collections.abc import Callable
from typing import Any, TypeVar

from pmemobj import _values, errors, native, pickling
from pmemobj._core import Persistent, Pool
from pmemobj._object import ClassTable

__all__ = ["register"]

#: Types that are stored as they are.
BUILTIN = frozenset(
    (
        int,
        float,
        complex,
        bool,
        str,
        bytes,
        tuple,
        frozenset,
        list,
        dict,
        set,
        bytearray,
        *map(type, (None, ..., NotImplemented)),
    )
)

T = TypeVar("T")

_types_by_name: dict[str, type] = {}


def name_of(cls: type) -> str:
    """What a stored value is found by when no name is given."""
    return f"{cls.__module__}:{cls.__qualname__}"


def register(
    cls: type[T],
    encode: Callable[[T], object],
    decode: Callable[[Any], T],
    name: str | None = None,
    *,
    stable_key: Callable[[T], object] | None = None,
) -> None:
    """Makes values of exactly the type `cls`, which must be immutable, storable in every pool.

    encode: called with a value when it is stored; returns a str, bytes, number, tuple or frozenset (with anything
        that can be stored in it).
    decode: called with that when the value is loaded; returns the value.
    name: under which the type is stored; by default "module:qualname".  Keep it when the class moves.
    stable_key: called with a value that is used as a key; returns a str, bytes, number or tuple, the same for equal
        values and in every process.  Where values may be equal to those of another type, return such a one.  By
        default what `encode` returns, which is right if equal values are encoded alike.

    Needed in every process before such a value is loaded (ClassNotFoundError otherwise).  Registering a type again
    replaces its functions; values stored under an earlier name can still be loaded.

    What pmemobj stores without registration (Decimal, datetime, enumerations, ...) may be registered as well, to be
    stored in another way.

    Raises TypeError if `cls` is no type, or a builtin one, and ValueError if another type has the name.
    """
    if not isinstance(cls, type):
        raise TypeError(f"register() takes a type, not a {type(cls).__name__}")
    if cls in BUILTIN or issubclass(cls, Persistent):
        raise TypeError(f"{cls.__name__} is stored by pmemobj itself and cannot be registered")
    if not callable(encode) or not callable(decode) or not (stable_key is None or callable(stable_key)):
        raise TypeError("encode, decode and stable_key must be callable")
    if name is None:
        name = name_of(cls)
    elif type(name) is not str or not name:
        raise TypeError(f"name must be a str, not {name!r}")
    elif name in native.HOMES:
        raise ValueError(f"{name!r} is a name of pmemobj's own; give {name_of(cls)} another one")
    other = _types_by_name.get(name, cls)
    if other is not cls and name_of(other) != name_of(cls):  # the same class defined anew may replace itself
        raise ValueError(f"{name!r} is the name of {name_of(other)} already; give {name_of(cls)} another one")
    _values.add_codec(cls, _values.Codec(name, encode, decode, False, stable_key))
    _types_by_name[name] = cls


class PoolRegistry(ClassTable):
    """What one open pool knows: the classes of its objects, and the types that it stores as pickles."""

    def __init__(self, pool: Pool) -> None:
        self.codecs: dict[type, _values.Codec] = {}
        self.nominated: dict[str, type] = {}

    def nominate(self, types: tuple[type, ...]) -> None:
        """All of the types may be stored as pickles and loaded from them, or TypeError is raised."""
        for cls in types:
            pickling.check_type(cls, BUILTIN)
        for cls in types:
            name = name_of(cls)
            self.nominated[name] = cls
            self.codecs[cls] = _values.Codec(name, self._dump, None, True)

    def _dump(self, value: object) -> bytes:
        return pickling.dumps(value, self.nominated)

    def unpickle(self, name: str, payload: bytes) -> Any:
        """The value of a stored pickle; called by _values."""
        if name not in self.nominated:
            module, _, qualname = name.partition(":")
            raise errors.ClassNotFoundError(
                f"a value of the type {module}.{qualname} was stored as a pickle: call "
                f"pool.persist_via_pickle({qualname}) before reading it"
            )
        return pickling.loads(payload, self.nominated)
