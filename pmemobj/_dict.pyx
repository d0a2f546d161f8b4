"""PersistentDict: a dict that lives in a pool."""

cimport cython
from cpython.dict cimport PyDict_CheckExact
from cpython.long cimport PyLong_CheckExact
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from cpython.unicode cimport PyUnicode_CheckExact
from libc.stdint cimport int64_t, uint64_t

from pmemobj._cengine cimport pm_pool, pm_store
from pmemobj._core cimport (
    Persistent, Pool, check_read, op_abort, op_begin, op_end, plausible, register_class, slot_drop, vec_at,
)
from pmemobj._layout cimport PM_TYPE_DICT, pm_table
from pmemobj._table cimport *
from pmemobj._values cimport (
    encode, pm_immediate, pm_owned, pm_quick_value, prepare, slot_load, slot_load_slow,
)

from collections.abc import ItemsView, Iterator, KeysView, MutableMapping, Set, ValuesView
from types import GenericAlias, MappingProxyType

__all__ = ["PersistentDict"]

cdef extern from "Python.h":
    int Py_ReprEnter(object o) except -1
    void Py_ReprLeave(object o) noexcept

cdef extern from "_engine/objects/pairs.h":
    object pm_pair(PyObject *last, PyObject *key, PyObject *value)
    void pm_is_mapping(object cls)

cdef extern from "_engine/objects/keys.h":
    bint pm_is_simple(object items) noexcept
    void pm_prefetch_texts(const pm_pool *p, const uint64_t *entry, unsigned stride) noexcept

cdef object MISSING = object()


cdef inline uint64_t *entry_of(PersistentDict d, int64_t number) except NULL:
    return vec_at(d.pool, &table_of(d).entries, number, 3)


cdef inline uint64_t *value_at(PersistentDict d, int64_t number) except NULL:
    return entry_of(d, number) + 2


cdef class PersistentDict(Persistent):
    """A dict in a pool: made by pool.new(PersistentDict, ...) with the arguments of dict(), or by storing a dict.

    Has all methods of dict, in insertion order, and compares equal to a dict with the same items.  What is
    stored comes back with its own type; list, dict and set values become their persistent counterparts.  Keys
    are hashable builtin values, tuples and frozensets of them, persistent objects, and registered types;
    others raise TypeError when stored and are not found when looked up.

    Every method is atomic alone, update() and |= included: when it raises, nothing has changed.  Inside a
    transaction an abort undoes it.  copy(), fromkeys() and | give a plain dict.

    Raises PoolClosedError, StaleObjectError (created in a transaction that was undone), PoolFullError.
    """

    __class_getitem__ = classmethod(GenericAlias)

    @classmethod
    def _p_new(cls, Pool pool not None, tuple args, dict kwargs):
        if len(args) == 1 and PyDict_CheckExact(args[0]) and not kwargs:
            return table_new(PersistentDict.__new__(cls), pool, PM_TYPE_DICT, (<dict>args[0]).copy(), args[0])
        items = items_of(args, kwargs, "PersistentDict")
        return table_new(PersistentDict.__new__(cls), pool, PM_TYPE_DICT, items, None)

    # --- one key

    def __getitem__(self, key):
        cdef int64_t i
        cdef uint64_t slot
        cdef PyObject *quick
        check_read(self)
        i = table_find(self, 3, key)
        if i < 0:
            raise KeyError(key)
        slot = value_at(self, i)[0]
        quick = pm_quick_value(self.p, slot)        # as slot_load, without a call
        return slot_load_slow(self.pool, slot) if quick == NULL else pm_owned(quick)

    def get(self, key, default=None, /):
        """The value of the key, or default."""
        cdef int64_t i
        check_read(self)
        i = table_find(self, 3, key)
        return slot_load(self.pool, value_at(self, i)[0]) if i >= 0 else default

    def __contains__(self, key):
        check_read(self)
        return table_find(self, 3, key) >= 0

    def __setitem__(self, key, value):
        cdef uint64_t slot = 0
        check_read(self)
        if PyUnicode_CheckExact(key) or PyLong_CheckExact(key):
            if pm_immediate(value, &slot):
                if pm_table_put(self.p, table_of(self), 3, key, NULL, slot):
                    return
            elif PyUnicode_CheckExact(value) and pm_table_put(self.p, table_of(self), 3, key, <PyObject *>value, 0):
                return
        store(self, key, value)

    def __delitem__(self, key):
        cdef int64_t i
        check_read(self)
        i = table_find(self, 3, key)
        if i < 0:
            raise KeyError(key)
        table_remove(self, 3, i)

    def setdefault(self, key, default=None, /):
        """The value of the key; if it is missing, default is stored first.  Gives what is stored: a
        PersistentList for a list."""
        cdef int64_t i
        check_read(self)
        i = table_find(self, 3, key)
        if i >= 0:
            return slot_load(self.pool, value_at(self, i)[0])
        return slot_load(self.pool, store(self, key, default, True))

    def pop(self, key, default=MISSING, /):
        """Removes the key and gives its value, or default; KeyError without one."""
        cdef uint64_t key_slot, slot
        cdef int64_t i
        cdef stamp seen
        cdef int _
        for _ in range(RETRIES):
            check_read(self)
            i = table_find(self, 3, key)
            if i < 0:
                if default is MISSING:
                    raise KeyError(key)
                return default
            seen = stamp_of(self)
            key_slot = entry_of(self, i)[1]
            slot = entry_of(self, i)[2]
            value = slot_load(self.pool, slot)
            if not quiet(slot) and not same_item(self, seen, i, key_slot, slot):
                continue
            table_remove(self, 3, i)
            return value
        raise RuntimeError("this PersistentDict is changed again and again while a value is loaded")

    def popitem(self):
        """Removes the last item and gives it as (key, value); KeyError when there is none."""
        cdef uint64_t key_slot, slot
        cdef int64_t last
        cdef stamp seen
        cdef int _
        for _ in range(RETRIES):
            check_read(self)
            seen = stamp_of(self)
            if seen.used == 0:
                raise KeyError("popitem(): dictionary is empty")
            last = seen.size - 1
            key_slot = entry_of(self, last)[1]
            slot = entry_of(self, last)[2]
            key = slot_load(self.pool, key_slot)
            if not quiet(key_slot) and not same_item(self, seen, last, key_slot, slot):
                continue
            value = slot_load(self.pool, slot)
            if not quiet(slot) and not same_item(self, seen, last, key_slot, slot):
                continue
            table_remove(self, 3, last)
            return key, value
        raise RuntimeError("this PersistentDict is changed again and again while an item is loaded")

    # --- many keys

    def update(self, *args, **kwargs):
        """As dict.update: a mapping or an iterable of pairs, and keywords.  All of it is stored, or nothing."""
        check_read(self)
        if len(args) == 1 and not kwargs and PyDict_CheckExact(args[0]) and pm_is_simple(args[0]):
            table_update(self, 3, args[0])      # nothing in it can change it
            return
        table_update(self, 3, items_of(args, kwargs, "update"))

    def clear(self):
        """Removes all items."""
        check_read(self)
        table_clear(self, 3)

    def copy(self):
        """The items as a plain dict."""
        return dict_of(self)

    def __reduce__(self):
        return dict, (), None, None, iter(dict_of(self).items())

    @classmethod
    def fromkeys(cls, iterable, value=None, /):
        """A plain dict with these keys; a PersistentDict needs a pool: pool.new(PersistentDict, ...)."""
        return dict.fromkeys(iterable, value)

    def __or__(self, other):
        return merged(self, other)

    def __ror__(self, other):
        return merged(other, self)

    def __ior__(self, other):
        check_read(self)
        table_update(self, 3, items_of((other,), {}, "update"))
        return self

    # --- all keys

    def __len__(self):
        check_read(self)
        return plausible(self, table_of(self).used)

    def __bool__(self):
        check_read(self)
        return table_of(self).used != 0

    def __iter__(self):
        return entries(self, KEYS, False)

    def __reversed__(self):
        return entries(self, KEYS, True)

    def keys(self):
        """A set-like view of the keys."""
        return view(PersistentDictKeys, self)

    def values(self):
        """A view of the values."""
        return view(PersistentDictValues, self)

    def items(self):
        """A set-like view of the items, as (key, value)."""
        return view(PersistentDictItems, self)

    def __eq__(self, other):
        if self is other:
            check_read(self)
            return True
        if not isinstance(other, (dict, PersistentDict)):
            return NotImplemented
        if len(self) != len(other):
            return False
        return dict_of(self) == plain(other)

    def __ne__(self, other):
        equal = PersistentDict.__eq__(self, other)
        return equal if equal is NotImplemented else not equal

    def __repr__(self):
        check_read(self)
        if Py_ReprEnter(self):
            return f"{type(self).__name__}({{...}})"
        try:
            inner = ", ".join([f"{key!r}: {value!r}" for key, value in list(entries(self, ITEMS, False))])
        finally:
            Py_ReprLeave(self)
        return f"{type(self).__name__}({{{inner}}})"

    def _check(self):
        """Raises AssertionError with the reason if the table is not what it should be."""
        table_check(self, 3)


