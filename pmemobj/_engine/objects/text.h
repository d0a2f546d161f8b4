/*
 * text.h: a value that takes the place of another one as one short operation: a word or a text for a word or a block,
 * or ASCII text over ASCII text in the same block.
 *
 * A block is given back here only outside of transactions, where nothing can bring it back.
 *
 * Blocks are immutable for everybody else: whoever has read one keeps a Python object of it, not its address.  So
 * its owner may write it anew, as one operation: outside of transactions one record holds all of its words,
 * inside their lines are kept first.
 */
#ifndef PM_TEXT_H
#define PM_TEXT_H

#include "keys.h"
#include "op.h"
#include "slot.h"

#define PM_TEXT_OVER 248u       /* characters; beyond it a new block is as cheap */

/* Into the block at `offset`, which is a small one, and not so large for it that a new block is called for. */
static inline int pm_text_fits(const pm_pool *p, uint64_t offset, uint64_t length)
{
    const pm_page *page = (const pm_page *)pm_at(p, pm_page_of(offset));
    uint64_t size = page->block_size, need = 8 + length;
    return need <= size && (2 * need > size || size <= 32) && (offset & (PM_PAGE_SIZE - 1)) + need <= PM_PAGE_SIZE;
}

/* Writes `value` over the text in this slot.  1: done.  0: nothing has been done. */
static inline int pm_text_over(pm_pool *p, uint64_t slot, PyObject *value)
{
    if (PM_SLOT_KIND(slot) != PM_REF_STR1 || !PyUnicode_CheckExact(value) || !PyUnicode_IS_COMPACT_ASCII(value))
        return 0;
    uint64_t offset = slot & PM_OFFSET_MASK, *block = (uint64_t *)pm_at(p, offset);
    uint64_t length = (uint64_t)PyUnicode_GET_LENGTH(value), words = 1 + (length + 7) / 8;
    pm_direct d;
    if (length < 8 || length > PM_TEXT_OVER || !pm_leads_inside(p, offset) || block[0] > PM_TEXT_OVER ||
        !pm_text_fits(p, offset, length) ||
        !pm_direct_begin(&d, p, 1 + words))
        return 0;
    pm_direct_keep(&d, block, words);
    block[words - 1] = 0;
    block[0] = length;
    memcpy(block + 1, PyUnicode_1BYTE_DATA(value), length);
    pm_direct_filled(&d, block, words);
    pm_direct_end(&d);
    p->overwritten++;
    pm_cache_forget(p, offset);
    return 1;
}

/* The bitmap word and the bit of the small block that a slot owns, if it holds no slots itself and giving it back
 * changes nothing but that bit: its page is listed, and keeps another block or is the last listed one.  Else NULL. */
static inline uint64_t *pm_own_bit(const pm_pool *p, uint64_t slot, uint64_t *bit)
{
    uint64_t offset = slot & PM_OFFSET_MASK, at = pm_page_of(offset);
    unsigned kind = PM_SLOT_KIND(slot);
    if (kind < PM_REF_STR1 || kind > PM_REF_FLOAT || !pm_leads_inside(p, offset))
        return NULL;
    if (kind != PM_REF_FLOAT && *(const uint64_t *)pm_at(p, offset) > (PM_SMALL_MAX - 8) / 4)
        return NULL;            /* perhaps not on a page */
    pm_page *page = (pm_page *)pm_at(p, at);
    if (!page->listed || page->block_size < 16 || offset < at + sizeof(pm_page))
        return NULL;
    uint32_t rest = (uint32_t)(offset - at - sizeof(pm_page)), number = rest / page->block_size;
    if (rest % page->block_size)
        return NULL;
    uint64_t *word = &page->bitmap[number / 64], before = *word;
    *bit = 1ull << (number % 64);
    if (!(before & *bit))
        return NULL;
    int others = number >= 64 ? page->bitmap[0] != 0 : (before & (*bit - 1)) != 0;
    return others || (page->next == 0 && page->prev == 0) ? word : NULL;
}

/* Puts the value into a cell that is empty, or holds something whose block is to be given back. */
static inline int pm_replace_block(pm_pool *p, uint64_t *at, PyObject *value)
{
    uint64_t old = *at, slot, words = 0, bit = 0, *bits = NULL, *freed = NULL;
    pm_direct d;
    if (!pm_immediate(value, &slot)) {
        if (!PyUnicode_CheckExact(value) || (words = pm_text_words(value)) == 0 ||
            (bits = pm_class_bits(p, PM_CLASS_OF_WORDS(words), 1)) == NULL)
            return 0;
    }
    if (PM_IS_REFERENCE(old) && old != 0) {
        if (p->write_gate != 0 || (freed = pm_own_bit(p, old, &bit)) == NULL)
            return 0;
    }
    if (!pm_direct_begin(&d, p, 7 + words))
        return 0;
    if (words)
        slot = pm_direct_text(&d, bits, value, words);
    pm_direct_store(&d, at, slot);
    if (freed != NULL)
        pm_direct_store(&d, freed, *freed & ~bit);
    pm_direct_end(&d);
    if (freed != NULL) {
        p->overwritten++;
        pm_cache_forget(p, old & PM_OFFSET_MASK);
    }
    return 1;
}

/* Puts the value into a cell, as a whole operation.  0: nothing has been done, go the long way. */
static inline int pm_replace(pm_pool *p, uint64_t *at, PyObject *value)
{
    uint64_t slot;
    if (*at & 7 && pm_immediate(value, &slot))
        return pm_put(p, at, slot);
    return (!(*at & 7) && pm_text_over(p, *at, value)) || pm_replace_block(p, at, value);
}

#endif
