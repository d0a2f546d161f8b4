"""RocksDB through rocksdict, with its own encoding of str and int."""

from rocksdict import Rdict, WriteBatch, WriteOptions

from benchmarks.peers.store import Store


class RocksdictStore(Store):
    package = "rocksdict"

    def __init__(self, directory, sync):
        super().__init__(directory)
        self.sync = sync

    def open(self):
        self.dict = Rdict(str(self.directory / "store.rocks"))
        options = WriteOptions()
        options.sync = self.sync
        self.dict.set_write_options(options)

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

    def items(self):
        return self.dict.items()

    def values(self, keys):
        return (self.dict[key] for key in keys)
