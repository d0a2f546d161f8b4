"""PersistentDefaultDict, PersistentCounter and PersistentOrderedDict: the table of PersistentDict with more methods.

What each adds is made of the operations of _table.pyx; what reads or counts goes through the builtin class.
"""

from cpython.object cimport Py_EQ, PyObject_RichCompareBool
from libc.stdint cimport int64_t, uint64_t

from pmemobj._cengine cimport pm_store
from pmemobj._core cimport (
    Pool, check_read, op_abort, op_begin, op_end, raise_damaged, register_class, slot_drop, vec_at,
)
from pmemobj._dict cimport PersistentDict, dict_of, items_of, plain, same_item, store
from pmemobj._layout cimport (
    PM_TYPE_COUNTER, PM_TYPE_DEFAULTDICT, PM_TYPE_ORDEREDDICT, pm_defaultdict, pm_table,
)
from pmemobj._table cimport (
    RETRIES, quiet, same_stamp, stamp, stamp_of, table_delete, table_find, table_move_to_end, table_move_to_front,
    table_new, table_of, table_remove, table_update,
)
from pmemobj._values cimport encode, is_registered, pm_immediate, prepare, slot_load

import sys
from collections import Counter, OrderedDict, defaultdict, deque
from types import BuiltinFunctionType, FunctionType

from pmemobj import errors
from pmemobj._values import set_trust_factory

__all__ = ["PersistentCounter", "PersistentDefaultDict", "PersistentOrderedDict", "register_factory"]

cdef extern from "Python.h":
    int Py_ReprEnter(object o) except -1
    void Py_ReprLeave(object o) noexcept

cdef bint ORDERED_SHOWS_DICT = sys.version_info >= (3, 12)      # what repr() of an OrderedDict is made of


cdef object item_or_missing(PersistentDict d, object key):
    cdef int64_t i
    check_read(d)
    i = table_find(d, 3, key)
    if i < 0:
        return d.__missing__(key)
    return slot_load(d.pool, vec_at(d.pool, &table_of(d).entries, i, 3)[2])


cdef bint is_dict(object other) except -1:
    return isinstance(other, (dict, PersistentDict))


cdef object joined(object empty, object other, PersistentDict d):
    """other | d, put into an empty builtin dict."""
    if not is_dict(other):
        return NotImplemented
    empty.update(plain(other))
    empty.update(dict_of(d))
    return empty


# --- factories

# A missing key calls what a pool names.  So only what cannot do harm, or what this program has named itself, is called.
cdef set harmless = {
    bool, bytes, complex, dict, float, frozenset, int, list, set, str, tuple, bytearray, Counter, OrderedDict,
    defaultdict, deque,
}
cdef set registered = set()


def register_factory(factory, /):
    """Lets a PersistentDefaultDict call this function or class for missing keys; a decorator.

    It is stored by its name; a callable object whose type is registered, as its values are.  A program that uses such
    a dict which another one has made calls this first, because nothing that only a pool names is ever called: a pool
    may come from anybody.  Builtin types need no registration, and giving a factory to pool.new() or to
    `default_factory` registers it.  Returns the factory.
    Raises TypeError for what is not callable, or neither class, function nor of a registered type.
    """
    trust(None, factory)
    return factory


cdef int trust(Pool pool, object factory) except -1:
    if not callable(factory):
        raise TypeError("first argument must be callable or None")
    if factory in harmless:
        return 0
    if not isinstance(factory, (type, FunctionType, BuiltinFunctionType)) and not is_registered(pool, type(factory)):
        raise TypeError(f"a default_factory is stored by its name, and a {type(factory).__qualname__} has none")
    registered.add(factory)
    return 0


cdef object set_factory(PersistentDefaultDict d, object factory):
    cdef Pool pool = d.pool
    cdef uint64_t slot = 0
    cdef uint64_t *cell
    cdef object plan = None
    if factory is not None:
        trust(pool, factory)
    check_read(d)
    if not pm_immediate(factory, &slot):
        plan = prepare(pool, factory)
        check_read(d)
    op_begin(pool)
    try:
        if plan is not None:
            slot = encode(pool, plan)
        cell = &(<pm_defaultdict *>d.head).factory
        slot_drop(pool, cell[0])
        pm_store(pool.p, cell, slot)
    except BaseException:
        op_abort(pool)
        raise
    op_end(pool)


