"""The comparison with other stores works: tiny, and only with what the standard library has."""

import json
import sys

import pytest

from benchmarks.peers import footprint, targets, timing
from benchmarks.peers.catalogue import CLASSES, POWER, PROCESS, RATIO, VARIANTS, by_name, usable
from benchmarks.peers.store import BATCH, key
from benchmarks.report import Row

STDLIB = {"pmemobj_store", "sqlite_store", "shelve_store", "fdatasync_store"}
HERE = [variant for variant in VARIANTS if variant.module in STDLIB]
STORES = [variant for variant in HERE if not variant.only]
PLAN = timing.Plan(entries=200, repeats=2, builds=1, piece=0.0002, single=10, clean=False)


def named(variants):
    return pytest.mark.parametrize("variant", variants, ids=lambda variant: variant.name)


@named(STORES)
def test_a_store_keeps_what_it_is_given(variant, tmp_path):
    store = variant.make(tmp_path / "store")
    store.open()
    store.put_single([(key(0), 0)])
    store.put_batch([(key(number), number) for number in range(1, 20)])
    store.put_bulk([(key(number), -number) for number in range(10, 20)])
    store.delete([key(3), key(4)])
    store.settle()
    expected = {
        key(number): number if number < 10 else -number for number in range(20) if number not in (3, 4)
    }
    assert dict(store.items()) == expected
    assert list(store.values([key(19), key(0)])) == [-19, 0]
    with pytest.raises(KeyError):
        list(store.values([key(3)]))
    store.get(list(expected))
    store.iterate()
    store.close()

    again = variant.reopen(tmp_path / "store")
    again.open()
    assert dict(again.items()) == expected
    again.close()


@pytest.mark.parametrize("durability", CLASSES)
def test_every_operation_is_timed(durability, tmp_path):
    variants = [variant for variant in HERE if variant.durability == durability]
    rows, notes = timing.measure_usable(variants, PLAN, tmp_path / "stores")
    assert notes == []
    assert {row.name for row in rows} == {variant.name for variant in variants}
    assert all(row.values["median"] > 0 and row.values[RATIO] > 0 for row in rows)
    singles = [row for row in rows if row.group == f"{durability}: single put"]
    assert len(singles) == len(variants)
    assert not list((tmp_path / "stores").iterdir())


def test_footprint_of_a_store_that_is_killed(tmp_path):
    plan = footprint.Plan(entries=BATCH, large=BATCH, kills=1, writing=0.01)
    wanted = [by_name("pmemobj manual"), by_name("sqlite3 WAL NORMAL")]
    notes = []
    rows = footprint.measure(wanted, plan, tmp_path, lambda *note: notes.append(note))
    assert notes == []
    opened = {row.name: row.values for row in rows if row.group == "open and first get"}
    assert all(values["puts lost"] == values["opens failed"] == 0 for values in opened.values())
    assert len(rows) == 5 * len(wanted)


def test_a_package_that_is_missing_is_reported(monkeypatch):
    monkeypatch.setitem(sys.modules, "lmdb", None)
    monkeypatch.delitem(sys.modules, "benchmarks.peers.stores.lmdb_store", raising=False)
    said = []
    assert usable([by_name("lmdb sync=True")], lambda *note: said.append(note)) == []
    assert said[0][0] == "lmdb sync=True"


def test_targets_are_taken_from_rows_and_kept(tmp_path):
    rows = [
        Row(f"{PROCESS}: single put", "lmdb sync=False", "ns", {"median": 1.0, RATIO: 12.0}),
        Row(f"{POWER}: single put", "one fdatasync", "ns", {"median": 1.0, RATIO: 0.8}),
        Row("bytes on disk, 5 entries", "lmdb sync=False", "bytes", {"on disk": 1.0, RATIO: 0.5}),
    ]
    found = targets.targets(rows)
    assert [(target.measured, target.unit) for target in found] == [(12, "x faster"), (1.25, "x"), (2, "x")]
    targets.save(found, tmp_path)
    assert targets.saved(tmp_path) == found
    assert json.loads((tmp_path / targets.FILE).read_text())[0]["label"] == "LMDB, no sync: single put"
