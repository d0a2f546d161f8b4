"""What it takes to run the interpreter's own tests against persistent containers.

They make containers by calling a type without a pool, and put objects of their own classes into them.  So the
type under test is a subclass that makes its objects in the current pool, and that pool has a codec for every class
that cannot be stored: the object stays in Python, and what is stored is a number that leads to it.
"""

import ast
import itertools
import types
import weakref
from pathlib import Path
from typing import ClassVar

import pytest

import pmemobj
from pmemobj import _values

MISSING = "the interpreter's own test suite is missing ({}); Debian and Ubuntu have it in libpython3-testsuite".format


#: How the reason of a skip begins when a test does not apply: docs/compatibility.md lists these.
EXCLUDED = "excluded: "


class CodecsByType(dict):
    """A pool's codecs: any class of the tests gets one when it is asked for."""

    numbers = itertools.count()
    kept = dict
    stable_key = None

    def get(self, cls, default=None):
        if cls not in self:
            kept = self.kept()
            name = f"{cls.__qualname__}-{next(self.numbers)}"
            self[cls] = _values.Codec(name, self.encoder(kept), kept.__getitem__, False, self.stable_key)
            _values.add_codec(object(), self[cls])  # found by its name; by its type in this pool only
        return self[cls]


class Tickets(CodecsByType):
    """Every stored object has a number of its own, which is the same whenever it is stored."""

    @staticmethod
    def encoder(kept):
        def encode(value):
            kept[id(value)] = value
            return id(value)

        return encode


class HashedTickets(Tickets):
    """As keys they have the hash that Python knows, so equal ones may meet."""

    stable_key = hash


class WeakTickets(Tickets):
    """As Tickets, but nothing is kept for the pool: what is stored dies when the test has let go of it."""

    kept = weakref.WeakValueDictionary


class Hashes(CodecsByType):
    """An object is stored as its hash, so that equal ones are the same key."""

    @staticmethod
    def encoder(kept):
        def encode(value):
            kept.setdefault(hash(value), value)
            return hash(value)

        return encode


class InPool:
    """Base of a test class: each test has a pool, `InPool.pool`, with codecs of the class `codecs`; `codecs_of` has
    others for some tests."""

    pool = None
    codecs = Hashes
    codecs_of: ClassVar[dict] = {}

    @pytest.fixture(autouse=True)
    def _in_a_pool(self, tmp_path, request):
        with pmemobj.open(tmp_path / "pool", max_size=64 << 20, sync="manual") as pool:
            pool.registry.codecs = self.codecs_of.get(request.node.name, self.codecs)()
            InPool.pool = pool
            yield
            InPool.pool = None


class Rebuilt:
    """Base of a class under test: what a copy or pickle says becomes an object of the same class in the pool."""

    def __reduce__(self):
        _, args, *rest = super().__reduce__()
        return type(self), args, vars(self) or None, *rest[1:]


class FilledLater(Rebuilt):
    """As the builtin mappings: made empty, filled by __init__(), which may be called again."""

    def __new__(cls, /, *args, **kwargs):
        return cls._p_new(InPool.pool, (), {})

    def __init__(self, /, *args, **kwargs):
        super().update(*args, **kwargs)

    def copy(self):
        return type(self)(super().copy())

    @classmethod
    def fromkeys(cls, iterable, value=None):
        made = cls()
        for key in iterable:
            made[key] = value
        return made


class MadeWhole(Rebuilt):
    """As the builtin immutable ones: made with what they hold, and one of exactly that type is itself."""

    def __new__(cls, iterable=(), /, **kwargs):
        if kwargs and cls.__init__ is MadeWhole.__init__:
            raise TypeError(f"{cls.__name__}() takes no keyword arguments")
        if cls is type(iterable) and MadeWhole in cls.__bases__:
            return iterable
        return cls._p_new(InPool.pool, (iterable,), {})

    def __init__(self, *args, **kwargs):
        pass


class _AnyDictType(type):
    def __call__(cls, *args, **kwargs):
        return dict(*args, **kwargs)

    def __instancecheck__(cls, instance):
        return isinstance(instance, (dict, pmemobj.PersistentDict))

    def __subclasscheck__(cls, subclass):
        return issubclass(subclass, (dict, pmemobj.PersistentDict))

    def __getattr__(cls, name):
        return getattr(pmemobj.PersistentDict, name)


class AnyDict(metaclass=_AnyDictType):
    """What `dict` means in a test: calls give plain dicts, methods called on it are those of PersistentDict, and both
    are instances."""

    fromkeys = dict.fromkeys


class _Rewritten(ast.NodeTransformer):
    """Inside functions, displays call the name of their type: ``{1: 2}`` becomes ``dict({1: 2})``.  What gets another
    meaning is not imported."""

    def __init__(self, displays, names):
        self.displays = displays
        self.names = names
        self.inside = 0

    def visit_FunctionDef(self, node):
        self.inside += 1
        self.generic_visit(node)
        self.inside -= 1
        return node

    def visit_Import(self, node):
        node.names = [alias for alias in node.names if (alias.asname or alias.name) not in self.names]
        return node if node.names else None

    visit_ImportFrom = visit_Import

    def called(self, name, node):
        self.generic_visit(node)
        if not self.inside or name not in self.displays:
            return node
        if not isinstance(getattr(node, "ctx", ast.Load()), ast.Load):  # what is assigned to
            return node
        called = ast.Call(ast.Name(name, ast.Load()), [node], [])
        return ast.fix_missing_locations(ast.copy_location(called, node))

    def visit_Dict(self, node):
        return self.called("dict", node)

    def visit_List(self, node):
        return self.called("list", node)

    def visit_Tuple(self, node):
        return self.called("tuple", node)

    visit_DictComp = visit_Dict
    visit_ListComp = visit_List


def rewritten(module, displays=(), **names):
    """The module once more, in which these names mean our classes, and displays of these types call them."""
    tree = _Rewritten(displays, names).visit(ast.parse(Path(module.__file__).read_text()))
    made = types.ModuleType(module.__name__)
    vars(made).update(names, __file__=module.__file__)
    exec(compile(tree, module.__file__, "exec"), vars(made))
    return made


def renamed(function, **names):
    """The function, in which these names of its module or of the builtins mean something else."""
    return types.FunctionType(function.__code__, function.__globals__ | names, function.__name__)


#: (test class, name of a test that is run in another way) -> how and why: docs/compatibility.md lists these.
ADAPTED = {}


def adapted(tests, names, how):
    """Notes that these tests of the class are run with something changed."""
    for name in names.split():
        assert hasattr(tests, name), name
        ADAPTED[tests.__name__, name] = how


def refusals_are(context, tests, names, how):
    """In these tests, which ask for an exception where ours has no reason for one, this is what assertRaises gives."""

    def changed(test):
        def run(self):
            self.assertRaises = context
            test(self)

        run.__name__ = test.__name__
        return run

    for name in names.split():
        setattr(tests, name, changed(getattr(tests, name)))
    adapted(tests, names, how)


#: Why a test does not apply.
IMPOSSIBLE, POINTLESS = "impossible", "pointless"


def exclude(tests, why, reasons):
    """Replaces tests of the class that do not apply by skips: name -> reason."""
    for name, reason in reasons.items():
        assert hasattr(tests, name), name
        setattr(tests, name, _excluded(name, f"{why}: {reason}"))


def _excluded(name, reason):
    def excluded(self):
        pytest.skip(EXCLUDED + reason)

    excluded.__name__ = name
    return excluded
