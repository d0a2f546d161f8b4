/*
 * proxy.h: making and giving back the Python objects that stand for stored ones.
 *
 * rows[i][3] makes a proxy and throws it away, so this is a hot path.
 *
 *  1. Making one runs no Python code and no garbage collection: a collection could free the very object.
 *  2. A module keeps the memory of a few proxies that are gone, of one size, for the next ones.  Such memory is no
 *     object: untracked, unknown to the collector, not zeroed.
 *  3. Nothing refers to a proxy any more when user code may run because of its end, but for weakref callbacks, which
 *     come first and see it with a count of 0.
 *  4. A proxy is tracked by the collector: it refers to the pool handle, and that to anything.
 *
 * Threads: the GIL is held.
 */
#ifndef PM_PROXY_H
#define PM_PROXY_H

#include <Python.h>

#include "engine.h"
#include "known.h"

typedef struct pm_proxy {       /* Persistent as Cython lays it out; PM_CHECK_PROXY compares */
    PyObject_HEAD
    PyObject *weakrefs;
    pm_object *head;
    pm_pool *p;
    PyObject *pool;             /* owned */
} pm_proxy;

#define PM_SAME_FIELD(mine, field, theirs, name) \
    _Static_assert(offsetof(mine, field) == offsetof(theirs, name), "Cython's layout of " #name)
#define PM_CHECK_PROXY(theirs)                        \
    do {                                              \
        PM_SAME_FIELD(pm_proxy, weakrefs, theirs, __weakref__); \
        PM_SAME_FIELD(pm_proxy, head, theirs, head);  \
        PM_SAME_FIELD(pm_proxy, p, theirs, p);        \
        PM_SAME_FIELD(pm_proxy, pool, theirs, pool);  \
        _Static_assert(sizeof(pm_proxy) == sizeof(theirs), "Cython's layout"); \
    } while (0)

#if defined(__SANITIZE_ADDRESS__) || defined(Py_GIL_DISABLED)
#define PM_SPARES 0u            /* the sanitizer is to see each object's end */
#else
#define PM_SPARES 64u
#endif

#define PM_ROOM_FOR_SPARES (PM_SPARES + 1u)

typedef struct pm_spares {
    unsigned count;
    void *memory[PM_ROOM_FOR_SPARES];
} pm_spares;

/* What an object in limbo needs when its proxy is gone: set by each module that ends proxies. */
static void (*pm_proxy_lost)(PyObject *pool, uint64_t offset);

/* An untracked new object of `type`, whose instances are as large as the spares and allocated in the ordinary way;
 * all of it is 0 behind its header.  NULL with an exception. */
static inline PyObject *pm_proxy_alloc(pm_spares *spares, PyTypeObject *type)
{
    PyObject *o;
    if (spares->count) {
        o = (PyObject *)spares->memory[--spares->count];
        memset((char *)o + sizeof(PyObject), 0, (size_t)type->tp_basicsize - sizeof(PyObject));
        return PyObject_Init(o, type);
    }
    int collecting = PyGC_Disable();
    o = type->tp_alloc(type, 0);
    if (collecting)
        PyGC_Enable();
    if (o != NULL)
        PyObject_GC_UnTrack(o);
    return o;
}

/* The memory of an untracked object that nothing refers to any more. */
static inline void pm_proxy_free(pm_spares *spares, PyObject *o, int may_keep)
{
    if (may_keep && spares->count < PM_SPARES)
        spares->memory[spares->count++] = o;
    else
        Py_TYPE(o)->tp_free(o);
}

/* A proxy is about to go: it stands for nothing from here on.  Untracked already. */
static inline void pm_proxy_unbind(PyObject *o)
{
    pm_proxy *proxy = (pm_proxy *)o;
    if (proxy->weakrefs != NULL)
        PyObject_ClearWeakRefs(o);
    if (proxy->head == NULL)
        return;
    uint64_t offset = pm_offset(proxy->p, proxy->head);
    pm_known_cell *cell = pm_known_find(proxy->p->known, offset);
    if (cell == NULL || cell->proxy != o)
        return;                 /* a weakref callback has asked for the object: it has another proxy now */
    if (proxy->head->refs || proxy->p->write_gate & ~(uint32_t)PM_GATE_WRITABLE) {
        pm_known_remove(proxy->p->known, cell);
        return;
    }
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    pm_proxy_lost(proxy->pool, offset);
    PyErr_Restore(type, value, traceback);
}

/* The proxy, which the caller has just allocated, stands for the object; `cell` is where that belongs. */
static inline void pm_proxy_bind(PyObject *o, PyObject *pool, pm_pool *p, pm_object *head, pm_known_cell *cell)
{
    pm_proxy *proxy = (pm_proxy *)o;
    Py_INCREF(pool);
    proxy->pool = pool;
    proxy->p = p;
    proxy->head = head;
    pm_known_put(p->known, cell, pm_offset(p, head), o);
    PyObject_GC_Track(o);
}

#endif
