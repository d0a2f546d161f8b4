"""What is durable, what is not yet: the model of the disk, on traces made by hand."""

import struct

from pmemobj.testing.disk import SECTOR, WHOLE_FILE, Disk, Kind

INO = 7


def words(*numbers):
    return struct.pack(f"<{len(numbers)}Q", *numbers)


def event(kind, ino=0, offset=0, length=0):
    return words(1, kind, ino, offset, length, 0)


def named(name, ino=INO):
    return words(2, ino, len(name)) + name.encode().ljust((len(name) + 7) // 8 * 8, b"\0")


def gone(name):
    return words(3, len(name)) + name.encode().ljust((len(name) + 7) // 8 * 8, b"\0")


def size(n, ino=INO):
    return words(4, ino, n)


def line(number, byte, ino=INO):
    return words(5, ino, number, 1) + bytes([byte]) * 64


def replayed(*parts):
    disk = Disk()
    for _ in disk.replay(b"".join(parts)):
        pass
    return disk


START = named("a") + size(4 * SECTOR) + line(0, 1) + event(Kind.START)


def first_byte(blocks, block=0):
    return blocks.get(block, bytes(SECTOR))[0]


def test_what_is_there_at_the_start_is_durable():
    disk = replayed(START)
    assert first_byte(disk.files[INO].durable) == 1
    assert disk.durable_names == {"a": INO}
    assert not disk.files[INO].pending


def test_a_write_is_pending_until_a_sync_that_began_after_it_has_ended():
    disk = replayed(START, line(0, 2), event(Kind.CALL))
    assert first_byte(disk.files[INO].durable) == 1
    assert [v[0] for v in disk.files[INO].pending[0]] == [2]
    disk = replayed(START, line(0, 2), event(Kind.SYNC_BEGIN, INO, 0, WHOLE_FILE))
    assert first_byte(disk.files[INO].durable) == 1
    disk = replayed(
        START,
        line(0, 2),
        event(Kind.SYNC_BEGIN, INO, 0, WHOLE_FILE),
        event(Kind.SYNC_END, INO, 0, WHOLE_FILE),
    )
    assert first_byte(disk.files[INO].durable) == 2
    assert not disk.files[INO].pending


def test_what_is_written_during_a_sync_is_not_covered_by_it():
    disk = replayed(
        START,
        line(0, 2),
        event(Kind.SYNC_BEGIN, INO, 0, WHOLE_FILE),
        line(0, 3),
        line(16, 3),
        event(Kind.SYNC_END, INO, 0, WHOLE_FILE),
    )
    assert first_byte(disk.files[INO].durable) == 2
    assert sorted(disk.files[INO].pending) == [0, 2 * SECTOR]


def test_a_sync_of_a_range_covers_its_blocks_only():
    disk = replayed(
        START,
        line(0, 2) + line(16, 2),
        event(Kind.SYNC_BEGIN, INO, 2 * SECTOR, SECTOR),
        event(Kind.SYNC_END, INO, 2 * SECTOR, SECTOR),
    )
    assert first_byte(disk.files[INO].durable) == 1
    assert first_byte(disk.files[INO].durable, 2 * SECTOR) == 2


def test_two_syncs_at_once_cover_what_each_of_them_saw():
    begin, end = event(Kind.SYNC_BEGIN, INO, 0, WHOLE_FILE), event(Kind.SYNC_END, INO, 0, WHOLE_FILE)
    disk = replayed(START, line(0, 2), begin, line(0, 3), begin, line(0, 4), event(Kind.CALL), end)
    assert first_byte(disk.files[INO].durable) == 2
    assert [v[0] for v in disk.files[INO].pending[0]] == [3, 4]
    disk = replayed(START, line(0, 2), begin, line(0, 3), begin, line(0, 4), event(Kind.CALL), end, end)
    assert first_byte(disk.files[INO].durable) == 3
    assert [v[0] for v in disk.files[INO].pending[0]] == [4]


def test_names_become_durable_with_the_directory():
    renamed = named("b") + gone("a") + event(Kind.CALL)
    assert replayed(START, renamed).durable_names == {"a": INO}
    both = (event(Kind.DIRECTORY_BEGIN), event(Kind.DIRECTORY_END))
    assert replayed(START, renamed, *both).durable_names == {"b": INO}


def test_a_size_is_durable_with_its_file():
    disk = replayed(START, size(SECTOR), event(Kind.CALL))
    assert disk.files[INO].durable_size == 4 * SECTOR
    assert disk.files[INO].sizes == [SECTOR]
    sync = (event(Kind.SYNC_BEGIN, INO, 0, WHOLE_FILE), event(Kind.SYNC_END, INO, 0, WHOLE_FILE))
    assert replayed(START, size(SECTOR), *sync).files[INO].durable_size == SECTOR