cdef str repr_of_factory(object factory):
    if Py_ReprEnter(factory):           # it may lead back here, as a bound method does
        return "..."
    try:
        return repr(factory)
    finally:
        Py_ReprLeave(factory)


cdef class PersistentDefaultDict(PersistentDict):
    """A defaultdict in a pool: ``pool.new(PersistentDefaultDict, factory, ...)``, or a plain one stored anywhere in it.

    ``d[key]`` of a missing key stores what `default_factory` gives and returns what is stored: a PersistentList for a
    list.  The factory is stored by its name: a builtin type, or a function or class of a module; see
    register_factory().  Otherwise as PersistentDict; copy() and | give a plain defaultdict.
    """

    @classmethod
    def _p_new(cls, Pool pool not None, tuple args, dict kwargs):
        cdef PersistentDefaultDict made = PersistentDefaultDict.__new__(cls)
        factory = args[0] if args else None
        if factory is not None and not callable(factory):
            raise TypeError("first argument must be callable or None")
        items = items_of(args[1:], kwargs, "PersistentDefaultDict")
        with pool.transaction():
            table_new(made, pool, PM_TYPE_DEFAULTDICT, items, None)
            if factory is not None:
                set_factory(made, factory)
        return made

    @property
    def default_factory(self):
        """What makes the value of a missing key, or None.  Set it atomically.

        Raises ClassNotFoundError when this program has nothing of the stored name.
        """
        check_read(self)
        return slot_load(self.pool, (<pm_defaultdict *>self.head).factory)

    @default_factory.setter
    def default_factory(self, factory):
        check_read(self)
        set_factory(self, factory)

    def __getitem__(self, key):
        return item_or_missing(self, key)

    def __missing__(self, key, /):
        """Stores what default_factory gives for the key, and gives what is stored; KeyError without a factory.

        Raises PmemobjError for a factory that this program has not registered.
        """
        check_read(self)
        factory = slot_load(self.pool, (<pm_defaultdict *>self.head).factory)
        if factory is None:
            raise KeyError(key)
        if factory not in harmless and factory not in registered:
            raise errors.ClassNotFoundError(
                f"the default_factory {repr_of_factory(factory)} is named by the pool alone: call "
                "pmemobj.register_factory() with it, and missing keys may call it"
            )
        value = factory()
        check_read(self)
        return slot_load(self.pool, store(self, key, value))

    def copy(self):
        """A plain defaultdict with the same factory and items."""
        return defaultdict(self.default_factory, dict_of(self))

    def __reduce__(self):
        return defaultdict, (self.default_factory,), None, None, iter(dict_of(self).items())

    def __or__(self, other):
        check_read(self)
        return PersistentDefaultDict.copy(self) | plain(other) if is_dict(other) else NotImplemented

    def __ror__(self, other):
        check_read(self)
        return joined(defaultdict(self.default_factory), other, self)

    def __repr__(self):
        items = PersistentDict.__repr__(self)
        name = type(self).__name__
        try:
            factory = repr_of_factory(self.default_factory)
        except errors.ClassNotFoundError:
            factory = "<not found>"
        return f"{name}({factory}, {items[len(name) + 1:len(items) - 1]})"


# --- counting

cdef object counts(PersistentCounter c):
    """A plain Counter with the same items."""
    cdef object copy = Counter()
    dict.update(copy, dict_of(c))
    return copy


cdef object counter_of(object other):
    """Either kind of Counter as a plain one; else None."""
    if isinstance(other, PersistentCounter):
        return counts(other)
    return other if isinstance(other, Counter) else None


cdef object become(PersistentCounter c, object before, object after):
    """Stores the difference; in a transaction."""
    changed = {key: count for key, count in after.items() if key not in before or before[key] is not count}
    if changed:
        table_update(c, 3, changed)
    for key in before:
        if key not in after:
            del c[key]


