"""The life of a byte array."""

from hypothesis import strategies as st
from hypothesis.stateful import rule
from life import SequenceLife

positions = st.integers(-700, 700)
pieces = st.one_of(
    st.binary(max_size=40),
    st.builds(lambda n, byte: bytes([byte]) * n, st.integers(50, 3000), st.integers(0, 255)),
)
slices = st.builds(
    slice, st.none() | positions, st.none() | positions, st.sampled_from([None, None, 1, 2, -1, -3])
)


class ByteArrayLife(SequenceLife):
    empty = bytearray
    repeated = 5000

    @rule(byte=st.integers(-1, 256))
    def append(self, byte):
        self.both(lambda b: b.append(byte))

    @rule(new=pieces)
    def extend(self, new):
        self.both(lambda b: b.extend(new))

    @rule(new=pieces)
    def concatenate(self, new):
        self.stored += new
        self.model += new

    @rule(at=positions, byte=st.integers(0, 255))
    def insert(self, at, byte):
        self.both(lambda b: b.insert(at, byte))

    @rule(at=positions, byte=st.integers(0, 255))
    def overwrite(self, at, byte):
        self.both(lambda b: b.__setitem__(at, byte))

    @rule(where=slices, new=pieces)
    def set_slice(self, where, new):
        self.both(lambda b: b.__setitem__(where, new))

    @rule(where=slices, seed=st.integers(0, 255))
    def set_slice_of_its_length(self, where, seed):
        self.both(lambda b: b.__setitem__(where, bytes((seed + i) & 255 for i in range(len(b[where])))))

    @rule(where=slices)
    def delete_slice(self, where):
        self.both(lambda b: b.__delitem__(where))

    @rule(at=positions)
    def delete(self, at):
        self.both(lambda b: b.__delitem__(at))

    @rule(at=positions)
    def pop(self, at):
        self.both(lambda b: b.pop(at))

    @rule(byte=st.integers(0, 255))
    def remove(self, byte):
        self.both(lambda b: b.remove(byte))

    @rule(where=slices, at=positions)
    def get(self, where, at):
        self.both(lambda b: b[where])
        self.both(lambda b: b[at])

    @rule(piece=pieces)
    def search(self, piece):
        self.both(lambda b: (b.find(piece), b.rfind(piece[:2]), piece in b, b.count(piece[:1])))

    @rule(size=st.integers(0, 6000))
    def resize(self, size):
        self.stored.resize(size)
        self.model[:] = self.model[:size].ljust(size, b"\0")

    @rule(lo=positions, hi=positions, seed=st.integers(0, 255), ends=st.booleans())
    def write(self, lo, hi, seed, ends):
        """In a view that is stored at the end of the block, or not."""
        with self.pool.transaction() as tx:
            with self.stored.writing(slice(lo, hi)) as view:
                view[:] = bytes((seed + i) & 255 for i in range(len(view)))
            if not ends:
                tx.abort()
        if ends:
            self.model[lo:hi] = bytes((seed + i) & 255 for i in range(len(self.model[lo:hi])))

    @rule()
    def view(self):
        """While there is one, bytes can be changed but not their number."""
        with memoryview(self.stored) as view:
            before = bytes(view)
            if self.model:
                self.both(lambda b: b.__setitem__(0, before[0] ^ 255))
            try:
                self.stored.append(1)
            except BufferError:
                pass
            else:
                raise AssertionError("it has moved under a view")
            assert bytes(view) == self.model


TestByteArrayLife = ByteArrayLife.TestCase
