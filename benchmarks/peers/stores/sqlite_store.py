"""SQLite through the standard library: one table, WITHOUT ROWID, write-ahead log; str and int are native.

Each statement is prepared once: the module caches it by its text.
"""

import sqlite3

from benchmarks.peers.store import Store

TABLE = "CREATE TABLE IF NOT EXISTS kv (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID"
PUT = "INSERT INTO kv VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
GET = "SELECT value FROM kv WHERE key = ?"
DELETE = "DELETE FROM kv WHERE key = ?"


class SqliteStore(Store):
    has_bulk = True

    def __init__(self, directory, synchronous):
        super().__init__(directory)
        self.synchronous = synchronous

    def open(self):
        # No isolation level: a statement is a transaction, unless BEGIN was executed before it.
        self.connection = sqlite3.connect(self.directory / "store.sqlite", isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute(f"PRAGMA synchronous = {self.synchronous}")
        self.connection.execute(TABLE)

    def close(self):
        self.connection.close()

    def get(self, keys):
        execute = self.connection.execute
        execute("BEGIN")  # one read transaction: the file is locked and the log looked at once
        for key in keys:
            execute(GET, (key,)).fetchone()[0]
        execute("COMMIT")

    def put_single(self, items):
        execute = self.connection.execute
        for item in items:
            execute(PUT, item)

    def put_batch(self, items):
        execute = self.connection.execute
        execute("BEGIN IMMEDIATE")
        for item in items:
            execute(PUT, item)
        execute("COMMIT")

    def put_bulk(self, items):
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.executemany(PUT, items)
        self.connection.execute("COMMIT")

    def delete(self, keys):
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.executemany(DELETE, ((key,) for key in keys))
        self.connection.execute("COMMIT")

    def items(self):
        return self.connection.execute("SELECT key, value FROM kv")

    def values(self, keys):
        for key in keys:
            row = self.connection.execute(GET, (key,)).fetchone()
            if row is None:
                raise KeyError(key)
            yield row[0]
