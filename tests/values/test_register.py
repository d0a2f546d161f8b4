"""pmemobj.register(): values of one's own immutable types."""

import contextlib
import dataclasses
import subprocess
import sys
import textwrap

import pytest

import pmemobj
from pmemobj import registry


@dataclasses.dataclass(frozen=True)
class Money:
    amount: int
    currency: str


class Temperature:
    def __init__(self, degrees):
        self.degrees = degrees

    def __eq__(self, other):
        return isinstance(other, Temperature) and self.degrees == other.degrees

    def __hash__(self):
        return hash(self.degrees)


@pytest.fixture(autouse=True)
def forget():
    """Names are for the whole process: a test may use those of another one."""
    names = dict(registry._types_by_name)
    yield
    registry._types_by_name.clear()
    registry._types_by_name.update(names)


@pytest.fixture
def money():
    pmemobj.register(Money, lambda m: (m.amount, m.currency), lambda t: Money(*t))


def test_values_everywhere(pool, reopen, money):
    five = Money(5, "EUR or a longer currency")
    pool.root = {
        "v": five,
        "list": [five],
        "tuple": (1, (five, frozenset({five}))),
        "keys": {five: 1, (five, 2): 3},
    }
    root = reopen(pool).root
    assert root["v"] == five and type(root["v"]) is Money
    assert root["list"] == [five] and root["tuple"] == (1, (five, frozenset({five})))
    assert root["keys"][Money(5, "EUR or a longer currency")] == 1 and root["keys"][five, 2] == 3
    assert Money(6, "EUR") not in root["keys"]
    pool = root._p_mm
    pool._check_references()
    pool.root = None
    del root
    assert pool._allocated()[0] == 0


LIBRARY_TYPES = """
import ipaddress, sys, uuid
import pmemobj

pmemobj.register(uuid.UUID, lambda u: u.bytes, lambda b: uuid.UUID(bytes=b))
pmemobj.register(
    ipaddress.IPv4Interface,
    lambda i: (int(i.ip), i.network.prefixlen),
    lambda t: ipaddress.IPv4Interface(t),
)
pmemobj.register(ipaddress.IPv6Address, int, ipaddress.IPv6Address)
values = [uuid.UUID(int=5), ipaddress.IPv4Interface("10.0.0.1/24"), ipaddress.IPv6Address("::1")]
with pmemobj.open(sys.argv[1], "x", max_size=8 << 20) as pool:
    pool.root = values
with pmemobj.open(sys.argv[1]) as pool:
    root = list(pool.root)
    assert root == values and [type(v) for v in root] == [type(v) for v in values]
"""


def test_library_types(pool_path):
    """A registration holds for the whole process, so it is one of its own."""
    subprocess.run([sys.executable, "-c", LIBRARY_TYPES, pool_path], check=True)


def test_nested_registered_types(pool, reopen, money):
    pmemobj.register(
        Temperature, lambda t: (Money(t.degrees, "warm"), "x"), lambda p: Temperature(p[0].amount)
    )
    pool.root = [Temperature(20), (Temperature(30),)]
    assert reopen(pool).root == [Temperature(20), (Temperature(30),)]


def test_subclasses_are_not_meant(pool, money):
    class Sub(Money):
        pass

    with pytest.raises(TypeError, match="cannot be stored"):
        pool.root = Sub(1, "EUR")


def test_registering_again_replaces(pool, money):
    pool.root = [Money(1, "EUR")]
    pmemobj.register(
        Money, lambda m: f"{m.amount} {m.currency}", lambda s: Money(int(s[0]), s[2:]), name="money"
    )
    pool.root.append(Money(2, "EUR"))
    assert pool.root == [Money(1, "EUR"), Money(2, "EUR")]  # the old name is still known


def test_two_types_with_one_name(money):
    with pytest.raises(ValueError, match="test_register:Money already"):
        pmemobj.register(Temperature, id, id, name="test_register:Money")
    pmemobj.register(Temperature, id, id, name="temperature")
    with pytest.raises(ValueError, match="temperature"):
        pmemobj.register(Money, id, id, name="temperature")


