"""Every way in which a program can touch a pool, for tests of when all of them are to be refused."""

import datetime
import operator
from collections import Counter, OrderedDict, defaultdict, deque
from functools import partial

import numpy as np

import pmemobj


class Thing(pmemobj.PersistentObject):
    def __init__(self):
        self.attribute = 1


class World:
    """A pool with something of each kind, and whatever can be held on to: views, iterators, transactions."""

    def __init__(self, pool):
        self.pool = pool
        pool.root = {
            "list": [1, 2, [3]],
            "dict": {1: 1, 2: {}},
            "set": {1, 2},
            "tuple": None,
            "thing": None,
            "deque": deque([1, 2]),
            "defaultdict": defaultdict(list, {1: 1}),
            "counter": Counter({1: 1}),
            "ordered": OrderedDict({1: 1, 2: 2}),
            "bytes": bytearray(b"12"),
            "array": np.arange(1, 7).reshape(3, 2),
        }
        pool.root["tuple"] = pool.new(pmemobj.PersistentTuple, (1, [2]))
        pool.root["thing"] = pool.new(Thing)
        self.frozenset = pool.root["frozenset"] = pool.new(pmemobj.PersistentFrozenSet, (1, 2))
        self.list, self.dict, self.set, self.tuple, self.thing, self.deque, *more = pool.root.values()
        self.defaultdict, self.counter, self.ordered, self.bytes, self.array, _ = more
        self.sorted_dict = pool.root["sorted dict"] = pool.new(pmemobj.PersistentSortedDict, {1: 1, 2: {}})
        self.sorted_set = pool.root["sorted set"] = pool.new(pmemobj.PersistentSortedSet, [1, 2])
        self.sorted_keys = self.sorted_dict.keys(1, 3)
        self.sorted_values, self.sorted_items = self.sorted_dict.values(), self.sorted_dict.items()
        self.unstored = pool.new(pmemobj.PersistentList, [1])
        self.keys, self.values, self.items = self.dict.keys(), self.dict.values(), self.dict.items()
        self.transaction = pool.transaction()
        self.writing = self.bytes.writing()
        self.decorated = pool.transaction()(lambda: None)
        self.iterators = {
            f"{how.__name__} of {name}": how(of)
            for name, of, ways in (
                ("list", self.list, (iter, reversed)),
                ("tuple", self.tuple, (iter, reversed)),
                ("dict", self.dict, (iter, reversed)),
                ("keys", self.keys, (iter, reversed)),
                ("values", self.values, (iter, reversed)),
                ("items", self.items, (iter, reversed)),
                ("set", self.set, (iter,)),
                ("frozenset", self.frozenset, (iter,)),
                ("deque", self.deque, (iter, reversed)),
                ("bytes", self.bytes, (iter, reversed)),
                ("sorted dict", self.sorted_dict, (iter, reversed)),
                ("sorted set", self.sorted_set, (iter, reversed)),
                ("sorted keys", self.sorted_keys, (iter, reversed)),
                ("sorted values", self.sorted_values, (iter, reversed)),
                ("sorted items", self.sorted_items, (iter, reversed)),
            )
            for how in ways
        }
        for iterator in self.iterators.values():
            next(iterator)

    def uses(self):
        """(name, function) of every use."""
        for kind, table in (
            ("pool", POOL),
            ("list", LIST),
            ("tuple", TUPLE),
            ("dict", DICT),
            ("set", SET),
            ("frozenset", FROZENSET),
            ("thing", THING),
            ("deque", DEQUE),
            ("defaultdict", DEFAULTDICT),
            ("counter", COUNTER),
            ("ordered", ORDEREDDICT),
            ("bytes", BYTEARRAY),
            ("array", ARRAY),
            ("keys", KEYS),
            ("items", KEYS),
            ("values", VALUES),
            ("sorted_dict", SORTED_DICT),
            ("sorted_set", SORTED_SET),
            ("sorted_keys", SORTED_KEYS),
            ("sorted_items", SORTED_ITEMS),
            ("sorted_values", SORTED_VALUES),
        ):
            for name, use in table.items():
                yield f"{kind}.{name}", partial(use, getattr(self, kind))
        for name, use in ALSO.items():
            yield name, partial(use, self)
        for name, iterator in self.iterators.items():
            yield f"next({name})", partial(next, iterator)

    def refused(self, error, but=()):
        """Each use raises `error`, apart from those named in `but`; gives their number."""
        count = 0
        for name, use in self.uses():
            if name in but:
                continue
            try:
                result = use()
            except error:
                count += 1
                continue
            except BaseException as other:
                raise AssertionError(f"{name} raised {other!r}") from other
            raise AssertionError(f"{name} gave {type(result).__name__}")
        return count


