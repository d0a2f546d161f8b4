"""pmemobj: a dict at the root of a pool."""

import pmemobj
from benchmarks.peers.stores.mapping import PoolStore


class PmemobjStore(PoolStore):
    has_bulk = True

    def __init__(self, directory, sync):
        super().__init__(directory)
        self.sync = sync

    def open(self):
        self.pool = pmemobj.open(self.directory / "store.pool", sync=self.sync)
        if self.pool.root is None:
            self.pool.root = {}
        self.dict = self.pool.root

    def put_bulk(self, items):
        self.dict.update(items)

    def settle(self):
        # Its thread would sync during somebody else's turn.
        if self.sync == "interval":
            self.pool.sync()


class PmemobjBlocks(PmemobjStore):
    """Single puts in an explicit transaction, as a program with more than one thing to do writes them."""

    def put_single(self, items):
        stored, transaction = self.dict, self.pool.transaction
        for key, value in items:
            with transaction():
                stored[key] = value
