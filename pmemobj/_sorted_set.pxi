# PersistentSortedSet.

cdef class PersistentSortedSet(Persistent):
    """A set in a pool whose elements are in ascending order: pool.new(PersistentSortedSet, iterable, key=None), with a
    key function if there is one (pmemobj.register_key).

    Has the methods and operators of set and those of sortedcontainers.SortedSet, positions included.  Elements are
    whatever can be stored, hashed and compared with the other elements; those that cannot raise TypeError when added
    and are not found when looked up.

    Finding, adding and removing an element, and finding one by its position, take time in proportion to the logarithm
    of the size.  Every method is atomic alone, update() and its like included: when it raises, nothing has changed.
    Inside a transaction an abort undoes it.  Methods and operators that make a new set give a plain set.

    Raises PoolClosedError, StaleObjectError (created in a transaction that was undone), PoolFullError; RuntimeError
    from an iterator when elements have come or gone since it was made.
    """

    __class_getitem__ = classmethod(GenericAlias)

    @classmethod
    def _p_new(cls, Pool pool not None, tuple args, dict kwargs):
        function = kwargs.pop("key", None)
        if kwargs:
            raise TypeError(f"PersistentSortedSet() has no argument {next(iter(kwargs))!r}")
        if len(args) == 2 and function is None:
            args, function = args[:1], args[1]
        if len(args) > 1:
            raise TypeError(f"PersistentSortedSet expected at most 2 arguments, got {len(args)}")
        elements = dict.fromkeys(args[0]) if args and args[0] is not None else {}
        return new_tree(PersistentSortedSet.__new__(cls), pool, PM_TYPE_SORTED_SET, elements, function)

    # --- one element

    def __contains__(self, element):
        return element_in(self, element)

    def add(self, element, /):
        """Adds an element; no effect if it is there already."""
        check_read(self)
        store(self, element, None, True)

    def discard(self, element, /):
        """Removes an element if it is there."""
        cdef pm_path path
        check_read(self)
        if look_up(self, element, &path):
            remove_at(self, &path)

    def remove(self, element, /):
        """Removes an element; KeyError if it is not there."""
        cdef pm_path path
        check_read(self)
        if not look_up(self, element, &path):
            raise KeyError(element)
        remove_at(self, &path)

    def pop(self, index=-1):
        """Removes and returns the element at this position, by default the last one; IndexError if there is none."""
        cdef pm_path path
        cdef uint64_t version, rank
        cdef int _
        for _ in range(RETRIES):
            rank = position(self, index)
            version = tree_of(self).version
            place_of(self, rank, False, &path)
            element = slot_load(self.pool, key_cell(self.p, &path)[0])
            if same_tree(self, version):
                remove_at(self, &path)
                return element
        spoiled(self)

    # --- positions

    def __getitem__(self, index):
        """The element at this position, or a list of those of a slice."""
        check_read(self)
        if isinstance(index, slice):
            low, high, step = index.indices(length(self))
            if step == 1:
                return list(walk(self, low, max(low, high), KEYS, False))
            return [item_at(self, i, KEYS) for i in range(low, high, step)]
        return item_at(self, position(self, index), KEYS)

    def __setitem__(self, index, element):
        check_read(self)
        raise TypeError("the order of a PersistentSortedSet is that of its elements: add() one, and remove the other")

    def __delitem__(self, index):
        """Removes the element at this position, or those of a slice."""
        check_read(self)
        delete_at(self, index, 0, length(self))

    def index(self, element, start=None, stop=None):
        """The position of the element; ValueError if it is not there, or not between the two."""
        return index_of(self, element, start, stop)

    def count(self, element):
        """1 if the element is there, else 0."""
        return 1 if element_in(self, element) else 0

    @property
    def key(self):
        """The key function, or None."""
        check_read(self)
        return key_function(self)

    def keys(self, min=None, max=None, excludemin=False, excludemax=False):
        """A set-like view of the elements between the bounds, with positions; as that of a BTrees TreeSet."""
        return SortedKeysView(self, min, max, excludemin, excludemax)

    def minKey(self, key=None):
        """The smallest element, or the smallest one that is not below the given one; ValueError if there is none."""
        return outermost(self, key, False)

    def maxKey(self, key=None):
        """The largest element, or the largest one that is not above the given one; ValueError if there is none."""
        return outermost(self, key, True)

    def bisect_left(self, element):
        """How many elements are below this one."""
        return place_by_key(self, element, False, False)

    def bisect_right(self, element):
        """How many elements are not above this one."""
        return place_by_key(self, element, True, False)

    def bisect(self, element):
        """As bisect_right()."""
        return place_by_key(self, element, True, False)

    def bisect_key_left(self, key):
        """As bisect_left(), for what the key function gives."""
        return place_by_key(self, key, False, True)

    def bisect_key_right(self, key):
        """As bisect_right(), for what the key function gives."""
        return place_by_key(self, key, True, True)

    def bisect_key(self, key):
        """As bisect_key_right()."""
        return place_by_key(self, key, True, True)

    def irange(self, minimum=None, maximum=None, inclusive=(True, True), reverse=False):
        """An iterator over the elements between two; None is no bound."""
        return walk_range(self, minimum, maximum, inclusive, reverse, False)

    def irange_key(self, min_key=None, max_key=None, inclusive=(True, True), reverse=False):
        """As irange(), with bounds for what the key function gives."""
        return walk_range(self, min_key, max_key, inclusive, reverse, True)

    def islice(self, start=None, stop=None, reverse=False):
        """An iterator over the elements from one position up to another."""
        return walk_slice(self, start, stop, reverse)

    # --- all elements

    def __len__(self):
        check_read(self)
        return length(self)

    def __bool__(self):
        check_read(self)
        return tree_of(self).count != 0

    def __iter__(self):
        return walk_all(self, KEYS, False)

    def __reversed__(self):
        return walk_all(self, KEYS, True)

    def clear(self):
        """Removes all elements."""
        check_read(self)
        clear_tree(self)

    def copy(self):
        """The elements as a plain set."""
        return set_of(self)

    def __reduce__(self):
        return set, (list(self),)

    def __repr__(self):
        check_read(self)
        name = type(self).__name__
        if Py_ReprEnter(self):
            return f"{name}(...)"
        try:
            return f"{name}({list(walk_all(self, KEYS, False))!r})"
        finally:
            Py_ReprLeave(self)

    # --- comparison

    def isdisjoint(self, other, /):
        """True if no element is also in the iterable."""
        check_read(self)
        if other is self:
            return not len(self)
        for element in other:
            if element_in(self, element):
                return False
        return True

    def issubset(self, other, /):
        """True if every element is in the iterable."""
        return set_of(self).issubset(other)

    def issuperset(self, other, /):
        """True if every element of the iterable is in this set."""
        check_read(self)
        if other is self:
            return True
        for element in other:
            if not element_in(self, element):
                return False
        return True

    def __eq__(self, other):
        if not isinstance(other, Set):
            return NotImplemented
        check_read(self)
        if self is other:
            return True
        return len(self) == len(other) and set_of(self) == set(other)

    def __ne__(self, other):
        equal = PersistentSortedSet.__eq__(self, other)
        return equal if equal is NotImplemented else not equal

    def __le__(self, other):
        if not isinstance(other, Set):
            return NotImplemented
        return len(self) <= len(other) and self.issubset(other)

    def __lt__(self, other):
        if not isinstance(other, Set):
            return NotImplemented
        return len(self) < len(other) and self.issubset(other)

    def __ge__(self, other):
        if not isinstance(other, Set):
            return NotImplemented
        return len(self) >= len(other) and self.issuperset(other)

    def __gt__(self, other):
        if not isinstance(other, Set):
            return NotImplemented
        return len(self) > len(other) and self.issuperset(other)

    # --- new sets

    def union(self, *others):
        """A plain set of the elements of this set and of all iterables."""
        return set_of(self).union(*others)

    def intersection(self, *others):
        """A plain set of the elements that are also in every iterable."""
        return set_of(self).intersection(*others)

    def difference(self, *others):
        """A plain set of the elements that are in none of the iterables."""
        return set_of(self).difference(*others)

    def symmetric_difference(self, other, /):
        """A plain set of the elements that are either in this set or in the iterable."""
        return set_of(self).symmetric_difference(other)

    def __or__(self, other):
        return set_of(self).union(other) if isinstance(other, Set) else NotImplemented

    def __ror__(self, other):
        return set_of(self).union(other) if isinstance(other, Set) else NotImplemented

    def __and__(self, other):
        return set_of(self).intersection(other) if isinstance(other, Set) else NotImplemented

    def __rand__(self, other):
        return set_of(self).intersection(other) if isinstance(other, Set) else NotImplemented

    def __sub__(self, other):
        return set_of(self).difference(other) if isinstance(other, Set) else NotImplemented

    def __rsub__(self, other):
        return set(other).difference(set_of(self)) if isinstance(other, Set) else NotImplemented

    def __xor__(self, other):
        return set_of(self).symmetric_difference(other) if isinstance(other, Set) else NotImplemented

    def __rxor__(self, other):
        return set_of(self).symmetric_difference(other) if isinstance(other, Set) else NotImplemented

    # --- changes of many elements: computed first, then all or nothing

    def update(self, *others):
        """Adds the elements of all iterables, or none of them."""
        check_read(self)
        update_tree(self, elements_of(others))

    def intersection_update(self, *others):
        """Keeps only the elements that are in every iterable."""
        check_read(self)
        kept = [other if isinstance(other, (set, frozenset)) else set(other) for other in others]
        change(self, lambda: set_of(self).difference(set_of(self).intersection(*kept)), {})

    def difference_update(self, *others):
        """Removes the elements of all iterables."""
        check_read(self)
        gone = elements_of(others)
        change(self, lambda: gone, {})

    def symmetric_difference_update(self, other, /):
        """Removes the elements that are in the iterable, and adds those of it that are not in this set."""
        check_read(self)
        given = dict.fromkeys(other)
        change(self, lambda: [element for element in given if element_in(self, element)], given)

    def __ior__(self, other):
        if not isinstance(other, Set):
            return NotImplemented
        PersistentSortedSet.update(self, other)
        return self

    def __iand__(self, other):
        if not isinstance(other, Set):
            return NotImplemented
        PersistentSortedSet.intersection_update(self, other)
        return self

    def __isub__(self, other):
        if not isinstance(other, Set):
            return NotImplemented
        PersistentSortedSet.difference_update(self, other)
        return self

    def __ixor__(self, other):
        if not isinstance(other, Set):
            return NotImplemented
        PersistentSortedSet.symmetric_difference_update(self, other)
        return self

    def _check(self):
        """Raises AssertionError with the reason if the tree is not what it should be."""
        check_tree(self)


