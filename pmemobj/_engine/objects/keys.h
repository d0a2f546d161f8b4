/*
 * keys.h: the commonest keys, exact str and int, looked up in a pm_table and stored without running Python code.
 *
 * The hashes are those of stable_hash in _values.pyx and lie on media: the same in every process.
 *
 * Text keys that were found are remembered with the str object that found them, so that the next search with
 * this object is neither hashed nor compared:
 *
 *  1. A row holds a strong reference to an exact str, which cannot change, so the object is the text.
 *  2. A row names a key slot and an entry number.  A text block belongs to one slot: if the entry of that number
 *     holds the row's slot, and the block is still the one that was compared, then it is the key, in this table.
 *  3. The block is the same as long as no key's block has been given back since, and nothing has been undone:
 *     whoever does either calls pm_keys_forget.
 *  4. Rows are given back when the pool is closed, and in a forked child.  Releasing a str runs no user code.
 */
#ifndef PM_KEYS_H
#define PM_KEYS_H

#include <Python.h>

#include "op.h"
#include "memory/slab.h"
#include "slot.h"
#include "table.h"

#define PM_SEED_STR 0x73747200u
#define PM_UNDECIDED (-3)       /* a key of another type may be equal: look closer */

#define PM_KEY_ROWS 8192u       /* at first: 256 KiB */
#define PM_KEY_ROWS_MAX 131072u /* 4 MiB */
#define PM_KEY_LENGTH 128       /* of a str that is remembered, at most */

typedef struct pm_key_row {
    PyObject *key;              /* NULL: free */
    uint64_t slot, number, generation;
} pm_key_row;

/* What is remembered holds no more. */
static inline void pm_keys_forget(pm_pool *p) { p->key_generation++; }

static inline void pm_keys_release(pm_pool *p)
{
    pm_key_row *rows = (pm_key_row *)p->keys;
    uint64_t n = rows != NULL ? p->key_mask + 1 : 0;
    p->keys = NULL;
    for (uint64_t i = 0; i < n; i++)
        Py_XDECREF(rows[i].key);
    free(rows);
}

/* Str objects that are not immediates lie at least 64 bytes apart. */
static inline pm_key_row *pm_key_row_of(const pm_pool *p, const pm_table *t, const PyObject *key)
{
    uintptr_t at = ((uintptr_t)key >> 6) + ((uintptr_t)t >> 3) * 0x9e3779b1u;
    return (pm_key_row *)p->keys + (at & p->key_mask);
}

/* So many rows, all of them free.  Where there is no memory for them, all stays as it is. */
static inline void pm_keys_renew(pm_pool *p, uint64_t rows)
{
    void *fresh = calloc(rows, sizeof(pm_key_row));
    p->key_conflicts = 0;
    if (fresh == NULL)
        return;
    pm_keys_release(p);
    p->keys = fresh;
    p->key_mask = rows - 1;
}

/* Another key in use has the row of this one.  Does this one get it?  Where more keys are in use than there are rows, each
 * would be replaced before it comes again: so a few of them stay, and in the long run there are more rows. */
static inline int pm_key_replaces(pm_pool *p)
{
    uint64_t rows = p->key_mask + 1;
    if (++p->key_conflicts < 4 * rows || rows >= PM_KEY_ROWS_MAX)
        return p->key_conflicts % 16 == 0;
    pm_keys_renew(p, 4 * rows);
    return 0;
}

static inline void pm_key_remember(pm_pool *p, const pm_table *t, PyObject *key, uint64_t slot, uint64_t number)
{
    if (Py_REFCNT(key) == 1 || PyUnicode_GET_LENGTH(key) > PM_KEY_LENGTH)
        return;                                 /* its owner will not come again with it, or it is too large */
    if (p->keys == NULL)
        pm_keys_renew(p, PM_KEY_ROWS);
    if (p->keys == NULL)
        return;
    pm_key_row *row = pm_key_row_of(p, t, key);
    PyObject *before = row->key;
    if (before != NULL && before != key && row->generation == p->key_generation && !pm_key_replaces(p))
        return;
    Py_INCREF(key);
    row->key = key;
    row->slot = slot;
    row->number = number;
    row->generation = p->key_generation;
    Py_XDECREF(before);
}

