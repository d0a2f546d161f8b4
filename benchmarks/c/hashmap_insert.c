/* A hash map with chains; an operation inserts a key of 13 characters, as `mapping[key] = value` does. */
#include "common.h"

#include <string.h>

#define BUCKETS (1u << 20)
#define KEY_BYTES 16

struct node;
struct map;

POBJ_LAYOUT_BEGIN(hashmap_insert);
POBJ_LAYOUT_ROOT(hashmap_insert, struct map);
POBJ_LAYOUT_TOID(hashmap_insert, struct node);
POBJ_LAYOUT_END(hashmap_insert);

struct node {
    char key[KEY_BYTES];
    uint64_t value;
    TOID(struct node) next;
};

struct map {
    uint64_t count;
    TOID(struct node) bucket[BUCKETS];
};

static TOID(struct map) map;
static uint64_t turn;

static void prepare(PMEMobjpool *pool)
{
    map = POBJ_ROOT(pool, struct map);
    if (TOID_IS_NULL(map)) die("POBJ_ROOT");
}

static uint64_t hash(const char *key)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    for (; *key; key++) h = (h ^ (unsigned char)*key) * 0x100000001b3u;
    return h;
}

/* Inside a transaction. */
static void insert(const char *key, uint64_t value)
{
    unsigned place = (unsigned)(hash(key) % BUCKETS);
    TOID(struct node) found = D_RO(map)->bucket[place];
    for (; !TOID_IS_NULL(found); found = D_RO(found)->next) {
        if (strcmp(D_RO(found)->key, key) == 0) {
            TX_SET(found, value, value);
            return;
        }
    }
    TOID(struct node) new = TX_NEW(struct node);
    strncpy(D_RW(new)->key, key, KEY_BYTES);
    D_RW(new)->value = value;
    D_RW(new)->next = D_RO(map)->bucket[place];
    TX_ADD_FIELD(map, bucket[place]);
    D_RW(map)->bucket[place] = new;
    TX_ADD_FIELD(map, count);
    D_RW(map)->count++;
}

static void one_transaction(PMEMobjpool *pool, unsigned operations)
{
    char key[KEY_BYTES];
    TX_BEGIN(pool) {
        for (unsigned i = 0; i < operations; i++, turn++) {
            snprintf(key, sizeof(key), "key-%09llu", (unsigned long long)turn);
            insert(key, 5);
        }
    } TX_ONABORT {
        die("transaction");
    } TX_END
}

int main(int argc, char **argv)
{
    return serve(argc, argv, POBJ_LAYOUT_NAME(hashmap_insert), prepare, one_transaction);
}
