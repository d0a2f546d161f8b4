# Iterators and views.

cdef enum:
    KEYS = PM_WALK_KEYS
    VALUES = PM_WALK_VALUES
    ITEMS = PM_WALK_KEYS | PM_WALK_VALUES


cdef int walked_too_far(Persistent o) except -1:
    raise errors.PoolDamagedError(f"{o.pool.path}: the leaves of a {type(o).__name__} end too early")


@cython.final
@cython.auto_pickle(False)
cdef class SortedIterator:
    """Iterator over keys, values or items of a sorted container, in order or backwards."""

    cdef Persistent o           # None when exhausted
    cdef pm_walk at
    cdef int what
    cdef bint backwards
    cdef object pair            # the item given last, or None; given again if nobody else has it

    def __init__(self):
        raise TypeError("iter() of a sorted container makes these")

    def __iter__(self):
        return self

    def __next__(self):
        cdef unsigned position = 0
        cdef uint64_t slot
        cdef pm_leaf *leaf
        cdef Persistent o = self.o
        if o is None:
            raise StopIteration
        check_read(o)
        if tree_of(o).version != self.at.version:
            self.at.version = 0         # for good, as with dict
            raise RuntimeError(f"{type(o).__name__} changed during iteration")
        if self.at.left == 0:
            self.o = None
            raise StopIteration
        if self.backwards:
            leaf = pm_walk_back(o.p, tree_of(o), &self.at, &position)
        else:
            leaf = pm_walk_next(o.p, tree_of(o), &self.at, &position)
        if leaf == NULL:
            walked_too_far(o)
        if self.what == KEYS:
            return slot_load(o.pool, leaf.keys[position])
        if self.what == VALUES:
            return slot_load(o.pool, leaf.values[position])
        slot = leaf.keys[position]
        key = slot_load(o.pool, slot)
        if not quiet(slot) and not same_tree(o, self.at.version):
            raise RuntimeError(f"{type(o).__name__} changed during iteration")
        value = slot_load(o.pool, pm_leaf_at(o.p, self.at.leaf).values[position])
        Py_INCREF(key)
        Py_INCREF(value)
        pair = pm_pair(<PyObject *>self.pair, <PyObject *>key, <PyObject *>value)
        if pair is not self.pair:
            self.pair = pair
        return pair

    def __length_hint__(self):
        if self.o is None or self.o.head == NULL:
            return 0
        check_read(self.o)
        return self.at.left if tree_of(self.o).version == self.at.version else 0

    def __reduce_ex__(self, protocol):
        raise TypeError("an iterator over a sorted container cannot be pickled or copied")


Iterator.register(SortedIterator)


cdef SortedIterator walk(Persistent o, uint64_t first, uint64_t end, int what, bint backwards):
    """Over the entries first..end-1, which are there."""
    cdef SortedIterator it = SortedIterator.__new__(SortedIterator)
    cdef pm_sorted *t
    cdef pm_path path
    check_read(o)
    t = tree_of(o)
    if end > t.count:                   # user code has changed it
        end = t.count
    if first > end:
        first = end
    it.o = o
    it.what = what
    it.backwards = backwards
    it.at.version = t.version
    it.at.left = end - first
    it.at.at = it.at.size = 0
    it.at.wanted = what
    if first < end:
        place_of(o, end if backwards else first, backwards, &path)
        it.at.leaf = pm_path_leaf(&path)
        it.at.at = path.at
        it.at.size = pm_leaf_size(pm_leaf_at(o.p, it.at.leaf))
    return it


# --- views: they hold nothing but the dict and their bounds

