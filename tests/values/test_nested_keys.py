"""Keys of dicts and sets that are stored as part of a value."""

import math
import struct

import pytest

import pmemobj


class Point:
    """Immutable."""

    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return isinstance(other, Point) and self.x == other.x

    def __hash__(self):
        return hash(self.x)


def test_nans_with_the_same_bits_are_one_key(pool):
    one, same = (struct.unpack("<d", struct.pack("<Q", 0x7FF8000000000000))[0] for _ in range(2))
    other = struct.unpack("<d", struct.pack("<Q", 0x7FF8000000000001))[0]
    pool.root = [{one: "first", same: ["last"] * 20, other: 3, 1: 1}, {one, same, other}]
    stored, members = pool.root
    assert len(stored) == 3
    assert stored[one] == ["last"] * 20
    assert stored[other] == 3
    assert len(members) == 2
    assert sum(math.isnan(member) for member in members) == 2
    assert pool.check().ok
    assert pool.check().unreachable == (0, 0)


@pytest.mark.parametrize("size", [3, 40])
def test_hashing_a_key_runs_no_user_code_inside_the_operation(pool, size):
    changes = []

    def encode(point):
        pool.root = len(changes)  # refused inside an operation
        changes.append(point.x)
        return point.x

    pmemobj.register(Point, encode, Point, name="test_nested_keys.Point")
    pool.root = {"nested": {Point(i): i for i in range(size)}, "set": {Point(-1)}}
    assert {point.x: value for point, value in pool.root["nested"].items()} == {i: i for i in range(size)}
    assert Point(-1) in pool.root["set"]
    assert set(changes) == {*range(-1, size)}
    assert pool.check().ok
