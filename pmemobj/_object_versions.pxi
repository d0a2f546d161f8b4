# Versions: the __p_version__ of a class, and that of each of its objects.
#
# An object's version is a field without a Python name; objects of version 0 do not have it.  One whose version is not
# that of its class is upgraded at its first use, see make_ready().

cdef int64_t stored_version(Pool pool, const pm_instance *instance, ClassInfo info) noexcept:
    """That of an object; -1: it is damaged."""
    cdef Py_ssize_t field = info.version_field
    cdef uint64_t slot = 0, at = instance.fields + 8 * <uint64_t>field
    if field < 0 or field >= instance.cap:
        return 0
    if pm_leads_inside(pool.p, at):
        slot = (<uint64_t *>(pool.p.base + at))[0]
    return <int64_t>slot >> 1 if slot == 0 or slot & 1 else -1


cdef inline bint needs_upgrade(Pool pool, const pm_instance *instance, ClassInfo info) noexcept:
    return is_special(info) and stored_version(pool, instance, info) != info.wanted


cdef int store_version(Pool pool, pm_instance *instance, ClassInfo info) except -1:
    """In an operation, before which the surplus names were cut off."""
    cdef uint64_t *at
    if info.version_field < 0:
        append_slot(pool, info.record, VERSION_FIELD)
        info.learn(VERSION_FIELD, None)
    reserve_field(pool, instance, info.version_field, len(info.names))
    at = <uint64_t *>pm_at(pool.p, instance.fields) + info.version_field
    pm_store(pool.p, at, <uint64_t>info.wanted << 1 | 1)
    return 0


cdef class _OldAgain:
    """Called when the upgrade of an object has been undone."""
    cdef PersistentObject o

    def __call__(self):
        if self.o.head != NULL:
            set_info(self.o, not_ready)


cdef bint upgrade(PersistentObject o, ClassInfo info) except -1:
    """Runs __p_upgrade__ in a transaction of its own, or a savepoint of the one that is open; nobody else sees the
    object before its end.  In a snapshot, which cannot be changed, the object stays as it is stored.  False: another
    thread has done it meanwhile."""
    cdef int64_t version = stored_version(o.pool, <pm_instance *>o.head, info), wanted = info.wanted
    cdef _OldAgain undone
    cdef str what = f"an object of {info.module}.{info.qualname}"
    if version > wanted or version < 0:
        raise errors.UpgradeError(
            f"{what} was stored by version {version} of the class, which has version {wanted} in this program: use "
            "the newer program"
        )
    if o.p.write_gate & PM_GATE_READONLY:
        set_info(o, info)
        return True
    undone = _OldAgain.__new__(_OldAgain)
    undone.o = o
    try:
        with o.pool.transaction() as transaction:
            if o.info != <PyObject *>not_ready:
                return False
            transaction.on_abort(undone)
            set_info(o, info)
            o.__p_upgrade__(version)
            check_read(o)
            info.cut(items_of(o.pool, info.record).size - RECORD_HEAD)
            op_begin(o.pool)
            try:
                store_version(o.pool, <pm_instance *>o.head, info)
            except BaseException:
                op_abort(o.pool)
                raise
            op_end(o.pool)
    except (errors.PmemobjError, MemoryError, OSError):
        raise
    except Exception as error:
        raise errors.UpgradeError(
            f"{what} could not be upgraded from version {version} to {wanted}, and stays what it was: "
            f"{type(error).__name__}: {error}"
        ) from error
    return True


cdef inline bint is_dunder(str name) noexcept:
    return name.startswith("__") and name.endswith("__")
