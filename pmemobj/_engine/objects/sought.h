/*
 * sought.h: keys of sorted containers compared in C.
 *
 * Keys are compared here when both are ints, floats, bools, strings or bytes.  Any other pair is PM_UNORDERED, and the
 * caller leaves it to Python.  Nothing here runs Python code.
 */
#ifndef PM_SOUGHT_H
#define PM_SOUGHT_H

#include <Python.h>

#include "engine.h"
#include "slot.h"

#define PM_UNORDERED 2

enum pm_sought_kind { PM_SOUGHT_INT, PM_SOUGHT_FLOAT, PM_SOUGHT_STR, PM_SOUGHT_BYTES, PM_SOUGHT_OTHER, PM_SOUGHT_NAN };

/* A key to be compared with those of a tree. */
typedef struct pm_sought {
    int kind;
    unsigned width;             /* bytes of a character */
    int64_t word;               /* of an int: its slot */
    double number;              /* of an int: near to it; exact up to 2^53 */
    uint64_t prefix;            /* the first eight bytes as a big-endian number, of characters of one byte */
    uint64_t length;            /* in characters */
    const void *data;
    uint64_t chars;             /* of a string in a slot */
} pm_sought;

/* --- comparing: the sign of (stored - sought), or PM_UNORDERED ---------------------------------------- */

static inline uint64_t pm_prefix(const void *data, uint64_t bytes)
{
    uint64_t first = 0;
    if (bytes >= 8)
        memcpy(&first, data, 8);
    else
        memcpy(&first, data, bytes);
    return __builtin_bswap64(first);
}

static inline void pm_sought_text(pm_sought *k, int kind, const void *data, uint64_t length, unsigned width)
{
    k->kind = kind;
    k->width = width;
    k->length = length;
    k->data = data;
    k->prefix = width == 1 ? pm_prefix(data, length) : 0;
}

static inline void pm_sought_int(pm_sought *k, int64_t n)
{
    k->kind = PM_SOUGHT_INT;
    k->word = (int64_t)((uint64_t)n << 1 | 1);
    k->number = (double)n;
}

/* `key` must live as long as k. */
static inline void pm_sought_set(pm_sought *k, PyObject *key)
{
    PyTypeObject *type = Py_TYPE(key);
    int64_t n;
    k->kind = PM_SOUGHT_OTHER;
    if (type == &PyLong_Type) {
        if (pm_int64(key, &n) && n <= INT64_MAX / 2 && n >= INT64_MIN / 2)
            pm_sought_int(k, n);
    } else if (type == &PyUnicode_Type) {
        pm_sought_text(k, PM_SOUGHT_STR, PyUnicode_DATA(key), (uint64_t)PyUnicode_GET_LENGTH(key), PyUnicode_KIND(key));
    } else if (type == &PyFloat_Type) {
        k->number = PyFloat_AS_DOUBLE(key);
        k->kind = k->number == k->number ? PM_SOUGHT_FLOAT : PM_SOUGHT_NAN;
    } else if (type == &PyBytes_Type) {
        pm_sought_text(k, PM_SOUGHT_BYTES, PyBytes_AS_STRING(key), (uint64_t)PyBytes_GET_SIZE(key), 1);
    } else if (type == &PyBool_Type) {
        pm_sought_int(k, key == Py_True);
    }
}

/* The key in a slot, for comparing two stored ones; PM_SOUGHT_OTHER also if it is damaged. */
static inline void pm_sought_slot(const pm_pool *p, pm_sought *k, uint64_t slot)
{
    unsigned kind = PM_IS_REFERENCE(slot) ? PM_SLOT_KIND(slot) : 0;
    const uint64_t *block = kind ? pm_value_block(p, slot) : NULL;
    k->kind = PM_SOUGHT_OTHER;
    if (kind && block == NULL)
        return;
    if (slot & 1) {
        pm_sought_int(k, (int64_t)slot >> 1);
    } else if (slot & 2) {
        k->kind = PM_SOUGHT_FLOAT;
        k->number = pm_slot_float(slot);
    } else if (slot & 4) {
        unsigned immediate = (unsigned)(slot >> 3) & 31;
        k->chars = slot >> 8;
        if (immediate < PM_IMM_BYTES)
            pm_sought_text(k, PM_SOUGHT_STR, &k->chars, immediate, 1);
        else if (immediate < PM_IMM_NONE)
            pm_sought_text(k, PM_SOUGHT_BYTES, &k->chars, immediate - PM_IMM_BYTES, 1);
        else if (immediate == PM_IMM_FALSE || immediate == PM_IMM_TRUE)
            pm_sought_int(k, immediate == PM_IMM_TRUE);
    } else if (kind >= PM_REF_STR1 && kind <= PM_REF_STR4) {
        pm_sought_text(k, PM_SOUGHT_STR, block + 1, block[0], kind == PM_REF_STR4 ? 4 : kind == PM_REF_STR2 ? 2 : 1);
    } else if (kind == PM_REF_BYTES) {
        pm_sought_text(k, PM_SOUGHT_BYTES, block + 1, block[0], 1);
    } else if (kind == PM_REF_FLOAT) {
        memcpy(&k->number, block, 8);
        k->kind = k->number == k->number ? PM_SOUGHT_FLOAT : PM_SOUGHT_NAN;
    }
}

static inline int pm_sign(int64_t a, int64_t b) { return (a > b) - (a < b); }
static inline int pm_sign_double(double a, double b) { return (a > b) - (a < b); }

#define PM_EXACT_DOUBLE ((int64_t)1 << 53)

