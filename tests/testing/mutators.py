"""Operations of every container, for exploration: a start, and operations one after the other."""

import contextlib
from collections import Counter, OrderedDict, defaultdict, deque

import numpy as np

from pmemobj import PersistentObject


class Thing(PersistentObject):
    pass


class Typed(PersistentObject, slots=True):
    name: str
    number: float = 0.5
    other: "TypedToo | None" = None


class TypedToo(PersistentObject):
    first: int
    second: str
    third: list
    fourth: Typed

    def __init__(self, fourth):
        self.third, self.fourth = [1], fourth


TEXT = "a text that needs a block of its own, {}"


def start_list(pool):
    pool.root = list(range(7))


def append(pool):
    pool.root.append(TEXT.format(1))


def extend(pool):
    pool.root.extend([TEXT.format(i) for i in range(9)])


def set_item(pool):
    pool.root[3] = [1, {2: 3}]


def slice_assignment(pool):
    pool.root[1:5] = [1.5, None]


def reverse(pool):
    pool.root.reverse()


def sort(pool):
    pool.root[:] = [3, 1, 2]
    pool.root.sort()


def delete_item(pool):
    del pool.root[0]


def clear(pool):
    pool.root.clear()


def start_dict(pool):
    pool.root = {f"key number {i}": i for i in range(8)}  # one more gets an index


def insert(pool):
    pool.root["a key that is new"] = TEXT.format(2)


def overwrite(pool):
    pool.root["key number 1"] = TEXT.format(3)


def update(pool):
    pool.root.update({f"more {i}": (i, str(i) * 20) for i in range(12)})


def pop(pool):
    pool.root.pop("key number 2")


def start_set(pool):
    pool.root = {1, 2.5, "text", "a longer text than seven"}


def add(pool):
    pool.root.add(TEXT.format(4))


def union(pool):
    pool.root |= {f"member {i}" for i in range(10)}


def discard(pool):
    pool.root.discard("text")


def start_deque(pool):
    pool.root = deque(range(11))


def append_left(pool):
    pool.root.appendleft(TEXT.format(7))


def pop_both(pool):
    with pool.transaction():
        pool.root.append(pool.root.popleft())
        pool.root.appendleft(pool.root.pop())


def pop_block(pool):
    pool.root.popleft()


def rotate(pool):
    pool.root.rotate(4)


def insert_in_the_middle(pool):
    pool.root.insert(6, [TEXT.format(8)])


def start_bytes(pool):
    pool.root = bytearray(b"some bytes " * 60)


def append_byte(pool):
    pool.root.append(33)


def extend_bytes(pool):
    pool.root.extend(b"and more of them " * 40)


def overwrite_bytes(pool):
    pool.root[5:600] = b"!" * 595


def write_bytes(pool):
    with pool.root.writing(slice(3, 40)) as view:
        view[:] = b"?" * 37


def delete_bytes(pool):
    with pool.transaction():
        del pool.root[:9]
        pool.root[1:2] = b"inserted"


def start_array(pool):
    pool.root = np.arange(300.0).reshape(100, 3)


def append_row(pool):
    pool.root.append([1, 2, 3])


def add_to_all(pool):
    root = pool.root
    root += 1


def set_part(pool):
    pool.root[5:90, 1] = -1


def set_scattered(pool):
    pool.root[[1, 50, 99]] = [[7], [8], [9]]


def write_rows(pool):
    with pool.transaction():
        with pool.root.writing(slice(3, 40)) as view:
            view *= 2
        pool.root.resize(60)


def of_array(pool):
    return pool.root.shape, pool.root.tolist()


def start_ordered(pool):
    pool.root = OrderedDict((f"key number {i}", i) for i in range(9))


def to_end(pool):
    pool.root.move_to_end("key number 4")


def to_front(pool):
    pool.root.move_to_end("key number 5", last=False)


def pop_first(pool):
    pool.root.popitem(last=False)


