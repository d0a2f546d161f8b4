/*
 * pairs.h: what mappings share: tuples of a key and a value, and being matched by `case {...}:`.
 */
#ifndef PM_PAIRS_H
#define PM_PAIRS_H

#include <Python.h>

/* What makes `case {...}:` match; Cython sets it for sequences only. */
static inline void pm_is_mapping(PyObject *type) { ((PyTypeObject *)type)->tp_flags |= Py_TPFLAGS_MAPPING; }

/* The pair (key, value), whose references it takes: `last`, borrowed from its only owner, or a new one.  The
 * collector may have stopped tracking `last` while its items were scalars. */
static inline PyObject *pm_pair(PyObject *last, PyObject *key, PyObject *value)
{
    if (Py_REFCNT(last) == 1) {
        PyObject *old_key = PyTuple_GET_ITEM(last, 0), *old_value = PyTuple_GET_ITEM(last, 1);
        Py_INCREF(last);
        PyTuple_SET_ITEM(last, 0, key);
        PyTuple_SET_ITEM(last, 1, value);
        if (!PyObject_GC_IsTracked(last))
            PyObject_GC_Track(last);
        Py_DECREF(old_key);
        Py_DECREF(old_value);               /* user code, perhaps */
        return last;
    }
    last = PyTuple_New(2);
    if (last == NULL) {
        Py_DECREF(key);
        Py_DECREF(value);
        return NULL;
    }
    PyTuple_SET_ITEM(last, 0, key);
    PyTuple_SET_ITEM(last, 1, value);
    return last;
}

#endif