/* Not both ints that fit a slot. */
static inline int pm_compare_number(const pm_pool *p, uint64_t slot, const pm_sought *k)
{
    double stored;
    if (slot & 1) {
        int64_t n = (int64_t)slot >> 1;
        if (n > PM_EXACT_DOUBLE || n < -PM_EXACT_DOUBLE)
            return PM_UNORDERED;
        stored = (double)n;
    } else if (slot & 2) {
        stored = pm_slot_float(slot);
    } else if (slot == PM_IMMEDIATE(PM_IMM_TRUE) || slot == PM_IMMEDIATE(PM_IMM_FALSE)) {
        stored = slot == PM_IMMEDIATE(PM_IMM_TRUE);
    } else if (PM_IS_REFERENCE(slot) && PM_SLOT_KIND(slot) == PM_REF_FLOAT &&
               pm_leads_inside(p, slot & PM_OFFSET_MASK)) {
        memcpy(&stored, pm_at(p, slot & PM_OFFSET_MASK), 8);
    } else {
        return PM_UNORDERED;
    }
    if (k->kind == PM_SOUGHT_INT && (k->word >> 1 > PM_EXACT_DOUBLE || k->word >> 1 < -PM_EXACT_DOUBLE))
        return PM_UNORDERED;
    return pm_sign_double(stored, k->number);
}

static inline uint32_t pm_character(const void *data, unsigned width, uint64_t i)
{
    if (width == 1)
        return ((const uint8_t *)data)[i];
    return width == 2 ? ((const uint16_t *)data)[i] : ((const uint32_t *)data)[i];
}

static __attribute__((noinline, unused)) int pm_compare_wide(const void *stored, uint64_t length, unsigned width,
                                                             const pm_sought *k)
{
    uint64_t n = length < k->length ? length : k->length;
    for (uint64_t i = 0; i < n; i++) {
        uint32_t a = pm_character(stored, width, i), b = pm_character(k->data, k->width, i);
        if (a != b)
            return a < b ? -1 : 1;
    }
    return pm_sign((int64_t)length, (int64_t)k->length);
}

/* Characters of one byte on both sides. */
static inline int pm_compare_bytes(const char *stored, uint64_t length, uint64_t prefix, const pm_sought *k)
{
    uint64_t n = length < k->length ? length : k->length;
    if (prefix != k->prefix)
        return prefix < k->prefix ? -1 : 1;
    if (n > 8) {
        int order = memcmp(stored + 8, (const char *)k->data + 8, n - 8);
        if (order)
            return order < 0 ? -1 : 1;
    }
    return pm_sign((int64_t)length, (int64_t)k->length);
}

/* A string (immediate 0, blocks STR1 to STR4) or bytes. */
static inline int pm_compare_text(const pm_pool *p, uint64_t slot, const pm_sought *k, unsigned immediate,
                                  unsigned first, unsigned last)
{
    if (slot & 7) {
        uint64_t chars = slot >> 8;
        unsigned length = ((unsigned)(slot >> 3) & 31) - immediate;
        if ((slot & 7) != 4 || length > 7)
            return PM_UNORDERED;
        return k->width == 1 ? pm_compare_bytes((const char *)&chars, length, __builtin_bswap64(chars), k)
                             : pm_compare_wide(&chars, length, 1, k);
    }
    unsigned kind = PM_SLOT_KIND(slot);
    if (kind < first || kind > last)
        return PM_UNORDERED;
    uint64_t offset = slot & PM_OFFSET_MASK;
    const uint64_t *block = (const uint64_t *)pm_at(p, offset);
    unsigned width = kind == PM_REF_STR4 ? 4 : kind == PM_REF_STR2 ? 2 : 1;
    if (!pm_leads_inside(p, offset) || block[0] > (p->low + p->room - offset - 8) / width)
        return PM_UNORDERED;    /* damaged: the long way raises */
    if (width != 1 || k->width != 1)
        return pm_compare_wide(block + 1, block[0], width, k);
    uint64_t prefix = block[0] >= 8 ? __builtin_bswap64(block[1]) : pm_prefix(block + 1, block[0]);
    return pm_compare_bytes((const char *)(block + 1), block[0], prefix, k);
}

static inline __attribute__((always_inline)) int pm_compare(const pm_pool *p, uint64_t slot, const pm_sought *k,
                                                            const int kind)
{
    if (kind == PM_SOUGHT_INT)
        return slot & 1 ? pm_sign((int64_t)slot, k->word) : pm_compare_number(p, slot, k);
    if (kind == PM_SOUGHT_FLOAT)
        return pm_compare_number(p, slot, k);
    if (kind == PM_SOUGHT_STR)
        return pm_compare_text(p, slot, k, PM_IMM_STR, PM_REF_STR1, PM_REF_STR4);
    if (kind == PM_SOUGHT_BYTES)
        return pm_compare_text(p, slot, k, PM_IMM_BYTES, PM_REF_BYTES, PM_REF_BYTES);
    return PM_UNORDERED;
}

static inline int pm_compare_any(const pm_pool *p, uint64_t slot, const pm_sought *k)
{
    switch (k->kind) {
    case PM_SOUGHT_INT: return pm_compare(p, slot, k, PM_SOUGHT_INT);
    case PM_SOUGHT_FLOAT: return pm_compare(p, slot, k, PM_SOUGHT_FLOAT);
    case PM_SOUGHT_STR: return pm_compare(p, slot, k, PM_SOUGHT_STR);
    case PM_SOUGHT_BYTES: return pm_compare(p, slot, k, PM_SOUGHT_BYTES);
    default: return PM_UNORDERED;
    }
}

/* The sign of (a - b), two stored keys; PM_UNORDERED: only Python can tell. */
static inline int pm_compare_slots(const pm_pool *p, uint64_t a, uint64_t b)
{
    pm_sought k;
    pm_sought_slot(p, &k, b);
    return pm_compare_any(p, a, &k);
}

#endif
