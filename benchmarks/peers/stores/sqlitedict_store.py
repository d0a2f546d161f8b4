"""sqlitedict: pickled values in SQLite, which a thread of its own talks to."""

from sqlitedict import SqliteDict

from benchmarks.peers.stores.mapping import MappingStore


class SqlitedictStore(MappingStore):
    package = "sqlitedict"
    has_bulk = True

    def open(self):
        self.dict = SqliteDict(str(self.directory / "store.sqlite"), journal_mode="WAL")

    def put_single(self, items):
        stored = self.dict
        for key, value in items:
            stored[key] = value
            stored.commit()

    def put_batch(self, items):
        self.set_all(items)
        self.dict.commit()

    def put_bulk(self, items):
        self.dict.update(items)
        self.dict.commit()

    def delete(self, keys):
        self.delete_all(keys)
        self.dict.commit()