cdef object in_place(PersistentCounter c, object other, str operator):
    check_read(c)
    with c.pool.transaction():
        before = counts(c)
        after = counts(c)
        counter = counter_of(other)
        getattr(after, operator)(plain(other) if counter is None else counter)
        become(c, before, after)
    return c


cdef class PersistentCounter(PersistentDict):
    """A Counter in a pool: ``pool.new(PersistentCounter, iterable_or_mapping)``, or a plain one stored anywhere in it.

    A missing key counts zero.  update() and subtract() add and subtract; they and the in-place operators change all
    counts or none, and no other thread's change comes in between.  copy() and the other operators give a plain
    Counter.  Otherwise as PersistentDict.
    """

    @classmethod
    def _p_new(cls, Pool pool not None, tuple args, dict kwargs):
        cdef dict items = {}
        items.update(Counter(*map(plain, args), **kwargs))
        return table_new(PersistentCounter.__new__(cls), pool, PM_TYPE_COUNTER, items, None)

    def __getitem__(self, key):
        return item_or_missing(self, key)

    def __missing__(self, key, /):
        """The count of what is not there: zero."""
        check_read(self)
        return 0

    def __delitem__(self, key):
        cdef int64_t i
        check_read(self)
        i = table_find(self, 3, key)
        if i >= 0:
            table_remove(self, 3, i)

    def update(self, iterable=None, /, **kwds):
        """Adds the counts of an iterable or a mapping, and of the keywords.  Atomic."""
        in_place_counts(self, iterable, kwds, False)

    def subtract(self, iterable=None, /, **kwds):
        """Takes away the counts of an iterable or a mapping, and of the keywords; they may become negative."""
        in_place_counts(self, iterable, kwds, True)

    def elements(self):
        """An iterator over each element as often as it counts; none for counts below one."""
        return counts(self).elements()

    def most_common(self, n=None):
        """The n largest counts, or all, as a list of (element, count)."""
        return counts(self).most_common(n)

    def total(self):
        """The sum of the counts."""
        return sum(self.values())

    def copy(self):
        """A plain Counter with the same counts."""
        return counts(self)

    def __reduce__(self):
        return Counter, (), None, None, iter(dict_of(self).items())

    @classmethod
    def fromkeys(cls, iterable, v=None):
        """Not defined, as for Counter: counts are made from what is counted."""
        raise NotImplementedError("Counter.fromkeys() is undefined.  Use Counter(iterable) instead.")

    def __eq__(self, other):
        check_read(self)
        counter = counter_of(other)
        return PersistentDict.__eq__(self, other) if counter is None else counts(self) == counter

    def __ne__(self, other):
        equal = PersistentCounter.__eq__(self, other)
        return equal if equal is NotImplemented else not equal

    def __le__(self, other):
        check_read(self)
        counter = counter_of(other)
        return NotImplemented if counter is None else counts(self) <= counter

    def __lt__(self, other):
        check_read(self)
        counter = counter_of(other)
        return NotImplemented if counter is None else counts(self) < counter

    def __ge__(self, other):
        check_read(self)
        counter = counter_of(other)
        return NotImplemented if counter is None else counts(self) >= counter

    def __gt__(self, other):
        check_read(self)
        counter = counter_of(other)
        return NotImplemented if counter is None else counts(self) > counter

    def __add__(self, other):
        check_read(self)
        counter = counter_of(other)
        return NotImplemented if counter is None else counts(self) + counter

    def __radd__(self, other):
        check_read(self)
        return other + counts(self) if isinstance(other, Counter) else NotImplemented

    def __sub__(self, other):
        check_read(self)
        counter = counter_of(other)
        return NotImplemented if counter is None else counts(self) - counter

    def __rsub__(self, other):
        check_read(self)
        return other - counts(self) if isinstance(other, Counter) else NotImplemented

    def __or__(self, other):
        check_read(self)
        counter = counter_of(other)
        return NotImplemented if counter is None else counts(self) | counter

    def __ror__(self, other):
        check_read(self)
        return other | counts(self) if isinstance(other, Counter) else NotImplemented

    def __and__(self, other):
        check_read(self)
        counter = counter_of(other)
        return NotImplemented if counter is None else counts(self) & counter

    def __rand__(self, other):
        check_read(self)
        return other & counts(self) if isinstance(other, Counter) else NotImplemented

    def __pos__(self):
        check_read(self)
        return +counts(self)

    def __neg__(self):
        check_read(self)
        return -counts(self)

    def __iadd__(self, other):
        return in_place(self, other, "__iadd__")

    def __isub__(self, other):
        return in_place(self, other, "__isub__")

    def __ior__(self, other):
        return in_place(self, other, "__ior__")

    def __iand__(self, other):
        return in_place(self, other, "__iand__")

    def __repr__(self):
        check_read(self)
        name = type(self).__name__
        text = repr(counts(self))
        return f"{name}({text[len('Counter('):]}"


