"""PersistentSortedDict and PersistentSortedSet: a B+-tree in a pool (see pm_sorted in layout.h and sorted.h).

How a mutator goes: what is to be stored is looked through, the key's place is found (both may run user code, the
search begins anew when that changes the tree); then one operation, in which no Python code runs.
"""

cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport Py_EQ, Py_LT, PyObject, PyObject_Hash, PyObject_RichCompareBool
from cpython.ref cimport Py_INCREF
from cpython.unicode cimport PyUnicode_CheckExact
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy, memmove, memset

from pmemobj._cengine cimport pm_at, pm_fresh, pm_pool, pm_store
from pmemobj._core cimport (
    Persistent, Pool, alloc, bind, block_abort, block_begin, block_commit, check_read, drop_last_leaf, inner_must_be,
    leaf_must_be, level_abort, level_begin, level_commit, lower_root, next_version, object_drop, object_new, op_abort,
    op_begin, op_end, plausible, pool_check_read, raise_tree_damaged, register_class, release, slot_drop,
)
from pmemobj._layout cimport *
from pmemobj._values cimport Plan, encode, encode_value, pm_immediate, prepare, slot_load

from collections.abc import (
    ItemsView, Iterator, KeysView, Mapping, MutableMapping, MutableSet, Sequence, Set, ValuesView,
)
from types import GenericAlias

import operator

from pmemobj import errors

__all__ = ["PersistentSortedDict", "PersistentSortedSet"]

cdef extern from "Python.h":
    int Py_ReprEnter(object o) except -1
    void Py_ReprLeave(object o) noexcept
    Py_ssize_t PyNumber_AsSsize_t(object o, object error) except? -1

cdef extern from "_engine/objects/keys.h":
    uint64_t pm_op_text(pm_pool *p, object text) noexcept
    bint pm_is_scalar(object value) noexcept

cdef extern from "_engine/objects/text.h":
    bint pm_replace(pm_pool *p, uint64_t *at, object value) noexcept

cdef extern from "_engine/objects/pairs.h":
    object pm_pair(PyObject *last, PyObject *key, PyObject *value)
    void pm_is_mapping(object cls)

cdef extern from "_engine/objects/sorted.h":
    enum:
        PM_UNORDERED
        PM_SOUGHT_OTHER
        PM_SOUGHT_NAN
        PM_WALK_KEYS
        PM_WALK_VALUES

    ctypedef struct pm_sought:
        int kind

    ctypedef struct pm_path:
        unsigned height, at
        int found
        uint64_t nodes[16]
        unsigned child[16]

    ctypedef struct pm_walk:
        uint64_t version, leaf, left
        unsigned at, size, wanted

    pm_leaf *pm_leaf_at(const pm_pool *p, uint64_t offset) noexcept
    pm_inner *pm_inner_at(const pm_pool *p, uint64_t offset) noexcept
    unsigned pm_leaf_size(const pm_leaf *leaf) noexcept
    unsigned pm_free_position(uint64_t used) noexcept
    uint64_t pm_leaf_bytes(const pm_sorted *t) noexcept
    uint64_t pm_path_leaf(const pm_path *path) noexcept
    uint64_t pm_node_count(const pm_pool *p, uint64_t node, bint is_leaf) noexcept
    void pm_sought_set(pm_sought *k, object key) noexcept
    int pm_compare_any(const pm_pool *p, uint64_t slot, const pm_sought *k) noexcept
    int pm_compare_slots(const pm_pool *p, uint64_t a, uint64_t b) noexcept
    bint pm_find_place(const pm_pool *p, const pm_sorted *t, const pm_sought *k, pm_path *path) noexcept
    bint pm_place_of(const pm_pool *p, const pm_sorted *t, uint64_t rank, bint end, pm_path *path) noexcept
    bint pm_last_place(const pm_pool *p, const pm_sorted *t, pm_path *path) noexcept
    uint64_t pm_rank_of(const pm_pool *p, const pm_path *path) noexcept
    pm_leaf *pm_walk_next(const pm_pool *p, const pm_sorted *t, pm_walk *w, unsigned *position) noexcept
    pm_leaf *pm_walk_back(const pm_pool *p, const pm_sorted *t, pm_walk *w, unsigned *position) noexcept

