# Extern declarations of libpmemobj, in the order of its headers, a few of libpmem, and nothing else.
# Only _core may cimport this module.

from libc.stddef cimport size_t
from libc.stdint cimport uint64_t


cdef extern from "libpmemobj/base.h" nogil:
    ctypedef struct PMEMobjpool:
        pass

    ctypedef struct PMEMoid:
        uint64_t pool_uuid_lo
        uint64_t off

    PMEMoid OID_NULL
    const char *pmemobj_errormsg()
    void *pmemobj_direct(PMEMoid oid)
    PMEMoid pmemobj_root(PMEMobjpool *pop, size_t size)
    size_t pmemobj_alloc_usable_size(PMEMoid oid)
    uint64_t pmemobj_type_num(PMEMoid oid)

cdef extern from "libpmemobj/pool_base.h" nogil:
    PMEMobjpool *pmemobj_open(const char *path, const char *layout)
    PMEMobjpool *pmemobj_create(const char *path, const char *layout, size_t poolsize, unsigned mode)
    void pmemobj_close(PMEMobjpool *pop)

cdef extern from "libpmemobj/iterator_base.h" nogil:
    PMEMoid pmemobj_first(PMEMobjpool *pop)
    PMEMoid pmemobj_next(PMEMoid oid)

cdef extern from "libpmemobj/action_base.h" nogil:
    struct pobj_action_heap:
        uint64_t offset

    struct pobj_action:
        pobj_action_heap heap

    PMEMoid pmemobj_reserve(PMEMobjpool *pop, pobj_action *act, size_t size, uint64_t type_num)
    void pmemobj_defer_free(PMEMobjpool *pop, PMEMoid oid, pobj_action *act)
    int pmemobj_publish(PMEMobjpool *pop, pobj_action *actv, size_t actvcnt)
    void pmemobj_cancel(PMEMobjpool *pop, pobj_action *actv, size_t actvcnt)

cdef extern from "libpmemobj/atomic_base.h" nogil:
    void pmemobj_free(PMEMoid *oidp)

cdef extern from "libpmemobj/ctl.h" nogil:
    int pmemobj_ctl_set(PMEMobjpool *pop, const char *name, void *arg)

cdef extern from "libpmem.h" nogil:
    void *pmem_map_file(const char *path, size_t length, int flags, unsigned mode, size_t *mapped, int *is_pmem)
    int pmem_unmap(void *addr, size_t length)