def start_counter(pool):
    pool.root = Counter({f"key number {i}": i for i in range(8)})


def count(pool):
    pool.root.update(["key number 1", "a key that is new", "a key that is new"])


def count_down(pool):
    pool.root -= Counter({"key number 2": 2, "key number 3": 1})


def insert_count(pool):
    pool.root["a key of its own, long"] = 1 << 80


def list_of_items(pool):
    return list(pool.root.items())


def start_defaultdict(pool):
    pool.root = defaultdict(list, {i: [i] for i in range(8)})


def missing(pool):
    pool.root["a key that is missing"]


def set_factory(pool):
    pool.root.default_factory = dict


def start_object(pool):
    pool.root = pool.new(Thing)
    pool.root.name = "first"


def set_attribute(pool):
    pool.root.name = TEXT.format(5)


def new_attribute(pool):
    pool.root.other = {"nested": [1, 2, 3]}


def delete_attribute(pool):
    del pool.root.name


def start_typed(pool):
    pool.root = pool.new(Typed)
    pool.root.name = "first"


def set_typed(pool):
    pool.root.name = TEXT.format(9)


def set_converted(pool):
    pool.root.number = 3


def set_wrong(pool):
    with contextlib.suppress(TypeError):
        pool.root.number = "a text, refused"


def new_typed(pool):
    """With the record of its class."""
    with pool.transaction():
        pool.root.other = pool.new(TypedToo, pool.root)


def of_typed(pool):
    other = pool.root.other
    return (
        pool.root.name,
        pool.root.number,
        other and (pool.to_python(other.third), other.fourth is pool.root),
    )


def of_object(pool):
    return {name: pool.to_python(value) for name, value in vars(pool.root).items()}


def transaction(pool):
    with pool.transaction():
        pool.root.append(pool.root.pop(0))
        pool.root.append(TEXT.format(6))


def savepoint(pool):
    with pool.transaction():
        pool.root.append(1)
        try:
            with pool.transaction():
                pool.root.clear()
                raise KeyError
        except KeyError:
            pool.root.append(2)


def abort(pool):
    with pool.transaction() as tx:
        pool.root.extend(TEXT.format(i) for i in range(5))
        tx.abort()


def checkpoint(pool):
    pool.checkpoint()


def collect(pool):
    pool.gc()


def cycle(pool):
    with pool.transaction():
        pool.root.append([])
        pool.root[-1].append(pool.root[-1])
        del pool.root[-1]


#: name -> (start, operations, observe or None)
WORK = {
    "list": (start_list, [append, extend, set_item, slice_assignment, reverse, delete_item, clear], None),
    "dict": (start_dict, [insert, overwrite, pop, update, clear], None),
    "set": (start_set, [add, discard, union, clear], None),
    "deque": (
        start_deque,
        [
            append,
            append_left,
            pop_block,
            insert_in_the_middle,
            rotate,
            set_item,
            pop_both,
            reverse,
            extend,
            clear,
        ],
        None,
    ),
    "bytearray": (
        start_bytes,
        [append_byte, extend_bytes, overwrite_bytes, write_bytes, delete_bytes, delete_item, reverse, clear],
        None,
    ),
    "array": (start_array, [append_row, add_to_all, set_part, set_scattered, write_rows], of_array),
    "ordered dict": (start_ordered, [to_end, insert, to_front, pop_first, pop_first, clear], list_of_items),
    "counter": (start_counter, [count, count_down, insert_count, clear], None),
    "defaultdict": (start_defaultdict, [missing, set_factory, insert, clear], None),
    "object": (start_object, [set_attribute, new_attribute, delete_attribute], of_object),
    "typed object": (start_typed, [set_typed, set_converted, set_wrong, new_typed], of_typed),
    "transactions": (start_list, [transaction, savepoint, abort], None),
    "checkpoint, collection": (start_list, [append, checkpoint, cycle, collect], None),
}
