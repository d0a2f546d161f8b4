# Finding places in the tree where Python has to compare.
#
#  1. Comparing may run user code, which may change the tree, or close the pool.  So after each comparison the version
#     is looked at, and the search begins anew if it is another one; nodes are named by offsets until then.
#  2. What is returned holds for the tree as it is on return, and check_read has been passed again.
#  3. Neighbours of a new key have always been compared with it: where an order is not total, TypeError is raised
#     instead of putting it anywhere.

cdef dict key_functions = {}            # name -> function
cdef dict key_names = {}                # function -> name


cdef int spoiled(Persistent o) except -1:
    raise RuntimeError(f"this {type(o).__name__} is changed again and again while its keys are compared")


cdef object key_function(Persistent o):
    """The key function, or None."""
    cdef uint64_t slot = tree_of(o).key_name
    if slot == 0:
        return None
    name = slot_load(o.pool, slot)
    found = key_functions.get(name)
    if found is None:
        raise errors.ClassNotFoundError(
            f"this {type(o).__name__} is sorted by the function {name!r}: call pmemobj.register_key() for it before "
            "using its keys"
        )
    return found


cdef int must_have_place(object key, const pm_sought *k) except -1:
    """TypeError: the key cannot be in any order, or is mutable."""
    if k.kind == PM_SOUGHT_NAN:
        raise TypeError("nan cannot be a key of a sorted container: it is neither below nor above any number")
    if k.kind == PM_SOUGHT_OTHER:
        PyObject_Hash(key)
    return 0


cdef bint is_before(
    Persistent o, uint64_t slot, object key, object function, const pm_sought *k, bint right
) except -1:
    """Is the stored key below the given one (right: not above it)?  `key`: what the function gave, if there is one."""
    cdef int order
    if function is None:
        order = pm_compare_any(o.p, slot, k)
        if order != PM_UNORDERED:
            return order < 0 or (right and order == 0)
    stored = slot_load(o.pool, slot)
    if function is not None:
        stored = function(stored)
    if right:
        return not PyObject_RichCompareBool(key, stored, Py_LT)
    return PyObject_RichCompareBool(stored, key, Py_LT)


cdef bint same_tree(Persistent o, uint64_t version) except -1:
    """After user code."""
    check_read(o)
    return tree_of(o).version == version


cdef bint seek(
    Persistent o, object key, object function, const pm_sought *k, bint right, pm_path *path
) except -1:
    """The place before the first key that is not below the given one (right: that is above it).  False: the tree has
    been changed meanwhile."""
    cdef pm_sorted *t = tree_of(o)
    cdef uint64_t version = t.version, node = t.root, slot
    cdef unsigned level, low, high, middle
    cdef bint before
    if t.height > PM_SORTED_HEIGHT:
        raise_tree_damaged(o.pool, t)
    path.height = <unsigned>t.height
    path.found = False
    path.at = 0
    for level in range(path.height):
        path.nodes[level] = node
        path.child[level] = 0
        if level + 1 < path.height:
            low = 1
            high = <unsigned>inner_must_be(o.pool, t, node).size
        else:
            low = 0
            high = pm_leaf_size(leaf_must_be(o.pool, t, node))
        while low < high:
            middle = (low + high) // 2
            if level + 1 < path.height:
                slot = pm_inner_at(o.p, node).keys[middle]
            else:
                slot = pm_leaf_at(o.p, node).keys[pm_leaf_at(o.p, node).order[middle]]
            before = is_before(o, slot, key, function, k, right)
            if not same_tree(o, version):
                return False
            if before:
                low = middle + 1
            else:
                high = middle
        if level + 1 < path.height:
            path.child[level] = low - 1
            node = pm_inner_at(o.p, node).children[low - 1]
        else:
            path.at = low
    return True


cdef int find_slow(Persistent o, object key, const pm_sought *k, pm_path *path) except -1:
    cdef uint64_t rank, version, slot
    cdef pm_leaf *leaf
    cdef int _, order
    must_have_place(key, k)
    check_read(o)
    function = key_function(o)
    given = key if function is None else function(key)
    for _ in range(RETRIES):
        check_read(o)
        version = tree_of(o).version
        if not seek(o, given, function, k, False, path):
            continue
        rank = pm_rank_of(o.p, path)
        while True:
            if rank >= tree_of(o).count:
                place_of(o, rank, True, path)
                return False
            place_of(o, rank, False, path)
            leaf = pm_leaf_at(o.p, pm_path_leaf(path))
            slot = leaf.keys[leaf.order[path.at]]
            order = pm_compare_any(o.p, slot, k) if function is None else PM_UNORDERED
            if order == PM_UNORDERED:
                stored = slot_load(o.pool, slot)
                if PyObject_RichCompareBool(stored, key, Py_EQ):
                    order = 0
                else:
                    if function is not None:
                        stored = function(stored)
                    order = 1 if PyObject_RichCompareBool(given, stored, Py_LT) else PM_UNORDERED
                if not same_tree(o, version):
                    break
            if order == 0:
                path.found = True
                return True
            if order == 1:
                place_of(o, rank, True, path)
                path.found = False
                return False
            if function is None:
                raise TypeError(f"{key!r} and {stored!r} are not equal, and neither is below the other")
            rank += 1
    spoiled(o)