def calls(*names_and_arguments, **more):
    table = {}
    for name, *arguments in names_and_arguments:
        table[name] = lambda o, name=name, arguments=arguments: getattr(o, name)(*arguments)
    return table | more


COMPARED = {
    "__eq__": lambda o: o == o,
    "__ne__": lambda o: o != o,
    "__lt__": lambda o: o < o,
    "__le__": lambda o: o <= o,
    "__gt__": lambda o: o > o,
    "__ge__": lambda o: o >= o,
}
POOL = calls(
    ("abort",), ("begin",), ("check",), ("checkpoint",), ("commit",), ("durability",), ("gc",), ("stats",), ("sync",),
    ("refresh",), ("resize", 1 << 36), ("trim",), ("usage",),
    ("transaction",), ("new", pmemobj.PersistentList, [1]), ("persist_via_pickle", datetime.date),
    backup=lambda o: o.backup(o.path + ".backup"), compact=lambda o: o.compact(o.path + ".compact"),
    rename_class=lambda o: o.rename_class(f"{__name__}:Thing", "nowhere:Thing"),
    why=lambda o: o.why(o.root),
    root=lambda o: o.root, in_transaction=lambda o: o.in_transaction, to_python=lambda o: o.to_python(o.root),
)  # fmt: skip
SEQUENCE = calls(
    ("__add__", [1]), ("__contains__", 1), ("__getitem__", 0), ("__iter__",), ("__len__",), ("__mul__", 2),
    ("__repr__",), ("__reversed__",), ("count", 1), ("index", 1), ("__rmul__", 2), ("__radd__", []),
    _p_mm=lambda o: o._p_mm,
) | COMPARED  # fmt: skip
TUPLE = SEQUENCE | {
    "__radd__": lambda o: operator.add((1,), o),
    "__add__": lambda o: operator.add(o, (1,)),
    "__hash__": lambda o: hash(o),
    "__deepcopy__": lambda o: o.__deepcopy__({}),
    "__reduce__": lambda o: o.__reduce__(),
}
LIST = SEQUENCE | calls(
    ("__reduce__",),
    ("__delitem__", 0), ("__setitem__", 0, 1), ("append", 1), ("clear",), ("copy",), ("extend", [1]),
    ("insert", 0, 1), ("pop",), ("remove", 1), ("reverse",), ("sort",),
    __iadd__=lambda o: operator.iadd(o, [1]), __imul__=lambda o: operator.imul(o, 2),
)  # fmt: skip
DEQUE = SEQUENCE | calls(
    ("__reduce__",),
    ("__delitem__", 0), ("__setitem__", 0, 1), ("append", 1), ("appendleft", 1), ("clear",), ("copy",), ("extend", [1]),
    ("extendleft", [1]), ("insert", 0, 1), ("pop",), ("popleft",), ("remove", 1), ("reverse",), ("rotate", 1),
    __add__=lambda o: operator.add(o, deque()), __radd__=lambda o: operator.add(deque(), o), maxlen=lambda o: o.maxlen,
    __iadd__=lambda o: operator.iadd(o, [1]), __imul__=lambda o: operator.imul(o, 2),
)  # fmt: skip
BYTEARRAY = COMPARED | calls(
    ("__add__", b"1"), ("__radd__", b"1"), ("__alloc__",), ("__contains__", 1), ("__delitem__", 0),
    ("__getitem__", 0), ("__iter__",), ("__len__",), ("__mod__", ()), ("__mul__", 2), ("__repr__",),
    ("__rmod__", 1), ("__rmul__", 2), ("__setitem__", 0, 1), ("append", 1), ("capitalize",), ("center", 9),
    ("__reduce__",),
    ("clear",), ("copy",), ("count", b"1"), ("decode",), ("endswith", b"1"), ("expandtabs",), ("extend", b"1"),
    ("find", b"1"), ("hex",), ("index", b"1"), ("insert", 0, 1), ("isalnum",), ("isalpha",), ("isascii",),
    ("isdigit",), ("islower",), ("isspace",), ("istitle",), ("isupper",), ("join", [b"1", b"2"]), ("ljust", 9),
    ("lower",), ("lstrip",), ("partition", b"1"), ("pop",), ("remove", 49), ("removeprefix", b"1"),
    ("removesuffix", b"2"), ("replace", b"1", b"2"), ("resize", 9), ("reverse",), ("rfind", b"1"),
    ("rindex", b"1"), ("rjust", 9), ("rpartition", b"1"), ("rsplit",), ("rstrip",), ("split",), ("splitlines",),
    ("startswith", b"1"), ("strip",), ("swapcase",), ("title",), ("translate", None), ("upper",), ("writing",),
    ("zfill", 9),
    __iadd__=lambda o: operator.iadd(o, b"1"), __imul__=lambda o: operator.imul(o, 2), __buffer__=lambda o: bytes(o),
    __release_buffer__=lambda o: memoryview(o), _p_mm=lambda o: o._p_mm,
)  # fmt: skip
NUMBERS = (
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "lshift", "rshift", "and", "or", "xor", "divmod",
)  # fmt: skip
ARRAY = COMPARED | calls(
    *((f"__{name}__", 1) for name in NUMBERS), *((f"__r{name}__", 1) for name in NUMBERS), ("__matmul__", [1, 1]),
    ("__rmatmul__", [1, 1, 1]), *((f"__i{name}__", 1) for name in NUMBERS if name != "divmod"),
    ("__imatmul__", [[1, 1], [1, 1]]), ("__abs__",), ("__array__",), ("__array_ufunc__", np.sin, "__call__", 1),
    ("__bool__",), ("__complex__",), ("__contains__", 1), ("__float__",), ("__format__", ""), ("__getitem__", 0),
    ("__index__",), ("__int__",), ("__invert__",), ("__iter__",), ("__len__",), ("__neg__",), ("__pos__",),
    ("__reduce__",),
    ("__repr__",), ("__setitem__", 0, 1), ("__str__",), ("_p_change", operator.iadd, 1), ("append", [1, 2]), ("copy",),
    ("extend", [[1, 2]]), ("fill", 1), ("mean",), ("resize", 1), ("sort",), ("tolist",), ("writing",), ("sum", 0),
    **{
        name: lambda o, name=name: getattr(o, name)
        for name in ("T", "dtype", "itemsize", "nbytes", "ndim", "shape", "size", "_p_mm", "flat")
    },
    __getattr__=lambda o: o.strides, __getattribute__=lambda o: o.nbytes, __delitem__=lambda o: o.__delitem__(0),
)  # fmt: skip
DICT = calls(
    ("__contains__", 1), ("__delitem__", 1), ("__getitem__", 1), ("__iter__",), ("__len__",), ("__repr__",),
    ("__reduce__",),
    ("__reversed__",), ("__setitem__", 1, 1), ("clear",), ("copy",), ("get", 1), ("pop", 1), ("popitem",),
    ("setdefault", 3, 1), ("update", {1: 2}), ("__or__", {}), ("__ror__", {}), ("__bool__",),
    __ior__=lambda o: operator.ior(o, {1: 2}), __eq__=COMPARED["__eq__"], __ne__=lambda o: o != {},
    _p_mm=lambda o: o._p_mm,
)  # fmt: skip
DEFAULTDICT = DICT | {
    "__missing__": lambda o: o.__missing__(9),
    "default_factory": lambda o: o.default_factory,
}
COUNTER = DICT | COMPARED | calls(
    ("__add__", Counter()), ("__and__", Counter()), ("__or__", Counter()), ("__sub__", Counter()),
    ("__radd__", Counter()), ("__rand__", Counter()), ("__ror__", Counter()), ("__rsub__", Counter()),
    ("__missing__", 9), ("__pos__",), ("__neg__",), ("elements",), ("most_common",), ("subtract", [1]), ("total",),
    __iadd__=lambda o: operator.iadd(o, Counter()), __isub__=lambda o: operator.isub(o, Counter()),
    __iand__=lambda o: operator.iand(o, Counter()), __ior__=lambda o: operator.ior(o, Counter()),
)  # fmt: skip
ORDEREDDICT = DICT | calls(("move_to_end", 1))
PAIR = {(1, 1)}
OPERATORS = calls(
    ("__and__", PAIR), ("__or__", PAIR), ("__sub__", PAIR), ("__xor__", PAIR), ("__rand__", PAIR), ("__ror__", PAIR),
    ("__rsub__", PAIR), ("__rxor__", PAIR), ("isdisjoint", PAIR), ("__contains__", (1, 1)), ("__iter__",),
    ("__len__",), ("__repr__",),
)  # fmt: skip
SET = OPERATORS | COMPARED | calls(
    ("__reduce__",),
    ("add", 1), ("clear",), ("copy",), ("discard", 1), ("pop",), ("remove", 1), ("difference", {1}),
    ("difference_update", {1}), ("intersection", {1}), ("intersection_update", {1}), ("issubset", {1}),
    ("issuperset", {1}), ("symmetric_difference", {1}), ("symmetric_difference_update", {1}), ("union", {1}),
    ("update", {1}), ("__bool__",),
    __iand__=lambda o: operator.iand(o, {1}), __ior__=lambda o: operator.ior(o, {1}),
    __isub__=lambda o: operator.isub(o, {1}), __ixor__=lambda o: operator.ixor(o, {1}), _p_mm=lambda o: o._p_mm,
)  # fmt: skip
CHANGES_OF_SETS = (
    "add clear discard pop remove update difference_update intersection_update symmetric_difference_update"
)
FROZENSET = {
    name: use
    for name, use in SET.items()
    if name not in CHANGES_OF_SETS.split() and not name.startswith("__i")
} | {"__hash__": hash, "__iter__": iter, "_check": lambda o: o._check()}
KEYS = OPERATORS | {"__reversed__": reversed}
VALUES = calls(("__iter__",), ("__len__",), ("__repr__",), ("__reversed__",))
SORTED = calls(
    ("__reversed__",), ("bisect", 1), ("bisect_key", 1), ("bisect_key_left", 1), ("bisect_key_right", 1),
    ("bisect_left", 1), ("bisect_right", 1), ("index", 1), ("irange", 1, 2), ("irange_key", 1, 2), ("islice",),
    ("maxKey",), ("minKey",),
    key=lambda o: o.key,
)  # fmt: skip
SORTED_DICT = DICT | SORTED | calls(("peekitem",))
SORTED_SET = SET | SORTED | calls(("__delitem__", 0), ("__getitem__", 0), ("__setitem__", 0, 1), ("count", 1))
SORTED_VALUES = VALUES | calls(("__contains__", 1), ("__getitem__", 0), ("count", 1), ("index", 1))
SORTED_ITEMS = (
    OPERATORS | SORTED_VALUES | calls(("__contains__", (1, 1)), ("count", (1, 1)), ("index", (1, 1)))
)
SORTED_KEYS = OPERATORS | SORTED_VALUES | calls(("__delitem__", 0))
THING = {
    "__getattribute__": lambda o: o.attribute,
    "__setattr__": lambda o: setattr(o, "attribute", 1),
    "__delattr__": lambda o: delattr(o, "attribute"),
    "__dict__": lambda o: o.__dict__,
    "__dir__": lambda o: dir(o),
    "vars": vars,
    "_p_mm": lambda o: o._p_mm,
}
ALSO = {
    "pool.root = x": lambda w: setattr(w.pool, "root", 1),
    "enter": lambda w: w.transaction.__enter__(),
    "begin": lambda w: w.transaction.begin(),
    "decorated": lambda w: w.decorated(),
    "list(unstored)": lambda w: list(w.unstored),
    "slice": lambda w: w.list[:1],
    "array slice": lambda w: w.array[1:],
    "array item": lambda w: w.array[1, 1],
    "array fancy": lambda w: w.array.__setitem__([0, 1], 5),
    "array mask": lambda w: w.array.__setitem__(w.array > 2, 5),
    "array column": lambda w: w.array.__setitem__((..., 1), 5),
    "ufunc": lambda w: np.add(w.array, w.array),
    "ufunc out": lambda w: np.add(1, 1, out=w.array),
    "np.asarray": lambda w: np.asarray(w.array),
    "bytes slice": lambda w: w.bytes[:1],
    "bytes slice =": lambda w: w.bytes.__setitem__(slice(0, 1), b"12"),
    "bytes step": lambda w: w.bytes[::-1],
    "enter writing": lambda w: w.writing.__enter__(),
    "slice =": lambda w: w.list.__setitem__(slice(0, 1), [1]),
    "del slice": lambda w: w.list.__delitem__(slice(0, 1)),
    "sort by key": lambda w: w.list.sort(key=id, reverse=True),
    "list(list)": lambda w: list(w.list),
    "dict(dict)": lambda w: dict(w.dict),
    "sorted(set)": lambda w: sorted(w.set),
    "thing to list": lambda w: w.list.append(w.thing),
    "to_python": lambda w: w.pool.to_python(w.list),
    "new Thing": lambda w: w.pool.new(Thing),
}

#: Attributes that touch no pool.
HARMLESS = {
    "__class_getitem__", "__doc__", "__hash__", "__init__", "__init_subclass__", "__new__", "__reduce_cython__",
    "__reduce_ex__", "__setstate_cython__", "__subclasshook__", "_check", "_p_new", "_p_stable_hash", "fromkeys",
    "fromhex", "maketrans", "__dir__", "__reduce__",
    "mapping", "_v__init__", "__repr__", "__p_upgrade__", "__p_version__",
    # of classes in Python
    "__abstractmethods__", "__class__", "__module__", "__slots__", "_abc_impl", "_bounds", "_d", "_from_iterable",
    "_hash", "_holds", "_ranks", "_what",
    "__firstlineno__", "__static_attributes__",
    # where zope.interface is imported it puts them on all classes of collections.abc
    "__implemented__", "__providedBy__", "__provides__",
}  # fmt: skip
HARMLESS_OF_POOL = {
    "engine",
    "engine_reason",
    "close",
    "closed",
    "path",
    "recovery",
    "registry",
    "uuid",
    "__repr__",
}
