"""What is durable of every operation of the matrix is all that it has changed, and an abort puts all of it back."""

import pytest

from pmemobj import _core
from tests.testing import grown, matrix, words

ROWS = [name for name in matrix.ROWS if name not in words.NOT_HERE]


def at_one_size(name):
    row = matrix.ROWS[name]
    size = row.sizes[len(row.sizes) // 2]
    return matrix.case_of(f"{name} of {size}", name, size, [[(n,)] for n in row.operations])


@pytest.mark.parametrize("name", ROWS)
def test_what_the_journal_holds(name):
    assert list(words.recorded(at_one_size(name))) == []


@pytest.mark.parametrize("name", ROWS)
def test_what_is_put_back(name):
    assert [wrong for case in list(matrix.undone(name))[:1] for wrong in words.recorded(case)] == []


@pytest.mark.parametrize("name", ROWS)
def test_what_is_flushed(name):
    assert list(words.flushed(at_one_size(name))) == []


def test_a_long_record_behind_short_ones():
    """It goes to the log itself, when what the ring holds is there."""
    assert list(words.recorded(words.behind())) == []


class Scribble:
    """A step that changes a word of a list behind the engine's back."""

    row, names = "list", ("scribble",)

    def __init__(self, undone=""):
        self.undone = undone

    def start(self, pool):
        pool.root = [[1, 2, 3]]

    def __call__(self, pool):
        memory = words.mapped(pool.path, "rw-s" if pool.engine == "direct" else "rw-p")
        pool.root[0].append(1)
        next(iter(memory.values()))[_core.object_at(pool.root[0]) // 8 + 1] ^= 1


@pytest.mark.parametrize("how", [words.recorded, words.flushed])
@pytest.mark.parametrize("undone", ["", "abort"])
def test_a_word_that_is_neither(how, undone):
    step = Scribble(undone)
    found = list(how(matrix.Case("scribble", step.start, (step,), 8 << 20)))
    kinds = {"recorded": "not recorded", "flushed": "not flushed"}
    assert any(kinds[how.__name__] in wrong for wrong in found)
    assert any("not put back" in wrong for wrong in found) == (undone == "abort")


@pytest.mark.long
@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", ROWS)
def test_every_size(name):
    for case in (*matrix.single(name), *matrix.single(name, large=True), *matrix.undone(name)):
        assert list(words.recorded(case)) == []
        assert list(words.recorded(case, "commit")) == []
        assert list(words.flushed(case)) == []


@pytest.mark.parametrize("group", grown.GROUPS)
def test_large_ones(group):
    for case in grown.GROUPS[group]():
        assert list(words.recorded(case)) == []
