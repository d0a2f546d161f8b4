"""The same work in transactions of 1, 10 and 1000 operations; the builtin's loop is the same without them."""

from functools import partial

from benchmarks.harness import Case, Plan
from benchmarks.micro.objects import Persistent, Plain
from benchmarks.micro.values import keys, new_keys

SIZES = (1, 10, 1000)


def nothing(_container, batches):
    for _batch in batches:
        pass


def nothing_ours(_container, pool, batches):
    for _batch in batches:
        with pool.transaction():
            pass


def list_set(items, batches):
    for batch in batches:
        for i in batch:
            items[i] = i


def list_set_ours(items, pool, batches):
    for batch in batches:
        with pool.transaction():
            for i in batch:
                items[i] = i


def append(items, batches):
    for batch in batches:
        for i in batch:
            items.append(i)


def append_ours(items, pool, batches):
    for batch in batches:
        with pool.transaction():
            for i in batch:
                items.append(i)


def put(mapping, batches):
    for batch in batches:
        for key in batch:
            mapping[key] = 5


def put_ours(mapping, pool, batches):
    for batch in batches:
        with pool.transaction():
            for key in batch:
                mapping[key] = 5


def add(members, batches):
    for batch in batches:
        for key in batch:
            members.add(key)


def add_ours(members, pool, batches):
    for batch in batches:
        with pool.transaction():
            for key in batch:
                members.add(key)


def attribute(item, batches):
    for batch in batches:
        for i in batch:
            item.first = i


def attribute_ours(item, pool, batches):
    for batch in batches:
        with pool.transaction():
            for i in batch:
                item.first = i


def persistent(pool, _plain):
    pool.root = pool.new(Persistent)
    return pool.root


def cut(entries, size, total):
    """`total` of the entries, from the start again when they are used up, in batches."""
    count = len(entries)
    size = min(size, count)
    per_pass = count // size
    parts = [entries[k * size : (k + 1) * size] for k in range(per_pass)]
    return [parts[k % per_pass] for k in range(max(1, total // size))]


def cases(plan: Plan) -> list[Case]:
    n = plan.entries
    found = []
    for size in SIZES:
        # Small transactions are the dearer ones, so there are fewer operations.
        writes = plan.writes if size > 10 else max(size, plan.writes // 4)
        group = f"transactions of {size}"
        indices = cut(range(n), size, writes)
        known = cut(keys(n), size, writes)
        new = cut(new_keys(plan.inserts), size, plan.inserts)

        def case(name, make, run, ours, batches, group=group, **more):
            operations = sum(map(len, batches))
            ours = partial(ours, batches=batches)
            return Case(group, name, make, partial(run, batches=batches), operations, ours=ours, **more)

        found += [
            case("list set", lambda: list(range(n)), list_set, list_set_ours, indices),
            case("list append", list, append, append_ours, indices, fresh=True),
            case("dict overwrite", lambda: dict.fromkeys(keys(n), 5), put, put_ours, known),
            case("dict insert", dict, put, put_ours, new, fresh=True),
            case("set add", set, add, add_ours, new, fresh=True),
            case("attribute set", Plain, attribute, attribute_ours, indices, persist=persistent),
        ]
        if size == 1:
            found.append(case("nothing at all", list, nothing, nothing_ours, indices))
    return found
