"""Damage: cases to be tried.  A case is (kind, base, writes, lengths): writes are (file, offset, bytes), lengths {file:
bytes}.  Deterministic."""

import random
import struct

from tests.malformed import bases
from tests.malformed.bases import JOURNAL, OFFSET, words

LIMIT = (1 << 64) - 1


def bits(kind, base, file, start, stop, step=1):
    image = base.files[file]
    for number in range(start * 8, stop * 8, step):
        at, bit = divmod(number, 8)
        yield kind, base.name, [(file, at, bytes([image[at] ^ 1 << bit]))], {}


def every_byte(kind, base, file, start, stop, rng, step=1):
    image = base.files[file]
    for at in range(start, stop, step):
        value = rng.choice([0, 1, 0x7F, 0x80, 0xFF, image[at] ^ 1 << rng.randrange(8)])
        yield kind, base.name, [(file, at, bytes([value ^ (value == image[at])]))], {}


def lengths(kind, base, file, rng, count):
    """Every length near a border, and some of the others; None: all of them."""
    size = len(base.files[file])
    used = len(base.files[file].rstrip(b"\0"))
    near = {
        0,
        1,
        7,
        8,
        15,
        16,
        4095,
        4096,
        4097,
        8191,
        8192,
        8193,
        65535,
        65536,
        65537,
        used - 1,
        used,
        size - 1,
    }
    some = range(size) if count is None else (rng.randrange(used + 1) for _ in range(count))
    for length in sorted(near | set(some) | set(range(0, used, 65536))):
        if 0 <= length < size:
            yield kind, base.name, [], {file: length}


def interesting(rng, image, word, base):
    """Something that a word might wrongly be."""
    size = len(image)
    some = rng.choice(base.places)[1] if base.places else 0
    choices = (
        0,
        1,
        LIMIT,
        1 << rng.randrange(64),
        word ^ 1 << rng.randrange(64),
        word ^ 1 << rng.randrange(64),
        word + rng.choice((1, -1, 8, -8, 16, 64, 4096, 1 << 32)),
        some,
        some | rng.randrange(14) << 48,
        word & OFFSET | rng.randrange(16) << 48,
        word & OFFSET | rng.randrange(256) << 48 | rng.randrange(70) << 56,
        some & ~OFFSET | size - rng.choice((0, 1, 8, 16, 24, 40, 64, 96, 4096)),
        rng.randrange(size),
        rng.randrange(size) & ~7,
        rng.choice((8, 4096, 8192, bases.HEAP, bases.ZONE, bases.CHUNKS)),
        rng.randrange(1 << 20),
        rng.randrange(1 << 64),
        rng.choice((1 << 31, 1 << 32, 1 << 40, 1 << 47, 1 << 48, 1 << 61, 1 << 63, (1 << 63) - 1)),
        rng.randrange(32) << 3 | 4 | rng.randrange(1 << 56) << 8,
    )
    return rng.choice(choices) & LIMIT


