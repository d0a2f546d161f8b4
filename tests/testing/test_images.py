"""Which images are made of a moment."""

import pytest

from pmemobj.testing.disk import SECTOR, Base, Cut, Event, File, Kind
from pmemobj.testing.images import Budget, Images


def block(byte):
    return bytes([byte]) * SECTOR


def cut(pending, *, sizes=(), names=None, durable_names=None):
    """`pending`: contents of each block since it was all ones."""
    file = File(size=8 * SECTOR, durable_size=8 * SECTOR, sizes=list(sizes))
    for number, bytes_ in pending.items():
        file.durable[number * SECTOR] = block(1)
        file.pending[number * SECTOR] = [block(b) for b in bytes_]
    event = Event(3, Kind.SYNC_BEGIN, 7, 0, 0)
    return Cut(event, SECTOR, names or {"a": 7}, durable_names or {"a": 7}, {7: file}, Base(None, {}))


def contents(images):
    """Of each image: the first byte of each block that is not old."""
    return [{offset // SECTOR: content[0] for _ino, offset, content in image.changes} for image in images]


def test_few_blocks_are_combined_in_all_ways_and_torn_one_by_one():
    made = contents(Images(cut({0: [2], 1: [3]}), Budget(random=0)))
    whole = [image for image in made if not {0, 0xA5} & set(image.values())]
    assert sorted(whole, key=str) == sorted([{}, {0: 2}, {1: 3}, {0: 2, 1: 3}], key=str)
    torn = [image for image in made if {0, 0xA5} & set(image.values())]
    assert len(torn) == 8  # each of two blocks zeros or garbage, with the other one old or new
    assert len(made) == 12


def test_many_blocks_are_sampled_and_that_is_said():
    images = Images(cut({i: [2] for i in range(8)}), Budget(exhaustive=4, random=10))
    made = contents(images)
    assert images.sampled
    assert {} in made
    assert dict.fromkeys(range(8), 2) in made
    assert all({i: 2} in made for i in range(8))
    assert all({k: 2 for k in range(8) if k not in (i, j)} in made for i in range(8) for j in range(i))


def test_contents_in_between_are_tried():
    made = contents(Images(cut({0: [2, 3, 4], 1: [5]}), Budget(random=200)))
    assert {image.get(0) for image in made} >= {None, 2, 3, 4}


def test_contents_in_between_are_tried_where_a_block_is_as_it_was():
    made = contents(Images(cut({0: [2, 1], 1: [5]}), Budget(random=50)))
    assert {(image.get(0, 1), image.get(1, 1)) for image in made} >= {(1, 1), (1, 5), (2, 1), (2, 5)}


def test_an_image_is_made_once():
    seen = set()
    moment = cut({0: [2], 1: [3]})
    assert len(list(Images(moment, Budget(random=50), seen))) == len(seen)
    assert list(Images(moment, Budget(random=50), seen)) == []


def test_a_torn_block_keeps_the_words_that_do_not_change():
    moment = cut({0: [1]})
    new = bytearray(block(1))
    new[8:16] = b"\2" * 8
    new[32:40] = b"\3" * 8
    moment.files[7].pending[0] = [bytes(new)]
    images = Images(moment, Budget(random=0))
    torn = [
        image.changes[0][2] for image in images if image.lost and image.lost[0][1] in ("zeros", "garbage")
    ]
    assert len(torn) == 2
    for content in torn:
        assert content[:8] == b"\1" * 8
        assert content[16:32] == b"\1" * 16
        assert content[8:16] != new[8:16]


def test_a_single_word_is_never_torn():
    moment = cut({0: [1]})
    moment.files[7].pending[0] = [b"\2" * 8 + block(1)[8:]]
    assert len(list(Images(moment, Budget(random=0)))) == 2


def test_sizes_and_names_are_old_or_new():
    moment = cut({}, sizes=[4 * SECTOR], names={"b": 7}, durable_names={"a": 7})
    made = {
        tuple((name, size) for name, (_ino, size) in sorted(image.names.items()))
        for image in Images(moment, Budget(random=0))
    }
    assert {(("a", 8 * SECTOR),), (("b", 4 * SECTOR),), (("a", 4 * SECTOR),)} <= made
    assert () in made  # the old name is gone and the new one is not there yet


def test_lost_says_what_was_not_written():
    (old,) = [i for i in Images(cut({2: [9]}), Budget(random=0)) if [s for _, s in i.lost] == ["old"]]
    assert str(old.lost[0][0]) == "a, bytes 1024 to 1536"


@pytest.mark.parametrize("seed", [1, 2])
def test_random_images_are_the_same_for_the_same_seed(seed):
    budget = Budget(exhaustive=1, random=30, seed=seed)
    moment = cut({i: [2, 3] for i in range(6)})
    assert [i.digest for i in Images(moment, budget)] == [i.digest for i in Images(moment, budget)]