cdef extern from "_engine/objects/heads.h":
    ctypedef struct pm_headed:
        pass

    pm_headed pm_leaf_headed(pm_leaf *leaf) noexcept
    pm_headed pm_inner_headed(pm_inner *inner) noexcept
    void pm_heads_renew(pm_pool *p, const pm_headed *node, bint fresh) noexcept
    void pm_heads_add(pm_pool *p, const pm_headed *node, unsigned at) noexcept
    unsigned pm_heads_wrong(const pm_pool *p, const pm_headed *node) noexcept

cdef enum:
    RETRIES = 100               # of what user code keeps spoiling, before RuntimeError

cdef object MISSING = object()


cdef inline pm_sorted *tree_of(Persistent o) noexcept:
    return <pm_sorted *>o.head


cdef inline Py_ssize_t length(Persistent o) except -1:
    return plausible(o, tree_of(o).count)


cdef inline int place_of(Persistent o, uint64_t rank, bint end, pm_path *path) except -1:
    if not pm_place_of(o.p, tree_of(o), rank, end, path):
        raise_tree_damaged(o.pool, tree_of(o))
    return 0


cdef inline bint quiet(uint64_t slot) noexcept:
    """Loading this slot runs no user code, not even through a garbage collection."""
    return slot & 7 != 0 or 1 <= slot >> 48 <= 8


cdef inline uint64_t *key_cell(const pm_pool *p, const pm_path *path) noexcept:
    cdef pm_leaf *leaf = pm_leaf_at(p, pm_path_leaf(path))
    return &leaf.keys[leaf.order[path.at]]


cdef inline uint64_t *value_cell(const pm_pool *p, const pm_path *path) noexcept:
    cdef pm_leaf *leaf = pm_leaf_at(p, pm_path_leaf(path))
    return &leaf.values[leaf.order[path.at]]


include "_sorted_tree.pxi"
include "_sorted_search.pxi"
include "_sorted_bulk.pxi"
include "_sorted_walk.pxi"
include "_sorted_common.pxi"


