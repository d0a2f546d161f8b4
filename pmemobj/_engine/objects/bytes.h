/*
 * bytes.h: changing the one block of a byte array or an array (see pm_buffer in layout.h), byte by byte for the caller,
 * word by word or line by line for the log.
 */
#ifndef PM_BYTES_H
#define PM_BYTES_H

#include "op.h"

/* All that the head says lies inside the pool. */
static inline int pm_buffer_is_sound(const pm_pool *p, const pm_buffer *b)
{
    if (b->cap == 0)
        return (b->size | b->start | b->data) == 0;
    return b->start <= b->cap && b->size <= b->cap - b->start && (b->data & 7) == 0 &&
           pm_inside_all(p, b->data, b->cap, 1);
}

/* The first byte in use; of a sound one with a block. */
static inline char *pm_buffer_at(const pm_pool *p, const pm_buffer *b) { return pm_at(p, b->data + b->start); }

/* The same, never NULL and for those without a block, too. */
static inline const char *pm_buffer_bytes(const pm_pool *p, const pm_buffer *b)
{
    return b->cap ? pm_buffer_at(p, b) : "";
}

/* The word that a byte is in, and that word with another byte. */
static inline uint64_t *pm_word_of(const char *at) { return (uint64_t *)((uintptr_t)at & ~(uintptr_t)7); }

static inline uint64_t pm_word_with(const char *at, unsigned char byte)
{
    uint64_t word = *pm_word_of(at);
    memcpy((char *)&word + ((uintptr_t)at & 7), &byte, 1);
    return word;
}

/* A whole operation: replaces one byte, or some, or adds one where the block has room for it.  1: done.  0: nothing has
 * been done, go the long way. */
static inline int pm_put_byte(pm_pool *p, char *at, unsigned char byte)
{
    return pm_put(p, pm_word_of(at), pm_word_with(at, byte));
}

static inline int pm_put_bytes(pm_pool *p, char *at, const char *from, uint64_t length)
{
    uint64_t skip = (uintptr_t)at & 7, word;
    if (length > 8 - skip)
        return 0;
    word = *pm_word_of(at);
    memcpy((char *)&word + skip, from, length);
    return pm_put(p, pm_word_of(at), word);
}

static inline int pm_append_byte(pm_pool *p, pm_buffer *b, unsigned char byte)
{
    char *at = pm_buffer_at(p, b) + b->size;
    return pm_put_two(p, pm_word_of(at), pm_word_with(at, byte), &b->size, b->size + 1);
}

/* Inside an operation: replaces some bytes.  Only words that change are stored.  `from` may overlap what lies behind
 * `to`, not what lies before it. */
static inline void pm_store_bytes(pm_pool *p, char *to, const char *from, uint64_t length)
{
    while (length) {
        unsigned skip = (unsigned)((uintptr_t)to & 7);
        uint64_t run = 8 - skip < length ? 8 - skip : length, *word = pm_word_of(to), value = *word;
        memcpy((char *)&value + skip, from, run);
        if (value != *word)
            pm_store(p, word, value);
        to += run;
        from += run;
        length -= run;
    }
}

/* The same inside a level, for many: only lines that change are kept and recorded. */
static inline void pm_rewrite_bytes(pm_pool *p, char *to, const char *from, uint64_t length)
{
    while (length) {
        uint64_t offset = pm_offset(p, to), run = PM_LINE - offset % PM_LINE;
        if (run > length)
            run = length;
        if (memcmp(to, from, run)) {
            pm_capture(p, offset);
            memmove(to, from, run);
        }
        to += run;
        from += run;
        length -= run;
    }
}

#endif