static inline uint64_t pm_str_hash(PyObject *text)
{
    unsigned kind = PyUnicode_KIND(text);
    return XXH3_64bits_withSeed(PyUnicode_DATA(text), (size_t)PyUnicode_GET_LENGTH(text) * kind, PM_SEED_STR + kind);
}

static inline int pm_same_bytes(const char *a, const char *b, size_t n)
{
    if (n < 8 || n > 64)
        return memcmp(a, b, n) == 0;
    uint64_t x, y;
    for (size_t i = 0; i < n - 8; i += 8) {
        memcpy(&x, a + i, 8);
        memcpy(&y, b + i, 8);
        if (x != y)
            return 0;
    }
    memcpy(&x, a + n - 8, 8);
    memcpy(&y, b + n - 8, 8);
    return x == y;
}

/* Is this string, too long for an immediate, the one in the slot? */
static inline int pm_same_text(const pm_pool *p, uint64_t slot, PyObject *text)
{
    unsigned kind = PM_SLOT_KIND(slot), width = PyUnicode_KIND(text);
    if (!PM_IS_REFERENCE(slot) || kind < PM_REF_STR1 || kind > PM_REF_STR4)
        return 0;
    if (width != (kind == PM_REF_STR4 ? 4 : kind == PM_REF_STR2 ? 2 : 1))
        return 0;
    uint64_t length = (uint64_t)PyUnicode_GET_LENGTH(text);
    if (!pm_leads_inside(p, slot & PM_OFFSET_MASK))
        return 0;
    const uint64_t *block = (const uint64_t *)pm_at(p, slot & PM_OFFSET_MASK);
    return block[0] == length && pm_inside_all(p, (slot & PM_OFFSET_MASK) + 8, length, width) &&
           pm_same_bytes((const char *)(block + 1), (const char *)PyUnicode_DATA(text), length * width);
}

/* A key whose equality only Python can tell. */
static inline int pm_is_registered(uint64_t slot) { return PM_IS_REFERENCE(slot) && PM_SLOT_KIND(slot) >= PM_REF_CUSTOM; }

/* Flattened: a key that comes for the first time is looked for here, whichever container it goes to. */
static __attribute__((noinline, flatten)) int64_t pm_find_text(pm_pool *p, const pm_table *t, unsigned stride,
                                                               PyObject *key, pm_probe *probe)
{
    int64_t i;
    pm_probe_start(p, t, pm_str_hash(key), probe);
    while ((i = pm_table_next(p, t, stride, probe)) >= 0) {
        uint64_t slot = pm_vec_at(p, &t->entries, (uint64_t)i, stride)[1];
        if (pm_same_text(p, slot, key)) {
            pm_key_remember(p, t, key, slot, (uint64_t)i);
            return i;
        }
        if (pm_is_registered(slot))
            return PM_UNDECIDED;
    }
    return i;
}

static __attribute__((noinline, flatten)) int64_t pm_find_short(const pm_pool *p, const pm_table *t, unsigned stride,
                                                                PyObject *key, uint64_t slot, pm_probe *probe)
{
    int64_t i;
    pm_probe_start(p, t, pm_str_hash(key), probe);
    while ((i = pm_table_next(p, t, stride, probe)) >= 0) {
        uint64_t found = pm_vec_at(p, &t->entries, (uint64_t)i, stride)[1];
        if (found == slot)
            return i;
        if (pm_is_registered(found))
            return PM_UNDECIDED;
    }
    return i;
}

/* Entry number of an exact str.  If it is not there: PM_NOT_FOUND, and the probe has its hash and place; or
 * PM_UNDECIDED, when a key of a registered type has its hash; or PM_DAMAGED. */
static inline int64_t pm_find_str(pm_pool *p, const pm_table *t, unsigned stride, PyObject *key, pm_probe *probe)
{
    uint64_t slot;
    if (pm_immediate_str(key, &slot))
        return pm_find_short(p, t, stride, key, slot, probe);
    if (p->keys != NULL) {
        const pm_key_row *row = pm_key_row_of(p, t, key);
        if (row->key == key && row->generation == p->key_generation && row->number < t->entries.size) {
            const uint64_t *entry = pm_vec_find(p, &t->entries, row->number, stride);
            if (entry != NULL && entry[1] == row->slot)
                return (int64_t)row->number;
        }
    }
    return pm_find_text(p, t, stride, key, probe);
}

