# Iterators and views of PersistentDict.

cdef enum:
    KEYS
    VALUES
    ITEMS


@cython.final
cdef class PersistentDictIterator:
    """Iterator over the keys, values or items of a PersistentDict."""

    cdef PersistentDict d       # None when exhausted
    cdef stamp seen             # from which the dict must not differ in keys
    cdef int what
    cdef bint backwards
    cdef uint64_t left          # live entries to come
    cdef uint64_t at            # next entry; backwards: the one after it
    cdef object pair            # the item given last, or None; given again if nobody else has it

    def __iter__(self):
        return self

    def __next__(self):
        cdef uint64_t *entry
        cdef uint64_t key_slot, slot, first
        cdef pm_table *t
        cdef PyObject *quick
        cdef PersistentDict d = self.d
        if d is None:
            raise StopIteration
        check_read(d)
        t = table_of(d)
        if not same_stamp(d, self.seen):
            if t.used != self.seen.used:
                self.seen.used = <uint64_t>-1       # for good, as with dict
                raise RuntimeError("dictionary changed size during iteration")
            raise RuntimeError("dictionary keys changed during iteration")
        if self.left == 0:
            self.d = None
            raise StopIteration
        self.left -= 1
        while True:
            # other entries may have come to the same place, with holes elsewhere
            if self.at == 0 if self.backwards else self.at >= t.entries.size:
                raise RuntimeError("dictionary keys changed during iteration")
            if self.backwards:
                self.at -= 1
                entry = vec_at(d.pool, &t.entries, self.at, 3)
            else:
                entry = vec_at(d.pool, &t.entries, self.at, 3)
                self.at += 1
                if self.at & 7 == 0:
                    pm_prefetch_texts(d.p, entry, 3)
            key_slot = entry[1]
            if key_slot:
                break
        slot = entry[2]
        # Here and below as slot_load, which the compiler would not inline twice.
        first = slot if self.what == VALUES else key_slot
        quick = pm_quick_value(d.p, first)
        key = slot_load_slow(d.pool, first) if quick == NULL else pm_owned(quick)
        if self.what != ITEMS:
            return key
        if not quiet(key_slot):
            if not same_item(d, self.seen, self.at if self.backwards else self.at - 1, key_slot, slot):
                raise RuntimeError("dictionary changed during iteration")
        quick = pm_quick_value(d.p, slot)
        value = slot_load_slow(d.pool, slot) if quick == NULL else pm_owned(quick)
        return next_pair(self, key, value)

    def __length_hint__(self):
        if self.d is None or self.d.head == NULL or not same_stamp(self.d, self.seen):
            return 0
        return self.left

    def __reduce__(self):
        cdef PersistentDictIterator rest
        if self.d is None:
            return iter, ([],)
        rest = entries(self.d, self.what, self.backwards)
        rest.seen = self.seen
        rest.left = self.left
        rest.at = self.at
        return iter, (list(rest),)


cdef inline object next_pair(PersistentDictIterator it, object key, object value):
    Py_INCREF(key)
    Py_INCREF(value)
    pair = pm_pair(<PyObject *>it.pair, <PyObject *>key, <PyObject *>value)
    if pair is not it.pair:
        it.pair = pair
    return pair


Iterator.register(PersistentDictIterator)


cdef PersistentDictIterator entries(PersistentDict d, int what, bint backwards):
    cdef PersistentDictIterator it = PersistentDictIterator.__new__(PersistentDictIterator)
    check_read(d)
    it.d = d
    it.seen = stamp_of(d)
    it.what = what
    it.backwards = backwards
    it.left = it.seen.used
    it.at = it.seen.size if backwards else 0
    return it


cdef object view(type cls, PersistentDict d):
    cdef PersistentDictView v = cls.__new__(cls)
    v.d = d
    return v


cdef class PersistentDictView:
    """Base of the views: they hold nothing but the dict."""

    cdef PersistentDict d

    __class_getitem__ = classmethod(GenericAlias)

    def __init__(self, *args, **kwargs):
        raise TypeError(f"cannot create '{type(self).__name__}' instances")

    @property
    def mapping(self):
        """The dict, read-only."""
        return MappingProxyType(self.d)

    def __len__(self):
        return len(self.d)

    def __repr__(self):
        if Py_ReprEnter(self.d):
            return "..."
        try:
            return f"{type(self).__name__}({list(self)!r})"
        finally:
            Py_ReprLeave(self.d)

    def __reduce_ex__(self, protocol):
        raise TypeError(f"cannot pickle '{type(self).__name__}' object")


cdef class PersistentDictSetView(PersistentDictView):
    """What the views of keys and items share: the operations of Set.  They give plain sets."""

    def isdisjoint(self, other, /):
        """True if nothing of other is in this view."""
        if self is other:
            return not len(self)
        for item in other:
            if item in self:
                return False
        return True

    def __and__(self, other):
        return {item for item in other if item in self}

    def __rand__(self, other):
        return {item for item in other if item in self}

    def __or__(self, other):
        result = set(self)
        result.update(other)
        return result

    def __ror__(self, other):
        result = set(other)
        result.update(self)
        return result

    def __sub__(self, other):
        result = set(self)
        result.difference_update(other)
        return result

    def __rsub__(self, other):
        result = set(other)
        result.difference_update(self)
        return result

    def __xor__(self, other):
        return set(self).symmetric_difference(other)

    def __rxor__(self, other):
        return set(other).symmetric_difference(self)

    def __eq__(self, other):
        if not isinstance(other, Set):
            return NotImplemented
        return len(self) == len(other) and all_in(self, other)

    def __ne__(self, other):
        if not isinstance(other, Set):
            return NotImplemented
        return len(self) != len(other) or not all_in(self, other)

    def __le__(self, other):
        if not isinstance(other, Set):
            return NotImplemented
        return len(self) <= len(other) and all_in(self, other)

    def __lt__(self, other):
        if not isinstance(other, Set):
            return NotImplemented
        return len(self) < len(other) and all_in(self, other)

    def __ge__(self, other):
        if not isinstance(other, Set):
            return NotImplemented
        return len(self) >= len(other) and all_in(other, self)

    def __gt__(self, other):
        if not isinstance(other, Set):
            return NotImplemented
        return len(self) > len(other) and all_in(other, self)


cdef bint all_in(object these, object those) except -1:
    for item in these:
        if item not in those:
            return False
    return True


@cython.final
cdef class PersistentDictKeys(PersistentDictSetView):
    """Keys of a PersistentDict."""

    def __contains__(self, key):
        return key in self.d

    def __iter__(self):
        return entries(self.d, KEYS, False)

    def __reversed__(self):
        return entries(self.d, KEYS, True)


@cython.final
cdef class PersistentDictItems(PersistentDictSetView):
    """Items of a PersistentDict."""

    def __contains__(self, item):
        if not isinstance(item, tuple) or len(item) != 2:
            return False
        found = self.d.get(item[0], MISSING)
        return found is not MISSING and (found is item[1] or found == item[1])

    def __iter__(self):
        return entries(self.d, ITEMS, False)

    def __reversed__(self):
        return entries(self.d, ITEMS, True)


@cython.final
cdef class PersistentDictValues(PersistentDictView):
    """Values of a PersistentDict."""

    def __iter__(self):
        return entries(self.d, VALUES, False)

    def __reversed__(self):
        return entries(self.d, VALUES, True)


KeysView.register(PersistentDictKeys)
ItemsView.register(PersistentDictItems)
ValuesView.register(PersistentDictValues)