def structure(base, rng, count):
    """Words of the pool's structures; sometimes more than one."""
    image = base.files[""]
    for _ in range(count):
        writes, names = [], []
        for _ in range(1 if rng.random() < 0.7 else rng.randrange(2, 6)):
            name, at, size = rng.choice(base.places)
            at += rng.randrange(max(1, size // 8)) * 8
            word = words(image, at)[0]
            writes.append(("", at, struct.pack("<Q", interesting(rng, image, word, base))))
            names.append(name)
        yield (
            "structures: " + (names[0].split(" of ")[0] if len(names) == 1 else "several"),
            base.name,
            writes,
            {},
        )


def damaged_record(rng, image, base, record):
    """A record of the journal with another payload, header or length, and a checksum that agrees."""
    kind, at, size, seed = record
    head = 8 if kind == "ring" else 40
    data = bytearray(image[at : at + size])
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        first = 8 if kind == "log" else head
        if size <= first:
            break
        place = first + rng.randrange((size - first) // 8) * 8
        word = words(data, place)[0]
        value = interesting(rng, image, word, base)
        if rng.random() < 0.3:  # of an extent: another place or length
            value = (rng.randrange(bases.SIZE) & ~7) << 16 | word & 0xFFFF
        struct.pack_into("<Q", data, place, value & LIMIT)
    if kind == "ring":
        position = seed & LIMIT
        salt = position - (at - 65536) // 8
        struct.pack_into("<Q", data, 0, bases.ring_word(data[8:], salt, (at - 65536) // 8))
    else:
        struct.pack_into("<Q", data, 0, bases.xxh3(data[8:], seed))
    return at, bytes(data)


def journal_records(base, rng, count):
    image = base.files[JOURNAL]
    known = bases.records(image)
    for _ in range(count):
        record = rng.choice(known)
        at, data = damaged_record(rng, image, base, record)
        yield f"records of the {record[0]}", base.name, [(JOURNAL, at, data)], {}


def headers(base, rng, count, slots, size, label):
    """A header with other fields and a checksum that agrees; in both slots, or in one."""
    image = base.files[JOURNAL]
    for _ in range(count):
        data = bytearray(image[: slots[0] + size])
        slot = bytearray(image[slots[0] : slots[0] + size])
        used = max(i for i in range(0, size, 8) if words(slot, i)[0]) + 16
        for _ in range(rng.choice((1, 1, 2, 3))):
            place = 16 + rng.randrange((min(used, size) - 16) // 8) * 8
            struct.pack_into("<Q", slot, place, interesting(rng, image, words(slot, place)[0], base))
        struct.pack_into("<Q", slot, 8, bases.xxh3(slot[16:]))
        del data
        both = slots if rng.random() < 0.8 else slots[:1]
        yield label, base.name, [(JOURNAL, at, bytes(slot)) for at in both], {}


def undo_entries(base, rng, count):
    image = base.files[JOURNAL]
    salt = words(image, 64)[0]
    last = max(i for i in range((len(image) - 8192) // 96) if words(image, 8192 + 96 * i)[0])
    for _ in range(count):
        number = rng.randrange(min(last + 1, 64))
        at = 8192 + 96 * number
        data = bytearray(image[at : at + 96])
        for _ in range(rng.choice((1, 1, 2))):
            place = rng.choice((8, 16, 16, 16, 24, 32 + 8 * rng.randrange(8)))
            value = interesting(rng, image, words(data, place)[0], base)
            if place == 16 and rng.random() < 0.5:
                value = rng.randrange(bases.SIZE) & ~63 | rng.randrange(3)
            struct.pack_into("<Q", data, place, value)
        struct.pack_into("<Q", data, 0, bases.xxh3(data[8:], salt + number))
        yield "entries of the undo log", base.name, [(JOURNAL, at, bytes(data))], {}


def fletcher(data):
    low = high = 0
    for (word,) in struct.iter_unpack("<I", data):
        low = low + word & 0xFFFFFFFF
        high = high + low & 0xFFFFFFFF
    return high << 32 | low


def libpmemobj(base, rng, count):
    """The descriptor of libpmemobj, its heap header, lanes, zones and runs; with the checksums that it verifies."""
    image = base.files[""]
    for _ in range(count):
        what = rng.choice(("descriptor", "run-time", "heap", "lane", "zone", "run"))
        if what == "descriptor":
            block = bytearray(image[4096:6144])
            struct.pack_into("<Q", block, 1024 + 8 * rng.randrange(4), interesting(rng, image, 8192, base))
            struct.pack_into("<Q", block, 2040, fletcher(block[:2040]))
            writes = [("", 4096, bytes(block))]
        elif what == "heap":
            block = bytearray(image[bases.HEAP : bases.HEAP + 1024])
            struct.pack_into("<Q", block, 16 + 8 * rng.randrange(6), interesting(rng, image, 1, base))
            struct.pack_into("<Q", block, 1016, fletcher(block[:1016]))
            writes = [("", bases.HEAP, bytes(block))]
        else:
            at = {
                "run-time": 6144 + 8 * rng.randrange(64),
                "lane": 8192 + rng.choice((0, 256, 960)) + 8 * rng.randrange(32) + 3072 * rng.randrange(8),
                "zone": bases.ZONE + rng.choice((0, 64 + 8 * rng.randrange(20))),
                "run": bases.CHUNKS + 8 * rng.randrange(8),
            }[what]
            writes = [("", at, struct.pack("<Q", interesting(rng, image, words(image, at)[0], base)))]
            if what == "lane" and rng.random() < 0.5:  # a log that libpmemobj would carry out
                at = 8192 + rng.choice((0, 256)) + 3072 * rng.randrange(8)
                log = bytearray(64 + 64)
                struct.pack_into("<Q", log, 16, rng.choice((64, 192, 640)))
                for i in range(rng.randrange(1, 4)):
                    place = rng.choice(
                        (bases.ZONE, bases.CHUNKS, 4096, rng.randrange(len(image)))
                    ) + 8 * rng.randrange(16)
                    entry = place & ~7 | rng.choice((0, 0, 1, 2, 5, 7)) << 61
                    struct.pack_into("<QQ", log, 64 + 16 * i, entry, interesting(rng, image, 0, base))
                struct.pack_into("<Q", log, 0, 0)
                struct.pack_into("<Q", log, 0, fletcher(log[8:]))
                writes = [("", at, bytes(log))]
        yield f"libpmemobj: {what}", base.name, writes, {}


def exhaustive(found, dense=False, every_length=False):
    """Each bit and byte of what everything else depends on, and where a file may end; dense: really each."""
    rng = random.Random(1)
    step = 1 if dense else 32
    count = None if every_length else 2000 if dense else 60
    journal, direct, closed = found["journal"], found["direct"], found["closed"]
    slot, _ = bases.journal_header(journal.files[JOURNAL])
    yield from bits("bits of the journal's header", journal, JOURNAL, slot, slot + 240, 1 if dense else 7)
    yield from bits(
        "bits of the other header", journal, JOURNAL, 4096 - slot, 4096 - slot + 240, 1 if dense else 31
    )
    for kind, at, size, _ in bases.records(journal.files[JOURNAL])[:3]:
        yield from bits(
            f"bits of the first records ({kind})", journal, JOURNAL, at, at + size, 1 if dense else 5
        )
    yield from lengths("length of the journal", journal, JOURNAL, rng, count)
    yield from lengths("length of the undo log", direct, JOURNAL, rng, 20_000 if every_length else count)
    yield from lengths("length of the pool file", closed, "", rng, 200 if dense else 20)
    for at in (0, 4096):
        yield from bits("bits of the undo log's header", direct, JOURNAL, at, at + 80, 1 if dense else 9)
    yield from bits("bits of the undo log's entries", direct, JOURNAL, 8192, 8192 + 3 * 96, 1 if dense else 5)
    yield from every_byte("bytes of the pool's header", closed, "", 0, 4096, rng, step)
    yield from every_byte("bytes of libpmemobj's descriptor", closed, "", 4096, 8192, rng, step)
    root = words(closed.files[""], 6144)[0]
    yield from every_byte("bytes of the root block", closed, "", root, root + 648, rng, 1 if dense else 4)
    types = words(closed.files[""], root + 64)[0]
    yield from every_byte("bytes of the type table", closed, "", types, types + 64, rng)
    cells = words(closed.files[""], types + 48)[0]
    record = words(closed.files[""], cells)[0]
    yield from every_byte("bytes of the type table", closed, "", cells, cells + 8, rng)
    yield from every_byte("bytes of the type table", closed, "", record, record + 64, rng)
    yield from every_byte("bytes of the zone's header", closed, "", bases.ZONE, bases.ZONE + 64 + 36 * 8, rng)


def sample(found, count, every_length=False):
    """So many of all these, of each kind a share."""
    by_kind = {}
    for case in exhaustive(found, dense=True, every_length=every_length):
        by_kind.setdefault(case[0], []).append(case)
    rng = random.Random(2)
    kinds = sorted(by_kind.values(), key=len)
    while kinds:
        some = kinds.pop(0)
        share = count // (len(kinds) + 1)
        yield from some if len(some) <= share else rng.sample(some, share)
        count -= min(len(some), share)


def random_cases(found, count, seed=1):
    """Damage that knows what it damages, with checksums that agree."""
    rng = random.Random(seed)
    closed, big, journal, direct = (found[name] for name in ("closed", "large", "journal", "direct"))
    journal.places = direct.places = closed.places
    parts = (
        (56, lambda n: structure(closed, rng, n)),
        (6, lambda n: structure(big, rng, n)),
        (16, lambda n: journal_records(journal, rng, n)),
        (5, lambda n: headers(journal, rng, n, [0, 4096], 4096, "fields of the journal's header")),
        (3, lambda n: headers(direct, rng, n, [0, 4096], 512, "fields of the undo log's header")),
        (6, lambda n: undo_entries(direct, rng, n)),
        (8, lambda n: libpmemobj(closed, rng, n)),
    )
    for share, cases in parts:
        yield from cases(count * share // 100)
