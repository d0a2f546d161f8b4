"""sqlitedict: pickled values in SQLite, which a thread of its own talks to."""

from sqlitedict import SqliteDict

from benchmarks.peers.store import Store


class SqlitedictStore(Store):
    package = "sqlitedict"
    has_bulk = True

    def open(self):
        self.dict = SqliteDict(str(self.directory / "store.sqlite"), journal_mode="WAL")

    def close(self):
        self.dict.close()

    def get(self, keys):
        stored = self.dict
        for key in keys:
            stored[key]

    def put_single(self, items):
        stored = self.dict
        for key, value in items:
            stored[key] = value
            stored.commit()

    def put_batch(self, items):
        stored = self.dict
        for key, value in items:
            stored[key] = value
        stored.commit()

    def put_bulk(self, items):
        self.dict.update(items)
        self.dict.commit()

    def delete(self, keys):
        stored = self.dict
        for key in keys:
            del stored[key]
        stored.commit()

    def items(self):
        return self.dict.items()

    def values(self, keys):
        return (self.dict[key] for key in keys)