cdef class PersistentSortedDict(Persistent):
    """A dict in a pool whose keys are in ascending order: pool.new(PersistentSortedDict, ...) with the arguments of
    dict(), after a key function if there is one (pmemobj.register_key).

    Has the methods of sortedcontainers.SortedDict and of a BTree.  Keys are whatever can be stored, hashed and
    compared with the other keys; those that cannot raise TypeError when stored and are not found when looked up.
    What is stored comes back with its own type; list, dict and set values become their persistent counterparts.

    Finding, storing and removing a key, and finding one by its position, take time in proportion to the logarithm of
    the size.  Every method is atomic alone, update() and |= included: when it raises, nothing has changed.  Inside
    a transaction an abort undoes it.  copy(), fromkeys() and | give a plain dict.

    Raises PoolClosedError, StaleObjectError (created in a transaction that was undone), PoolFullError; RuntimeError
    from an iterator when keys have come or gone since it was made.
    """

    __class_getitem__ = classmethod(GenericAlias)

    @classmethod
    def _p_new(cls, Pool pool not None, tuple args, dict kwargs):
        function = None
        if args and (args[0] is None or callable(args[0])):
            function, args = args[0], args[1:]
        return new_tree(
            PersistentSortedDict.__new__(cls), pool, PM_TYPE_SORTED_DICT,
            items_of(args, kwargs, "PersistentSortedDict"), function,
        )

    # --- one key

    def __getitem__(self, key):
        cdef pm_path path
        check_read(self)
        if not look_up(self, key, &path):
            raise KeyError(key)
        return slot_load(self.pool, value_cell(self.p, &path)[0])

    def get(self, key, default=None, /):
        """The value of the key, or default."""
        cdef pm_path path
        check_read(self)
        return slot_load(self.pool, value_cell(self.p, &path)[0]) if look_up(self, key, &path) else default

    def __contains__(self, key):
        cdef pm_path path
        check_read(self)
        return look_up(self, key, &path)

    def __setitem__(self, key, value):
        cdef pm_path path
        cdef pm_sought k
        check_read(self)
        pm_sought_set(&k, key)
        if tree_of(self).key_name == 0 and pm_find_place(self.p, tree_of(self), &k, &path):
            if path.found:
                if pm_replace(self.p, value_cell(self.p, &path), value):
                    return
            elif pm_is_scalar(value):
                insert_scalars(self, &path, key, value)
                return
        store(self, key, value, False)

    def __delitem__(self, key):
        cdef pm_path path
        check_read(self)
        if not look_up(self, key, &path):
            raise KeyError(key)
        remove_at(self, &path)

    def setdefault(self, key, default=None, /):
        """The value of the key; if it is missing, default is stored first.  Gives what is stored: a
        PersistentList for a list."""
        cdef pm_path path
        check_read(self)
        if find_place(self, key, &path):
            return slot_load(self.pool, value_cell(self.p, &path)[0])
        return slot_load(self.pool, store(self, key, default, True))

    def pop(self, key, default=MISSING, /):
        """Removes the key and gives its value, or default; KeyError without one."""
        cdef pm_path path
        cdef uint64_t slot, version
        cdef int _
        for _ in range(RETRIES):
            check_read(self)
            if not look_up(self, key, &path):
                if default is MISSING:
                    raise KeyError(key)
                return default
            version = tree_of(self).version
            slot = value_cell(self.p, &path)[0]
            value = slot_load(self.pool, slot)
            if quiet(slot) or same_tree(self, version) and value_cell(self.p, &path)[0] == slot:
                remove_at(self, &path)
                return value
        spoiled(self)

    def popitem(self, index=-1):
        """Removes the item at this position, by default the last one, and gives it as (key, value)."""
        cdef pm_path path
        cdef uint64_t slot, version, rank
        cdef int _
        for _ in range(RETRIES):
            check_read(self)
            if tree_of(self).count == 0:
                raise KeyError("popitem(): dictionary is empty")
            rank = position(self, index)
            version = tree_of(self).version
            place_of(self, rank, False, &path)
            key = slot_load(self.pool, key_cell(self.p, &path)[0])
            if not same_tree(self, version):
                continue
            slot = value_cell(self.p, &path)[0]
            value = slot_load(self.pool, slot)
            if same_tree(self, version) and value_cell(self.p, &path)[0] == slot:
                remove_at(self, &path)
                return key, value
        spoiled(self)

    def peekitem(self, index=-1):
        """The item at this position, by default the last one, as (key, value); IndexError if there is none."""
        return item_at(self, position(self, index), ITEMS)

    # --- many keys

    def update(self, *args, **kwargs):
        """As dict.update: a mapping or an iterable of pairs, and keywords.  All of it is stored, or nothing."""
        check_read(self)
        update_tree(self, items_of(args, kwargs, "update"))

    def clear(self):
        """Removes all items."""
        check_read(self)
        clear_tree(self)

    def copy(self):
        """The items as a plain dict, in order."""
        return dict_of(self)

    def __reduce__(self):
        return dict, (), None, None, iter(dict_of(self).items())

    @classmethod
    def fromkeys(cls, iterable, value=None, /):
        """A plain dict with these keys; a PersistentSortedDict needs a pool."""
        return dict.fromkeys(iterable, value)

    def __or__(self, other):
        return merged(self, other)

    def __ror__(self, other):
        return merged(other, self)

    def __ior__(self, other):
        check_read(self)
        update_tree(self, items_of((other,), {}, "update"))
        return self

    # --- all keys

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

    def keys(self, min=None, max=None, excludemin=False, excludemax=False):
        """A view of the keys, set-like and with positions; with bounds, of those between them."""
        return SortedKeysView(self, min, max, excludemin, excludemax)

    def values(self, min=None, max=None, excludemin=False, excludemax=False):
        """A view of the values in the order of their keys, with positions; the bounds are for the keys."""
        return SortedValuesView(self, min, max, excludemin, excludemax)

    def items(self, min=None, max=None, excludemin=False, excludemax=False):
        """A view of the items as (key, value), set-like and with positions; the bounds are for the keys."""
        return SortedItemsView(self, min, max, excludemin, excludemax)

    @property
    def key(self):
        """The key function, or None."""
        check_read(self)
        return key_function(self)

    def minKey(self, key=None):
        """The smallest key, or the smallest one that is not below the given one; ValueError if there is none."""
        return outermost(self, key, False)

    def maxKey(self, key=None):
        """The largest key, or the largest one that is not above the given one; ValueError if there is none."""
        return outermost(self, key, True)

    def bisect_left(self, key):
        """How many keys are below this one."""
        return place_by_key(self, key, False, False)

    def bisect_right(self, key):
        """How many keys are not above this one."""
        return place_by_key(self, key, True, False)

    def bisect(self, key):
        """As bisect_right()."""
        return place_by_key(self, key, True, False)

    def bisect_key_left(self, key):
        """As bisect_left(), for what the key function gives."""
        return place_by_key(self, key, False, True)

    def bisect_key_right(self, key):
        """As bisect_right(), for what the key function gives."""
        return place_by_key(self, key, True, True)

    def bisect_key(self, key):
        """As bisect_key_right()."""
        return place_by_key(self, key, True, True)

    def index(self, key, start=None, stop=None):
        """The position of the key; ValueError if it is not there, or not between the two."""
        return index_of(self, key, start, stop)

    def irange(self, minimum=None, maximum=None, inclusive=(True, True), reverse=False):
        """An iterator over the keys between two; None is no bound."""
        return walk_range(self, minimum, maximum, inclusive, reverse, False)

    def irange_key(self, min_key=None, max_key=None, inclusive=(True, True), reverse=False):
        """As irange(), with bounds for what the key function gives."""
        return walk_range(self, min_key, max_key, inclusive, reverse, True)

    def islice(self, start=None, stop=None, reverse=False):
        """An iterator over the keys from one position up to another."""
        return walk_slice(self, start, stop, reverse)

    def __eq__(self, other):
        if self is other:
            check_read(self)
            return True
        if not isinstance(other, Mapping):
            return NotImplemented
        if len(self) != len(other):
            return False
        return dict_of(self) == dict(other)

    def __ne__(self, other):
        equal = PersistentSortedDict.__eq__(self, other)
        return equal if equal is NotImplemented else not equal

    def __repr__(self):
        check_read(self)
        if Py_ReprEnter(self):
            return f"{type(self).__name__}({{...}})"
        try:
            inner = ", ".join([f"{key!r}: {value!r}" for key, value in list(walk_all(self, ITEMS, False))])
        finally:
            Py_ReprLeave(self)
        return f"{type(self).__name__}({{{inner}}})"

    def _check(self):
        """Raises AssertionError with the reason if the tree is not what it should be."""
        check_tree(self)


