"""RocksDB through rocksdict, with its own encoding of str and int."""

from rocksdict import Rdict, WriteBatch, WriteOptions

from benchmarks.peers.stores.mapping import MappingStore


class RocksdictStore(MappingStore):
    package = "rocksdict"

    def __init__(self, directory, sync):
        super().__init__(directory)
        self.sync = sync

    def open(self):
        self.dict = Rdict(str(self.directory / "store.rocks"))
        options = WriteOptions()
        options.sync = self.sync
        self.dict.set_write_options(options)

    def put_batch(self, items):
        batch = WriteBatch()
        for key, value in items:
            batch.put(key, value)
        self.dict.write(batch)

    def delete(self, keys):
        batch = WriteBatch()
        for key in keys:
            batch.delete(key)
        self.dict.write(batch)
