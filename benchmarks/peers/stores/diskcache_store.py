"""diskcache: a Cache without eviction; str and int are native to the SQLite below it."""

import diskcache

from benchmarks.peers.store import Store


class DiskcacheStore(Store):
    package = "diskcache"

    def __init__(self, directory, synchronous):
        super().__init__(directory)
        self.synchronous = synchronous  # 1 is NORMAL, its default; 2 is FULL

    def open(self):
        self.cache = diskcache.Cache(
            str(self.directory), eviction_policy="none", cull_limit=0, sqlite_synchronous=self.synchronous
        )

    def close(self):
        self.cache.close()

    def get(self, keys):
        cache = self.cache
        for key in keys:
            cache[key]

    def put_single(self, items):
        cache = self.cache
        for key, value in items:
            cache[key] = value

    def put_batch(self, items):
        with self.cache.transact():
            self.put_single(items)

    def delete(self, keys):
        cache = self.cache
        with cache.transact():
            for key in keys:
                del cache[key]

    def items(self):
        return ((key, self.cache[key]) for key in self.cache)

    def iterate(self):
        cache = self.cache
        for key in cache:
            cache[key]

    def values(self, keys):
        return (self.cache[key] for key in keys)
