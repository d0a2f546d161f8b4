/*
 * slot.h: Python values that need no memory of their own, to and from the 8 bytes of a slot.
 *
 * No function here runs Python code or touches more of the pool than one immutable block.  Only exact types
 * are taken: what is stored comes back with its own type.
 */
#ifndef PM_SLOT_H
#define PM_SLOT_H

#include <Python.h>

#include "cache.h"
#include "engine.h"
#include "prefetch.h"

#define PM_IMMEDIATE(kind) ((uint64_t)(kind) << 3 | 4)
#define PM_REFERENCE(kind, offset) ((uint64_t)(kind) << 48 | (offset))
#define PM_SLOT_KIND(slot) ((unsigned)((slot) >> 48))
#define PM_IS_REFERENCE(slot) (((slot) & 7) == 0)

PM_PREFETCHES pm_prefetch_slot(const pm_pool *p, uint64_t slot)
{
    if (PM_IS_REFERENCE(slot))
        pm_prefetch(p->base + (slot & PM_OFFSET_MASK));
}

/* Floats whose exponent begins with 011 or 100 lose these bits but for one: rotating left by 3 brings them
 * to the bottom, where the tag replaces two of them and the remaining one tells which it was. */
#define PM_FLOAT_ZERO 0x8000000000000002ull

static inline int pm_float_slot(double value, uint64_t *slot)
{
    uint64_t bits;
    memcpy(&bits, &value, 8);
    unsigned top = (unsigned)(bits >> 60) & 7;
    if ((top == 3 || top == 4) && bits != 0x3000000000000000ull) {
        *slot = ((bits << 3 | bits >> 61) & ~3ull) | 2;
        return 1;
    }
    *slot = PM_FLOAT_ZERO;
    return bits == 0;
}

static inline double pm_slot_float(uint64_t slot)
{
    double value = 0.0;
    if (slot != PM_FLOAT_ZERO) {
        uint64_t bits = (2 - (slot >> 63)) | (slot & ~3ull);
        bits = bits >> 3 | bits << 61;
        memcpy(&value, &bits, 8);
    }
    return value;
}

/* --- ints ----------------------------------------------------------------------------------------- */

/* One object for each of these, kept for ever once it has been met; the interpreter does so up to 256. */
#define PM_SMALL_INT_MIN (-5)
#define PM_SMALL_INTS 1029

static PyObject *pm_small_ints[PM_SMALL_INTS];

/* 1 and the value of an exact int that is one digit inside; 0: ask the interpreter. */
static inline int pm_digit_int(PyObject *value, int64_t *n)
{
#if PY_VERSION_HEX >= 0x030c0000
    if (!PyUnstable_Long_IsCompact((PyLongObject *)value))
        return 0;
    *n = PyUnstable_Long_CompactValue((PyLongObject *)value);
#else
    Py_ssize_t size = Py_SIZE(value);
    if (size < -1 || size > 1)
        return 0;
    *n = (int64_t)size * ((PyLongObject *)value)->ob_digit[0];
#endif
    return 1;
}

/* The exact int as 64 bits; 0 when it needs more. */
static inline int pm_int64(PyObject *value, int64_t *n)
{
    int overflow;
    if (pm_digit_int(value, n))
        return 1;
    *n = PyLong_AsLongLongAndOverflow(value, &overflow);
    return !overflow;
}

static inline PyObject *pm_int_value(int64_t n)
{
    if ((uint64_t)(n - PM_SMALL_INT_MIN) >= PM_SMALL_INTS)
        return sizeof(long) == 8 ? PyLong_FromLong((long)n) : PyLong_FromLongLong(n);
    PyObject **known = &pm_small_ints[n - PM_SMALL_INT_MIN];
    if (__builtin_expect(*known == NULL, 0)) {
        *known = PyLong_FromLong((long)n);
        if (*known == NULL)
            return NULL;
    }
    Py_INCREF(*known);
    return *known;
}

/* --- storing -------------------------------------------------------------------------------------- */

/* 1 and the slot of a string that is short enough to be an immediate. */
static inline int pm_immediate_str(PyObject *text, uint64_t *slot)
{
    Py_ssize_t n = PyUnicode_GET_LENGTH(text);
    if (n > 7 || !PyUnicode_IS_COMPACT_ASCII(text))
        return 0;
    uint64_t chars = 0;
    memcpy(&chars, PyUnicode_1BYTE_DATA(text), (size_t)n);
    *slot = chars << 8 | PM_IMMEDIATE(PM_IMM_STR + n);
    return 1;
}

