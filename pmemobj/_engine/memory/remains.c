/* remains.c: see remains.h. */
#define _GNU_SOURCE
#include "remains.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

#define PLAIN (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

char *pm_remains_new(uint64_t size)
{
    void *copy = mmap(NULL, size, PROT_READ | PROT_WRITE, PLAIN, -1, 0);
    return copy == MAP_FAILED ? NULL : copy;
}

int pm_remains_put(char *copy, char *at, uint64_t size)
{
    int error = 0;
    void *place = mmap(at, size, PROT_NONE, PLAIN | MAP_FIXED_NOREPLACE, -1, 0);
    if (place == MAP_FAILED || place != at)     /* an old kernel takes the address for a wish */
        error = place == MAP_FAILED ? errno : EEXIST;
    if (error == EEXIST && place != MAP_FAILED)
        munmap(place, size);
    if (!error && mremap(copy, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, at) == MAP_FAILED)
        error = errno;
    if (error)
        munmap(copy, size);
    return error;
}

void pm_remains_free(char *at, uint64_t size) { munmap(at, size); }