cdef object in_place_counts(PersistentCounter c, object iterable, dict more, bint subtract):
    """The iterable is counted before anything is looked at, so it may do what it likes."""
    cdef object change
    check_read(c)
    change = Counter()
    if iterable is not None:
        if hasattr(iterable, "items"):
            dict.update(change, plain(iterable))
        else:
            change.update(iterable)
    if more:
        change.update(more)
    with c.pool.transaction():
        before = counts(c)
        after = counts(c)
        if subtract:
            after.subtract(change)
        else:
            after.update(change)
        become(c, before, after)


# --- order

cdef uint64_t first_live(PersistentOrderedDict d) except? 0:
    """The first entry that is not deleted, of a table that has one.  What is known of those before it is kept in the
    deleted entry 0: see pm_defaultdict in layout.h."""
    cdef pm_table *t = table_of(d)
    cdef uint64_t *entry = vec_at(d.pool, &t.entries, 0, 3)
    cdef uint64_t i = 0
    if entry[1] == 0 and entry[2] & 1:
        i = entry[2] >> 1
    while i < t.entries.size:
        if vec_at(d.pool, &t.entries, i, 3)[1]:
            return i
        i += 1
    raise_damaged(d.pool, t, "it counts entries that it has not")


cdef object remove_first(PersistentOrderedDict d, uint64_t number):
    """Removes the first live entry, and notes that nothing is before it."""
    cdef Pool pool = d.pool
    cdef pm_table *t = table_of(d)
    op_begin(pool)
    try:
        table_delete(pool, t, 3, number)
        if t.used:
            pm_store(pool.p, vec_at(pool, &t.entries, 0, 3) + 2, (number + 1) << 1 | 1)
    except BaseException:
        op_abort(pool)
        raise
    op_end(pool)


cdef object MISSING = object()