/* The same for an exact int and its slot; PM_UNDECIDED, without either, when it is big or meets a key of another
 * type with the same hash. */
static inline int64_t pm_find_int(const pm_pool *p, const pm_table *t, unsigned stride, PyObject *key, pm_probe *probe,
                                  uint64_t *slot)
{
    int overflow;
    int64_t i, n = PyLong_AsLongLongAndOverflow(key, &overflow);
    if (overflow || n >= (1ll << 61) - 1 || n <= -((1ll << 61) - 1))
        return PM_UNDECIDED;
    *slot = (uint64_t)n << 1 | 1;
    pm_probe_start(p, t, n == -1 ? (uint64_t)-2 : (uint64_t)n, probe);
    while ((i = pm_table_next(p, t, stride, probe)) >= 0) {
        uint64_t found = pm_vec_at(p, &t->entries, (uint64_t)i, stride)[1];
        if (found == *slot)
            return i;
        if (!(found & 1))
            return PM_UNDECIDED;
    }
    return i;
}

/* Fetches what the entries eight to fifteen further on refer to.  What lies there may be no entries: only the
 * cache sees what it fetches then. */
PM_PREFETCHES pm_prefetch_texts(const pm_pool *p, const uint64_t *entry, unsigned stride)
{
    const uint64_t *ahead = entry + 8 * stride, *end = ahead + 8 * stride;
    if (pm_offset(p, end) > p->size)
        return;
    for (; ahead < end; ahead += stride)
        for (unsigned word = 1; word < stride; word++)
            pm_prefetch_slot(p, ahead[word]);
}

/* --- storing ---------------------------------------------------------------------------------------- */

/* Words of the block of a text, no immediate, that pm_direct_text can write, or 0. */
static inline uint64_t pm_text_words(PyObject *text)
{
    uint64_t bytes = (uint64_t)PyUnicode_GET_LENGTH(text) * PyUnicode_KIND(text);
    return bytes > 56 ? 0 : (bytes + 15) / 8;
}

/* Fills the first free block of the page whose bitmap word pm_class_bits gave; the slot of the text.  The caller
 * takes the block by setting the word's lowest 0 bit. */
static inline uint64_t pm_fill_text(const pm_pool *p, const uint64_t *bits, PyObject *text, uint64_t words)
{
    uint64_t word = pm_offset(p, bits), page = pm_page_of(word);
    uint64_t number = (word - page) * 8 + (unsigned)__builtin_ctzll(~*bits);
    uint64_t offset = page + sizeof(pm_page) + number * (words * 8);
    uint64_t *block = (uint64_t *)pm_at(p, offset);
    unsigned width = PyUnicode_KIND(text);
    unsigned kind = width == 4 ? PM_REF_STR4 : width == 2 ? PM_REF_STR2 : PM_REF_STR1L;
    block[0] = (uint64_t)PyUnicode_GET_LENGTH(text);
    block[words - 1] = 0;
    memcpy(block + 1, PyUnicode_DATA(text), block[0] * width);
    return PM_REFERENCE(PyUnicode_IS_ASCII(text) ? PM_REF_STR1 : kind, offset);
}

static inline uint64_t pm_direct_text(pm_direct *d, uint64_t *bits, PyObject *text, uint64_t words)
{
    uint64_t slot = pm_fill_text(d->p, bits, text, words);
    pm_direct_store(d, bits, *bits | (*bits + 1));
    pm_direct_filled(d, (const uint64_t *)pm_at(d->p, slot & PM_OFFSET_MASK), words);
    return slot;
}

/* As pm_direct_text, for ASCII text in a record that goes on at `to`, which it gives back behind what it wrote: each
 * word is stored to both places at once. */