static __attribute__((noinline, unused)) int pm_immediate_other(PyObject *value, uint64_t *slot)
{
    PyTypeObject *type = Py_TYPE(value);
    if (type == &PyLong_Type) {
        int64_t n;
        if (!pm_int64(value, &n) || n > INT64_MAX / 2 || n < INT64_MIN / 2)
            return 0;
        *slot = (uint64_t)n << 1 | 1;
        return 1;
    }
    if (type == &PyUnicode_Type)
        return pm_immediate_str(value, slot);
    if (type == &PyFloat_Type)
        return pm_float_slot(PyFloat_AS_DOUBLE(value), slot);
    if (type == &PyBool_Type) {
        *slot = PM_IMMEDIATE(value == Py_True ? PM_IMM_TRUE : PM_IMM_FALSE);
        return 1;
    }
    if (value == Py_None) {
        *slot = PM_IMMEDIATE(PM_IMM_NONE);
        return 1;
    }
    if (type == &PyBytes_Type) {
        Py_ssize_t n = PyBytes_GET_SIZE(value);
        if (n > 7)
            return 0;
        uint64_t bytes = 0;
        memcpy(&bytes, PyBytes_AS_STRING(value), (size_t)n);
        *slot = bytes << 8 | PM_IMMEDIATE(PM_IMM_BYTES + n);
        return 1;
    }
    if (type == &PyTuple_Type) {
        *slot = PM_IMMEDIATE(PM_IMM_EMPTY_TUPLE);
        return PyTuple_GET_SIZE(value) == 0;
    }
    if (type == &PyFrozenSet_Type) {
        *slot = PM_IMMEDIATE(PM_IMM_EMPTY_FROZENSET);
        return PySet_GET_SIZE(value) == 0;
    }
    if (value == Py_Ellipsis) {
        *slot = PM_IMMEDIATE(PM_IMM_ELLIPSIS);
        return 1;
    }
    if (value == Py_NotImplemented) {
        *slot = PM_IMMEDIATE(PM_IMM_NOTIMPLEMENTED);
        return 1;
    }
    return 0;
}

/* 1 and the slot, or 0: the value needs a block or is of another type. */
static inline int pm_immediate(PyObject *value, uint64_t *slot)
{
    int64_t n;
    if (!PyLong_CheckExact(value) || !pm_digit_int(value, &n))
        return pm_immediate_other(value, slot);
    *slot = (uint64_t)n << 1 | 1;
    return 1;
}

/* --- loading -------------------------------------------------------------------------------------- */

static inline PyObject *pm_new_reference(PyObject *o)
{
    Py_INCREF(o);
    return o;
}

static inline PyObject *pm_short_value(uint64_t slot)
{
    unsigned kind = (unsigned)(slot >> 3) & 31;
    uint64_t data = slot >> 8;
    if (kind < PM_IMM_BYTES && !(data & 0x80808080808080ull)) {
        PyObject *text = PyUnicode_New((Py_ssize_t)kind, 127);
        if (text != NULL && kind)
            memcpy(PyUnicode_1BYTE_DATA(text), &data, kind);
        return text;
    }
    if (kind >= PM_IMM_BYTES && kind < PM_IMM_NONE)
        return PyBytes_FromStringAndSize((const char *)&data, (Py_ssize_t)(kind - PM_IMM_BYTES));
    switch (kind) {
    case PM_IMM_NONE: return pm_new_reference(Py_None);
    case PM_IMM_FALSE: return pm_new_reference(Py_False);
    case PM_IMM_TRUE: return pm_new_reference(Py_True);
    case PM_IMM_ELLIPSIS: return pm_new_reference(Py_Ellipsis);
    case PM_IMM_EMPTY_TUPLE: return PyTuple_New(0);
    case PM_IMM_EMPTY_FROZENSET: return PyFrozenSet_New(NULL);
    case PM_IMM_NOTIMPLEMENTED: return pm_new_reference(Py_NotImplemented);
    default:
        PyErr_Format(PyExc_SystemError, "slot %llx is not a value", (unsigned long long)slot);
        return NULL;
    }
}

