/*
 * pages.h: which pages of a pool its records have changed, and which of them the pool file has by now.
 *
 * A changed page of the private mapping takes memory until it is dropped and read from the file again.  That is
 * possible once every record that speaks of the page has been applied and the pool file synced.  So each page
 * has the number ("generation") of the last segment of the log that holds a record about it; the checkpointer
 * says up to which generation the file is complete.
 *
 * Threads: pages are noted by the log's appender, which is one thread at a time; `changed` and `applied` may be
 * read by anybody; pages are forgotten by the pool's thread while the ring is empty and nothing is appended.
 */
#ifndef PM_PAGES_H
#define PM_PAGES_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "layout.h"

#define JR_BLOCK_SHIFT 21           /* a block is a huge page */
#define JR_BLOCK_PAGES (1u << (JR_BLOCK_SHIFT - PM_PAGE_SHIFT))

struct jr_pages {
    uint32_t *last;                 /* by page: generation of its last record; 0: none since it was dropped */
    uint16_t *in_block;             /* by block: how many pages of it are not 0 */
    uint8_t *covered;               /* by block: anonymous memory lies over a hole of the file (see poolfile.h) */
    uint64_t pages, blocks;
    uint64_t budget;                /* bytes; 0: nobody wants to know */
    uint32_t generation;            /* of the current segment; the appender's */
    _Atomic uint32_t applied;       /* up to this generation the synced file has everything */
    _Atomic uint64_t changed;       /* pages that take memory, about */
    _Atomic uint32_t crowded;       /* enum jr_crowding: look at it at the next opportunity */
};

enum jr_crowding { JR_ROOMY, JR_HALF_FULL, JR_FULL };      /* half of the budget is in use, or all */

int jr_pages_open(struct jr_pages *t, uint64_t pool_size, uint64_t budget);     /* 0 or an errno */
void jr_pages_close(struct jr_pages *t);

/* By the appender, before its record is complete. */
void jr_note_range(struct jr_pages *t, uint64_t offset, uint64_t length);
void jr_note_payload(struct jr_pages *t, const uint64_t *payload, uint64_t words);

/* The page has been dropped, or does not count. */
void jr_forget_page(struct jr_pages *t, uint64_t page);

/* Anonymous memory takes a whole block as soon as one page of it is touched; nothing when it is gone. */
void jr_set_covered(struct jr_pages *t, uint64_t block, int covered);

#endif