cdef set set_of(PersistentSortedSet s):
    return set(walk_all(s, KEYS, False))


cdef dict elements_of(tuple iterables):
    cdef dict elements = {}
    for iterable in iterables:
        for element in iterable:
            elements.setdefault(element)
    return elements


cdef bint element_in(PersistentSortedSet s, object element) except -1:
    cdef pm_path path
    check_read(s)
    return look_up(s, element, &path)


cdef int change(PersistentSortedSet s, object find_gone, dict given) except -1:
    """Removes what the function names, where it is there; then adds the others of those given.  All or nothing."""
    cdef Pool pool = s.pool
    cdef pm_path path
    cdef uint64_t version, epoch
    cdef bint done
    cdef int _
    for _ in range(RETRIES):
        check_read(s)
        version = tree_of(s).version
        gone = dict.fromkeys(find_gone())
        numbers = set()
        for element in gone:
            if not same_tree(s, version):
                break
            if look_up(s, element, &path):
                numbers.add(pm_rank_of(s.p, &path))
        if not same_tree(s, version):
            continue
        added = {element: None for element in given if element not in gone}     # may run user code
        if not added and same_tree(s, version):
            return remove_ranks(s, sorted(numbers, reverse=True))
        epoch = block_begin(pool)
        try:
            done = same_tree(s, version)        # other threads may have had their turn
            if done:
                remove_ranks(s, sorted(numbers, reverse=True))
                update_tree(s, added)
        except BaseException:
            block_abort(pool, epoch)
            raise
        if done:
            return block_commit(pool, epoch)
        block_abort(pool, epoch)
    spoiled(s)


register_class(PM_TYPE_SORTED_SET, PersistentSortedSet)
MutableSet.register(PersistentSortedSet)
Sequence.register(PersistentSortedSet)