cdef inline int find_place(Persistent o, object key, pm_path *path) except -1:
    """Is the key there?  TypeError: it cannot be compared with the others."""
    cdef pm_sought k
    pm_sought_set(&k, key)
    if tree_of(o).key_name == 0 and pm_find_place(o.p, tree_of(o), &k, path):
        return path.found
    return find_slow(o, key, &k, path)


cdef int look_up(Persistent o, object key, pm_path *path) except -1:
    """The same for a key that need not be comparable: then it is not there."""
    cdef pm_sought k
    pm_sought_set(&k, key)
    if tree_of(o).key_name == 0 and pm_find_place(o.p, tree_of(o), &k, path):
        return path.found
    if k.kind == PM_SOUGHT_OTHER:
        PyObject_Hash(key)              # TypeError: unhashable type
        check_read(o)
    try:
        return find_slow(o, key, &k, path)
    except TypeError:
        check_read(o)
        return False


cdef uint64_t bound(Persistent o, object key, object function, bint right) except? <uint64_t>-1:
    """How many keys are below the given one (right: not above it), which the function has been applied to."""
    cdef pm_sought k
    cdef pm_path path
    cdef int _
    pm_sought_set(&k, key)
    if function is None:
        if pm_find_place(o.p, tree_of(o), &k, &path):
            return pm_rank_of(o.p, &path) + (right and path.found)
        must_have_place(key, &k)
        check_read(o)
    for _ in range(RETRIES):
        if seek(o, key, function, &k, right, &path):
            return pm_rank_of(o.p, &path)
    spoiled(o)


cdef object ranks(Persistent o, object lowest, object highest, bint without_lowest, bint without_highest, bint by_key):
    """(first, end): the numbers of the entries between two keys; None is no bound.  by_key: the key function has been
    applied to them."""
    cdef uint64_t version, first, end
    cdef int _
    for _ in range(RETRIES):
        check_read(o)
        function = key_function(o)
        if function is not None and not by_key:
            given = None if lowest is None else function(lowest), None if highest is None else function(highest)
        else:
            given = lowest, highest
        check_read(o)
        version = tree_of(o).version
        first = 0 if lowest is None else bound(o, given[0], function, without_lowest)
        check_read(o)
        end = tree_of(o).count if highest is None else bound(o, given[1], function, not without_highest)
        if same_tree(o, version):
            return first, max(first, end)
    spoiled(o)


def register_key(function, name=None):
    """Makes a function usable as the key function of PersistentSortedDict and PersistentSortedSet; returns it.

    function: called with a key, gives what is compared; always the same for the same key.
    name: under which a container refers to it; by default "module:qualname".  Keep it when the function moves.

    Needed in every process before the keys of such a container are used (ClassNotFoundError otherwise).  Registering
    another function under the same name replaces it.

    Raises TypeError if the function cannot be called, or has no name by which another process could find it.
    """
    if not callable(function):
        raise TypeError(f"register_key() takes a function, not {function!r}")
    if name is None:
        if "<" in getattr(function, "__qualname__", "<"):
            raise TypeError(f"{function!r} has no name by which another process could find it: give it one")
        name = f"{function.__module__}:{function.__qualname__}"
    elif type(name) is not str or not name:
        raise TypeError(f"name must be a str, not {name!r}")
    key_functions[name] = function
    key_names[function] = name
    return function


cdef object name_of_key(object function):
    if not callable(function):
        raise TypeError(f"a key function must be callable, not {function!r}")
    name = key_names.get(function)
    if name is None:
        raise TypeError(
            f"{function!r} cannot be stored: register it with pmemobj.register_key() in every process that uses the "
            "container"
        )
    return name


for _name, _function in (
    ("str.lower", str.lower), ("str.upper", str.upper), ("str.casefold", str.casefold), ("abs", abs), ("len", len),
    ("repr", repr), ("str", str), ("int", int), ("float", float), ("operator.neg", operator.neg),
):
    register_key(_function, _name)
