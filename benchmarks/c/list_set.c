/* An array of words; an operation snapshots one word and stores it, as `items[i] = value` does. */
#include "common.h"

#define WORDS 65536
#define STRIDE 7919 /* the order of benchmarks/against_c.py */

struct words {
    uint64_t word[WORDS];
};

POBJ_LAYOUT_BEGIN(list_set);
POBJ_LAYOUT_ROOT(list_set, struct words);
POBJ_LAYOUT_END(list_set);

static struct words *words;
static uint64_t turn;

static void prepare(PMEMobjpool *pool)
{
    TOID(struct words) root = POBJ_ROOT(pool, struct words);
    if (TOID_IS_NULL(root)) die("POBJ_ROOT");
    words = D_RW(root);
    /* The first touch of each page is no part of what is measured. */
    for (uint64_t i = 0; i < WORDS; i++) words->word[i] = i;
    pmemobj_persist(pool, words, sizeof(*words));
}

static void one_transaction(PMEMobjpool *pool, unsigned operations)
{
    TX_BEGIN(pool) {
        for (unsigned i = 0; i < operations; i++, turn++) {
            uint64_t *word = &words->word[turn * STRIDE % WORDS];
            pmemobj_tx_add_range_direct(word, sizeof(*word));
            *word = turn;
        }
    } TX_ONABORT {
        die("transaction");
    } TX_END
}

int main(int argc, char **argv)
{
    return serve(argc, argv, POBJ_LAYOUT_NAME(list_set), prepare, one_transaction);
}
