"""shelve: pickled values in a dbm file; no transactions, so a batch is just a loop.

What dbm.open() finds depends on how Python was built: dbm.gnu, dbm.ndbm, from 3.13 on dbm.sqlite3, or else the slow
dbm.dumb.  It is told in the report which one it was.
"""

import dbm
import os
import shelve
import tempfile

from benchmarks.peers.stores.mapping import MappingStore


def backend() -> str:
    """The module that a new shelf gets here."""
    with tempfile.TemporaryDirectory() as directory:
        name = os.path.join(directory, "shelf")
        dbm.open(name, "n").close()
        return dbm.whichdb(name)


class ShelveStore(MappingStore):
    # dbm.dumb writes its whole index at each deletion.
    delete_batch = 10

    def open(self):
        self.dict = shelve.open(str(self.directory / "store.shelf"))  # noqa: SIM115 - see close()

    def put_batch(self, items):
        self.set_all(items)

    def delete(self, keys):
        self.delete_all(keys)
