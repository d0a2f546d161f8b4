/* poolfile.c: see poolfile.h. */
#define _GNU_SOURCE
#include "poolfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io.h"

#define PMDK_SIGNATURE "PMEMOBJ"    /* with its NUL: the first 8 bytes */
#define PMDK_MAJOR_AT 8u
#define PMDK_MAJOR 6u
#define PMDK_HEAP_OFFSET_AT 5136u
#define PMDK_HEAP_SIZE_AT 6176u
#define PMDK_DESCRIPTOR_END 8192u
#define PMDK_MIN_POOL (8u << 20)

static uint64_t word_at(const char *bytes, size_t offset)
{
    uint64_t value;
    memcpy(&value, bytes + offset, sizeof value);
    return value;
}

static int fits(uint64_t offset, uint64_t length, uint64_t size)
{
    return offset <= size && length <= size - offset;
}

static enum pf_kind probe_root(int fd, struct pf_info *info, uint64_t root_size)
{
    if (info->root_offset == 0)
        return PF_NO_ROOT;
    if (!fits(info->root_offset, root_size, info->size))
        return PF_TRUNCATED;
    if (root_size < sizeof(pm_root) || info->root_offset < PMDK_DESCRIPTOR_END || info->root_offset % 8)
        return PF_DAMAGED;

    pm_root root;
    size_t got;
    info->os_error = io_read_all(fd, &root, sizeof root, (off_t)info->root_offset, &got);
    if (info->os_error)
        return PF_IO_ERROR;
    if (got < sizeof root)
        return PF_TRUNCATED;
    if (root.magic != PM_ROOT_MAGIC)
        return root.magic == 0 ? PF_NO_ROOT : PF_DAMAGED;
    info->generation_at = info->root_offset + offsetof(pm_root, generation);
    info->version = root.version;
    info->incompat = root.incompat;
    info->state = root.state;
    info->applied = root.applied;
    info->ranges = root.ranges;
    memcpy(info->uuid, root.uuid, sizeof info->uuid);
    if (root.version > PM_FORMAT_VERSION || root.incompat & ~PM_INCOMPAT_KNOWN)
        return PF_NEWER;
    return root.version == 0 ? PF_DAMAGED : PF_OK;
}

enum pf_kind pf_probe(int fd, struct pf_info *info)
{
    memset(info, 0, sizeof *info);
    struct stat st;
    if (fstat(fd, &st) < 0) {
        info->os_error = errno;
        return PF_IO_ERROR;
    }
    info->size = (uint64_t)st.st_size;
    if (info->size == 0)
        return PF_EMPTY;

    char bytes[PMDK_DESCRIPTOR_END];
    size_t got;
    info->os_error = io_read_all(fd, bytes, sizeof bytes, 0, &got);
    if (info->os_error)
        return PF_IO_ERROR;
    if (got < sizeof PMDK_SIGNATURE || memcmp(bytes, PMDK_SIGNATURE, sizeof PMDK_SIGNATURE))
        return PF_NOT_A_POOL;
    if (got < sizeof bytes || info->size < PMDK_MIN_POOL)
        return PF_TRUNCATED;

    memcpy(info->layout, bytes + PMDK_LAYOUT_AT, sizeof info->layout - 1);
    if (strcmp(info->layout, PM_LAYOUT_NAME))
        return PF_WRONG_LAYOUT;
    uint32_t major;
    memcpy(&major, bytes + PMDK_MAJOR_AT, sizeof major);
    if (major != PMDK_MAJOR) {
        info->version = major;
        return major > PMDK_MAJOR ? PF_NEWER : PF_DAMAGED;
    }
    /* libpmemobj keeps no file size, but it does keep where its heap begins and how long it is */
    if (!fits(word_at(bytes, PMDK_HEAP_OFFSET_AT), word_at(bytes, PMDK_HEAP_SIZE_AT), info->size))
        return PF_TRUNCATED;
    info->root_offset = word_at(bytes, PMDK_ROOT_OFFSET_AT);
    info->run_id = word_at(bytes, PMDK_RUN_ID_AT);
    return probe_root(fd, info, word_at(bytes, PMDK_ROOT_SIZE_AT));
}

#define HUGE_PAGE ((uint64_t)2 << 20)

/* A heap begins with a header of 1 KiB; then come zones, whose own headers and chunks are multiples of 256 KiB
 * long; an allocation of chunks has a header of 16 bytes. */
uint64_t pf_chunk_phase(const char *base)
{
    return (word_at(base, PMDK_HEAP_OFFSET_AT) + 1024 + 16) % PM_CHUNK_STRIDE;
}

/* A file's data begins and ends with pages. */
static int is_zero(const char *page)
{
    return page[0] == 0 && !memcmp(page, page + 1, PM_PAGE_SIZE - 1);
}

void pf_punch_zeros(int fd, uint64_t size)
{
    char page[PM_PAGE_SIZE];
    size_t got;
    off_t zeros = 0, at = 0;            /* a run of zero pages reaches from `zeros` to `at` */
    while ((at = lseek(fd, at, SEEK_DATA)) >= 0 && (uint64_t)at < size) {
        zeros = at;
        while (!io_read_all(fd, page, sizeof page, at, &got) && got == sizeof page && is_zero(page)) {
            at += PM_PAGE_SIZE;
            if (lseek(fd, at, SEEK_HOLE) == at)
                break;
        }
        if (at > zeros && io.fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, zeros, at - zeros))
            return;
        if (at == zeros)
            at += PM_PAGE_SIZE;
    }
}

