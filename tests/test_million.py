"""A million entries, inserted one by one, are all there after reopening."""

import time

import pmemobj


def test_a_million_inserts(pool_path):
    with pmemobj.open(pool_path) as pool:
        pool.root = {}
        mapping = pool.root
        start = time.perf_counter()
        for i in range(1_000_000):
            mapping[f"key-{i:09d}"] = i
        inserted = time.perf_counter()
        del mapping
    closed = time.perf_counter()
    with pmemobj.open(pool_path) as pool:
        opened = time.perf_counter()
        mapping = pool.root
        assert len(mapping) == 1_000_000
        for number, (key, value) in enumerate(mapping.items()):
            assert key == f"key-{number:09d}"
            assert value == number
        assert mapping["key-000777777"] == 777_777
    print(
        f"inserts {(inserted - start) * 1e3:.0f} ns each, close {(closed - inserted) * 1e3:.1f} ms, "
        f"open {(opened - closed) * 1e3:.2f} ms"
    )
