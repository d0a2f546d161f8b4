/*
 * keys.h: the commonest keys, exact str and int, looked up in a pm_table without running Python code.
 *
 * The hashes are those of stable_hash in _values.pyx and lie on media: the same in every process.
 */
#ifndef PM_KEYS_H
#define PM_KEYS_H

#include <Python.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "slot.h"
#include "table.h"

#define PM_SEED_STR 0x73747200u
#define PM_NOT_FOUND (-1)
#define PM_UNDECIDED (-3)       /* some other number may be equal to this int: look closer */

static inline uint64_t pm_str_hash(PyObject *text)
{
    unsigned kind = PyUnicode_KIND(text);
    return XXH3_64bits_withSeed(PyUnicode_DATA(text), (size_t)PyUnicode_GET_LENGTH(text) * kind, PM_SEED_STR + kind);
}

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

/* Is this string, too long for an immediate, the one in the slot? */
static inline int pm_same_text(const pm_pool *p, uint64_t slot, PyObject *text)
{
    unsigned kind = PM_SLOT_KIND(slot), width = PyUnicode_KIND(text);
    if (!PM_IS_REFERENCE(slot) || kind < PM_REF_STR1 || kind > PM_REF_STR4)
        return 0;
    if (width != (kind == PM_REF_STR4 ? 4 : kind == PM_REF_STR2 ? 2 : 1))
        return 0;
    const uint64_t *block = (const uint64_t *)pm_at(p, slot & PM_OFFSET_MASK);
    uint64_t length = (uint64_t)PyUnicode_GET_LENGTH(text);
    return block[0] == length && memcmp(block + 1, PyUnicode_DATA(text), length * width) == 0;
}

/* Entry number of an exact str, or PM_NOT_FOUND; its hash. */
static inline int64_t pm_find_str(const pm_pool *p, const pm_table *t, unsigned stride, PyObject *key, uint64_t *hash)
{
    uint64_t slot, h = pm_str_hash(key), at = pm_table_start(t, h);
    int64_t i;
    *hash = h;
    if (pm_immediate_str(key, &slot)) {
        while ((i = pm_table_next(p, t, stride, h, &at)) >= 0)
            if (pm_vec_at(p, &t->entries, (uint64_t)i, stride)[1] == slot)
                return i;
        return PM_NOT_FOUND;
    }
    while ((i = pm_table_next(p, t, stride, h, &at)) >= 0)
        if (pm_same_text(p, pm_vec_at(p, &t->entries, (uint64_t)i, stride)[1], key))
            return i;
    return PM_NOT_FOUND;
}

/* Entry number of an exact int and its hash; PM_UNDECIDED, without the hash, when it is big or meets a key of
 * another type with the same hash. */
static inline int64_t pm_find_int(const pm_pool *p, const pm_table *t, unsigned stride, PyObject *key, uint64_t *hash)
{
    int overflow;
    int64_t i, n = PyLong_AsLongLongAndOverflow(key, &overflow);
    if (overflow || n >= (1ll << 61) - 1 || n <= -((1ll << 61) - 1))
        return PM_UNDECIDED;
    uint64_t slot = (uint64_t)n << 1 | 1, h = n == -1 ? (uint64_t)-2 : (uint64_t)n, at = pm_table_start(t, h);
    while ((i = pm_table_next(p, t, stride, h, &at)) >= 0) {
        uint64_t found = pm_vec_at(p, &t->entries, (uint64_t)i, stride)[1];
        if (found == slot)
            return i;
        if (!(found & 1))
            return PM_UNDECIDED;
    }
    *hash = h;
    return PM_NOT_FOUND;
}

#endif
