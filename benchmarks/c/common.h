/*
 * What the programs share: a pool of their own, and a loop that obeys standard input.
 *
 * A program is called with the path of a new pool and the number of operations in a transaction. For each line
 * on its input, a number, it does so many transactions and prints the nanoseconds that they took together. So
 * whoever calls it can take turns with something else on the same disk.
 */
#ifndef BENCHMARKS_COMMON_H
#define BENCHMARKS_COMMON_H

#include <libpmemobj.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define POOL_BYTES ((size_t)1 << 30)

static inline void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, pmemobj_errormsg());
    exit(1);
}

static inline uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* one_transaction does `operations` operations in one transaction. */
static inline int serve(int argc, char **argv, const char *layout, void (*prepare)(PMEMobjpool *),
                        void (*one_transaction)(PMEMobjpool *, unsigned operations))
{
    if (argc != 3) {
        fprintf(stderr, "usage: %s POOL OPERATIONS\n", argv[0]);
        return 2;
    }
    unsigned operations = (unsigned)strtoul(argv[2], NULL, 10);
    PMEMobjpool *pool = pmemobj_create(argv[1], layout, POOL_BYTES, 0600);
    if (pool == NULL) die("pmemobj_create");
    prepare(pool);
    unsigned count;
    while (scanf("%u", &count) == 1) {
        uint64_t start = now();
        for (unsigned i = 0; i < count; i++) one_transaction(pool, operations);
        printf("%llu\n", (unsigned long long)(now() - start));
        fflush(stdout);
    }
    pmemobj_close(pool);
    return 0;
}

#endif
