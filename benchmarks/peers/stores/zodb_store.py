"""ZODB: an OOBTree at the root of a FileStorage, all of it in the connection's cache."""

import importlib
import logging
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # about pkg_resources, from its dependencies
    import transaction
    import ZODB
    from BTrees.OOBTree import OOBTree

from benchmarks.peers.stores.mapping import MappingStore

# The package has a class of the same name in front of the module.
file_storage = importlib.import_module("ZODB.FileStorage.FileStorage")

#: Objects.  Its default of 400 would drop most of the tree at the end of each transaction.
CACHE_SIZE = 1_000_000

logging.getLogger("ZODB").setLevel(logging.ERROR)


class ZodbStore(MappingStore):
    package = "ZODB"
    has_bulk = True

    def __init__(self, directory, sync):
        super().__init__(directory)
        self.sync = sync

    def open(self):
        if not self.sync:
            # It has no setting for this.  Each class of durability is measured in a process of its own.
            file_storage.fsync = None
        storage = file_storage.FileStorage(str(self.directory / "store.fs"))
        self.db = ZODB.DB(storage, cache_size=CACHE_SIZE, cache_size_bytes=0)
        self.manager = transaction.TransactionManager()
        self.connection = self.db.open(self.manager)
        root = self.connection.root()
        if "tree" not in root:
            root["tree"] = OOBTree()
            self.manager.commit()
        self.dict = root["tree"]

    def close(self):
        self.manager.abort()
        self.connection.close()
        self.db.close()

    def put_single(self, items):
        tree, commit = self.dict, self.manager.commit
        for key, value in items:
            tree[key] = value
            commit()

    def put_batch(self, items):
        self.set_all(items)
        self.manager.commit()

    def put_bulk(self, items):
        self.dict.update(items)
        self.manager.commit()

    def delete(self, keys):
        self.delete_all(keys)
        self.manager.commit()
