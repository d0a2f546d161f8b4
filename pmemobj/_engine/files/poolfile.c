/* poolfile.c: see poolfile.h. */
#define _GNU_SOURCE
#include "poolfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "io.h"

#define PMDK_SIGNATURE "PMEMOBJ"    /* with its NUL: the first 8 bytes */
#define PMDK_MAJOR_AT 8u
#define PMDK_MAJOR 6u
#define PMDK_DESCRIPTOR_END 8192u
#define PMDK_MIN_POOL (8u << 20)
#define TMPFS_MAGIC 0x01021994
#define MOST_COVERS 8192u      /* each makes two mappings more, of 65530 that a process may have */

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
    return root.version == 0 ? PF_DAMAGED : root.version < PM_FORMAT_VERSION ? PF_OLDER : PF_OK;
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
    info->heap_offset = word_at(bytes, PMDK_HEAP_OFFSET_AT);
    info->heap_size = word_at(bytes, PMDK_HEAP_SIZE_AT);
    if (!fits(info->heap_offset, info->heap_size, info->size))
        return PF_TRUNCATED;
    info->root_offset = word_at(bytes, PMDK_ROOT_OFFSET_AT);
    info->run_id = word_at(bytes, PMDK_RUN_ID_AT);
    enum pf_kind kind = probe_root(fd, info, word_at(bytes, PMDK_ROOT_SIZE_AT));
    if (kind == PF_OK && (info->heap_offset < PMDK_DESCRIPTOR_END || info->heap_offset % PM_PAGE_SIZE ||
        info->size - info->heap_offset < PMDK_HEAP_HEADER + PMDK_ZONE_HEADER + PM_CHUNK_STRIDE))
        return PF_DAMAGED;
    return kind;
}

#define HUGE_PAGE ((uint64_t)2 << 20)

/* A heap begins with a header of 1 KiB; then come zones, whose own headers and chunks are multiples of 256 KiB
 * long; an allocation of chunks has a header of 16 bytes. */
uint64_t pf_chunk_phase(const char *base)
{
    return (pf_first_zone(base) + 16) % PM_CHUNK_STRIDE;
}

uint64_t pf_first_zone(const char *base) { return word_at(base, PMDK_HEAP_OFFSET_AT) + PMDK_HEAP_HEADER; }

uint64_t pf_low(const char *base) { return pf_first_zone(base) + PMDK_ZONE_HEADER; }

int pf_free_space(int fd, uint64_t *bytes)
{
    struct statfs fs;
    if (fstatfs(fd, &fs))
        return errno;
    *bytes = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
    return 0;
}

/* The file's times are not asked for: whoever has been told the time of the last change gets another one for the next
 * (multigrain timestamps, Linux 6.13), and where ext4 has no journal of its own each sync would have to write that, too. */
bool pf_is_lost(int fd, uint64_t size)
{
    struct statx st;
    return statx(fd, "", AT_EMPTY_PATH, STATX_NLINK | STATX_SIZE, &st) == 0 && (st.stx_nlink == 0 || st.stx_size < size);
}

bool pf_faults_allocate(int fd)
{
    struct statfs fs;
    return fstatfs(fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
}

/* The first zone's table and the start of its first chunks, with what lies before; and the head of each further zone. */
int pf_prepare(int fd, uint64_t size)
{
    uint64_t head = (6u << 20) < size ? 6u << 20 : size, zone = 4u << 20;
    int error = io_fallocate(fd, 0, 0, (off_t)head);
    for (uint64_t at = PMDK_ZONE_BYTES; at < size && !error; at += PMDK_ZONE_BYTES)
        error = io_fallocate(fd, 0, (off_t)at, (off_t)(size - at < zone ? size - at : zone));
    return error == EOPNOTSUPP || error == ENOSYS ? 0 : error;
}

/* A file's data begins and ends with pages. */
static int is_zero(const char *page)
{
    return page[0] == 0 && !memcmp(page, page + 1, PM_PAGE_SIZE - 1);
}

static int punch(int fd, off_t from, off_t to)
{
    return from < to && io.fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, to - from);
}

/* What is a hole already may have been allocated and never written: it is punched, too. */
void pf_punch_zeros(int fd, uint64_t size)
{
    char pages[16 * PM_PAGE_SIZE];
    size_t got;
    off_t zeros = 0, end = (off_t)size;         /* from `zeros` on nothing but zeros has been found yet */
    for (off_t at = lseek(fd, 0, SEEK_DATA); at >= 0 && at < end; at = lseek(fd, at, SEEK_DATA)) {
        off_t hole = lseek(fd, at, SEEK_HOLE);
        while (at < hole) {
            size_t wanted = hole - at < (off_t)sizeof pages ? (size_t)(hole - at) : sizeof pages;
            if (io_read_all(fd, pages, wanted, at, &got))
                got = 0;
            for (size_t i = 0; i < wanted; i += PM_PAGE_SIZE, at += PM_PAGE_SIZE) {
                if (i + PM_PAGE_SIZE <= got && is_zero(pages + i))
                    continue;
                if (punch(fd, zeros, at))
                    return;
                zeros = at + PM_PAGE_SIZE;
            }
        }
    }
    punch(fd, zeros, end);
}

int pf_maps_synchronously(int fd)
{
    void *at = io.mmap(NULL, PM_PAGE_SIZE, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0);
    if (at == MAP_FAILED)
        return 0;
    munmap(at, PM_PAGE_SIZE);
    return 1;
}