def test_a_class_defined_anew_may_replace_itself(pool, money):
    pool.root = [Money(1, "EUR")]
    again = type("Money", (tuple,), {"__module__": __name__})
    pmemobj.register(again, tuple, again)
    assert type(pool.root[0]) is again and pool.root[0] == (1, "EUR")


@pytest.mark.parametrize("cls", [int, str, tuple, list, dict, type(None), bool, pmemobj.PersistentList])
def test_what_is_stored_anyway_is_refused(cls):
    with pytest.raises(TypeError, match="by pmemobj itself"):
        pmemobj.register(cls, str, cls)


def test_wrong_arguments():
    with pytest.raises(TypeError, match="takes a type"):
        pmemobj.register(5, str, str)
    with pytest.raises(TypeError, match="callable"):
        pmemobj.register(Temperature, str, None)
    with pytest.raises(TypeError, match="callable"):
        pmemobj.register(Temperature, 5, str)
    for name in ("", 5, b"n"):
        with pytest.raises(TypeError, match="name must be"):
            pmemobj.register(Temperature, str, str, name=name)


@pytest.mark.parametrize(
    "encode",
    [lambda t: [1], lambda t: {}, lambda t: object(), lambda t: (1, object()), lambda t: t, lambda t: 1 / 0],
)
def test_bad_encoders_change_nothing(pool, encode):
    pmemobj.register(Temperature, encode, Temperature)
    pool.root = ["before"]
    before = pool._allocated()
    for value in (Temperature(1), [1, Temperature(1)], (Temperature(1),)):
        with pytest.raises((TypeError, ZeroDivisionError, RecursionError)):
            pool.root = value
        with pytest.raises((TypeError, ZeroDivisionError, RecursionError)):
            pool.root.append(value)
    assert pool.root == ["before"] and pool._allocated() == before


def test_decoders_may_do_what_they_like(pool):
    """User code while loading: it changes the container, makes garbage, aborts."""

    def decode(degrees):
        pool.root["list"].clear()
        pool.root["tuple"] = None
        pool.root["more"] = ["x" * 50] * 50
        return Temperature(degrees)

    pmemobj.register(Temperature, lambda t: t.degrees, decode)
    for read in (
        lambda root: root["list"][0],
        lambda root: root["tuple"][1],
        lambda root: list(root["list"]),
        lambda root: root["list"].pop(),
        lambda root: root["list"][:],
        lambda root: root["list"] + [1],
        lambda root: pool.to_python(root),
        lambda root: list(root.values()),
        lambda root: root["list"] == [1, 2],
        lambda root: root.pop("tuple"),
        lambda root: root["list"].index(5),
        repr,
    ):
        pool.root = {"list": [Temperature(n) for n in range(3)], "tuple": (0, Temperature(9))}
        # as with a builtin that changes under one's hands
        with contextlib.suppress(RuntimeError, IndexError, ValueError, KeyError):
            read(pool.root)
        pool._check_references()
        assert pool.check().ok


def test_not_registered_where_it_is_loaded(pool, pool_path, tmp_path):
    pool.close()
    program = """
        import sys, pmemobj
        class Mine:
            pass
        pmemobj.register(Mine, lambda m: 1, lambda n: Mine(), name="mine")
        with pmemobj.open(sys.argv[1]) as pool:
            pool.root = {"mine": Mine(), "tuple": (1, Mine()), "other": 1}
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program), pool_path], check=True, timeout=60)
    with pmemobj.open(pool_path) as pool:
        for key in ("mine", "tuple"):
            with pytest.raises(
                pmemobj.ClassNotFoundError, match=r"'mine' cannot be loaded: call pmemobj\.register"
            ):
                _ = pool.root[key]
        assert pool.root["other"] == 1
        del pool.root["mine"]  # deleting needs no decoder
        pmemobj.register(Temperature, lambda t: t.degrees, Temperature, name="mine")
        assert pool.root["tuple"] == (1, Temperature(1))
        pool.root = None
        assert pool._allocated()[0] == 0
