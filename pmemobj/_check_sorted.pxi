# Sorted dicts and sets: see pm_sorted in layout.h.  Keys that only Python can compare are not.

cdef extern from "_engine/objects/sorted.h":
    enum:
        PM_UNORDERED

    pm_leaf *pm_leaf_at(const pm_pool *p, uint64_t offset) noexcept
    pm_inner *pm_inner_at(const pm_pool *p, uint64_t offset) noexcept
    unsigned pm_leaf_size(const pm_leaf *leaf) noexcept
    uint64_t pm_leaf_bytes(const pm_sorted *t) noexcept
    int pm_compare_slots(const pm_pool *p, uint64_t a, uint64_t b) noexcept


cdef extern from "_engine/objects/heads.h":
    ctypedef struct pm_headed:
        pass

    pm_headed pm_leaf_headed(pm_leaf *leaf) noexcept
    pm_headed pm_inner_headed(pm_inner *inner) noexcept
    unsigned pm_heads_wrong(const pm_pool *p, const pm_headed *node) noexcept


cdef class SortedChecker:
    """One sorted container: its nodes first, then what the entries hold."""
    cdef Checker checker
    cdef pm_sorted *t
    cdef list leaves                    # in order
    cdef list inners                    # the sound ones
    cdef uint64_t last_key              # of the entries met so far

    cdef bint node(self, uint64_t offset, uint64_t height, bint is_last, uint64_t *count, uint64_t *smallest) except -1:
        """All of the node's structure.  False: its counts are not known."""
        cdef pm_pool *p = self.checker.pool.p
        cdef pm_inner *inner
        cdef uint64_t i, below = 0, key = 0
        cdef bint sound = True
        if height == 1:
            return self.leaf(offset, is_last, count, smallest)
        if not self.checker.block(offset, sizeof(pm_inner), "its node"):
            return False
        inner = pm_inner_at(p, offset)
        if inner.size > PM_INNER_CHILDREN or inner.size < (
            2 if offset == self.t.root else 1 if is_last else PM_INNER_MIN
        ):
            self.checker.fault(f"the node at {offset:#x} has {inner.size} children")
            return False
        count[0] = 0
        for i in range(inner.size):
            if not self.node(inner.children[i], height - 1, is_last and i + 1 == inner.size, &below, &key):
                sound = False
                continue
            if below != inner.counts[i]:
                self.checker.fault(
                    f"the node at {offset:#x} counts {inner.counts[i]} entries below child {i}, has {below}"
                )
            if i == 0:
                smallest[0] = key
            elif key != inner.keys[i]:
                self.checker.fault(f"the node at {offset:#x} has another key than that of its child {i}")
            count[0] += below
        if sound:
            self.inners.append(offset)
        return sound

    cdef bint leaf(self, uint64_t offset, bint is_last, uint64_t *count, uint64_t *smallest) except -1:
        cdef pm_leaf *leaf
        cdef uint64_t met = 0
        cdef unsigned i
        if not self.checker.block(offset, pm_leaf_bytes(self.t), "its leaf"):
            return False
        leaf = pm_leaf_at(self.checker.pool.p, offset)
        count[0] = pm_leaf_size(leaf)
        if leaf.used >> PM_LEAF_KEYS or leaf.used == 0:
            self.checker.fault(f"the leaf at {offset:#x} uses {leaf.used:#x}")
            return False
        if count[0] < PM_LEAF_MIN and offset != self.t.root and not is_last:
            self.checker.fault(f"the leaf at {offset:#x} has {count[0]} entries")
        for i in range(count[0]):
            if leaf.order[i] < PM_LEAF_KEYS:
                met |= <uint64_t>1 << leaf.order[i]
        if met != leaf.used:
            self.checker.fault(f"the leaf at {offset:#x} has entries at {leaf.used:#x}, its order names {met:#x}")
            return False
        smallest[0] = leaf.keys[leaf.order[0]]
        self.leaves.append(offset)
        return True

    cdef int entries(self, uint64_t offset, uint64_t number) except -1:
        """What the entries of a sound leaf hold, and that the keys are in order."""
        cdef pm_pool *p = self.checker.pool.p
        cdef pm_leaf *leaf = pm_leaf_at(p, offset)
        cdef unsigned i
        cdef uint64_t key
        for i in range(pm_leaf_size(leaf)):
            key = leaf.keys[leaf.order[i]]
            self.checker.number = number + i
            self.checker.at = KEY
            faults = len(self.checker.findings)
            self.checker.slot(key)
            if len(self.checker.findings) != faults:
                key = 0
            elif self.last_key and self.t.key_name == 0 and pm_compare_slots(p, self.last_key, key) not in (
                -1, PM_UNORDERED
            ):
                self.checker.fault("is not above the one before it")
            self.last_key = key
            if self.t.head.type == PM_TYPE_SORTED_DICT:
                self.checker.at = ITEM
                self.checker.slot(leaf.values[leaf.order[i]])
        return 0

    cdef int heads(self, uint64_t offset, bint is_leaf) except -1:
        """Of a node whose keys are all sound."""
        cdef pm_pool *p = self.checker.pool.p
        cdef pm_headed node
        cdef unsigned wrong
        node = pm_leaf_headed(pm_leaf_at(p, offset)) if is_leaf else pm_inner_headed(pm_inner_at(p, offset))
        wrong = pm_heads_wrong(p, &node)
        if wrong:
            what = "leaf" if is_leaf else "node"
            self.checker.fault(f"the {what} at {offset:#x} does not tell how its key at {wrong - 1} begins")
        return 0

    cdef int run(self) except -1:
        cdef pm_pool *p = self.checker.pool.p
        cdef pm_sorted *t = self.t
        cdef uint64_t count = 0, smallest = 0, before = 0, number = 0, offset
        cdef bint sound
        self.leaves = []
        self.inners = []
        faults = len(self.checker.findings)
        if t.key_name:
            self.checker.slot(t.key_name)
        if t.height > PM_SORTED_HEIGHT or (t.height == 0) != (t.root == 0):
            return self.checker.fault(f"has a tree of height {t.height} at {t.root:#x}")
        sound = t.height == 0 or self.node(t.root, t.height, True, &count, &smallest)
        if sound and count != t.count:
            self.checker.fault(f"counts {t.count} entries, has {count}")
        for offset in self.leaves:
            self.checker.number = -1
            if sound and (pm_leaf_at(p, offset).prev != before or before and pm_leaf_at(p, before).next != offset):
                self.checker.fault(f"the leaf at {offset:#x} is not linked with the one before it")
            before = offset
            self.entries(offset, number)
            number += pm_leaf_size(pm_leaf_at(p, offset))
        self.checker.number = -1
        if sound and before and pm_leaf_at(p, before).next:
            self.checker.fault(f"the last leaf at {before:#x} names another one")
        if len(self.checker.findings) == faults:
            for offset in self.leaves:
                self.heads(offset, True)
            for offset in self.inners:
                self.heads(offset, False)
        return 0


cdef int check_sorted(Checker checker, pm_sorted *t) except -1:
    cdef SortedChecker one = SortedChecker.__new__(SortedChecker)
    one.checker = checker
    one.t = t
    return one.run()