int pf_maps_synchronously(int fd)
{
    void *at = io.mmap(NULL, PM_PAGE_SIZE, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0);
    if (at == MAP_FAILED)
        return 0;
    munmap(at, PM_PAGE_SIZE);
    return 1;
}

/* Zones follow each other behind the heap's header of 1 KiB.  Each begins with its own metadata: 64 bytes with a magic
 * number, if it is in use, and the number of its chunks; then 8 bytes for each chunk, of which those of the first one
 * of some that belong together say what they are and how many. */
#define ZONE_MAGIC 0xC3F0A2D2u
#define ZONE_HEADER 64u
#define CHUNK_FREE 2u
#define ZONE_METADATA (512ull * 1024)
#define ZONE_BYTES (65528ull * PM_CHUNK_STRIDE + ZONE_METADATA)

uint64_t pf_first_zone(int fd)
{
    uint64_t heap;
    size_t got;
    if (io_read_all(fd, &heap, sizeof heap, PMDK_HEAP_OFFSET_AT, &got) || got < sizeof heap)
        return 0;
    return heap + 1024;
}

uint64_t pf_heap_top(const char *base, uint64_t first_zone, uint64_t size)
{
    uint64_t top = first_zone;
    for (uint64_t zone = first_zone; zone + ZONE_METADATA < size; zone += ZONE_BYTES) {
        uint64_t head = word_at(base, zone);
        if ((uint32_t)head != ZONE_MAGIC || head >> 32 > (ZONE_METADATA - ZONE_HEADER) / 8)
            break;              /* not in use yet, or damaged, which libpmemobj would not have opened */
        for (uint64_t chunk = 0, count = head >> 32, n; chunk < count; chunk += n) {
            uint64_t word = word_at(base, zone + ZONE_HEADER + 8 * chunk);
            n = word >> 32 ? word >> 32 : 1;
            if ((uint16_t)word != CHUNK_FREE)
                top = zone + ZONE_METADATA + (chunk + n) * PM_CHUNK_STRIDE;
        }
    }
    return top;
}

uint64_t pf_reach(uint64_t first_zone, uint64_t top, uint64_t bytes, uint64_t size)
{
    uint64_t end = first_zone;          /* of the zone in which the last allocation lies */
    while (end < top || end == first_zone)
        end += ZONE_BYTES;
    uint64_t reach = (top > first_zone ? top : first_zone + ZONE_METADATA) + bytes + PM_PAGE_SIZE;
    if (reach > end)
        reach = end + ZONE_METADATA + bytes + PM_PAGE_SIZE;
    reach = (reach + PM_PAGE_SIZE - 1) / PM_PAGE_SIZE * PM_PAGE_SIZE;
    return reach < size ? reach : size;
}

int pf_cover_holes(int fd, char *base, uint64_t from, uint64_t size)
{
    while (from < size) {
        off_t hole = lseek(fd, (off_t)from, SEEK_HOLE);
        if (hole < 0 || (uint64_t)hole >= size)
            return 0;
        off_t data = lseek(fd, hole, SEEK_DATA);
        uint64_t end = data < 0 || (uint64_t)data > size ? size : (uint64_t)data;
        /* whole huge pages, of addresses */
        uint64_t first = ((uint64_t)(uintptr_t)base + (uint64_t)hole + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
        uint64_t last = ((uint64_t)(uintptr_t)base + end) & ~(HUGE_PAGE - 1);
        if (first < last) {
            void *at = (void *)(uintptr_t)first;
            int prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED;
            if (io.mmap(at, last - first, prot, flags | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
                /* a call that fails may have unmapped what was there */
                return io.mmap(at, last - first, prot, flags, fd, (off_t)((char *)at - base)) == MAP_FAILED ? errno : 0;
            madvise(at, last - first, MADV_HUGEPAGE);
        }
        from = end;
    }
    return 0;
}

int pf_set_state(int fd, const struct pf_info *info, uint64_t state)
{
    off_t at = (off_t)(info->root_offset + offsetof(pm_root, state));
    int error = io_write_all(fd, &state, sizeof state, at);
    return error ? error : io_fdatasync(fd);
}

#define PMDK_INCOMPAT_AT 16u
#define PMDK_CHECKSUM_2K 2u         /* incompatible feature: what lies behind 2 KiB is not counted */
#define PMDK_CHECKSUM_AT (PMDK_HEADER_BYTES - 8u)

/* The pool's UUID is followed by the file's, and by those of its neighbours in a set, which are its own. */
void pf_set_uuid(char *header, const uint8_t pool[16], const uint8_t file[16])
{
    uint32_t low = 0, high = 0, word, incompat;
    memcpy(header + PMDK_POOL_UUID_AT, pool, 16);
    for (unsigned i = 1; i < 6; i++)
        memcpy(header + PMDK_POOL_UUID_AT + 16 * i, file, 16);
    memcpy(&incompat, header + PMDK_INCOMPAT_AT, sizeof incompat);
    uint32_t counted = incompat & PMDK_CHECKSUM_2K ? PMDK_HEADER_BYTES / 2 : PMDK_CHECKSUM_AT;
    for (uint32_t at = 0; at < PMDK_HEADER_BYTES; at += 4, high += low) {
        memcpy(&word, header + at, sizeof word);
        low += at < counted ? word : 0;
    }
    uint64_t checksum = (uint64_t)high << 32 | low;
    memcpy(header + PMDK_CHECKSUM_AT, &checksum, sizeof checksum);
}