static inline uint64_t *pm_record_ascii(pm_pool *p, uint64_t *to, uint64_t *bits, PyObject *text, uint64_t words,
                                        uint64_t *slot)
{
    uint64_t at = pm_offset(p, bits), page = pm_page_of(at), before = *bits;
    uint64_t number = (at - page) * 8 + (unsigned)__builtin_ctzll(~before);
    uint64_t offset = page + sizeof(pm_page) + number * (words * 8), word;
    uint64_t length = (uint64_t)PyUnicode_GET_LENGTH(text);
    uint64_t *block = (uint64_t *)pm_at(p, offset);
    const char *data = (const char *)((PyASCIIObject *)text + 1);
    to[0] = JR_EXTENT(at, 1);
    to[1] = *bits = before | (before + 1);
    to[2] = JR_EXTENT(offset, words);
    to[3] = block[0] = length;
    for (uint64_t i = 1; i < words - 1; i++) {
        memcpy(&word, data + 8 * i - 8, 8);
        to[3 + i] = block[i] = word;
    }
    /* what is left over, 1 to 8 characters: the last eight of the text, without those that are stored already */
    memcpy(&word, data + length - 8, 8);
    to[2 + words] = block[words - 1] = word >> (-length % 8 * 8);
    *slot = PM_REFERENCE(PM_REF_STR1, offset);
    return to + 3 + words;
}

static inline uint64_t *pm_record_text(pm_pool *p, uint64_t *to, uint64_t *bits, PyObject *text, uint64_t words,
                                       uint64_t *slot)
{
    if (PyUnicode_IS_COMPACT_ASCII(text))
        return pm_record_ascii(p, to, bits, text, words, slot);
    pm_direct d = {p, to};
    *slot = pm_direct_text(&d, bits, text, words);
    return d.to;
}

/* The slot of a str inside an operation.  0: nothing has been done, encode_value can. */
static inline uint64_t pm_op_text(pm_pool *p, PyObject *text)
{
    uint64_t slot, words;
    uint64_t *bits;
    if (pm_immediate_str(text, &slot))
        return slot;
    words = pm_text_words(text);
    if (words == 0 || (bits = pm_class_bits(p, PM_CLASS_OF_WORDS(words), 1)) == NULL)
        return 0;
    slot = pm_fill_text(p, bits, text, words);
    pm_store(p, bits, *bits | (*bits + 1));
    const void *block = pm_at(p, slot & PM_OFFSET_MASK);
    if (p->depth == 0 || !pm_is_dirty(p, slot & PM_OFFSET_MASK, words * 8))
        pm_fresh(p, block, words * 8);
    return slot;
}

#define PM_SIMPLE_ITEMS 1000

/* Values that are looked through by looking at their type. */
static inline int pm_is_scalar(PyObject *value)
{
    PyTypeObject *type = Py_TYPE(value);
    return type == &PyUnicode_Type || type == &PyLong_Type || type == &PyFloat_Type || type == &PyBytes_Type
        || type == &PyBool_Type || value == Py_None;
}

/* A list so short that it is looked through twice for nothing, of scalars only. */
static inline int pm_is_simple_list(PyObject *items)
{
    Py_ssize_t n = PyList_GET_SIZE(items);
    if (n > PM_SIMPLE_ITEMS)
        return 0;
    for (Py_ssize_t i = 0; i < n; i++)
        if (!pm_is_scalar(PyList_GET_ITEM(items, i)))
            return 0;
    return 1;
}

/* Keys are exact str or int, values scalars: nothing in such a dict can run Python code. */
static inline int pm_is_simple(PyObject *items)
{
    Py_ssize_t at = 0;
    PyObject *key, *value;
    while (PyDict_Next(items, &at, &key, &value))
        if (!(PyUnicode_CheckExact(key) || PyLong_CheckExact(key)) || !pm_is_scalar(value))
            return 0;
    return 1;
}

/* The stores and the record of pm_table_insert where it is not in a transaction and the table has an index.  `to`:
 * where the payload begins. */
