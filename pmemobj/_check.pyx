"""Verifies a whole pool: every object, slot and block that the root, the type table and the limbo list lead to.

Each finding is a line of text that begins with the path of the object, as a program would write it: root['a'][3].
Nothing is changed, and nothing is followed before it has been verified.

 1. A block is looked into once it has been found among the blocks that the allocator says are in use; it is taken
    off that list then, so that it has one owner.
 2. The way to an object is kept as numbers (the object before it, and which of its items); it becomes text only
    when there is a fault to tell.
 3. User code runs in one place only, where the hash of a key of a registered type is computed; and so does
    progress().  Meanwhile the pool stands still: other threads wait, and this one may only read.
"""

from bisect import bisect_right

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from cpython.exc cimport PyErr_CheckSignals

from pmemobj._cengine cimport (
    PM_SEGMENT_CELLS, PM_SEGMENT_DEPTH, pm_at, pm_cache_free, pm_directory, pm_inside, pm_inside_all, pm_probe,
    pm_probe_start,
    pm_pool, pm_table_next, pm_tag, pm_vec, pm_vec_at,
)
from pmemobj._core cimport Pool, check_begins, check_ends, owned_size, pool_check_read
from pmemobj._layout cimport *
from pmemobj._values cimport PM_IMMEDIATE, PM_IS_REFERENCE, PM_SLOT_KIND, slot_load, stable_hash

from pmemobj import errors
from pmemobj._array_texts import is_invalid
from pmemobj._core import blocks_in_use

cdef dict NAMES = {
    PM_TYPE_LIST: "list", PM_TYPE_DICT: "dict", PM_TYPE_SET: "set", PM_TYPE_TUPLE: "tuple", PM_TYPE_OBJECT: "object",
    PM_TYPE_DEQUE: "deque", PM_TYPE_BYTEARRAY: "bytearray", PM_TYPE_DEFAULTDICT: "defaultdict",
    PM_TYPE_ARRAY: "array", PM_TYPE_COUNTER: "Counter", PM_TYPE_ORDEREDDICT: "OrderedDict",
    PM_TYPE_SORTED_DICT: "sorted dict", PM_TYPE_SORTED_SET: "sorted set", PM_TYPE_FROZENSET: "frozenset",
}

cdef enum:
    TELL = 4096                         # blocks between two calls of progress()
    LONGEST_KEY = 40                    # characters of a key in a path
    RECORD_HEAD = 2                     # items of a class's record before the names of the fields

cdef enum part:                         # of an entry
    ITEM, KEY, FIELD


