# Failures of the system, driven from Python: for this project's own tests (see _engine/files/io_faults.h, io_trace.h).
# Nothing here is called in normal work, and the table of file calls is the plain one until _faults_install.

cdef list call_names():
    cdef int kind
    return [iof_names[kind].decode() for kind in range(<int>IOF_KINDS)]


def _faults_install(*, bint pretend_syncs=False):
    """From now on file calls are counted, and can be made to fail.  Counts begin anew.  No pool may be open.

    pretend_syncs: syncs succeed without doing anything.
    """
    iof_install()
    iof_pretend_syncs(pretend_syncs)


def _faults_remove():
    """The plain table again.  No pool may be open."""
    iof_remove()


def _faults_arm(kinds=None, uint64_t number=1, int error=0, *, bint sticky=False, bint cut=False, str file=""):
    """The `number`-th call from now on, of these kinds (names of calls; None: of any), fails with `error`.

    sticky: so do all after it (with EINTR every other one).  cut: half of a transfer is done, and with an error
    the next matching call gets that.  file: only calls for files whose names end like this.
    """
    cdef iof_rule rule
    cdef list names = call_names()
    memset(&rule, 0, sizeof(rule))
    for name in names if kinds is None else kinds:
        rule.kinds |= 1 << names.index(name)
    encoded = os.fsencode(file)
    if len(encoded) >= sizeof(rule.file) or number == 0 or not (error or cut):
        raise ValueError("a fault needs an error or a cut, a number from 1 on, and a short end of a file name")
    memcpy(rule.file, <const char *>encoded, len(encoded))
    rule.number = number
    rule.error = error
    rule.sticky = sticky
    rule.cut = cut
    iof_arm(&rule)


def _faults_disarm():
    """Calls succeed again.  What was hit stays known."""
    iof_arm(NULL)


def _faults_counts():
    """Calls by kind since _faults_install."""
    return {name: iof_count(<iof_kind><int>kind) for kind, name in enumerate(call_names())}


def _faults_hits():
    """(matching calls since _faults_arm, how many of them were hit, kind of the first or None)"""
    cdef iof_kind first
    cdef uint64_t hits = iof_hits(&first)
    return iof_matched(), hits, iof_names[<int>first].decode() if hits else None


def _faults_trace(*, bint data=False):
    """Begins a trace; data: with what was written."""
    iot_start(data)


def _faults_traced():
    """Ends the trace: a list of dicts, in the order in which the calls began."""
    cdef const iot_entry *entries
    cdef const iot_entry *entry
    cdef size_t count, i
    iot_stop()
    count = iot_entries(&entries)
    traced = []
    for i in range(count):
        entry = &entries[i]
        traced.append({
            "kind": iof_names[<int>entry.kind].decode(), "file": os.fsdecode(entry.file),
            "to": os.fsdecode(entry.to), "number": entry.number, "began": entry.began, "ended": entry.ended,
            "offset": entry.offset, "length": entry.length, "done": entry.done, "address": entry.address,
            "flags": entry.flags, "error": entry.error, "data": entry.data[:entry.done] if entry.data != NULL else None,
        })
    return traced