cdef class PersistentOrderedDict(PersistentDict):
    """An OrderedDict in a pool: ``pool.new(PersistentOrderedDict, ...)``, or a plain one stored anywhere in it.

    As PersistentDict, which keeps the order of insertion too, with move_to_end(), popitem(last=False), and an order
    that matters when it is compared with another ordered dict.  copy() and | give a plain OrderedDict.
    """

    @classmethod
    def _p_new(cls, Pool pool not None, tuple args, dict kwargs):
        items = items_of(args, kwargs, "PersistentOrderedDict")
        return table_new(PersistentOrderedDict.__new__(cls), pool, PM_TYPE_ORDEREDDICT, items, None)

    def move_to_end(self, key, last=True):
        """Moves a key to the end; to the begin if last is false, which takes time proportional to their number.

        Atomic.  Raises KeyError if it is not there.
        """
        cdef int64_t i
        cdef bint to_end = last
        check_read(self)
        i = table_find(self, 3, key)
        if i < 0:
            raise KeyError(key)
        if to_end:
            if <uint64_t>i != table_of(self).entries.size - 1:      # the last entry is never a deleted one
                table_move_to_end(self, i)
        elif <uint64_t>i != first_live(self):
            table_move_to_front(self, i)

    def popitem(self, last=True):
        """Removes the last item, or the first one if last is false, and gives it as (key, value).

        Atomic.  Raises KeyError when there is none.
        """
        cdef uint64_t key_slot, slot, number
        cdef bint from_end = last
        cdef stamp seen
        cdef int _
        for _ in range(RETRIES):
            check_read(self)
            seen = stamp_of(self)
            if seen.used == 0:
                raise KeyError("dictionary is empty")
            number = seen.size - 1 if from_end else first_live(self)
            key_slot = vec_at(self.pool, &table_of(self).entries, number, 3)[1]
            slot = vec_at(self.pool, &table_of(self).entries, number, 3)[2]
            key = slot_load(self.pool, key_slot)
            if not quiet(key_slot) and not same_item(self, seen, number, key_slot, slot):
                continue
            value = slot_load(self.pool, slot)
            if not quiet(slot) and not same_item(self, seen, number, key_slot, slot):
                continue
            if from_end:
                table_remove(self, 3, number)
            else:
                remove_first(self, number)
            return key, value
        raise RuntimeError("this PersistentOrderedDict is changed again and again while an item is loaded")

    def pop(self, key, default=MISSING):
        """Removes the key and gives its value, or default; KeyError without one."""
        return PersistentDict.pop(self, key) if default is MISSING else PersistentDict.pop(self, key, default)

    def setdefault(self, key, default=None):
        """The value of the key; if it is missing, default is stored first.  Gives what is stored."""
        return PersistentDict.setdefault(self, key, default)

    @classmethod
    def fromkeys(cls, iterable, value=None):
        """A plain OrderedDict with these keys; ours needs a pool: pool.new(PersistentOrderedDict, ...)."""
        return OrderedDict.fromkeys(iterable, value)

    def copy(self):
        """A plain OrderedDict of the items."""
        return OrderedDict(dict_of(self))

    def __reduce__(self):
        return OrderedDict, (), None, None, iter(dict_of(self).items())

    def __repr__(self):
        check_read(self)
        if Py_ReprEnter(self):
            return "..."
        try:
            items = dict_of(self)
            inner = repr(items if ORDERED_SHOWS_DICT else list(items.items())) if items else ""
        finally:
            Py_ReprLeave(self)
        return f"{type(self).__name__}({inner})"

    def __or__(self, other):
        check_read(self)
        return PersistentOrderedDict.copy(self) | plain(other) if is_dict(other) else NotImplemented

    def __ror__(self, other):
        check_read(self)
        return joined(OrderedDict(), other, self)

    def __eq__(self, other):
        equal = PersistentDict.__eq__(self, other)
        if equal is not True or not isinstance(other, (OrderedDict, PersistentOrderedDict)):
            return equal
        return same_order(self, other)

    def __ne__(self, other):
        equal = PersistentOrderedDict.__eq__(self, other)
        return equal if equal is NotImplemented else not equal


cdef bint same_order(PersistentOrderedDict d, object other) except -1:
    """Of two dicts with equal items: are these in the same order?"""
    cdef stamp seen
    check_read(d)                       # comparing the items may have closed the pool
    seen = stamp_of(d)
    for mine, theirs in zip(list(d), other):
        if not PyObject_RichCompareBool(mine, theirs, Py_EQ):
            return False
        check_read(d)
        if not same_stamp(d, seen):
            raise RuntimeError("PersistentOrderedDict mutated during iteration")
    return len(d) == len(other)


cdef extern from *:
    """
    static void pm_is_mapping_too(PyObject *type) { ((PyTypeObject *)type)->tp_flags |= Py_TPFLAGS_MAPPING; }
    """
    void pm_is_mapping "pm_is_mapping_too"(object cls)

register_class(PM_TYPE_DEFAULTDICT, PersistentDefaultDict)
register_class(PM_TYPE_COUNTER, PersistentCounter)
register_class(PM_TYPE_ORDEREDDICT, PersistentOrderedDict)
for _cls in (PersistentDefaultDict, PersistentCounter, PersistentOrderedDict):
    pm_is_mapping(_cls)
del _cls
set_trust_factory(register_factory)
