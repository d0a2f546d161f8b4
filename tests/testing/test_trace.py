"""What a trace notes of files that others change meanwhile."""

import struct
import subprocess
import sys

from pmemobj import _core
from pmemobj.testing.disk import SECTOR, Disk

SIZE = 1 << 20
LAST = SIZE - SECTOR
BURST = 1000

#: Writes a number to the file's start and then to its end, in bursts of some hundred microseconds.
WRITER = f"""
import mmap, sys, time
with open(sys.argv[1], "r+b") as file:
    words = memoryview(mmap.mmap(file.fileno(), 0)).cast("Q")
print("begun", flush=True)
while True:
    for number in range(words[0] + 1, words[0] + {BURST}):
        words[0] = number
        words[{LAST // 8}] = number
    time.sleep(0.001)
"""


def number_at(file, offset):
    return struct.unpack_from("<Q", file.blocks.get(offset, bytes(8)))[0]


def test_an_event_shows_the_files_as_they_were_at_one_moment(tmp_path):
    path = tmp_path / "written"
    path.write_bytes(bytes(SIZE))
    with subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"begun\n"
        _core._trace_start(str(tmp_path))
        try:
            while int.from_bytes(path.read_bytes()[:8], sys.byteorder) < 20 * BURST:
                _core._trace_mark(0)
        finally:
            trace = _core._trace_stop()
            writer.kill()
    disk = Disk()
    for _event in disk.replay(trace):
        file = disk.files[disk.names["written"]]
        first, last = number_at(file, 0), number_at(file, LAST)
        assert first - last in (0, 1)
