"""LMDB: the main database of an environment; bytes to bytes."""

import lmdb

from benchmarks.peers.store import Store, pack, unpack

MAP_SIZE = 4 << 30


class LmdbStore(Store):
    package = "lmdb"
    has_bulk = True

    def __init__(self, directory, sync, writemap=False):
        super().__init__(directory)
        self.options = {"sync": sync, "writemap": writemap}

    def open(self):
        self.env = lmdb.open(str(self.directory), map_size=MAP_SIZE, **self.options)

    def close(self):
        self.env.close()

    def get(self, keys):
        with self.env.begin() as txn:
            get = txn.get
            for key in keys:
                unpack(get(key.encode()))[0]

    def put_single(self, items):
        begin = self.env.begin
        for key, value in items:
            with begin(write=True) as txn:
                txn.put(key.encode(), pack(value))

    def put_batch(self, items):
        with self.env.begin(write=True) as txn:
            put = txn.put
            for key, value in items:
                put(key.encode(), pack(value))

    def put_bulk(self, items):
        with self.env.begin(write=True) as txn:
            txn.cursor().putmulti([(key.encode(), pack(value)) for key, value in items])

    def delete(self, keys):
        with self.env.begin(write=True) as txn:
            delete = txn.delete
            for key in keys:
                delete(key.encode())

    def items(self):
        with self.env.begin() as txn:
            for key, value in txn.cursor():
                yield key.decode(), unpack(value)[0]

    def iterate(self):
        # Not through items(): a generator of ours would cost as much as the cursor.
        with self.env.begin() as txn:
            for key, value in txn.cursor():
                key.decode(), unpack(value)[0]

    def values(self, keys):
        with self.env.begin() as txn:
            for key in keys:
                found = txn.get(key.encode())
                if found is None:
                    raise KeyError(key)
                yield unpack(found)[0]
