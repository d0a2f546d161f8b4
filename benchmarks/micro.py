"""Single operations on list, dict, set and object against the builtins."""

from benchmarks.harness import Case

N = 1000
ROUNDS = 200
KEYS = [f"key-{i:09d}" for i in range(N)]  # 13 characters
NEW_KEYS = [f"new-{i:09d}" for i in range(20 * N)]


def list_get(items):
    for _ in range(ROUNDS):
        for i in range(N):
            items[i]


def list_set(items):
    for _ in range(ROUNDS):
        for i in range(N):
            items[i] = i


def list_append(items):
    append = items.append
    for i in range(N * ROUNDS // 4):
        append(i)


def iterate(items):
    for _ in range(ROUNDS):
        for _item in items:
            pass


def iterate_items(mapping):
    for _ in range(ROUNDS):
        for _key, _value in mapping.items():
            pass


def dict_get(mapping):
    for _ in range(ROUNDS):
        for key in KEYS:
            mapping[key]


def dict_overwrite(mapping):
    for _ in range(ROUNDS):
        for key in KEYS:
            mapping[key] = 5


def dict_insert(mapping):
    for key in NEW_KEYS:
        mapping[key] = 5


def contains(container):
    for _ in range(ROUNDS):
        for key in KEYS:
            key in container  # noqa: B015 - the test itself is what is timed


def set_add(members):
    for key in NEW_KEYS:
        members.add(key)


def long_strings():
    return ["a string of thirty characters." for _ in range(N)]


CASES = [
    Case("list get, small int", lambda: list(range(N)), list_get, N * ROUNDS),
    Case("list get, float", lambda: [i * 0.5 for i in range(N)], list_get, N * ROUNDS),
    Case("list get, 30-character str", long_strings, list_get, N * ROUNDS),
    Case("list set, small int", lambda: list(range(N)), list_set, N * ROUNDS),
    Case("list set in a transaction", lambda: list(range(N)), list_set, N * ROUNDS, transaction=True),
    Case("list append", list, list_append, N * ROUNDS // 4, fresh=True),
    Case("list append in a transaction", list, list_append, N * ROUNDS // 4, fresh=True, transaction=True),
    Case("list iterate, small int", lambda: list(range(N)), iterate, N * ROUNDS),
    Case("dict get, 13-character keys", lambda: dict.fromkeys(KEYS, 5), dict_get, N * ROUNDS),
    Case("dict overwrite", lambda: dict.fromkeys(KEYS, 5), dict_overwrite, N * ROUNDS),
    Case(
        "dict overwrite in a transaction",
        lambda: dict.fromkeys(KEYS, 5),
        dict_overwrite,
        N * ROUNDS,
        transaction=True,
    ),
    Case("dict insert", dict, dict_insert, len(NEW_KEYS), fresh=True),
    Case("dict insert in a transaction", dict, dict_insert, len(NEW_KEYS), fresh=True, transaction=True),
    Case("dict items", lambda: dict.fromkeys(KEYS, 5), iterate_items, N * ROUNDS),
    Case("dict contains", lambda: dict.fromkeys(KEYS, 5), contains, N * ROUNDS),
    Case("set contains", lambda: set(KEYS), contains, N * ROUNDS),
    Case("set add", set, set_add, len(NEW_KEYS), fresh=True),
]
