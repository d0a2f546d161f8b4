"""Which settings of which stores are compared, and what each of them promises."""

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.peers.store import Store

#: Survives the death of the program by SIGKILL; a power loss may take the last commits.
PROCESS = "process crash"
#: Every commit that has returned survives a power loss.
POWER = "power loss"
CLASSES = (PROCESS, POWER)

#: What the others are compared with.
REFERENCE = {PROCESS: "pmemobj manual", POWER: "pmemobj commit"}

#: The column with a time or size divided by pmemobj's; the plots leave out what has this name.
RATIO = "ratio"


@dataclass(frozen=True)
class Variant:
    """One setting of one store.

    durability: the class it is measured in.  shrink: it gets so many times fewer entries, because filling it would
    take minutes; that is to its advantage.  only: the operations it is measured for, all if empty.  footprint:
    stands for its store where sizes, memory and open times are measured.
    """

    name: str
    durability: str
    module: str
    cls: str
    note: str
    options: dict[str, Any] = field(default_factory=dict)
    shrink: int = 1
    only: frozenset[str] = frozenset()
    footprint: bool = False

    def store_class(self) -> type[Store]:
        return getattr(importlib.import_module(f"benchmarks.peers.stores.{self.module}"), self.cls)

    def make(self, directory: Path) -> Store:
        directory.mkdir(parents=True)
        return self.store_class()(directory, **self.options)

    def reopen(self, directory: Path) -> Store:
        return self.store_class()(directory, **self.options)


SINGLE_ONLY = frozenset({"single put"})

VARIANTS = [
    Variant(
        "pmemobj manual",
        PROCESS,
        "pmemobj_store",
        "PmemobjStore",
        "sync='manual'; after a power loss the state of some commit since the last sync, never a broken pool.",
        {"sync": "manual"},
        footprint=True,
    ),
    Variant(
        "pmemobj interval",
        PROCESS,
        "pmemobj_store",
        "PmemobjStore",
        "sync='interval', the default: as manual, and a power loss takes at most the last 0.1 s.",
        {"sync": "interval"},
    ),
    Variant(
        "pmemobj manual, with block",
        PROCESS,
        "pmemobj_store",
        "PmemobjBlocks",
        "sync='manual', each put in its own `with pool.transaction():`.",
        {"sync": "manual"},
        only=SINGLE_ONLY,
    ),
    Variant(
        "lmdb sync=False",
        PROCESS,
        "lmdb_store",
        "LmdbStore",
        "A power loss may damage the file, as LMDB's documentation says of this setting.",
        {"sync": False},
        footprint=True,
    ),
    Variant(
        "lmdb sync=False writemap",
        PROCESS,
        "lmdb_store",
        "LmdbStore",
        "The same with writemap=True: pages are changed in the map and not with write().",
        {"sync": False, "writemap": True},
    ),
    Variant(
        "sqlite3 WAL OFF",
        PROCESS,
        "sqlite_store",
        "SqliteStore",
        "journal_mode=WAL, synchronous=OFF; a power loss may damage the file.",
        {"synchronous": "OFF"},
    ),
    Variant(
        "sqlite3 WAL NORMAL",
        PROCESS,
        "sqlite_store",
        "SqliteStore",
        "journal_mode=WAL, synchronous=NORMAL; a power loss takes commits since the last checkpoint.",
        {"synchronous": "NORMAL"},
        footprint=True,
    ),
    Variant(
        "rocksdict",
        PROCESS,
        "rocksdict_store",
        "RocksdictStore",
        "Its defaults: each write is in its log before it returns, the log is not synced.",
        {"sync": False},
        footprint=True,
    ),
    Variant(
        "ZODB without fsync",
        PROCESS,
        "zodb_store",
        "ZodbStore",
        "FileStorage with its fsync taken out, which ZODB offers no setting for; reads are those of ZODB.",
        {"sync": False},
        footprint=True,
    ),
    Variant(
        "SQLAlchemy WAL NORMAL",
        PROCESS,
        "sqlalchemy_store",
        "SqlalchemyStore",
        "Core on sqlite3 with journal_mode=WAL, synchronous=NORMAL.",
        {"synchronous": "NORMAL"},
        footprint=True,
    ),
    Variant(
        "diskcache",
        PROCESS,
        "diskcache_store",
        "DiskcacheStore",
        "Its defaults (WAL, synchronous=NORMAL) without eviction.",
        {"synchronous": 1},
        shrink=10,
        footprint=True,
    ),
    Variant(
        "sqlitedict",
        PROCESS,
        "sqlitedict_store",
        "SqlitedictStore",
        "journal_mode=WAL; synchronous=OFF is fixed, so it cannot be asked for more.",
        shrink=10,
        footprint=True,
    ),
    Variant(
        "shelve",
        PROCESS,
        "shelve_store",
        "ShelveStore",
        "No transactions. With dbm.dumb a new key is in its two files when the assignment returns, but their index "
        "is rewritten at close, sync() and each deletion only: a kill then can break it, and so can a power loss.",
        shrink=100,
        footprint=True,
    ),
    Variant(
        "pynvm, flush only",
        PROCESS,
        "pynvm_store",
        "PynvmStore",
        "PMEM_IS_PMEM_FORCE=1: its stores reach the mapped file and are not synced.",
        {"sync": False},
        shrink=10,
        footprint=True,
    ),
    Variant(
        "pmemobj commit",
        POWER,
        "pmemobj_store",
        "PmemobjStore",
        "sync='commit'.",
        {"sync": "commit"},
    ),
    Variant(
        "one fdatasync",
        POWER,
        "fdatasync_store",
        "BareFdatasync",
        "No store: a write of 4 KiB to a preallocated file and os.fdatasync().",
        only=SINGLE_ONLY,
    ),
    Variant("lmdb sync=True", POWER, "lmdb_store", "LmdbStore", "Its default.", {"sync": True}),
    Variant(
        "sqlite3 WAL FULL",
        POWER,
        "sqlite_store",
        "SqliteStore",
        "journal_mode=WAL, synchronous=FULL.",
        {"synchronous": "FULL"},
    ),
    Variant(
        "rocksdict sync=True",
        POWER,
        "rocksdict_store",
        "RocksdictStore",
        "WriteOptions.sync = True.",
        {"sync": True},
    ),
    Variant(
        "ZODB",
        POWER,
        "zodb_store",
        "ZodbStore",
        "FileStorage as it is: fsync at each commit.",
        {"sync": True},
    ),
    Variant(
        "SQLAlchemy WAL FULL",
        POWER,
        "sqlalchemy_store",
        "SqlalchemyStore",
        "Core on sqlite3 with journal_mode=WAL, synchronous=FULL.",
        {"synchronous": "FULL"},
    ),
    Variant(
        "diskcache FULL",
        POWER,
        "diskcache_store",
        "DiskcacheStore",
        "sqlite_synchronous=2, which is not its default.",
        {"synchronous": 2},
        shrink=10,
    ),
    Variant(
        "pynvm",
        POWER,
        "pynvm_store",
        "PynvmStore",
        "As it is: libpmem calls msync for each range that it persists.",
        {"sync": True},
        shrink=100,
    ),
]


def by_name(name: str) -> Variant:
    return next(variant for variant in VARIANTS if variant.name == name)


def usable(variants: Iterable[Variant], report: Callable[[str, str], None]) -> list[Variant]:
    """Those whose package is installed and loads; `report(name, reason)` is called for each of the others."""
    found = []
    for variant in variants:
        try:
            variant.store_class().check_usable(**variant.options)
        except ImportError as error:
            report(variant.name, str(error))
        else:
            found.append(variant)
    return found
