# What lies where: a word of the pool by the path of the object that it belongs to, and by the names of layout.h.

cdef tuple HEAD = ("refs, type, flags", "born", "limbo_next", "limbo_prev")
cdef tuple VEC = ("size", "cap", "data", "dir_cap")
cdef tuple TABLE = ("used", *(f"entries.{name}" for name in VEC), "index", "index_depth", "factory")
cdef tuple BUFFER = ("size", "start", "cap", "data", "row", "rows", "shape", "dtype")
cdef tuple ROOT_BLOCK = (
    "magic", "version", "incompat", "compat", "uuid", "uuid", "state", "root slot", "types slot", "limbo", "chunks",
    "generation",
)
cdef tuple PAGE = ("bitmap", "bitmap", "bitmap", "bitmap", "next", "prev", "chunk", "block size, listed")
cdef tuple CHUNK = ("bitmap", "next", "prev", "first page", "listed", "empty", "spans", "starts")
cdef enum:
    PAGE_BYTES = 4096
    HEADER_BYTES = 64                   # of a page, and of a chunk


cdef tuple body_of(unsigned type):
    """Names of the words behind the head."""
    if type == PM_TYPE_LIST or type == PM_TYPE_TUPLE:
        return VEC
    if PM_IS_TABLE(type):
        return TABLE
    if PM_IS_BUFFER(type):
        return BUFFER
    if type == PM_TYPE_DEQUE:
        return "left", "right", "first", "last", "maxlen"
    if type == PM_TYPE_OBJECT:
        return "class and number of fields", "fields"
    return "count", "version", "root", "height", "key_name"


cdef str named(tuple names, uint64_t number, str others):
    return names[number] if number < <uint64_t>len(names) else others


cdef class Namer(Checker):
    """Names words of a pool."""
    cdef dict sizes
    cdef list starts
    cdef set pages, parts

    def names(self, offsets):
        """A text for each of these offsets in the pool file."""
        self.owners = {}
        self.sizes, _ = blocks_in_use(self.pool)
        self.starts = sorted(self.sizes)
        small = [at for at in self.starts if self.sizes[at] <= PM_SMALL_MAX and at % PAGE_BYTES >= HEADER_BYTES]
        self.pages = {at // PAGE_BYTES * PAGE_BYTES for at in small}
        self.run()
        self.parts = {(<uint64_t *>pm_at(self.pool.p, at))[6] for at in self.pages}
        return [self.name(at) for at in offsets]

    cdef str name(self, uint64_t at):
        cdef uint64_t root = <uint64_t>(<char *>self.pool.p.root - self.pool.p.base), inside = at % PAGE_BYTES, start
        if root <= at < root + sizeof(pm_root):
            return self.of_root((at - root) // 8)
        number = bisect_right(self.starts, at) - 1
        if number >= 0 and at < self.starts[number] + self.sizes[self.starts[number]]:
            return self.of_block(self.starts[number], (at - <uint64_t>self.starts[number]) // 8)
        if inside < HEADER_BYTES and at - inside in self.pages:
            size = (<uint64_t *>pm_at(self.pool.p, at - inside))[7] & 0xffffffff
            return f"page of blocks of {size} bytes: {PAGE[inside // 8]}"
        for start in self.parts:
            if start <= at < start + HEADER_BYTES:
                return f"chunk: {CHUNK[(at - start) // 8]}"
        return "free memory" if at >= self.pool.p.low else "libpmemobj"

    cdef str of_root(self, uint64_t number):
        if 16 <= number < 16 + sizeof(self.pool.p.root.pages) // 8:
            return f"root block: pages of size class {number - 16}"
        return "root block: " + named(ROOT_BLOCK, number, "applied")

    cdef str of_block(self, uint64_t start, uint64_t number):
        cdef pm_object *o
        owner = self.owners.get(start)
        if owner is None:
            return "a block that nothing leads to"
        way, what = owner
        path = self.path_by(way)
        if what == "its value":
            return f"{path}: {'length' if number == 0 else 'content'} of its value"
        o = <pm_object *>pm_at(self.pool.p, way[0])
        if what == "its object":
            field = HEAD[number] if number < 4 else named(body_of(o.type), number - 4, "unused")
            return f"{path}: {field}"
        if what.endswith("its block"):
            return path + self.of_items(o, way[0], what, start, number)
        if what.startswith("its index"):
            return f"{path}: cell {number} of {what}"
        return f"{path}: {self.of_node(what, number)}"

    cdef str of_items(self, pm_object *o, uint64_t holder, str what, uint64_t start, uint64_t number):
        cdef pm_deque_block *block
        cdef unsigned stride
        if what.startswith("segment "):
            number += int(what.split()[1].rstrip(":")) * PM_SEG_WORDS
        if o.type == PM_TYPE_DEQUE:
            block = <pm_deque_block *>pm_at(self.pool.p, start)
            if number < 4:
                return f": {('next', 'prev', 'start', 'cap')[number]} of a block"
            return f"[{<int64_t>(block.start + number - 4 - (<pm_deque *>o).left)}]"
        if PM_IS_BUFFER(o.type):
            return f": bytes from {8 * number} on"
        if PM_IS_TABLE(o.type):
            stride = PM_TABLE_STRIDE(o.type)
            if number // stride >= (<pm_table *>o).entries.size:
                return f": entry {number // stride}, behind the last one"
            part = ("hash", "key", "value")[number % stride]
            return f"{self.step(holder, number // stride, ITEM)}: {part}"
        return self.step(holder, number, FIELD if o.type == PM_TYPE_OBJECT else ITEM)

    cdef str of_node(self, str what, uint64_t number):
        """Of a tree's nodes and leaves; see pm_leaf and pm_inner."""
        cdef uint64_t first = 1 if what == "its node" else 9, count = PM_INNER_CHILDREN, k
        kinds = ("head", "key", "child", "count")
        if what != "its node":
            count = PM_LEAF_KEYS
            kinds = ("head", "key", "value")
        if number < first:
            names = ("used", "next", "prev") if first > 1 else ("size",)
            return f"{named(names, number, 'order')} of {what}"
        if number < first + sizeof(pm_common) // 8:
            return f"what all keys of {what} begin with"
        k = number - first - sizeof(pm_common) // 8
        return f"{named(kinds, k // count, 'end')} {k % count} of {what}"