#define CHUNK_FREE 2u

uint64_t pf_first_zone_in_file(int fd)
{
    uint64_t heap;
    size_t got;
    if (io_read_all(fd, &heap, sizeof heap, PMDK_HEAP_OFFSET_AT, &got) || got < sizeof heap)
        return 0;
    return heap + PMDK_HEAP_HEADER;
}

uint64_t pf_heap_top(const char *base, uint64_t first_zone, uint64_t size)
{
    uint64_t top = first_zone;
    for (uint64_t zone = first_zone; zone + PMDK_ZONE_HEADER < size; zone += PMDK_ZONE_BYTES) {
        uint64_t head = word_at(base, zone);
        if ((uint32_t)head != PMDK_ZONE_MAGIC || head >> 32 > PMDK_ZONE_CHUNKS)
            break;              /* not in use yet, or damaged, which libpmemobj would not have opened */
        for (uint64_t chunk = 0, count = head >> 32, n; chunk < count; chunk += n) {
            uint64_t word = word_at(base, zone + PMDK_ZONE_TABLE_AT + 8 * chunk);
            n = word >> 32 ? word >> 32 : 1;
            if ((uint16_t)word != CHUNK_FREE)
                top = zone + PMDK_ZONE_HEADER + (chunk + n) * PM_CHUNK_STRIDE;
        }
    }
    return top;
}

uint64_t pf_reach(uint64_t first_zone, uint64_t top, uint64_t bytes, uint64_t size)
{
    uint64_t end = first_zone;          /* of the zone in which the last allocation lies */
    while (end < top || end == first_zone)
        end += PMDK_ZONE_BYTES;
    uint64_t reach = (top > first_zone ? top : first_zone + PMDK_ZONE_HEADER) + bytes + PM_PAGE_SIZE;
    if (reach > end)
        reach = end + PMDK_ZONE_HEADER + bytes + PM_PAGE_SIZE;
    reach = pm_page_behind(reach);
    return reach < size ? reach : size;
}

/* The parts of a hole that stay a mapping of the file. */
static int allocate_rest(int fd, uint64_t hole, uint64_t first, uint64_t last, uint64_t end)
{
    if (first >= last)
        return io_fallocate(fd, 0, (off_t)hole, (off_t)(end - hole));
    int error = hole < first ? io_fallocate(fd, 0, (off_t)hole, (off_t)(first - hole)) : 0;
    return error || last == end ? error : io_fallocate(fd, 0, (off_t)last, (off_t)(end - last));
}

/* The rest of a hole beside what is covered: a fault there would have the kernel read the pages around it ahead, which
 * means to make and clear megabytes of page cache pages. */
static void read_singly(char *base, uint64_t from, uint64_t end)
{
    from = pm_page_behind(from);
    if (from < end)
        (void)madvise(base + from, end - from, MADV_RANDOM);
}

int pf_cover_holes(int fd, char *base, uint64_t from, uint64_t size, void (*covered)(void *context, uint64_t block),
                   void *context)
{
    bool scarce = pf_faults_allocate(fd);
    int unable = scarce ? io_fallocate(fd, 0, 0, (off_t)from) : 0;
    if (unable || (uintptr_t)base % HUGE_PAGE)
        return unable;
    for (unsigned covers = 0; from < size && covers < MOST_COVERS; covers++) {
        off_t hole = lseek(fd, (off_t)from, SEEK_HOLE);
        if (hole < 0 || (uint64_t)hole >= size)
            return 0;
        off_t data = lseek(fd, hole, SEEK_DATA);
        uint64_t end = data < 0 || (uint64_t)data > size ? size : (uint64_t)data;
        uint64_t first = ((uint64_t)hole + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1), last = end & ~(HUGE_PAGE - 1);
        int error = scarce ? allocate_rest(fd, (uint64_t)hole, first, last, end) : 0;
        if (error)
            return error;
        if (first < last) {
            char *at = base + first;
            int prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED;
            if (io.mmap(at, last - first, prot, flags | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
                /* a call that fails may have unmapped what was there */
                return io.mmap(at, last - first, prot, flags, fd, (off_t)first) == MAP_FAILED ? errno : 0;
            madvise(at, last - first, MADV_HUGEPAGE);
            read_singly(base, (uint64_t)hole, first);
            read_singly(base, last, end);
            for (uint64_t block = first / HUGE_PAGE; covered && block < last / HUGE_PAGE; block++)
                covered(context, block);
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

/* The heap's size is one word, which has no checksum.  Until it is written the new end of the file is not used. */
int pf_grow(int fd, struct pf_info *info, uint64_t size)
{
    int error = 0;
    uint64_t heap_size = size - info->heap_offset;
    if (size != info->size && !(error = io_ftruncate(fd, (off_t)size)))
        error = io_fsync(fd);
    if (error || heap_size <= info->heap_size)
        return error;
    info->size = size;
    if (!(error = io_write_all(fd, &heap_size, sizeof heap_size, PMDK_HEAP_SIZE_AT)))
        error = io_fdatasync(fd);
    if (!error)
        info->heap_size = heap_size;
    return error;
}

int pf_stand_in(int fd, char *base, uint64_t size)
{
    int flags = MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED;
    return io.mmap(base, size, PROT_READ, flags, fd, 0) == MAP_FAILED ? errno : 0;
}

void pf_stand_in_ends(char *base, uint64_t size) { munmap(base, size); }

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
