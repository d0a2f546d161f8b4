# Verification of a table and its index.

cdef object check_segment(pm_pool *p, pm_table *t, uint64_t segment, uint64_t prefix, object where):
    """The tags of its cells belong there; returns how many cells are taken."""
    cdef unsigned log = PM_SEGMENT_CELLS(segment), depth = PM_SEGMENT_DEPTH(segment)
    cdef uint64_t *cells = <uint64_t *>pm_at(p, segment & PM_OFFSET_MASK)
    cdef uint64_t i, taken = 0
    assert 4 <= log <= 40, f"{where}: a segment of 2**{log} cells"
    for i in range(<uint64_t>1 << log):
        if cells[i]:
            taken += 1
            assert 1 <= cells[i] & 0xffffffff <= t.entries.size, f"{where}: cell {i} holds {cells[i]:#x}"
            assert depth == 0 or cells[i] >> (64 - depth) == prefix, f"{where}: cell {i} is in the wrong segment"
    assert taken < <uint64_t>1 << log, f"{where}: a segment is full"
    return taken


cdef object check_index(pm_pool *p, pm_table *t, object where):
    cdef uint64_t i = 0, taken = 0, words = <uint64_t>1 << t.index_depth, segment, run
    cdef unsigned log, depth
    if t.index == 0:
        assert t.index_depth == 0 and t.entries.size <= PM_TABLE_SMALL, f"{where}: {t.entries.size} entries, no index"
        return
    if t.index_depth == 0:
        log = PM_SEGMENT_CELLS(t.index)
        assert PM_SEGMENT_DEPTH(t.index) == 0 and log <= PM_SEGMENT_LOG, f"{where}: a segment of 2**{log} cells"
        taken = check_segment(p, t, t.index, 0, where)
        assert 3 * taken <= <uint64_t>2 << log, f"{where}: {taken} cells are taken"
    else:
        while i < words:
            segment = pm_directory(p, t)[i]
            depth = PM_SEGMENT_DEPTH(segment)
            assert 1 <= depth <= t.index_depth, f"{where}: a segment of depth {depth}"
            assert PM_SEGMENT_CELLS(segment) >= PM_SEGMENT_LOG, f"{where}: a small segment in a directory"
            run = words >> depth
            taken += check_segment(p, t, segment, i // run, where)
            for i in range(i, i + run):
                assert pm_directory(p, t)[i] == segment, f"{where}: the directory is wrong at {i}"
            i += 1
    assert t.used <= taken <= t.entries.size, f"{where}: {t.entries.size} entries, {t.used} of them live, {taken} cells"


cdef object table_check(Persistent o, unsigned stride):
    cdef pm_table *t
    cdef pm_probe probe
    cdef uint64_t *entry
    cdef uint64_t i, live = 0, hash
    cdef stamp seen
    check_read(o)
    t = table_of(o)
    where = f"{type(o).__name__} at {<uint64_t>(<char *>o.head - o.p.base):#x}"
    assert PM_IS_TABLE(t.head.type) and PM_TABLE_STRIDE(t.head.type) == stride, f"{where}: type {t.head.type}"
    assert t.entries.size <= t.entries.cap, f"{where}: {t.entries.size} entries, room for {t.entries.cap}"
    check_index(o.p, t, where)
    seen = stamp_of(o)
    slots = []
    for i in range(t.entries.size):
        entry = vec_at(o.pool, &t.entries, i, stride)
        if entry[1] == 0:
            noted = i == 0 and t.head.type == PM_TYPE_ORDEREDDICT and entry[2] & 1
            assert stride == 2 or entry[2] == 0 or noted, f"{where}: the deleted entry {i} has a value"
            assert i + 1 < t.entries.size, f"{where}: the last entry is deleted"
            continue
        live += 1
        slots.append((i, entry[0], entry[1]))
        pm_probe_start(o.p, t, entry[0], &probe)
        while True:
            found = pm_table_next(o.p, t, stride, &probe)
            assert found >= 0, f"{where}: the index does not lead to entry {i}"
            if found == <int64_t>i:
                break
    assert live == t.used, f"{where}: {live} live entries, used is {t.used}"
    for i, stored, slot in slots:
        key = slot_load(o.pool, slot)
        stable_hash(o.pool, key, &hash)     # user code
        check_read(o)
        if not same_stamp(o, seen):
            raise RuntimeError(f"{where} changed while it was being checked")
        assert hash == stored, f"{where}: the hash of {key!r} is {hash:#x}, entry {i} says {stored:#x}"
        found = table_find_slow(o, stride, key)
        if not same_stamp(o, seen):
            raise RuntimeError(f"{where} changed while it was being checked")
        assert found == <int64_t>i, f"{where}: {key!r} is entry {i} and also {found}"