cdef class Checker:
    cdef Pool pool
    cdef public dict blocks             # in use, not met yet: offset -> usable bytes
    cdef public dict references         # object offset -> references counted
    cdef public list findings
    cdef public dict counts             # by kind
    cdef list todo                      # objects met, not looked through yet: offsets
    cdef dict ways                      # offset of an object -> what leads to it first, see way()
    cdef set limbo
    cdef object progress
    cdef dict owners                    # offset of a block -> (way, what it is there); None: nobody asks
    cdef uint64_t total, told
    # Where we are: in that object (0: `outside` says where), at that item, so deep inside of nested tuples.
    cdef uint64_t holder
    cdef str outside
    cdef int64_t number
    cdef part at
    cdef list inside

    def __init__(self, Pool pool not None, progress=None):
        pool_check_read(pool)
        self.pool = pool
        self.progress = progress
        self.findings = []
        self.references = {}
        self.todo = []
        self.ways = {}
        self.counts = {}
        self.inside = []
        self.limbo = set()

    def run(self):
        """Looks at everything; then `findings` is complete and `blocks` holds what nothing refers to."""
        check_begins(self.pool)
        try:
            pm_cache_free(self.pool.p)          # what is stored is to be looked at, not what was read once
            self.blocks, self.findings = blocks_in_use(self.pool)
            self.total = len(self.blocks)
            self.walk_limbo()
            self.from_outside("root", self.pool.p.root.root_slot)
            if self.pool.p.root.types_slot:
                self.from_outside("types", self.pool.p.root.types_slot)
            while self.todo:
                self.look_through(self.todo.pop())
                self.tell(False)
            for offset, counted in self.references.items():
                self.count_is(offset, counted)
            self.type_table()
            self.tell(True)
        finally:
            check_ends(self.pool)

    def lead_to(self, uint64_t wanted):
        """(text of the path, its steps) from the root to the object at that offset, by as few steps as there are; None:
        the root does not lead to it.  A step is the object that it starts from, and its text."""
        cdef size_t i = 0
        check_begins(self.pool)
        try:
            self.blocks, _ = blocks_in_use(self.pool)
            self.from_outside("root", self.pool.p.root.root_slot)
            while wanted not in self.ways and i < <size_t>len(self.todo):
                self.look_through(self.todo[i])
                self.tell(False)
                i += 1
            return (self.path_of(wanted), self.steps_to(wanted)) if wanted in self.ways else None
        finally:
            check_ends(self.pool)

    cdef tuple steps_to(self, uint64_t offset):
        cdef list steps = []
        while True:
            holder, _, number, at, inside = self.ways[offset]
            if holder == 0:
                return tuple(reversed(steps))
            text = self.step(holder, number, at) + "".join([f"[{i}]" for i in inside])
            steps.append((slot_load(self.pool, holder), text))
            offset = holder

    cdef int tell(self, bint last) except -1:
        cdef uint64_t done = self.total if last else self.total - len(self.blocks)
        if done - self.told < TELL and not last:
            return 0
        self.told = done
        PyErr_CheckSignals()
        if self.progress is not None:
            self.progress(done, self.total)
            pool_check_read(self.pool)
        return 0

    # --- where

    cdef object way(self):
        return self.holder, self.outside, self.number, <int>self.at, tuple(self.inside)

    cdef str here(self):
        return self.path_by(self.way())

    cdef str path_by(self, tuple way):
        """The text of a way."""
        cdef list steps = []
        while True:
            holder, outside, number, at, inside = way
            steps.append("".join([f"[{i}]" for i in inside]))
            if holder == 0:
                steps.append(outside)
                return "".join(reversed(steps))
            steps.append(self.step(holder, number, at))
            way = self.ways[holder]

    cdef str path_of(self, uint64_t offset):
        return self.path_by(self.ways[offset])

    cdef str step(self, uint64_t holder, int64_t number, int at):
        cdef pm_object *o = <pm_object *>pm_at(self.pool.p, holder)
        cdef uint64_t *entry
        if number < 0:
            return ""
        if o.type == PM_TYPE_OBJECT:
            return "." + self.field_name((<pm_instance *>o).class_id, number)
        if o.type == PM_TYPE_SORTED_DICT or o.type == PM_TYPE_SORTED_SET:
            return f" key #{number}" if at == KEY else f"[#{number}]"
        if not PM_IS_TABLE(o.type):
            return f"[{number}]"
        if PM_IS_SET(o.type) or at == KEY:
            return f" {'member' if PM_IS_SET(o.type) else 'key'} #{number}"
        entry = pm_vec_at(self.pool.p, &(<pm_table *>o).entries, number, 3)
        return f"[{self.key_text(entry[1]) or f'#{number}'}]"

    cdef str key_text(self, uint64_t slot):
        """How a program would write the key; None unless it is a sound scalar that is short enough."""
        if not self.is_scalar(slot):
            return None
        text = repr(slot_load(self.pool, slot))
        return text if len(text) <= LONGEST_KEY else None

    cdef bint is_scalar(self, uint64_t slot) except -1:
        """A sound value without other slots."""
        cdef unsigned kind = PM_SLOT_KIND(slot)
        cdef uint64_t *block
        if not PM_IS_REFERENCE(slot):
            return immediate_is_sound(slot)
        if kind < PM_REF_STR1 or kind > PM_REF_COMPLEX or not pm_inside(self.pool.p, slot & PM_OFFSET_MASK, 16):
            return False
        block = <uint64_t *>pm_at(self.pool.p, slot & PM_OFFSET_MASK)
        if kind == PM_REF_FLOAT or kind == PM_REF_COMPLEX:
            return True
        return block[0] <= 4 * LONGEST_KEY and pm_inside(self.pool.p, slot & PM_OFFSET_MASK, 8 + 16 * LONGEST_KEY) \
            and text_fault(kind, block) is None

    cdef pm_vec *sound_list(self, uint64_t slot) noexcept:
        """The items of a list that the slot refers to, if all of them lie inside the pool; else NULL."""
        cdef pm_list *o
        if slot == 0 or slot > PM_OFFSET_MASK or slot & 7 or not pm_inside(self.pool.p, slot, sizeof(pm_list)):
            return NULL
        o = <pm_list *>pm_at(self.pool.p, slot)
        if o.head.type != PM_TYPE_LIST or o.items.size > o.items.cap or o.items.cap > self.pool.p.size // 8:
            return NULL
        if o.items.dir_cap or o.items.data & 7:
            return NULL                 # a record so long is none of ours
        if o.items.cap == 0 or pm_inside_all(self.pool.p, o.items.data, o.items.cap, 8):
            return &o.items
        return NULL

    cdef pm_vec *record(self, uint32_t class_id) noexcept:
        """The record of a class, or NULL."""
        cdef pm_vec *types = self.sound_list(self.pool.p.root.types_slot)
        if types == NULL or class_id >= types.size:
            return NULL
        return self.sound_list(pm_vec_at(self.pool.p, types, class_id, 1)[0])

    cdef str field_name(self, uint32_t class_id, uint64_t field):
        cdef pm_vec *names = self.record(class_id)
        cdef uint64_t slot
        if names == NULL or field + RECORD_HEAD >= names.size:
            return f"<field {field}>"
        slot = pm_vec_at(self.pool.p, names, field + RECORD_HEAD, 1)[0]
        name = slot_load(self.pool, slot) if self.is_scalar(slot) else None
        return name if type(name) is str else f"<field {field}>"

    cdef int fault(self, str what) except -1:
        """About the item where we are."""
        self.findings.append(f"{self.here()}: {what}")
        return 0

    cdef int object_fault(self, str what) except -1:
        """About the object whose items we look through."""
        self.findings.append(f"{self.path_of(self.holder)}: {what}")
        return 0

    # --- what leads to others

    cdef int from_outside(self, str name, uint64_t slot) except -1:
        self.holder = 0
        self.outside = name
        self.number = -1
        return self.slot(slot)

    cdef int walk_limbo(self) except -1:
        cdef uint64_t at = self.pool.p.root.limbo, before = 0
        self.holder = 0
        while at and at not in self.limbo:
            self.limbo.add(at)
            self.outside = f"limbo:{at:#x}"
            self.number = -1
            self.meet(at, 0)
            if at not in self.references:       # no object: its link leads anywhere
                break
            if (<pm_object *>pm_at(self.pool.p, at)).limbo_prev != before:
                self.fault("names another one as the one before it in limbo")
            before = at
            at = (<pm_object *>pm_at(self.pool.p, at)).limbo_next
        return 0

    cdef bint block(self, uint64_t offset, uint64_t size, str what) except -1:
        """The block belongs to what we look at alone, and is large enough.  False: do not follow it."""
        usable = self.blocks.pop(offset, None)
        if self.owners is not None:
            self.owners.setdefault(offset, (self.way(), what))
        if usable is None:
            self.fault(f"{what} at {offset:#x} is not in use, or belongs to something else too")
            return False
        if usable < size:
            self.fault(f"{what} at {offset:#x} has {usable} bytes but needs {size}")
            return False
        return True

    cdef int meet(self, uint64_t offset, int references) except -1:
        """An object is referred to; the first time it is put on the list of what to look through."""
        cdef pm_object *o
        if offset in self.references:
            self.references[offset] += references
            return 0
        if offset & 7 or not pm_inside(self.pool.p, offset, sizeof(pm_object)):
            return self.fault(f"refers to {offset:#x}, which cannot be an object")
        o = <pm_object *>pm_at(self.pool.p, offset)
        if o.type not in NAMES:
            return self.fault(f"refers to {offset:#x}, whose type {o.type} is unknown")
        if not pm_inside(self.pool.p, offset, size_of(o)):
            return self.fault(f"refers to {offset:#x}, which cannot be an object")
        self.references[offset] = references
        self.ways[offset] = self.way()
        self.todo.append(offset)
        return 0

    cdef int count(self, str kind) except -1:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        return 0

    cdef int slot(self, uint64_t slot) except -1:
        cdef uint64_t offset = slot & PM_OFFSET_MASK
        cdef uint64_t i, length
        cdef uint64_t *block
        cdef unsigned kind = PM_SLOT_KIND(slot)
        if slot == 0:
            return self.fault("empty slot")
        if not PM_IS_REFERENCE(slot):
            if not immediate_is_sound(slot):
                return self.fault(f"slot {slot:#x} is not a value")
            return self.count("immediate")
        if kind == PM_REF_OBJECT:
            return self.meet(offset, 1)
        if kind > PM_REF_PICKLE:
            return self.fault(f"slot {slot:#x} has an unknown kind")
        if offset not in self.blocks:
            return self.fault(f"its value at {offset:#x} is not in use, or belongs to something else too")
        block = <uint64_t *>pm_at(self.pool.p, offset)
        self.count("value")
        if kind != PM_REF_FLOAT and kind != PM_REF_COMPLEX and block[0] > self.pool.p.size:
            return self.fault(f"its value at {offset:#x} is {block[0]} long")
        if not self.block(offset, owned_size(kind, block), "its value"):
            return 0
        if kind < PM_REF_TUPLE:
            wrong = text_fault(kind, block)
            return 0 if wrong is None else self.fault(wrong)
        if kind >= PM_REF_CUSTOM and block[0] != 2:
            return self.fault(f"a value of a registered type has {block[0]} parts instead of a name and a payload")
        length = block[0]
        for i in range(length):
            self.inside.append(i)
            self.slot(block[1 + i])
            self.inside.pop()
        return 0

    cdef int count_is(self, uint64_t offset, uint64_t counted) except -1:
        cdef pm_object *o = <pm_object *>pm_at(self.pool.p, offset)
        self.holder = offset
        if o.refs != counted:
            self.object_fault(f"{NAMES[o.type]} at {offset:#x} counts {o.refs} references, has {counted}")
        if (o.refs == 0) != bool(o.flags & PM_IN_LIMBO) or (o.refs == 0) != (offset in self.limbo):
            self.object_fault(f"{NAMES[o.type]} at {offset:#x} is wrongly in limbo, or wrongly not")
        return 0

    # --- objects

    cdef int look_through(self, uint64_t offset) except -1:
        cdef pm_object *o = <pm_object *>pm_at(self.pool.p, offset)
        self.holder = offset
        self.number = -1
        self.at = ITEM
        self.inside.clear()
        self.count(NAMES[o.type])
        if not self.block(offset, size_of(o), "its object"):
            return 0
        if o.type == PM_TYPE_LIST or o.type == PM_TYPE_TUPLE:
            return self.sequence(&(<pm_list *>o).items)
        if o.type == PM_TYPE_OBJECT:
            return self.instance(<pm_instance *>o)
        if o.type == PM_TYPE_DEQUE:
            return self.deque(<pm_deque *>o)
        if o.type == PM_TYPE_BYTEARRAY:
            return self.buffer(<pm_buffer *>o)
        if o.type == PM_TYPE_ARRAY:
            return self.array(<pm_array *>o)
        if o.type == PM_TYPE_SORTED_DICT or o.type == PM_TYPE_SORTED_SET:
            return check_sorted(self, <pm_sorted *>o)
        if o.type == PM_TYPE_DEFAULTDICT:
            self.slot((<pm_defaultdict *>o).factory)
        return self.table(<pm_table *>o)

    cdef bint vector(self, pm_vec *v, unsigned stride) except -1:
        cdef uint64_t i
        cdef uint64_t *directory
        cdef uint64_t segment_items = PM_SEG_WORDS // stride
        if v.cap > self.pool.p.size:            # so that no product below overflows
            self.fault(f"has room for {v.cap} items, more than the pool can hold")
            return False
        if v.size > v.cap:
            self.fault(f"has {v.size} items and room for {v.cap}")
            return False
        if v.cap == 0:
            return True
        if v.dir_cap == 0:
            return self.block(v.data, v.cap * stride * 8, "its block")
        if v.cap % segment_items or v.cap // segment_items > v.dir_cap or v.dir_cap > self.pool.p.size:
            self.fault(f"has room for {v.cap} items in a directory of {v.dir_cap}")
            return False
        if not self.block(v.data, v.dir_cap * 8, "its directory"):
            return False
        directory = <uint64_t *>pm_at(self.pool.p, v.data)
        for i in range(v.cap // segment_items):
            if not self.block(directory[i], PM_SEG_WORDS * 8, f"segment {i}: its block"):
                return False
        return True

    cdef int sequence(self, pm_vec *v) except -1:
        cdef uint64_t i
        if self.vector(v, 1):
            for i in range(v.size):
                self.number = i
                self.slot(pm_vec_at(self.pool.p, v, i, 1)[0])
        return 0

    cdef int deque(self, pm_deque *d) except -1:
        cdef uint64_t at = d.first, before = 0, position = 0, i
        cdef pm_deque_block *block
        if (d.first == 0) != (d.last == 0) or d.right - d.left > self.pool.p.size:
            return self.fault(f"has items {d.left:#x} to {d.right:#x}, blocks {d.first:#x} to {d.last:#x}")
        if d.first == 0:
            return self.fault("has items but no block") if d.left != d.right else 0
        if d.maxlen < d.right - d.left:
            self.fault(f"has {d.right - d.left} items, but at most {d.maxlen} may be in it")
        while at:
            if self.blocks.get(at, 0) < sizeof(pm_deque_block):
                return self.fault(f"its block at {at:#x} is not in use, or belongs to something else too")
            block = <pm_deque_block *>pm_at(self.pool.p, at)
            if block.cap == 0 or block.cap > PM_DEQUE_CELLS:
                return self.fault(f"has a block of {block.cap} cells")
            if not self.block(at, 8 * (4 + block.cap), "its block"):
                return 0
            if block.prev != before or (before and block.start != position):
                return self.fault(f"its block at {at:#x} does not follow the one before it")
            position = block.start + block.cap
            if d.left != d.right and (block.start >= d.right or position <= d.left):
                return self.fault(f"its block at {at:#x} holds no item")
            for i in range(block.cap):
                if d.left <= block.start + i < d.right:
                    self.number = block.start + i - d.left
                    self.slot(block.cells[i])
            self.number = -1
            before = at
            at = block.next
        block = <pm_deque_block *>pm_at(self.pool.p, d.first)
        if before != d.last or d.left < block.start or d.right > position:
            self.fault(f"has items {d.left:#x} to {d.right:#x} in blocks for {block.start:#x} to {position:#x}")
        return 0

    cdef int buffer(self, pm_buffer *b) except -1:
        if b.cap == 0 and (b.size or b.start or b.data) or b.start > b.cap or b.size > b.cap - b.start:
            return self.fault(f"has {b.size} bytes at {b.start} of {b.cap} in the block at {b.data:#x}")
        if b.cap:
            self.block(b.data, b.cap, "its block")
        return 0

    cdef int array(self, pm_array *a) except -1:
        self.buffer(&a.buffer)
        if a.buffer.size % a.row if a.row else a.buffer.size:
            self.fault(f"has {a.buffer.size} bytes in rows of {a.row}")
        if a.buffer.start:
            self.fault("does not begin with its block")
        if not is_text(a.dtype):
            self.fault("its dtype is not a text")
        self.slot(a.dtype)
        if not is_tuple(a.shape):
            self.fault("its shape is not a tuple")
        self.slot(a.shape)
        return self.texts_of(a)

    cdef int texts_of(self, pm_array *a) except -1:
        """Only NumPy knows where in an item there are some."""
        cdef pm_buffer *b = &a.buffer
        if b.start > b.cap or b.size > b.cap - b.start:
            return 0                            # buffer() has said so
        if b.size == 0 or not is_text(a.dtype) or not pm_inside_all(self.pool.p, b.data, b.cap, 1):
            return 0
        try:
            text = slot_load(self.pool, a.dtype)
        except errors.PoolDamagedError:
            return 0                            # slot() has said so
        if "U" in text and is_invalid(text, (<char *>pm_at(self.pool.p, b.data + b.start))[:b.size]):
            self.fault("a text in it has a character that there is none")
        return 0

    cdef int instance(self, pm_instance *o) except -1:
        cdef uint64_t i
        cdef uint64_t *fields
        cdef pm_vec *names = self.record(o.class_id)
        if names == NULL:
            self.fault(f"its class number {o.class_id} is not in the type table")
        if o.cap == 0 or not self.block(o.fields, <uint64_t>o.cap * 8, "its block"):
            return 0
        fields = <uint64_t *>pm_at(self.pool.p, o.fields)
        self.at = FIELD
        for i in range(o.cap):
            if fields[i]:
                self.number = i
                self.slot(fields[i])
                if names != NULL and i + RECORD_HEAD >= names.size:
                    self.fault("its class has no name for this field")
        return 0

    cdef int table(self, pm_table *t) except -1:
        cdef unsigned stride = PM_TABLE_STRIDE(t.head.type)
        cdef uint64_t i, live = 0
        cdef uint64_t *entry
        if not self.vector(&t.entries, stride) or not self.index(t, stride):
            return 0
        if t.index == 0 and t.entries.size > PM_TABLE_SMALL:
            self.fault(f"has {t.entries.size} entries and no index")
        for i in range(t.entries.size):
            entry = pm_vec_at(self.pool.p, &t.entries, i, stride)
            self.number = i
            self.at = KEY
            if entry[1] == 0:
                if stride == 3 and entry[2] and not (i == 0 and t.head.type == PM_TYPE_ORDEREDDICT and entry[2] & 1):
                    self.fault("is deleted but still has a value")
                continue
            live += 1
            self.key(t, i, entry, stride)
            if stride == 3:
                self.at = ITEM
                self.slot(entry[2])
        self.number = -1
        if live != t.used:
            self.fault(f"counts {t.used} entries, has {live}")
        return 0

    cdef bint segment(self, pm_table *t, unsigned stride, uint64_t segment, uint64_t first, uint64_t count) except -1:
        """A segment of the index, for `count` places of the directory from `first` on: its block, and its cells."""
        cdef unsigned log = PM_SEGMENT_CELLS(segment)
        cdef uint64_t *cells
        cdef uint64_t i, entry, hash, empty = 0, astray = 0
        if log < 4 or log > 32:
            self.fault(f"has an index segment of 2**{log} cells")
            return False
        if not self.block(segment & PM_OFFSET_MASK, <uint64_t>8 << log, "its index segment"):
            return False
        cells = <uint64_t *>pm_at(self.pool.p, segment & PM_OFFSET_MASK)
        for i in range(<uint64_t>1 << log):
            if cells[i] == 0:
                empty += 1
                continue
            entry = (cells[i] & 0xffffffff) - 1
            if entry >= t.entries.size:
                astray += 1
                continue
            hash = pm_vec_at(self.pool.p, &t.entries, entry, stride)[0]
            if pm_tag(hash) != cells[i] >> 32 or t.index_depth and not (
                    first <= pm_tag(hash) >> (32 - t.index_depth) < first + count):
                astray += 1
        if astray and t.head.refs:      # one that is being destroyed loses its entries before its index
            self.fault(f"has {astray} cells in its index that lead to no entry, or to one with another hash")
        if empty == 0:
            self.fault("has an index segment without a free cell")
        return empty != 0

    cdef bint index(self, pm_table *t, unsigned stride) except -1:
        """Its blocks are sound, so that looking up a key in it is safe."""
        cdef uint64_t i = 0, k, words, segment, run
        cdef bint half_gone = t.head.refs == 0  # an object that is being destroyed
        if t.index_depth > 32 or (t.index == 0 and t.index_depth):
            self.fault(f"has an index of depth {t.index_depth}")
            return False
        if t.index == 0 or t.index_depth == 0:
            return t.index == 0 or self.segment(t, stride, t.index, 0, 1)
        words = <uint64_t>1 << t.index_depth
        if not self.block(t.index, words * 8, "its index directory"):
            return False
        while i < words:
            segment = pm_directory(self.pool.p, t)[i]
            if segment == 0 and half_gone and t.entries.size == 0:
                i += 1
                continue
            run = 0
            if PM_SEGMENT_DEPTH(segment) <= t.index_depth:
                run = words >> PM_SEGMENT_DEPTH(segment)
            if run == 0 or i % run or not self.segment(t, stride, segment, i, run):
                self.fault(f"has a damaged index segment at {i}")
                return False
            for k in range(run):
                if pm_directory(self.pool.p, t)[i + k] != segment:
                    self.fault(f"has a damaged index directory at {i}")
                    return False
            i += run
        return True

    cdef int key(self, pm_table *t, uint64_t number, uint64_t *entry, unsigned stride) except -1:
        """Its slot is sound, its hash is that of the key, and a lookup finds it."""
        cdef uint64_t hash
        cdef int64_t found
        cdef pm_probe probe
        faults = len(self.findings)
        self.slot(entry[1])
        if len(self.findings) == faults and self.is_comparable(entry[1]):
            try:
                stable_hash(self.pool, slot_load(self.pool, entry[1]), &hash)
                if hash != entry[0]:
                    self.fault("is stored with the hash of another key")
            except (TypeError, LookupError):
                pass                    # a class or decoder that this program has not
        pm_probe_start(self.pool.p, t, entry[0], &probe)
        while True:
            found = pm_table_next(self.pool.p, t, stride, &probe)
            if found < 0 or found == <int64_t>number:
                break
        if found < 0:
            self.fault(f"entry {number} cannot be found through the index")
        return 0

    cdef bint is_comparable(self, uint64_t slot) except -1:
        """A value whose hash tells something, and that can be loaded: objects may not have been looked at yet."""
        cdef uint64_t *block
        cdef uint64_t i
        if not PM_IS_REFERENCE(slot):
            return True
        if PM_SLOT_KIND(slot) == PM_REF_OBJECT or PM_SLOT_KIND(slot) > PM_REF_FROZENSET:
            return False
        if PM_SLOT_KIND(slot) >= PM_REF_TUPLE:
            block = <uint64_t *>pm_at(self.pool.p, slot & PM_OFFSET_MASK)
            for i in range(block[0]):
                if not self.is_comparable(block[1 + i]):
                    return False
        return True

    cdef int type_table(self) except -1:
        """Each class has a record of texts; its objects have been looked at."""
        cdef uint64_t slot = self.pool.p.root.types_slot, i, k
        cdef pm_vec *types
        cdef pm_vec *record
        if slot == 0 or self.findings:          # a damaged one has been told of
            return 0
        types = self.sound_list(slot)
        if types == NULL:
            self.findings.append("types: is not a list")
            return 0
        for i in range(types.size):
            record = self.sound_list(pm_vec_at(self.pool.p, types, i, 1)[0])
            if record == NULL or record.size < RECORD_HEAD:
                self.findings.append(f"types[{i}]: is not the record of a class")
                continue
            for k in range(record.size):
                if not is_text(pm_vec_at(self.pool.p, record, k, 1)[0]):
                    self.findings.append(f"types[{i}][{k}]: is not a name")
        return 0


cdef uint64_t size_of(const pm_object *o) noexcept:
    if PM_IS_TABLE(o.type):
        return sizeof(pm_defaultdict) if o.type == PM_TYPE_DEFAULTDICT else sizeof(pm_table)
    if o.type == PM_TYPE_DEQUE:
        return sizeof(pm_deque)
    if PM_IS_BUFFER(o.type):
        return sizeof(pm_array) if o.type == PM_TYPE_ARRAY else sizeof(pm_buffer)
    if o.type == PM_TYPE_SORTED_DICT or o.type == PM_TYPE_SORTED_SET:
        return sizeof(pm_sorted)
    return sizeof(pm_instance) if o.type == PM_TYPE_OBJECT else sizeof(pm_list)


cdef bint is_tuple(uint64_t slot) noexcept:
    return PM_SLOT_KIND(slot) == PM_REF_TUPLE if PM_IS_REFERENCE(slot) else slot == PM_IMMEDIATE(PM_IMM_EMPTY_TUPLE)


cdef bint is_text(uint64_t slot) noexcept:
    if PM_IS_REFERENCE(slot):
        return PM_REF_STR1 <= PM_SLOT_KIND(slot) <= PM_REF_STR4
    return slot & 7 == 4 and (slot >> 3 & 31) < PM_IMM_BYTES


cdef bint immediate_is_sound(uint64_t slot) noexcept:
    """No reference, and one of the values that layout.h names."""
    cdef uint64_t kind = slot >> 3 & 31, data = slot >> 8, length
    if slot & 3:
        return True                     # an int or a float
    if kind >= PM_IMM_NONE:
        return kind <= PM_IMM_NOTIMPLEMENTED and data == 0
    length = kind & 7
    return data >> (8 * length) == 0 and (kind >= PM_IMM_BYTES or data & <uint64_t>0x80808080808080 == 0)


cdef str text_fault(unsigned kind, const uint64_t *block):
    """What is wrong with the characters of a sound block; None: nothing, or it is no text."""
    cdef const uint8_t *one = <const uint8_t *>(block + 1)
    cdef const uint16_t *two = <const uint16_t *>(block + 1)
    cdef const uint32_t *four = <const uint32_t *>(block + 1)
    cdef uint64_t i, length = block[0]
    cdef uint32_t all = 0, largest = 0
    if kind == PM_REF_STR1 or kind == PM_REF_STR1L:
        for i in range(length):
            all |= one[i]
        if (all > 127) != (kind == PM_REF_STR1L):
            return "its text is not of the kind that its slot says"
    elif kind == PM_REF_STR2:
        for i in range(length):
            all |= two[i]
        if all < 256:
            return "its text is not of the kind that its slot says"
    elif kind == PM_REF_STR4:
        for i in range(length):
            largest = max(largest, four[i])
        if largest < 65536:
            return "its text is not of the kind that its slot says"
        if largest > 0x10ffff:
            return "its text holds a character that is none"
    return None


include "_check_sorted.pxi"
include "_check_names.pxi"
