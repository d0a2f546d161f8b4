"""Random operations on objects of several classes, with transactions, savepoints and reopening, against a model."""

import copy
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from object_support import scalars

import pmemobj
from pmemobj import PersistentObject, StaleObjectError


class One(PersistentObject):
    shared = "class attribute"


class Two(PersistentObject):
    def __init__(self, a, b="a string that needs a block"):
        self.a = a
        self.b = b

    def _v__init__(self):
        self._v_ready = True


class Three(Two):
    @property
    def twice(self):
        return [self.a, self.a]

    @twice.setter
    def twice(self, value):
        self.a = value


CLASSES = [One, Two, Three]
NAMES = ["a", "b", "shared", "c", "d", "été", "a_much_longer_name", "twice", "n1", "n2", "n3"]

values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


class Model:
    """What a persistent object is compared with: its class and attributes."""

    def __init__(self, cls):
        self.cls = cls
        self.attributes = {}


class Objects(RuleBasedStateMachine):
    """`model` maps names (in the pool's root, a dict) to Models; references between objects are stored as Models."""

    def __init__(self):
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.pool = pmemobj.open(self.directory / "p", max_size=64 << 20, sync="manual")
        self.pool.root = {}
        self.model = {}
        self.saved = []
        self.created = []  # per level: objects made in it, held, so that they turn stale

    def teardown(self):
        while self.saved:
            self.end(False)
        self.pool._check_references()
        self.pool.root = None
        self.pool.gc()
        self.pool._check_references()
        self.pool.close()
        with pmemobj.open(self.directory / "p") as pool:
            assert pool._check_references() <= 1 + len(CLASSES)  # the type table
        shutil.rmtree(self.directory)

    def real(self, value):
        return self.pool.root[value.key] if isinstance(value, Model) else value

    # --- objects

    @initialize(cls=st.sampled_from(CLASSES))
    def first(self, cls):
        self.make(0, cls, 1)

    @rule(number=st.integers(0, 6), cls=st.sampled_from(CLASSES), value=values)
    def make(self, number, cls, value):
        key = f"o{number}"
        if key in self.model:  # others may refer to it
            return
        o = self.pool.new(cls) if cls is One else self.pool.new(cls, value)
        if self.created:
            self.created[-1].append(o)
        self.pool.root[key] = o
        self.model[key] = model = Model(cls)
        model.key = key
        if cls is not One:
            model.attributes.update(a=value, b="a string that needs a block")

    @rule(data=st.data())
    def drop(self, data):
        key = data.draw(st.sampled_from(sorted(self.model)))
        if len(self.model) > 1 and not any(
            value is self.model[key] for model in self.model.values() for value in model.attributes.values()
        ):
            del self.pool.root[key], self.model[key]

    # --- attributes

    @rule(data=st.data(), name=st.sampled_from(NAMES), value=values)
    def set(self, data, name, value):
        key = data.draw(st.sampled_from(sorted(self.model)))
        model = self.model[key]
        setattr(self.pool.root[key], name, value)
        model.attributes["a" if name == "twice" and model.cls is Three else name] = value

    @rule(data=st.data(), name=st.sampled_from(NAMES[3:5]))
    def refer(self, data, name):
        keys = st.sampled_from(sorted(self.model))
        key, other = data.draw(keys), data.draw(keys)
        setattr(self.pool.root[key], name, self.pool.root[other])
        self.model[key].attributes[name] = self.model[other]

    @rule(data=st.data(), name=st.sampled_from(NAMES))
    def delete(self, data, name):
        key = data.draw(st.sampled_from(sorted(self.model)))
        model = self.model[key]
        if name in model.attributes and not (name == "twice" and model.cls is Three):
            delattr(self.pool.root[key], name)
            del model.attributes[name]
        else:
            with pytest.raises(AttributeError):
                delattr(self.pool.root[key], name)

    @rule(data=st.data(), name=st.sampled_from(NAMES))
    def fail(self, data, name):
        key = data.draw(st.sampled_from(sorted(self.model)))
        with pytest.raises(TypeError):
            setattr(self.pool.root[key], name, [1, object()])

    # --- transactions

    @precondition(lambda self: len(self.saved) < 4)
    @rule()
    def begin(self):
        self.pool.begin()
        self.saved.append(copy.deepcopy(self.model))
        self.created.append([])

    @precondition(lambda self: self.saved)
    @rule(keep=st.booleans())
    def end(self, keep):
        before, made = self.saved.pop(), self.created.pop()
        if keep:
            self.pool.commit()
            if self.created:
                self.created[-1] += made
        else:
            self.pool.abort()
            self.model = before
            for o in made:
                with pytest.raises(StaleObjectError):
                    _ = o.a
                with pytest.raises(StaleObjectError):
                    o.a = 1

    @precondition(lambda self: not self.saved)
    @rule(collect=st.booleans())
    def reopen(self, collect):
        if collect:
            self.pool.gc()
        self.pool.close()
        self.pool = pmemobj.open(self.directory / "p", sync="manual")

    # --- equal at every step

    @invariant()
    def same(self):
        root = self.pool.root
        assert set(root) == set(self.model)
        for key, model in self.model.items():
            o = root[key]
            assert type(o) is model.cls and root[key] is o
            expected = {name: self.real(value) for name, value in model.attributes.items()}
            assert vars(o) == expected
            for name in NAMES:
                if (name, model.cls) == ("twice", Three):
                    assert getattr(o, name, None) == ([o.a, o.a] if "a" in expected else None)
                elif name in expected:
                    assert getattr(o, name) == expected[name]
                else:
                    assert getattr(o, name, None) == (
                        One.shared if (name, model.cls) == ("shared", One) else None
                    )
            if model.cls is not One:
                assert o._v_ready
            o._check()
        if not self.saved:
            self.pool._check_references()


TestObjects = Objects.TestCase