cdef bint same_item(PersistentDict d, stamp seen, int64_t number, uint64_t key, uint64_t value) except -1:
    """After user code: is this still entry `number` of the same table?"""
    check_read(d)
    return same_stamp(d, seen) and entry_of(d, number)[1] == key and entry_of(d, number)[2] == value


cdef uint64_t store(PersistentDict d, object key, object value, bint only_new=False) except 0:
    """d[key] = value of any kinds; the value's slot.  only_new: an equal key keeps its value."""
    cdef Pool pool = d.pool
    cdef uint64_t hash, slot = 0, key_slot = 0, old
    cdef uint64_t *cell
    cdef int64_t i
    cdef object plan = None, key_plan = None
    if not pm_immediate(value, &slot):
        plan = prepare(pool, value)
    if not pm_immediate(key, &key_slot):
        key_plan = prepare_key(pool, key)
    i = table_find_storable(d, 3, key, &hash)
    if i >= 0 and only_new:
        return value_at(d, i)[0]
    op_begin(pool)
    try:
        if plan is not None:
            slot = encode(pool, plan)
        if i >= 0:
            cell = value_at(d, i)
            old = cell[0]
            pm_store(d.p, cell, slot)
            slot_drop(pool, old)
        else:
            if key_plan is not None:
                key_slot = encode(pool, key_plan)
            table_insert(pool, table_of(d), 3, hash, key_slot, slot)
    except BaseException:
        op_abort(pool)
        raise
    op_end(pool)
    return slot


cdef object plain(object mapping):
    return dict_of(mapping) if isinstance(mapping, PersistentDict) else mapping


cdef dict dict_of(PersistentDict d):
    cdef dict copy = {}
    for key, value in entries(d, ITEMS, False):
        copy[key] = value
    return copy


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
    if not isinstance(a, (dict, PersistentDict)) or not isinstance(b, (dict, PersistentDict)):
        return NotImplemented
    result = dict(plain(a))
    result.update(plain(b))
    return result


include "_dict_views.pxi"


register_class(PM_TYPE_DICT, PersistentDict)
pm_is_mapping(PersistentDict)
MutableMapping.register(PersistentDict)
