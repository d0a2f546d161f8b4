"""What it takes to run the interpreter's own tests against persistent containers.

They make containers by calling a type without a pool, and put objects of their own classes into them.  So the
type under test is a subclass that makes its objects in the current pool, and that pool has a codec for every class
that cannot be stored: the object stays in Python, and what is stored is a number that leads to it.
"""

import ast
import itertools
import types
from pathlib import Path

import pytest

import pmemobj
from pmemobj import _values

MISSING = "the interpreter's own test suite is missing ({}); Debian and Ubuntu have it in libpython3-testsuite".format


#: How the reason of a skip begins when a test does not apply: docs/compatibility.md lists these.
EXCLUDED = "excluded: "


class CodecsByType(dict):
    """A pool's codecs: any class of the tests gets one when it is asked for."""

    numbers = itertools.count()

    def get(self, cls, default=None):
        if cls not in self:
            kept = {}
            name = f"{cls.__qualname__}-{next(self.numbers)}"
            self[cls] = _values.Codec(name, self.encoder(kept), kept.__getitem__)
            _values.add_codec(object(), self[cls])  # found by its name; by its type in this pool only
        return self[cls]


class Tickets(CodecsByType):
    """Every stored object has a number of its own."""

    @staticmethod
    def encoder(kept):
        def encode(value):
            kept[len(kept)] = value
            return len(kept) - 1

        return encode


class Hashes(CodecsByType):
    """An object is stored as its hash, so that equal ones are the same key."""

    @staticmethod
    def encoder(kept):
        def encode(value):
            kept.setdefault(hash(value), value)
            return hash(value)

        return encode


class InPool:
    """Base of a test class: each test has a pool, `InPool.pool`, with codecs of the class `codecs`."""

    pool = None
    codecs = Hashes

    @pytest.fixture(autouse=True)
    def _in_a_pool(self, tmp_path):
        with pmemobj.open(tmp_path / "pool", max_size=64 << 20, sync="manual") as pool:
            pool.registry.codecs = self.codecs()
            InPool.pool = pool
            yield
            InPool.pool = None


class _Displays(ast.NodeTransformer):
    """``{1: 2}`` becomes ``dict({1: 2})``."""

    def visit_Dict(self, node):
        self.generic_visit(node)
        called = ast.Call(ast.Name("dict", ast.Load()), [node], [])
        return ast.fix_missing_locations(ast.copy_location(called, node))

    visit_DictComp = visit_Dict


def with_displays(module, **names):
    """The module once more, in which these names mean our classes, and dict displays call `dict`."""
    tree = _Displays().visit(ast.parse(Path(module.__file__).read_text()))
    made = types.ModuleType(module.__name__)
    vars(made).update(names)
    exec(compile(tree, module.__file__, "exec"), vars(made))
    return made


def exclude(tests, reasons):
    """Replaces tests of the class that do not apply by skips: name -> reason."""
    for name, reason in reasons.items():
        assert hasattr(tests, name), name
        setattr(tests, name, _excluded(name, reason))


def _excluded(name, reason):
    def excluded(self):
        pytest.skip(EXCLUDED + reason)

    excluded.__name__ = name
    return excluded
