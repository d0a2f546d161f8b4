"""diskcache: a Cache without eviction; str and int are native to the SQLite below it."""

import diskcache

from benchmarks.peers.stores.mapping import MappingStore


class DiskcacheStore(MappingStore):
    package = "diskcache"

    def __init__(self, directory, synchronous):
        super().__init__(directory)
        self.synchronous = synchronous  # 1 is NORMAL, its default; 2 is FULL

    def open(self):
        self.dict = diskcache.Cache(
            str(self.directory), eviction_policy="none", cull_limit=0, sqlite_synchronous=self.synchronous
        )

    def put_batch(self, items):
        with self.dict.transact():
            self.set_all(items)

    def delete(self, keys):
        with self.dict.transact():
            self.delete_all(keys)

    def items(self):
        return ((key, self.dict[key]) for key in self.dict)

    def iterate(self):
        cache = self.dict
        for key in cache:
            cache[key]