class _SortedView(Sequence):
    __slots__ = ("_d", "_bounds")
    _what = KEYS

    def __init__(self, d, *bounds):
        self._d = d
        self._bounds = None if bounds == (None, None, False, False) else bounds

    __class_getitem__ = classmethod(GenericAlias)

    def _ranks(self):
        if self._bounds is None:
            return 0, len(self._d)
        lowest, highest, without_lowest, without_highest = self._bounds
        return ranks(self._d, lowest, highest, without_lowest, without_highest, False)

    def __len__(self):
        first, end = self._ranks()
        return end - first

    def __iter__(self):
        first, end = self._ranks()
        return walk(self._d, first, end, self._what, False)

    def __reversed__(self):
        first, end = self._ranks()
        return walk(self._d, first, end, self._what, True)

    def __getitem__(self, index):
        """The element at this position, or a list of those of a slice."""
        first, end = self._ranks()
        if isinstance(index, slice):
            low, high, step = index.indices(end - first)
            if step == 1:
                return list(walk(self._d, first + low, first + max(low, high), self._what, False))
            return [item_at(self._d, first + i, self._what) for i in range(low, high, step)]
        i = number_of(index)
        if i < 0:
            i += end - first
        if not 0 <= i < end - first:
            raise IndexError(f"{type(self).__name__} index out of range")
        return item_at(self._d, first + i, self._what)

    def __repr__(self):
        if Py_ReprEnter(self):
            return "..."
        try:
            return f"{type(self).__name__}({list(self)!r})"
        finally:
            Py_ReprLeave(self)

    def __reduce_ex__(self, protocol):
        raise TypeError(f"cannot pickle '{type(self).__name__}' object")

    def _holds(self, key):
        """The key is in the dict, and between the bounds."""
        if key not in self._d:
            return False
        if self._bounds is None:
            return True
        first, end = self._ranks()
        return first <= self._d.index(key) < end


class _SortedSetView(_SortedView, Set):
    """What the views of keys and items share: the operations of Set.  They give plain sets."""

    __slots__ = ()

    @classmethod
    def _from_iterable(cls, iterable):
        return set(iterable)


class SortedKeysView(_SortedSetView):
    """Keys of a PersistentSortedDict."""

    __slots__ = ()

    def __contains__(self, key):
        return self._holds(key)

    def index(self, key, start=None, stop=None):
        """The position of the key; ValueError if it is not there, or not between the two."""
        first, end = self._ranks()
        low, high, _ = slice(start, stop).indices(end - first)
        return index_of(self._d, key, first + low, first + max(low, high)) - first

    def count(self, key):
        """1 if the key is there, else 0."""
        return 1 if key in self else 0

    def __delitem__(self, index):
        """Removes the items at these positions."""
        first, end = self._ranks()
        delete_at(self._d, index, first, end)


class SortedItemsView(_SortedSetView):
    """Items of a PersistentSortedDict, as (key, value)."""

    __slots__ = ()
    _what = ITEMS

    def __contains__(self, item):
        if not isinstance(item, tuple) or len(item) != 2:
            return False
        found = self._d.get(item[0], MISSING)
        return found is not MISSING and (found is item[1] or found == item[1]) and self._holds(item[0])

    def index(self, item, start=None, stop=None):
        """The position of the item; ValueError if it is not there, or not between the two."""
        if item not in self:
            raise ValueError(f"{item!r} is not in {type(self).__name__}")
        return SortedKeysView.index(self, item[0], start, stop)

    def count(self, item):
        """1 if the item is there, else 0."""
        return 1 if item in self else 0


class SortedValuesView(_SortedView):
    """Values of a PersistentSortedDict, in the order of their keys."""

    __slots__ = ()
    _what = VALUES

    def __contains__(self, value):
        return any(found is value or found == value for found in self)


KeysView.register(SortedKeysView)
ItemsView.register(SortedItemsView)
ValuesView.register(SortedValuesView)


cdef int delete_at(Persistent o, object index, uint64_t first, uint64_t end) except -1:
    """Of the entries first..end-1: that at an index, or those of a slice."""
    cdef uint64_t version = tree_of(o).version
    if isinstance(index, slice):
        numbers = range(end - first)[index]
        if numbers.step > 0:
            numbers = numbers[::-1]
    else:
        i = number_of(index)
        size = end - first
        if i < 0:
            i += size
        if not 0 <= i < size:
            raise IndexError(f"{type(o).__name__} index out of range")
        numbers = (i,)
    if not same_tree(o, version):
        spoiled(o)
    return remove_ranks(o, [first + i for i in numbers])
