"""What stores that are used like a dict have in common."""

from benchmarks.harness import own_copy
from benchmarks.peers.store import Store


class MappingStore(Store):
    """open() leaves the store's own mapping of str to int in self.dict.

    Each subclass runs its own copy of the loops: what the interpreter learns in a loop about one store would be
    forgotten with the next one.
    """

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        for name in ("get", "set_all", "delete_all"):
            setattr(cls, name, own_copy(getattr(cls, name)))

    def close(self):
        self.dict.close()

    def get(self, keys):
        stored = self.dict
        for key in keys:
            stored[key]

    def set_all(self, items):
        stored = self.dict
        for key, value in items:
            stored[key] = value

    def delete_all(self, keys):
        stored = self.dict
        for key in keys:
            del stored[key]

    def put_single(self, items):
        self.set_all(items)

    def items(self):
        return self.dict.items()

    def values(self, keys):
        return (self.dict[key] for key in keys)


class PoolStore(MappingStore):
    """self.dict lives in self.pool, which has transaction()."""

    def close(self):
        del self.dict
        self.pool.close()

    def put_batch(self, items):
        with self.pool.transaction():
            self.set_all(items)

    def delete(self, keys):
        with self.pool.transaction():
            self.delete_all(keys)
