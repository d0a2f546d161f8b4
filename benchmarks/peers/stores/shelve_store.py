"""shelve: pickled values in a dbm file; no transactions, so a batch is just a loop.

What dbm.open() finds depends on how Python was built: dbm.gnu, dbm.ndbm, from 3.13 on dbm.sqlite3, or else the slow
dbm.dumb.  It is told in the report which one it was.
"""

import dbm
import os
import shelve
import tempfile

from benchmarks.peers.store import Store


def backend() -> str:
    """The module that a new shelf gets here."""
    with tempfile.TemporaryDirectory() as directory:
        name = os.path.join(directory, "shelf")
        dbm.open(name, "n").close()
        return dbm.whichdb(name)


class ShelveStore(Store):
    # dbm.dumb writes its whole index at each deletion.
    delete_batch = 10

    def open(self):
        self.shelf = shelve.open(str(self.directory / "store.shelf"))  # noqa: SIM115 - see close()

    def close(self):
        self.shelf.close()

    def get(self, keys):
        shelf = self.shelf
        for key in keys:
            shelf[key]

    def put_single(self, items):
        shelf = self.shelf
        for key, value in items:
            shelf[key] = value

    def put_batch(self, items):
        self.put_single(items)

    def delete(self, keys):
        shelf = self.shelf
        for key in keys:
            del shelf[key]

    def items(self):
        return self.shelf.items()

    def values(self, keys):
        return (self.shelf[key] for key in keys)