static inline void pm_table_record(pm_pool *p, pm_table *t, unsigned stride, const pm_probe *probe, uint64_t *entry,
                                   uint64_t *to, uint64_t *bits, PyObject *text, uint64_t words, uint64_t key,
                                   uint64_t *value_bits, PyObject *value_text, uint64_t value_words, uint64_t value)
{
    uint64_t *cell = probe->cells + probe->at, size = t->entries.size + 1;
    struct jr_ring *ring = &p->journal->ring;
    if (text != NULL)
        to = pm_record_text(p, to, bits, text, words, &key);
    if (value_text != NULL)
        to = pm_record_text(p, to, value_bits, value_text, value_words, &value);
    to[0] = JR_EXTENT(pm_offset(p, entry), stride);
    to[1] = entry[0] = probe->hash;
    to[2] = entry[1] = key;
    if (stride == 3)
        to[3] = entry[2] = value;
    to += 1 + stride;
    to[0] = JR_EXTENT(pm_offset(p, cell), 1);
    to[1] = *cell = probe->wanted | size;
    to[2] = JR_EXTENT(pm_offset(p, &t->used), 2);
    to[3] = ++t->used;
    to[4] = t->entries.size = size;
    jr_ring_commit(ring, (uint64_t)(to + 5 - ring->head - 1));
}

/* A new last entry: what pm_table_append does, as a whole operation.  `text` is the key, or NULL and `key` its slot;
 * `value_text` likewise.  0: nothing has been done. */
static inline int pm_table_insert(pm_pool *p, pm_table *t, unsigned stride, const pm_probe *probe, PyObject *text,
                                  uint64_t key, PyObject *value_text, uint64_t value)
{
    pm_direct d;
    uint64_t size = t->entries.size, words = 0, value_words = 0;
    uint64_t *bits = NULL, *value_bits = NULL;
    uint64_t *entry = pm_vec_find(p, &t->entries, size, stride);
    if (size >= t->entries.cap || !pm_probe_has_room(t, probe) || entry == NULL)
        return 0;
    if (text != NULL) {
        words = pm_text_words(text);
        if (words == 0 || (bits = pm_class_bits(p, PM_CLASS_OF_WORDS(words), 1)) == NULL)
            return 0;
    }
    if (value_text != NULL) {
        value_words = pm_text_words(value_text);
        if (value_words == 0
                || (value_bits = pm_class_bits(p, PM_CLASS_OF_WORDS(value_words), 1 + (words == value_words))) == NULL)
            return 0;
    }
    if (!pm_direct_begin(&d, p, words + value_words + 6 + stride + 1 + 2 + 3))
        return 0;
    if (d.to != NULL && t->index) {
        pm_table_record(p, t, stride, probe, entry, d.to, bits, text, words, key, value_bits, value_text, value_words,
                        value);
        return 1;
    }
    if (text != NULL)
        key = pm_direct_text(&d, bits, text, words);
    if (value_text != NULL)
        value = pm_direct_text(&d, value_bits, value_text, value_words);
    pm_direct_keep(&d, entry, stride);
    entry[0] = probe->hash;
    entry[1] = key;
    if (stride == 3)
        entry[2] = value;
    if (d.to != NULL)
        pm_direct_filled(&d, entry, stride);
    if (t->index)
        pm_direct_store(&d, probe->cells + probe->at, probe->wanted | (size + 1));
    pm_direct_store_two(&d, &t->used, t->used + 1, size + 1);
    pm_direct_end(&d);
    return 1;
}

/* t[key] = value (in a set: key is added) as a whole operation: key an exact str or int, the value a slot without
 * reference or, with value_text, a string that needs a block.  0: nothing has been done, go the long way. */
static inline int pm_table_put(pm_pool *p, pm_table *t, unsigned stride, PyObject *key, PyObject *value_text,
                               uint64_t value)
{
    pm_probe probe;
    PyObject *text = NULL;
    uint64_t slot = 0;
    int64_t i;
    if (PyUnicode_CheckExact(key)) {
        i = pm_find_str(p, t, stride, key, &probe);
        if (i < 0 && !pm_immediate_str(key, &slot))
            text = key;
    } else
        i = pm_find_int(p, t, stride, key, &probe, &slot);
    if (i == PM_UNDECIDED)
        return 0;
    if (i < 0)
        return i == PM_NOT_FOUND && pm_table_insert(p, t, stride, &probe, text, slot, value_text, value);
    if (stride == 2)
        return 1;
    uint64_t *cell = pm_vec_at(p, &t->entries, (uint64_t)i, stride) + 2;
    return value_text == NULL && !PM_IS_REFERENCE(*cell) && pm_put(p, cell, value);
}

#endif
