"""The exceptions of pmemobj.

Every error that is about a pool derives from PmemobjError.  Errors that stand for one that Python already
has derive from that too, so ``except MemoryError`` catches a full pool.
"""

__all__ = [
    "ClassNotFoundError",
    "CrossPoolError",
    "ForkedPoolError",
    "JournalError",
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
]


class PmemobjError(Exception):
    """Base of all errors of this library."""


class PoolClosedError(PmemobjError, ValueError):
    """The pool of this object has been closed; open it again and fetch the object from its root."""


class PoolBusyError(PmemobjError, BlockingIOError):
    """Another process, or another handle of this process, has the pool open, or holds a snapshot that is in the way.

    pid: the process that has it, which may be this one; None where the system does not tell.
    """

    pid: int | None = None


class PoolFullError(PmemobjError, MemoryError):
    """No room for an allocation.  Nothing has changed; deleting still works."""


class PoolFailedError(PmemobjError, OSError):
    """A write or sync of the journal or the pool file failed.

    The pool can still be read, but not changed.  What was acknowledged before is in the journal: close the
    pool, mend the cause, open it again.
    """


class PoolFormatError(PmemobjError, ValueError):
    """The file is not a pool that this version can open: foreign, truncated, newer, or half created."""


class PoolDamagedError(PmemobjError):
    """Something inside the pool is not what it must be."""


class JournalError(PmemobjError):
    """The journal beside the pool is missing, belongs to another pool or epoch, or is damaged."""


class UpgradeError(PmemobjError, RuntimeError):
    """An object was stored by another version of its class (``__p_version__``), and could not be made one of this
    version: its ``__p_upgrade__`` has failed, or it comes from a newer program.  The object has not changed."""


class ReadOnlyPoolError(PmemobjError, TypeError):
    """The pool was opened with flag="r", as a snapshot; nothing can be changed."""


class ForkedPoolError(PmemobjError):
    """This handle was inherited through fork(); open the pool anew in the child, after the parent closed it."""


class StaleObjectError(PmemobjError, ReferenceError):
    """The object was created in a transaction, or a part of one, that has been undone; or refresh() has shown that it
    has been destroyed."""


class TransactionError(PmemobjError, RuntimeError):
    """Transactions were not begun and ended in order, or another asyncio task of this thread has one open."""


class CrossPoolError(PmemobjError, ValueError):
    """A persistent object was stored into another pool; store a copy: ``pool.to_python(obj)``."""


class ClassNotFoundError(PmemobjError, LookupError):
    """The class or type of what is stored is not known to this program, or is not what it was."""
