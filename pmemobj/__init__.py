"""Python objects that stay: a persistent object store on libpmemobj.

import pmemobj

with pmemobj.open("notes.pool") as pool:
    if pool.root is None:
        pool.root = {"runs": 0, "notes": []}
    with pool.transaction():
        pool.root["runs"] += 1
        pool.root["notes"].append("saved as it is written")
"""

from pmemobj._array import PersistentArray
from pmemobj._bytearray import PersistentByteArray
from pmemobj._deque import PersistentDeque
from pmemobj._dict import PersistentDict
from pmemobj._dict_kinds import (
    PersistentCounter,
    PersistentDefaultDict,
    PersistentOrderedDict,
    register_factory,
)
from pmemobj._frozenset import PersistentFrozenSet
from pmemobj._list import PersistentList
from pmemobj._object import PersistentObject, PersistentPlaceholder
from pmemobj._set import PersistentSet
from pmemobj._sorted import PersistentSortedDict, PersistentSortedSet, register_key
from pmemobj._tuple import PersistentTuple
from pmemobj.dataclass import persistent, replace
from pmemobj.errors import (
    ClassNotFoundError,
    CrossPoolError,
    ForkedPoolError,
    JournalError,
    PmemobjError,
    PoolBusyError,
    PoolClosedError,
    PoolDamagedError,
    PoolFailedError,
    PoolFormatError,
    PoolFullError,
    ReadOnlyPoolError,
    StaleObjectError,
    TransactionError,
    UpgradeError,
)
from pmemobj.pool import MIN_POOL_SIZE, PersistentObjectPool, check, create, open, repair
from pmemobj.registry import register

__all__ = [
    "MIN_POOL_SIZE",
    "ClassNotFoundError",
    "CrossPoolError",
    "ForkedPoolError",
    "JournalError",
    "PersistentArray",
    "PersistentByteArray",
    "PersistentCounter",
    "PersistentDefaultDict",
    "PersistentDeque",
    "PersistentDict",
    "PersistentFrozenSet",
    "PersistentList",
    "PersistentObject",
    "PersistentObjectPool",
    "PersistentOrderedDict",
    "PersistentPlaceholder",
    "PersistentSet",
    "PersistentSortedDict",
    "PersistentSortedSet",
    "PersistentTuple",
    "PmemobjError",
    "PoolBusyError",
    "PoolClosedError",
    "PoolDamagedError",
    "PoolFailedError",
    "PoolFormatError",
    "PoolFullError",
    "ReadOnlyPoolError",
    "StaleObjectError",
    "TransactionError",
    "UpgradeError",
    "check",
    "create",
    "open",
    "persistent",
    "register",
    "register_factory",
    "register_key",
    "repair",
    "replace",
]

__version__ = "0.1.0.dev0"
