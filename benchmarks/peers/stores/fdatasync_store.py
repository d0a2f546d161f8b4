"""No store: one write of a page to a preallocated file and one fdatasync, the least that any durable commit does."""

import os

from benchmarks.peers.store import Store

PAGE = 4096
PAGES = 1024


class BareFdatasync(Store):
    def open(self):
        self.file = os.open(self.directory / "page", os.O_RDWR | os.O_CREAT, 0o600)
        # Written and not only allocated: the first write to an allocated block changes the file's metadata.
        os.pwrite(self.file, b"\1" * PAGE * PAGES, 0)
        os.fsync(self.file)
        self.page = 0

    def close(self):
        os.close(self.file)

    def put_single(self, items):
        content = b"\2" * PAGE
        for _ in items:
            self.page = (self.page + 1) % PAGES
            os.pwrite(self.file, content, self.page * PAGE)
            os.fdatasync(self.file)

    def put_batch(self, items):
        self.put_single([items])

    def get(self, keys):
        raise NotImplementedError

    def delete(self, keys):
        pass

    def items(self):
        return ()

    def values(self, keys):
        raise NotImplementedError
