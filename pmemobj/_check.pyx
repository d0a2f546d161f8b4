"""Verifies a whole pool: every object, slot and block that the root, the type table and the limbo list lead to.

Each finding is a line of text that begins with the path of the object.  Nothing is changed.
"""

from libc.stdint cimport int64_t, uint64_t

from pmemobj._cengine cimport (
    PM_SEGMENT_CELLS, PM_SEGMENT_DEPTH, pm_at, pm_cache_free, pm_directory, pm_probe, pm_probe_start, pm_table_next,
    pm_vec, pm_vec_at,
)
from pmemobj._core cimport Pool, owned_size, pool_check_read
from pmemobj._layout cimport *
from pmemobj._values cimport PM_IS_REFERENCE, PM_SLOT_KIND, slot_load, stable_hash

from pmemobj._core import blocks_in_use

cdef dict NAMES = {
    PM_TYPE_LIST: "list", PM_TYPE_DICT: "dict", PM_TYPE_SET: "set", PM_TYPE_TUPLE: "tuple", PM_TYPE_OBJECT: "object",
}


cdef class Checker:
    cdef Pool pool
    cdef public dict blocks             # in use, not met yet: offset -> usable bytes
    cdef public dict references         # object offset -> references counted
    cdef public list findings
    cdef public list todo               # objects met, not looked through yet: (offset, path)
    cdef public dict counts             # by kind
    cdef set limbo

    def __init__(self, Pool pool not None):
        pool_check_read(pool)
        self.pool = pool
        self.blocks, self.findings = blocks_in_use(pool)
        self.references = {}
        self.todo = []
        self.counts = {}
        self.limbo = set()

    def run(self):
        """Looks at everything; then `findings` is complete and `blocks` holds what nothing refers to."""
        cdef uint64_t at = self.pool.p.root.limbo
        pm_cache_free(self.pool.p)              # what is stored is to be looked at, not what was read once
        while at and at not in self.limbo:
            self.limbo.add(at)
            self.meet(at, f"limbo:{at:#x}", 0)
            if at not in self.references:       # no object: its link leads anywhere
                break
            at = (<pm_object *>pm_at(self.pool.p, at)).limbo_next
        self.slot(self.pool.p.root.root_slot, "root")
        if self.pool.p.root.types_slot:
            self.slot(self.pool.p.root.types_slot, "types")
        while self.todo:
            offset, path = self.todo.pop()
            self.look_through(offset, path)
        for offset, counted in self.references.items():
            self.count_is(offset, counted)

    cdef int fault(self, str path, str what) except -1:
        self.findings.append(f"{path}: {what}")
        return 0

    cdef bint block(self, uint64_t offset, uint64_t size, str path) except -1:
        """The block belongs to `path` alone and is large enough.  False: do not follow it."""
        usable = self.blocks.pop(offset, None)
        if usable is None:
            self.fault(path, f"its block at {offset:#x} is not in use, or belongs to something else too")
            return False
        if usable < size:
            self.fault(path, f"its block at {offset:#x} has {usable} bytes but needs {size}")
            return False
        return True

    cdef int meet(self, uint64_t offset, str path, int references) except -1:
        """An object is referred to; the first time it is put on the list of what to look through."""
        cdef pm_object *o
        if offset in self.references:
            self.references[offset] += references
            return 0
        if offset + sizeof(pm_object) > self.pool.p.size or offset & 7:
            return self.fault(path, f"refers to {offset:#x}, which cannot be an object")
        o = <pm_object *>pm_at(self.pool.p, offset)
        if o.type not in NAMES:
            return self.fault(path, f"refers to {offset:#x}, whose type {o.type} is unknown")
        self.references[offset] = references
        self.todo.append((offset, path))
        return 0

    cdef int slot(self, uint64_t slot, str path) except -1:
        cdef uint64_t offset = slot & PM_OFFSET_MASK
        cdef uint64_t i
        cdef uint64_t *block
        cdef unsigned kind = PM_SLOT_KIND(slot)
        if slot == 0:
            return self.fault(path, "empty slot")
        if not PM_IS_REFERENCE(slot):
            self.counts["immediate"] = self.counts.get("immediate", 0) + 1
            return 0
        if kind == PM_REF_OBJECT:
            return self.meet(offset, path, 1)
        if kind > PM_REF_PICKLE:
            return self.fault(path, f"slot {slot:#x} has an unknown kind")
        if offset not in self.blocks:
            return self.fault(path, f"its value at {offset:#x} is not in use, or belongs to something else too")
        block = <uint64_t *>pm_at(self.pool.p, offset)
        self.counts["value"] = self.counts.get("value", 0) + 1
        if kind != PM_REF_FLOAT and kind != PM_REF_COMPLEX and block[0] > self.pool.p.size:
            return self.fault(path, f"its value at {offset:#x} is {block[0]} long")
        if self.block(offset, owned_size(kind, block), path) and kind >= PM_REF_TUPLE:
            for i in range(block[0]):
                self.slot(block[1 + i], f"{path}({i})")
        return 0

    cdef int count_is(self, uint64_t offset, uint64_t counted) except -1:
        cdef pm_object *o = <pm_object *>pm_at(self.pool.p, offset)
        if o.refs != counted:
            self.fault(f"{NAMES[o.type]} at {offset:#x}", f"counts {o.refs} references, has {counted}")
        if (o.refs == 0) != bool(o.flags & PM_IN_LIMBO) or (o.refs == 0) != (offset in self.limbo):
            self.fault(f"{NAMES[o.type]} at {offset:#x}", "is wrongly in limbo, or wrongly not")
        return 0

    cdef int look_through(self, uint64_t offset, str path) except -1:
        cdef pm_object *o = <pm_object *>pm_at(self.pool.p, offset)
        cdef uint64_t size = sizeof(pm_list)
        self.counts[NAMES[o.type]] = self.counts.get(NAMES[o.type], 0) + 1
        if o.type == PM_TYPE_DICT or o.type == PM_TYPE_SET:
            size = sizeof(pm_table)
        elif o.type == PM_TYPE_OBJECT:
            size = sizeof(pm_instance)
        if not self.block(offset, size, path):
            return 0
        if o.type == PM_TYPE_LIST or o.type == PM_TYPE_TUPLE:
            return self.sequence(&(<pm_list *>o).items, path)
        if o.type == PM_TYPE_OBJECT:
            return self.instance(<pm_instance *>o, path)
        return self.table(<pm_table *>o, path)

    cdef bint vector(self, pm_vec *v, unsigned stride, str path) except -1:
        cdef uint64_t i
        cdef uint64_t *directory
        cdef uint64_t segment_items = PM_SEG_WORDS // stride
        if v.cap > self.pool.p.size:            # so that no product below overflows
            self.fault(path, f"has room for {v.cap} items, more than the pool can hold")
            return False
        if v.size > v.cap:
            self.fault(path, f"has {v.size} items and room for {v.cap}")
            return False
        if v.cap == 0:
            return True
        if v.dir_cap == 0:
            return self.block(v.data, v.cap * stride * 8, path)
        if v.cap % segment_items or v.cap // segment_items > v.dir_cap:
            self.fault(path, f"has room for {v.cap} items in a directory of {v.dir_cap}")
            return False
        if not self.block(v.data, v.dir_cap * 8, path):
            return False
        directory = <uint64_t *>pm_at(self.pool.p, v.data)
        for i in range(v.cap // segment_items):
            if not self.block(directory[i], PM_SEG_WORDS * 8, f"{path}, segment {i}"):
                return False
        return True

    cdef int sequence(self, pm_vec *v, str path) except -1:
        cdef uint64_t i
        if self.vector(v, 1, path):
            for i in range(v.size):
                self.slot(pm_vec_at(self.pool.p, v, i, 1)[0], f"{path}[{i}]")
        return 0

    cdef int instance(self, pm_instance *o, str path) except -1:
        cdef uint64_t i
        cdef uint64_t *fields
        if o.cap == 0 or not self.block(o.fields, <uint64_t>o.cap * 8, path):
            return 0
        fields = <uint64_t *>pm_at(self.pool.p, o.fields)
        for i in range(o.cap):
            if fields[i]:
                self.slot(fields[i], f"{path}.{i}")
        return 0

    cdef int table(self, pm_table *t, str path) except -1:
        cdef unsigned stride = 3 if t.head.type == PM_TYPE_DICT else 2
        cdef uint64_t i
        cdef uint64_t live = 0
        cdef uint64_t *entry
        if not self.vector(&t.entries, stride, path):
            return 0
        if not self.index(t, path):
            return 0
        if t.index == 0 and t.entries.size > PM_TABLE_SMALL:
            self.fault(path, f"has {t.entries.size} entries and no index")
        for i in range(t.entries.size):
            entry = pm_vec_at(self.pool.p, &t.entries, i, stride)
            if entry[1] == 0:
                if stride == 3 and entry[2]:
                    self.fault(path, f"entry {i} is deleted but still has a value")
                continue
            live += 1
            self.key(t, i, entry, path)
            if stride == 3:
                self.slot(entry[2], f"{path}[#{i}]")
        if live != t.used:
            self.fault(path, f"counts {t.used} entries, has {live}")
        return 0

    cdef bint segment(self, uint64_t segment, str path) except -1:
        cdef unsigned log = PM_SEGMENT_CELLS(segment)
        cdef uint64_t *cells
        cdef uint64_t i
        if log < 4 or log > 40:
            self.fault(path, f"has an index segment of 2**{log} cells")
            return False
        if not self.block(segment & PM_OFFSET_MASK, <uint64_t>8 << log, path):
            return False
        cells = <uint64_t *>pm_at(self.pool.p, segment & PM_OFFSET_MASK)
        for i in range(<uint64_t>1 << log):
            if cells[i] == 0:
                return True
        self.fault(path, "has an index segment without a free cell")
        return False

    cdef bint index(self, pm_table *t, str path) except -1:
        """Its blocks are sound, so that looking up a key in it is safe."""
        cdef uint64_t i = 0, k, words, segment, run
        cdef bint half_gone = t.head.refs == 0  # an object that is being destroyed
        if t.index_depth > 40 or (t.index == 0 and t.index_depth):
            self.fault(path, f"has an index of depth {t.index_depth}")
            return False
        if t.index == 0 or t.index_depth == 0:
            return t.index == 0 or self.segment(t.index, path)
        words = <uint64_t>1 << t.index_depth
        if not self.block(t.index, words * 8, path):
            return False
        while i < words:
            segment = pm_directory(self.pool.p, t)[i]
            if segment == 0 and half_gone and t.entries.size == 0:
                i += 1
                continue
            if PM_SEGMENT_DEPTH(segment) > t.index_depth or not self.segment(segment, path):
                self.fault(path, f"has a damaged index segment at {i}")
                return False
            run = words >> PM_SEGMENT_DEPTH(segment)
            for k in range(run):
                if i + k >= words or pm_directory(self.pool.p, t)[i + k] != segment:
                    self.fault(path, f"has a damaged index directory at {i}")
                    return False
            i += run
        return True

    cdef int key(self, pm_table *t, uint64_t number, uint64_t *entry, str path) except -1:
        """Its slot is sound, its hash is that of the key, and a lookup finds it."""
        cdef uint64_t hash
        cdef int64_t found
        cdef pm_probe probe
        cdef unsigned stride = 3 if t.head.type == PM_TYPE_DICT else 2
        faults = len(self.findings)
        self.slot(entry[1], f"{path} key #{number}")
        if len(self.findings) == faults and PM_SLOT_KIND(entry[1]) <= PM_REF_FROZENSET:
            try:
                stable_hash(self.pool, slot_load(self.pool, entry[1]), &hash)
                if hash != entry[0]:
                    self.fault(path, f"entry {number} has the hash of another key")
            except (TypeError, LookupError):
                pass                    # a class or decoder that this program has not
        pm_probe_start(self.pool.p, t, entry[0], &probe)
        while True:
            found = pm_table_next(self.pool.p, t, stride, &probe)
            if found < 0 or found == <int64_t>number:
                break
        if found < 0:
            self.fault(path, f"entry {number} cannot be found through the index")
        return 0
