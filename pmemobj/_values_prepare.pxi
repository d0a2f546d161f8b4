# Preparing: the whole value is looked at before anything changes.

@cython.final
cdef class Plan:
    pass


class _Unsupported(Exception):
    """args[0]: the reason; path: where inside the value, outermost last."""

    def __init__(self, reason):
        super().__init__(reason)
        self.path = []


def _unsupported(value):
    cls = type(value)
    reason = f"a {cls.__module__}.{cls.__qualname__} cannot be stored in a pool"
    for base in (int, float, str, bytes, tuple, frozenset, list, dict, set, deque, bytearray):
        if isinstance(value, base):
            return f"{reason}: it is a subclass of {base.__name__}, whose values would come back as {base.__name__}; " \
                   f"convert it, or use pmemobj.register() or pool.persist_via_pickle()"
    if cls.__name__ in ("array", "memoryview"):
        return f"{reason}; convert it to a list or bytes"
    return f"{reason}; if its values never change, use pmemobj.register() or pool.persist_via_pickle(), " \
           f"otherwise make its class a pmemobj.PersistentObject"


cdef object prepare(Pool pool, object value):
    """A plan for encode().  Raises TypeError naming the path to what cannot be stored; nothing has changed."""
    cdef type cls = type(value)
    cdef Plan plan
    if cls is str or cls is int or cls is bytes or cls is float or cls is complex:
        return value
    if (cls is list and pm_is_simple_list(value)) or (cls is dict and pm_is_simple(value)):
        return value                    # nothing in it has identity, so it is encoded without a plan
    plan = Plan.__new__(Plan)
    plan.value = value
    try:
        look_through(pool, plan, value)
    except _Unsupported as found:
        where = "".join(reversed(found.path))
        raise TypeError(f"{found.args[0]} (at value{where})" if where else found.args[0]) from None
    return plan


cdef int look_through(Pool pool, Plan plan, object value) except -1:
    cdef type cls = type(value)
    cdef uint64_t slot
    cdef Codec codec
    if cls is str or cls is int or cls is bytes or cls is float or cls is complex or pm_immediate(value, &slot):
        return 0
    if isinstance(value, Persistent):
        if (<Persistent>value).pool is not pool:
            check_read(<Persistent>value)
            raise errors.CrossPoolError(
                f"this {cls.__name__} lives in {(<Persistent>value).pool.path}, not in {pool.path}; "
                "store a copy: pool.to_python(obj)"
            )
        check_read(<Persistent>value)
        return 0
    if cls is list or cls is tuple or cls is dict or cls is set or cls is frozenset or cls is deque:
        look_through_container(pool, plan, value, cls)
        return 0
    if cls is bytearray:
        return 0
    if cls is OrderedDict or cls is Counter or cls is defaultdict:
        look_through_dict(pool, plan, value)
        return 0
    codec = codec_for(pool, cls)
    if codec is None and describe_array is not None and cls.__name__ == "ndarray":
        return look_through_array(plan, value)
    if codec is None:
        raise _Unsupported(_unsupported(value))
    if plan.encoded is None:
        plan.encoded = {}
    if id(value) not in plan.encoded:
        payload = codec.encode(value)
        if type(payload) not in (str, int, bytes, float, complex, bool, tuple, frozenset, type(None)):
            raise TypeError(
                f"the encoder of {cls.__qualname__} must return a str, bytes, number, tuple or frozenset, "
                f"not {type(payload).__name__}"
            )
        look_through(pool, plan, payload)
        plan.encoded[id(value)] = (value, codec, payload)
    return 0


cdef int look_through_key(Pool pool, Plan plan, object key) except -1:
    """Its hash is kept where computing it again, inside the operation, could run user code."""
    cdef uint64_t hash
    cdef type cls = type(key)
    look_through(pool, plan, key)
    stable_hash(pool, key, &hash)
    if cls is not str and cls is not int and cls is not float and cls is not bytes:
        if plan.hashes is None:
            plan.hashes = {}
        plan.hashes[id(key)] = hash
    return 0


cdef uint64_t prepared_hash(Pool pool, Plan plan, object key) except? 0:
    cdef uint64_t hash
    found = plan.hashes.get(id(key)) if plan is not None and plan.hashes is not None else None
    if found is not None:
        return found
    stable_hash(pool, key, &hash)
    return hash


cdef int look_through_container(Pool pool, Plan plan, object value, type cls) except -1:
    cdef Py_ssize_t i = 0
    if plan.seen is None:
        plan.seen = {}
    if id(value) in plan.seen:
        return 0
    plan.seen[id(value)] = value
    if (cls is dict and pm_is_simple(value)) or (cls is list and pm_is_simple_list(value)):
        return 0
    key_failed = False
    try:
        with_recursion_limit()
        if cls is dict:
            for key, item in list((<dict>value).items()):
                key_failed = True
                look_through_key(pool, plan, key)
                key_failed = False
                look_through(pool, plan, item)
        elif cls is list or cls is tuple or cls is deque:
            key = None
            for item in tuple(value):
                key = i
                look_through(pool, plan, item)
                i += 1
        else:
            for item in tuple(value):
                key = item
                look_through_key(pool, plan, item)
    except _Unsupported as found:
        if key_failed:
            found.path.append(f" key {key!r}")
        elif cls is dict or cls is list or cls is tuple or cls is deque:
            found.path.append(f"[{key!r}]")
        raise
    finally:
        Py_LeaveRecursiveCall()
    return 0


cdef int look_through_dict(Pool pool, Plan plan, object value) except -1:
    """One of the subclasses of dict in collections.  Its items are noted, in its order, which user code may give."""
    if plan.encoded is None:
        plan.encoded = {}
    if id(value) in plan.encoded:
        return 0
    items = dict(value)
    factory = value.default_factory if type(value) is defaultdict else None
    plan.encoded[id(value)] = (value, items, factory)
    if factory is not None:
        trust_factory(factory)
        look_through(pool, plan, factory)
    look_through_container(pool, plan, items, dict)
    return 0


cdef int look_through_array(Plan plan, object value) except -1:
    """NumPy's, which may change until it is stored: what is noted is its memory."""
    if plan.encoded is None:
        plan.encoded = {}
    if id(value) in plan.encoded:
        return 0
    try:
        described = describe_array(value)
    except TypeError as error:
        raise _Unsupported(str(error))
    if described is None:
        raise _Unsupported(_unsupported(value))
    plan.encoded[id(value)] = (value, described, None)
    return 0


cdef object describe_array = None


def set_describe_array(function):
    """What says how an ndarray is stored; it stands in a layer above."""
    global describe_array
    describe_array = function


cdef object trust_factory = None


def set_trust_factory(function):
    """What is asked before the factory of a defaultdict is stored; it stands in a layer above."""
    global trust_factory
    trust_factory = function


cdef int with_recursion_limit() except -1:
    return Py_EnterRecursiveCall(b" while storing a nested value")