cdef int insert_scalars(PersistentSortedDict d, pm_path *path, object key, object value) except -1:
    """A new entry of what needs no plan, at the place of its key."""
    cdef Pool pool = d.pool
    cdef uint64_t key_slot, slot
    op_begin(pool)
    try:
        key_slot = scalar_slot(pool, None, key)
        slot = scalar_slot(pool, None, value)
        tree_insert(pool, tree_of(d), path, key_slot, slot)
    except BaseException:
        op_abort(pool)
        raise
    op_end(pool)
    return 0


cdef dict dict_of(PersistentSortedDict d):
    cdef dict copy = {}
    for key, value in walk_all(d, ITEMS, False):
        copy[key] = value
    return copy


cdef object plain(object mapping):
    return dict_of(mapping) if isinstance(mapping, PersistentSortedDict) else mapping


cdef dict items_of(tuple args, dict kwargs, str name):
    """The items that dict(*args, **kwargs) would have."""
    cdef dict items = {}
    if len(args) > 1:
        raise TypeError(f"{name} expected at most 1 argument, got {len(args)}")
    if len(args):
        items.update(plain(args[0]))
    if kwargs:
        items.update(kwargs)
    return items


cdef object merged(object a, object b):
    if not isinstance(a, Mapping) or not isinstance(b, Mapping):
        return NotImplemented
    result = dict(plain(a))
    result.update(plain(b))
    return result


register_class(PM_TYPE_SORTED_DICT, PersistentSortedDict)
pm_is_mapping(PersistentSortedDict)
MutableMapping.register(PersistentSortedDict)


include "_sorted_set.pxi"