/* The block of a reference, no object, if all of it lies inside the pool; else NULL. */
static inline const uint64_t *pm_value_block(const pm_pool *p, uint64_t slot)
{
    uint64_t offset = slot & PM_OFFSET_MASK, most;
    unsigned kind = PM_SLOT_KIND(slot);
    if (!pm_leads_inside(p, offset))
        return NULL;
    const uint64_t *block = (const uint64_t *)pm_at(p, offset);
    if (kind == PM_REF_FLOAT || kind == PM_REF_COMPLEX)
        return block;
    most = p->low + p->room - offset - 8;
    if (kind >= PM_REF_TUPLE)
        most /= 8;
    else if (kind == PM_REF_STR2)
        most /= 2;
    else if (kind == PM_REF_STR4)
        most /= 4;
    return block[0] <= most ? block : NULL;
}

static inline int pm_is_ascii(const void *text, size_t length)
{
    const unsigned char *at = (const unsigned char *)text;
    uint64_t all = 0, word;
    for (; length >= 8; length -= 8, at += 8) {
        memcpy(&word, at, 8);
        all |= word;
    }
    for (; length; length--)
        all |= *at++;
    return (all & 0x8080808080808080ull) == 0;
}

static inline int pm_is_unicode(const uint32_t *text, size_t length)
{
    uint32_t largest = 0;
    for (size_t i = 0; i < length; i++)
        largest = text[i] > largest ? text[i] : largest;
    return largest <= 0x10ffff;
}

/* A block whose value is one object and no other blocks; NULL without an exception: not such a block, or damaged. */
static inline PyObject *pm_plain_block(const pm_pool *p, uint64_t slot)
{
    const uint64_t *block = pm_value_block(p, slot);
    PyObject *text;
    double value;
    if (block == NULL)
        return NULL;
    switch (PM_SLOT_KIND(slot)) {
    case PM_REF_STR1:
        if (!pm_is_ascii(block + 1, block[0]))
            return NULL;
        text = PyUnicode_New((Py_ssize_t)block[0], 127);
        if (text != NULL)
            memcpy(PyUnicode_1BYTE_DATA(text), block + 1, block[0]);
        return text;
    case PM_REF_STR1L: return PyUnicode_FromKindAndData(1, block + 1, (Py_ssize_t)block[0]);
    case PM_REF_STR2: return PyUnicode_FromKindAndData(2, block + 1, (Py_ssize_t)block[0]);
    case PM_REF_STR4:
        if (!pm_is_unicode((const uint32_t *)(block + 1), block[0]))
            return NULL;
        return PyUnicode_FromKindAndData(4, block + 1, (Py_ssize_t)block[0]);
    case PM_REF_BYTES: return PyBytes_FromStringAndSize((const char *)(block + 1), (Py_ssize_t)block[0]);
    case PM_REF_FLOAT:
        memcpy(&value, block, 8);
        return PyFloat_FromDouble(value);
    default: return NULL;
    }
}

/* Is it worth a row of the cache? */
static inline int pm_is_cached(const pm_pool *p, uint64_t slot)
{
    if (slot & 4)
        return 1;
    unsigned kind = PM_SLOT_KIND(slot);
    if (kind < PM_REF_STR1 || kind > PM_REF_BYTES)
        return 0;
    unsigned width = kind == PM_REF_STR2 ? 2 : kind == PM_REF_STR4 ? 4 : 1;
    return *(const uint64_t *)pm_at(p, slot & PM_OFFSET_MASK) <= PM_CACHE_BYTES / width;
}

static __attribute__((noinline, unused)) PyObject *pm_make_value(pm_pool *p, uint64_t slot)
{
    PyObject *value;
    if (slot == PM_IMMEDIATE(PM_IMM_EMPTY_FROZENSET))
        return NULL;            /* making it could start a collection */
    value = slot & 4 ? pm_short_value(slot) : pm_plain_block(p, slot);
    if (value == NULL)
        PyErr_Clear();
    else if (pm_is_cached(p, slot))
        pm_cache_put(p, slot, value);
    return value;
}

/* A new reference, or NULL without an exception: an object, a tuple, something registered, a big int, or there is
 * no memory.  Runs no Python code and no garbage collection. */
static inline __attribute__((always_inline)) PyObject *pm_quick_value(pm_pool *p, uint64_t slot)
{
    PyObject *value;
    if (slot & 1)
        value = pm_int_value((int64_t)slot >> 1);
    else if (slot & 2)
        value = PyFloat_FromDouble(pm_slot_float(slot));
    else if (slot & 4 || slot > PM_OFFSET_MASK) {
        value = pm_cache_get(p, slot);
        return value != NULL ? value : pm_make_value(p, slot);
    }
    else
        return NULL;
    if (__builtin_expect(value == NULL, 0))
        PyErr_Clear();
    return value;
}

#endif
