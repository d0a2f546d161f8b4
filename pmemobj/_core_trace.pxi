# The file calls of this process and what they do to a directory, noted for pmemobj.testing (see _engine/files/trace.h).

cdef extern from "_engine/files/trace.h" nogil:
    int trace_on
    int trace_start(const char *directory, uint64_t kill_at)
    uint64_t trace_count()
    void trace_line(uint64_t line)
    void trace_mark(uint64_t number)
    int trace_stop(uint64_t **words, size_t *count)

cdef extern from "_engine/files/io_scratch.h" nogil:
    void io_scratch()

cdef extern from "_engine/journal/journal.h" nogil:
    void jr_pretend_boot(const char *boot_id)


def _trace_start(str directory not None, uint64_t kill_at=0):
    """Begins to note; one trace at a time.

    kill_at: nothing is noted, but events are counted, and at that one this process is killed."""
    name = os.fsencode(directory)
    cdef const char *c_name = name
    cdef int error
    with nogil:
        error = trace_start(c_name, kill_at)
    if error:
        raise OSError(error, os.strerror(error), directory)


def _trace_mark(uint64_t number):
    """Notes that the program has come so far."""
    with nogil:
        trace_mark(number)


def _trace_count():
    """Events since _trace_start."""
    return trace_count()


def _trace_line(uint64_t line):
    """What the program is at: stands in every event from now on."""
    trace_line(line)


def _trace_stop():
    """Ends it; the trace as bytes."""
    cdef uint64_t *words = NULL
    cdef size_t count = 0
    cdef int error
    with nogil:
        error = trace_stop(&words, &count)
    try:
        if error:
            raise OSError(error, os.strerror(error))
        return PyBytes_FromStringAndSize(<char *>words, count * 8)
    finally:
        free(words)


def _trace_boot(str boot):
    """Recovery is to believe that the system has been started since; None: what the system says."""
    name = (boot or "").encode()[:36]
    jr_pretend_boot(name)


# For whoever opens thousands of images; what it raises ends the open, which leaves what recovery has made.
cdef object after_recovery = None


def _trace_recovered(look):
    """Each open calls look(path) when the files are recovered, before anything else is done to them; None: no more."""
    global after_recovery
    after_recovery = look


def _scratch_calls():
    """From now on syncs of this process do nothing, and what is allocated or zeroed takes no space.  No pool may be
    open."""
    io_scratch()
