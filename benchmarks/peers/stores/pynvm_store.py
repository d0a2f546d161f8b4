"""pynvm: a PersistentDict at the root of a pool of libpmemobj's."""

import os
from unittest import mock

from benchmarks.peers.install_pynvm import why_missing
from benchmarks.peers.stores.mapping import PoolStore


def load():
    try:
        import nvm.pmemobj
    except ImportError as error:
        raise ImportError(f"{error}; {why_missing()}") from error
    return nvm.pmemobj


class PynvmStore(PoolStore):
    """sync as it is: libpmem finds that an ordinary file is no persistent memory and calls msync for each range.

    Not sync: PMEM_IS_PMEM_FORCE leaves it at flushes of the processor's caches, so that a change survives the
    program, and not the operating system.  libpmem asks for the variable once, when the first pool is opened, so
    there is one setting in a process.
    """

    package = "pynvm"

    def __init__(self, directory, sync, size=128 << 20):
        super().__init__(directory)
        self.forced = {"PMEM_IS_PMEM_FORCE": "0" if sync else "1"}
        self.module = load()
        self.size = size  # of a new pool: all of it is allocated at once and it does not grow

    @classmethod
    def check_usable(cls, **_options):
        load()

    def open(self):
        path = str(self.directory / "store.pool")
        with mock.patch.dict(os.environ, self.forced):
            if os.path.exists(path):
                self.pool = self.module.open(path)
            else:
                self.pool = self.module.create(path, pool_size=self.size)
                self.pool.root = self.pool.new(self.module.PersistentDict)
        self.dict = self.pool.root
