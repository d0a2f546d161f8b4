/*
 * marks.h: a set of objects by offset, for the collection of garbage: a bit for each word of the pool, in tables of a
 * PM_MARKS_SPAN, which are made when the first object in one is marked.
 *
 * No call does more than clear one table and copy the list of tables, 8 bytes for each span of the pool: a hash table
 * of millions of objects would now and then be moved as a whole, in the midst of a step that has to be short.
 */
#ifndef PM_MARKS_H
#define PM_MARKS_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PM_MARKS_SPAN (256u * 1024u)    /* bytes of the pool; a table has 4 KiB */

typedef struct pm_marks {
    uint64_t **tables;          /* NULL: none is marked there */
    uint64_t spans;
} pm_marks;

static inline uint64_t pm_marks_bit(uint64_t offset) { return 1ull << (offset / 8 % 64); }
static inline uint64_t pm_marks_word(uint64_t offset) { return offset % PM_MARKS_SPAN / 512; }

static inline int pm_marks_has(const pm_marks *m, uint64_t offset)
{
    uint64_t span = offset / PM_MARKS_SPAN;
    return span < m->spans && m->tables[span] != NULL &&
           (m->tables[span][pm_marks_word(offset)] & pm_marks_bit(offset)) != 0;
}

/* The offset lies inside the pool.  0, or -1 without memory. */
static inline int pm_marks_add(pm_marks *m, uint64_t offset)
{
    uint64_t span = offset / PM_MARKS_SPAN;
    if (span >= m->spans) {
        uint64_t spans = 2 * span + 16;
        uint64_t **tables = (uint64_t **)realloc(m->tables, spans * sizeof *tables);
        if (tables == NULL)
            return -1;
        memset(tables + m->spans, 0, (spans - m->spans) * sizeof *tables);
        m->tables = tables;
        m->spans = spans;
    }
    if (m->tables[span] == NULL && (m->tables[span] = (uint64_t *)calloc(PM_MARKS_SPAN / 64, 1)) == NULL)
        return -1;
    m->tables[span][pm_marks_word(offset)] |= pm_marks_bit(offset);
    return 0;
}

/* Of one that is marked. */
static inline void pm_marks_remove(pm_marks *m, uint64_t offset)
{
    m->tables[offset / PM_MARKS_SPAN][pm_marks_word(offset)] &= ~pm_marks_bit(offset);
}

static inline void pm_marks_free(pm_marks *m)
{
    for (uint64_t i = 0; i < m->spans; i++)
        free(m->tables[i]);
    free(m->tables);
    m->tables = NULL;
    m->spans = 0;
}

#endif
