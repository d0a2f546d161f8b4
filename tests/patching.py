"""Words of a closed pool file, changed behind the pool's back; and where things lie."""

import struct

import pmemobj

SIZE = 32 << 20
OFFSET = (1 << 48) - 1

#: Where things lie (see _engine/layout.h); offsets in bytes.
ROOT_AT = 6144  # of the root block's offset in the file
ROOT_SLOT, LIMBO, CHUNKS, PAGES = 56, 72, 80, 128
REFS, LIMBO_NEXT, LIMBO_PREV = 0, 16, 24
VEC_SIZE, VEC_CAP, VEC_DATA, VEC_DIR_CAP = 32, 40, 48, 56  # of a list
USED, ENTRIES_SIZE, ENTRIES_CAP, ENTRIES_DATA, INDEX, INDEX_DEPTH = 32, 40, 48, 56, 72, 80  # of a table
FIELDS_CAP, FIELDS = 32, 40  # class_id and cap share a word
LEFT, RIGHT, FIRST, LAST, MAXLEN = 32, 40, 48, 56, 64  # of a deque
NEXT, PREV, START, CAP, CELLS = 0, 8, 16, 24, 32  # of its blocks
SIZE_OF, START_OF, CAP_OF, DATA = 32, 40, 48, 56  # of a byte array
ROW, ROWS, SHAPE, DTYPE = 64, 72, 80, 88  # of an array, behind that
COUNT, TREE_ROOT, HEIGHT, KEY_NAME = 32, 48, 56, 64  # of a sorted container
LEAF_NEXT, LEAF_PREV, ORDER, LEAF_KEYS, LEAF_VALUES = 8, 16, 24, 488, 872  # of its leaves
INNER_KEYS, CHILDREN, COUNTS = 520, 1000, 1480  # of its nodes


class Patch:
    """Words of a closed pool file, and the way from the root to an object."""

    def __init__(self, path):
        self.path = path
        self.root = self.word(ROOT_AT)

    def word(self, at):
        with open(self.path, "rb") as file:
            file.seek(at)
            return struct.unpack("<Q", file.read(8))[0]

    def put(self, at, value):
        with open(self.path, "r+b") as file:
            file.seek(at)
            file.write(struct.pack("<Q", value & (1 << 64) - 1))

    def change(self, at, function):
        self.put(at, function(self.word(at)))

    @property
    def object(self):
        """What the root slot refers to."""
        return self.word(self.root + ROOT_SLOT) & OFFSET

    def cell(self, number, words=1):
        """Where an item of the root object lies: a list's, or with `words` those of a table."""
        data = self.word(self.object + (VEC_DATA if words == 1 else ENTRIES_DATA))
        return data + 8 * words * number

    def reports(self, *expected):
        """The check finds something, every line is about the pool, and each of `expected` is in one of them."""
        with pmemobj.open(self.path, "r", sync="manual") as pool:
            report = pool.check()
        assert not report.ok
        assert all(": " in line or line.startswith(("the ", "a list")) for line in report.findings)
        for text in expected:
            assert any(text in line for line in report.findings), (text, report.findings)
        assert report.findings[0] in str(report)
        return report.findings
