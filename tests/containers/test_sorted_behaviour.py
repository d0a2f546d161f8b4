"""PersistentSortedDict and PersistentSortedSet beside sortedcontainers, by long random lives from fixed seeds."""

import random

import pytest
from sortedcontainers import SortedDict, SortedSet

from pmemobj import PersistentSortedDict, PersistentSortedSet

#: How keys are made from numbers: each in another way of storing and comparing.
KEYS = {
    "ints": lambda n: n * 3 - 1000,
    "floats": lambda n: n / 3 - 100,
    "ints and floats": lambda n: n // 2 if n % 2 else n / 2 + 0.25,
    "short texts": lambda n: f"{n:x}",
    "texts": lambda n: f"a key longer than a slot {n % 97} {n}",
    "any texts": lambda n: chr(0x61 + n % 3) * (n % 11) + ("", "é", "\u20ac", "\U0001f600")[n % 4] + str(n),
    "texts with zeros": lambda n: (
        "a beginning" + "\0" * (n % 4) + "xyz"[: n % 3] + "\0" * (n // 12 % 10) + str(n)[: n % 2]
    ),
    "bytes": lambda n: n.to_bytes(9, "little").rstrip(b"\0"),
    "tuples": lambda n: (n % 5, str(n)),
    "big ints": lambda n: (n - 500) ** 9,
}


def same(ours, model):
    ours._check()
    assert len(ours) == len(model)
    assert list(ours.items()) == list(model.items())


def one_step(r, key, ours, model):
    n = r.random()
    if n < 0.45:
        ours[key] = model[key] = r.randrange(10**6)
    elif n < 0.7:
        assert ours.pop(key, None) == model.pop(key, None)
    elif n < 0.75:
        assert ours.setdefault(key, 7) == model.setdefault(key, 7)
    elif n < 0.85:
        assert ours.get(key) == model.get(key)
        assert (key in ours) == (key in model)
    elif n < 0.9:
        assert ours.bisect_left(key) == model.bisect_left(key)
        assert ours.bisect_right(key) == model.bisect_right(key) == ours.bisect(key)
    elif not model:
        with pytest.raises(KeyError):
            ours.popitem()
    elif n < 0.95:
        index = r.randrange(-len(model), len(model))
        assert ours.peekitem(index) == model.peekitem(index)
        assert ours.index(model.peekitem(index)[0]) == index % len(model)
    else:
        index = r.choice((0, -1, r.randrange(-len(model), len(model))))
        assert ours.popitem(index) == model.popitem(index)


# 120 000 random operations together.
@pytest.mark.parametrize("kind", KEYS)
def test_a_random_life(pool, kind):
    steps = 32_000 if kind == "ints" else 11_000
    r = random.Random(f"a life with {kind}")
    make = KEYS[kind]
    ours = pool.root = pool.new(PersistentSortedDict)
    ours = pool.root
    model = SortedDict()
    for step in range(steps):
        # Grows to some thousands, shrinks to nearly nothing, and grows again.
        span = 3000 if step * 3 // steps != 1 else 40
        one_step(r, make(r.randrange(span)), ours, model)
        if step * 3 // steps == 1 and model and r.random() < 0.6:
            assert ours.popitem(0) == model.popitem(0)
        if step % 997 == 0:
            same(ours, model)
    same(ours, model)
    assert pool.check().ok


@pytest.mark.parametrize("among", [0, 40])
def test_texts_that_end_near_the_end_of_what_a_node_knows_of_them(pool, among):
    """Eight bytes behind what the keys of a node have in common, and whether they are all; zeros are characters."""
    keys = {
        "same" + middle + "\0" * zeros
        for middle in ("", "1", "1234567", "12345678", "123456789")
        for zeros in range(10)
    }
    strange = [*keys, "sam", "same12345678\x01", "same\x00x", "same\xff", "same1234567\u20ac"]
    whole = [f"same{i:03}" for i in range(among)]
    for new in [key for key in strange if key not in keys] + sorted(keys):
        tree = pool.new(PersistentSortedSet, whole)
        for key in (new, *sorted(keys, key=len)):
            assert (key in tree) == (key in set(tree))
            tree.add(key)
            tree._check()
            assert [k for k in strange if k in tree] == [k for k in strange if k in set(tree)]
        assert list(tree) == sorted({*whole, *keys, new})
        assert [tree.bisect_left(k) for k in strange] == [SortedSet(tree).bisect_left(k) for k in strange]


def test_inserting_and_deleting_in_every_order(pool):
    """Height three and back: appended, from the front, from the middle, and deleted likewise."""
    count = 6000
    orders = {
        "up": lambda: range(count),
        "down": lambda: range(count - 1, -1, -1),
        "inwards": lambda: [i // 2 if i % 2 else count - 1 - i // 2 for i in range(count)],
        "shuffled": lambda: random.Random(5).sample(range(count), count),
    }
    for way_in in orders.values():
        for way_out in orders.values():
            ours = pool.root = pool.new(PersistentSortedDict)
            ours = pool.root
            for i in way_in():
                ours[i] = str(i)
            ours._check()
            assert list(ours) == list(range(count))
            left = set(range(count))
            for step, i in enumerate(way_out()):
                del ours[i]
                left.discard(i)
                if step % 1500 == 700:
                    ours._check()
                    assert list(ours) == sorted(left)
            ours._check()
            assert len(ours) == 0


@pytest.mark.parametrize("count", [0, 1, 41, 42, 43, 48, 49, 84, 85, 2015, 2016, 2017, 5000])
def test_bulk(pool, count):
    items = {f"key {i:05}": i for i in range(count)}
    shuffled = list(items)
    random.Random(count).shuffle(shuffled)
    for source in (items, {key: items[key] for key in shuffled}):
        ours = pool.new(PersistentSortedDict, source)
        ours._check()
        assert list(ours.items()) == list(items.items())
        for i in range(0, count, 3):
            del ours[f"key {i:05}"]
        ours.update(source)
        ours._check()
        assert list(ours) == sorted(items)
        ours.clear()
        ours._check()
        assert not ours and list(ours) == []
        ours.update(source.items())
        ours._check()
        assert ours == items


def test_ranges(pool):
    r = random.Random(8)
    keys = sorted(r.sample(range(3000), 1200))
    ours, model = pool.new(PersistentSortedDict, dict.fromkeys(keys, 0)), SortedDict.fromkeys(keys, 0)
    elements, model_set = pool.new(PersistentSortedSet, keys), SortedSet(keys)
    for _ in range(300):
        low, high = (r.choice((None, r.randrange(-10, 3010))) for _ in range(2))
        for inclusive in ((True, True), (True, False), (False, True), (False, False)):
            for reverse in (False, True):
                expected = list(model.irange(low, high, inclusive, reverse))
                assert list(ours.irange(low, high, inclusive, reverse)) == expected
                assert list(elements.irange(low, high, inclusive, reverse)) == expected
            inside = list(model.irange(low, high, inclusive))
            bounds = (low, high, not inclusive[0], not inclusive[1])
            for view in (ours.keys(*bounds), elements.keys(*bounds)):
                assert list(view) == inside and len(view) == len(inside)
                assert list(reversed(view)) == inside[::-1]
                if inside:
                    assert view[0] == inside[0] and view[-1] == inside[-1] and view[:3] == inside[:3]
                    assert view.index(inside[-1]) == len(inside) - 1 and inside[0] in view
                assert -1 not in view
            assert list(ours.items(*bounds)) == [(key, 0) for key in inside]
            assert list(ours.values(*bounds)) == [0] * len(inside)
        start, stop = (r.choice((None, r.randrange(-1300, 1300))) for _ in range(2))
        for reverse in (False, True):
            expected = list(model_set.islice(start, stop, reverse))
            assert list(ours.islice(start, stop, reverse)) == expected
            assert list(elements.islice(start, stop, reverse)) == expected


def test_smallest_and_largest(pool):
    ours = pool.new(PersistentSortedDict, {10: "a", 20: "b", 30: "c"})
    assert (ours.minKey(), ours.maxKey()) == (10, 30)
    assert (ours.minKey(11), ours.minKey(20), ours.maxKey(29), ours.maxKey(20)) == (20, 20, 20, 20)
    for call in (lambda: ours.minKey(31), lambda: ours.maxKey(9), pool.new(PersistentSortedDict).minKey):
        with pytest.raises(ValueError):
            call()


def test_a_set_like_that_of_sortedcontainers(pool):
    r = random.Random(21)
    ours, model = pool.new(PersistentSortedSet), SortedSet()
    for step in range(6000):
        n = r.randrange(500)
        others = [r.sample(range(500), r.randrange(40)) for _ in range(r.randrange(3))]
        choice = r.randrange(30)
        if choice < 12:
            ours.add(n)
            model.add(n)
        elif choice < 22:
            ours.discard(n)
            model.discard(n)
        elif choice == 22:
            ours.update(*others)
            model.update(*others)
        elif choice == 23:
            ours.difference_update(*others)
            model.difference_update(*others)
        elif choice == 24:
            ours.symmetric_difference_update(others[0] if others else [])
            model.symmetric_difference_update(others[0] if others else [])
        elif choice == 25:
            most = range(r.randrange(100), 450)
            ours.intersection_update(most, range(480))
            model.intersection_update(most, range(480))
        elif choice == 26 and model:
            index = r.randrange(-len(model), len(model))
            assert ours.pop(index) == model.pop(index)
        elif choice == 27 and model:
            part = slice(r.randrange(len(model)), r.randrange(len(model)), r.choice((1, 2, -1, -3)))
            assert ours[part] == model[part]
            if step % 3 == 0:
                del ours[part]
                del model[part]
        elif choice == 28:
            assert (n in ours) == (n in model) == ours.count(n)
            for name in ("union", "intersection", "difference"):
                assert getattr(ours, name)(*others) == set(getattr(model, name)(*others))
        else:
            other = set(others[0]) if others else set()
            assert ours | other == model | other and other - ours == set(other - model)
            assert ours ^ other == set(model ^ other) and (ours <= other) == (model <= other)
            assert (ours > other) == (model > other) and ours.isdisjoint(other) == model.isdisjoint(other)
        if step % 97 == 0:
            ours._check()
            assert list(ours) == list(model) and ours == set(model)
    with pytest.raises(KeyError):
        ours.remove(-1)
    with pytest.raises(IndexError):
        ours[len(ours)]


def test_keys_without_a_place(pool):
    ours = pool.new(PersistentSortedDict, {1: "one"})
    elements = pool.new(PersistentSortedSet, [1])
    empty = pool.new(PersistentSortedDict)
    for key in ("text", None, 1j, (1,), b"", float("nan"), ..., frozenset()):
        with pytest.raises(TypeError):
            ours[key] = 1
        with pytest.raises(TypeError):
            ours.setdefault(key, 1)
        with pytest.raises(TypeError):
            ours.update({key: 1, 2: 2})
        with pytest.raises(TypeError):
            elements.add(key)
        with pytest.raises(TypeError):
            ours.bisect(key)
        assert key not in ours and ours.get(key, "no") == "no" and ours.pop(key, "no") == "no"
        with pytest.raises(KeyError):
            del ours[key]
        elements.discard(key)
    for key in (None, 1j, float("nan"), ..., [], {}, [1], pool.new(PersistentSortedDict)):
        with pytest.raises(TypeError):
            empty[key] = 1
        with pytest.raises(TypeError):
            empty.update({1: 1} | ({} if type(key).__hash__ is None else {key: 1}) | {"a": 1})
    for key in ([], {}, [1]):
        with pytest.raises(TypeError):
            key in ours  # noqa: B015 - as with a dict
    with pytest.raises(TypeError):
        pool.new(PersistentSortedSet, [frozenset([1]), frozenset([2])])
    assert list(ours.items()) == [(1, "one")] and list(elements) == [1] and len(empty) == 0


def test_equal_keys_are_one(pool):
    ours = pool.new(PersistentSortedDict, {1: "a"})
    for key in (1.0, True):
        assert ours[key] == "a"
        ours[key] = "b"
        assert list(map(repr, ours.items())) == ["(1, 'b')"]
        ours[1] = "a"
    big = 2**60 + 1
    ours = pool.new(
        PersistentSortedDict, {float(2**60): 1, big: 2, 2**60 - 1: 0, 2.0**70: 4, 2**62: 3, 2**70 + 1: 5}
    )
    assert list(ours.values()) == [0, 1, 2, 3, 4, 5]
    assert ours[2**60] == 1 and ours[2**70] == 4
