"""Pools that open quickly, for those that are opened thousands of times.

libpmemobj lays out 1024 lanes of 3 KiB, one for each thread at work, and looks through all of them whenever it opens a
pool: two thirds of the time that opening a small one takes.  Those that the operations of one thread never use are left
out here.  So is the check for bad blocks, which asks the system for its memory modules.  Nothing else differs.
"""

import contextlib
import mmap
import struct

__all__ = ["SMALL_JOURNAL", "slim"]

#: Small journals: less to write and to compare, and every boundary is met soon.
SMALL_JOURNAL = {"first_segment": 1 << 16, "max_segment": 1 << 16, "limit": 1 << 19, "ring": 1 << 16}

LANES = 8  # of those that there are; each thread takes one
LANE_BYTES = 3072
HEADER, HEADER_SUMMED = 4096, 2048  # bytes; libpmem's pool header, with its checksum at the end
DESCRIPTOR, DESCRIPTOR_BYTES = 4096, 2048  # where libpmemobj's begins, and its checksummed part
COMPAT_AT, INCOMPAT_AT = 12, 16
CHECKS_BAD_BLOCKS, SUMS_2K = 1, 2
LANES_AT = 1024  # where it says where they are, and how many


def checksum(block: bytes | bytearray, counted: int) -> int:
    """Fletcher's, of 32-bit words; those behind `counted` bytes are zeros, and so is itself, at the end."""
    low = high = 0
    for at, (word,) in enumerate(struct.iter_unpack("<I", block)):
        low += word if 4 * at < min(counted, len(block) - 8) else 0
        high += low
    return (high & 0xFFFFFFFF) << 32 | low & 0xFFFFFFFF


def summed(block: bytearray, counted: int) -> bool:
    (noted,) = struct.unpack_from("<Q", block, len(block) - 8)
    return checksum(block, counted) == int(noted)


def slim(path: str) -> None:
    """Of a pool that was closed cleanly.  Nothing happens to one of another format."""
    with open(path, "r+b") as file:
        header = bytearray(file.read(HEADER))
        descriptor = bytearray(file.read(DESCRIPTOR_BYTES))
        compat, incompat = struct.unpack_from("<II", header, COMPAT_AT)
        counted = HEADER_SUMMED if incompat & SUMS_2K else HEADER
        first, lanes = struct.unpack_from("<QQ", descriptor, LANES_AT)
        if not (summed(header, counted) and summed(descriptor, DESCRIPTOR_BYTES) and lanes > LANES):
            return
        struct.pack_into("<I", header, COMPAT_AT, compat & ~CHECKS_BAD_BLOCKS)
        struct.pack_into("<Q", header, HEADER - 8, checksum(header, counted))
        struct.pack_into("<Q", descriptor, LANES_AT + 8, LANES)
        struct.pack_into("<Q", descriptor, DESCRIPTOR_BYTES - 8, checksum(descriptor, DESCRIPTOR_BYTES))
        file.seek(0)
        file.write(header + descriptor)
        file.flush()
        start = first + LANES * LANE_BYTES
        end = first + lanes * LANE_BYTES
        with mmap.mmap(file.fileno(), end) as mapped, contextlib.suppress(OSError):  # they may as well stay
            mapped.madvise(mmap.MADV_REMOVE, start, end - start)
