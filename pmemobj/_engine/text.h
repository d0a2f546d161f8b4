/*
 * text.h: a value that takes the place of another one without any allocation: a word for a word, or ASCII text
 * over ASCII text in the same block.
 *
 * Blocks are immutable for everybody else: whoever has read one keeps a Python object of it, not its address.  So
 * its owner may write it anew, as one operation: outside of transactions one record holds all of its words,
 * inside their lines are kept first.
 */
#ifndef PM_TEXT_H
#define PM_TEXT_H

#include "op.h"
#include "slot.h"

#define PM_TEXT_OVER 248u       /* characters; beyond it a new block is as cheap */

/* Into the block at `offset`, which is a small one, and not so large for it that a new block is called for. */
static inline int pm_text_fits(const pm_pool *p, uint64_t offset, uint64_t length)
{
    const pm_page *page = (const pm_page *)pm_at(p, offset & ~(uint64_t)(PM_PAGE_SIZE - 1));
    uint64_t size = page->block_size, need = 8 + length;
    return need <= size && (2 * need > size || size <= 32);
}

/* Writes `value` over the text in this slot.  1: done.  0: nothing has been done. */
static inline int pm_text_over(pm_pool *p, uint64_t slot, PyObject *value)
{
    if (PM_SLOT_KIND(slot) != PM_REF_STR1 || !PyUnicode_CheckExact(value) || !PyUnicode_IS_COMPACT_ASCII(value))
        return 0;
    uint64_t *block = (uint64_t *)pm_at(p, slot & PM_OFFSET_MASK), words, offset = slot & PM_OFFSET_MASK;
    uint64_t length = (uint64_t)PyUnicode_GET_LENGTH(value);
    struct jr_ring *r = &p->journal->ring;
    if (length < 8 || length > PM_TEXT_OVER || block[0] > PM_TEXT_OVER || !pm_text_fits(p, offset, length) ||
        jr_has_failed(p->journal))
        return 0;
    words = 1 + (length + 7) / 8;
    if (p->write_gate == 0) {
        if (!pm_may_commit(p, 1 + words))
            return 0;
    } else {
        if (!pm_is_mine(p, p->write_gate))
            return 0;
        for (uint64_t line = offset & ~(uint64_t)(PM_LINE - 1); line < offset + words * 8; line += PM_LINE)
            pm_capture(p, line);
    }
    block[words - 1] = 0;
    block[0] = length;
    memcpy(block + 1, PyUnicode_1BYTE_DATA(value), length);
    if (p->write_gate == 0) {
        uint64_t *payload = r->head + 1;
        payload[0] = JR_EXTENT(offset, words);
        memcpy(payload + 1, block, words * 8);
        jr_ring_commit(r, 1 + words);
    }
    p->overwritten++;
    pm_cache_forget(p, offset);
    return 1;
}

/* Puts the value into a cell that holds one, as a whole operation.  0: nothing has been done, go the long way. */
static inline int pm_replace(pm_pool *p, uint64_t *at, PyObject *value)
{
    uint64_t slot;
    if (*at & 7)
        return pm_immediate(value, &slot) && pm_put(p, at, slot);
    return pm_text_over(p, *at, value);
}

#endif
