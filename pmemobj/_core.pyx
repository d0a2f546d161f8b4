"""The pool handle, operations and transactions, memory, and the table of known objects.

Only this module calls libpmemobj.  What belongs where:

  _core_libpmemobj.pxi   one wrapper for each libpmemobj function; it raises
  _core_tasks.pxi        which asyncio task a transaction belongs to
  _core_gate.pxi         who may pass: closed, forked, read-only, failed, another's transaction
  _core_memory.pxi       the memory of this process that a pool takes
  _core_damage.pxi       what is read from the pool, and must not be followed
  _core_heap.pxi         blocks and vectors
  _core_deque.pxi        blocks of deques
  _core_buffer.pxi       blocks of byte arrays and arrays, and who holds their addresses
  _core_objects.pxi      references, the limbo list, destruction, proxies
  _core_tx.pxi           operations, levels, transactions
  _core_direct.pxi       commit, opening and closing under the direct engine
  _core_gc.pxi           following references
  _core_collect.pxi      collecting garbage
  _core_pool.pxi         creating, opening, recovering, closing
  _core_resize.pxi       enlarging
  _core_blocks.pxi       what the allocator says is in use
  _core_faults.pxi       failing file calls, for tests
  _core_usage.pxi        what the bytes of a pool are used for; giving unused ones back
  _core_reader.pxi       snapshots: opening for reading, refreshing, copying
  _core_trace.pxi        file calls noted for crash exploration
"""

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from cpython.list cimport PyList_GET_SIZE
from cpython.object cimport PyObject
from cpython.pythread cimport (
    PyThread_acquire_lock, PyThread_allocate_lock, PyThread_free_lock, PyThread_release_lock,
    NOWAIT_LOCK, PyThread_type_lock,
)
from libc.errno cimport EACCES, EAGAIN, EFBIG, EIO, ENOENT, EPERM, EROFS, ESTALE
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memmove, memset
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from pmemobj._cengine cimport *
from pmemobj._layout cimport *
from pmemobj._libpmemobj cimport *

import os
import sys
import warnings
import weakref

from pmemobj import errors

cdef extern from *:
    """
    static int pm_thread_lives(void *number)
    {
        PyThreadState *state = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
        while (state != NULL && pm_thread_number(state) != number)
            state = PyThreadState_Next(state);
        return state != NULL;
    }
    """
    bint pm_thread_lives(void *number) noexcept

cdef extern from "Python.h":
    int Py_EnterRecursiveCall(const char *where) except *
    void Py_LeaveRecursiveCall() noexcept

cdef extern from "_engine/objects/slot.h":
    const uint64_t *pm_value_block(const pm_pool *p, uint64_t slot) noexcept

cdef extern from "_engine/objects/bytes.h":
    bint pm_buffer_is_sound(const pm_pool *p, const pm_buffer *b) noexcept

cdef extern from "unistd.h" nogil:
    int usleep(unsigned microseconds)

cdef extern from "pythread.h" nogil:
    enum:
        PY_LOCK_ACQUIRED
    int PyThread_acquire_lock_timed(PyThread_type_lock lock, long long microseconds, int interruptible)

include "_core_libpmemobj.pxi"
include "_core_tasks.pxi"
include "_core_trace.pxi"
include "_core_gate.pxi"
include "_core_memory.pxi"
include "_core_damage.pxi"
include "_core_heap.pxi"
include "_core_index.pxi"
include "_core_deque.pxi"
include "_core_buffer.pxi"
include "_core_sorted.pxi"
include "_core_objects.pxi"
include "_core_tx.pxi"
include "_core_direct.pxi"
include "_core_gc.pxi"
include "_core_collect.pxi"
include "_core_resize.pxi"
include "_core_pool.pxi"
include "_core_blocks.pxi"
include "_core_faults.pxi"
include "_core_usage.pxi"
include "_core_reader.pxi"
