"""The process that is killed: works on the pool, and writes down what it begins and what it has done.

    python worker.py POOL MARKS SEED FIRST_OPERATION SYNC ENGINE

MARKS is a file of three 8-byte words, mapped by the parent too: operations begun, operations done, phase.
"""

import mmap
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import workload

import pmemobj

OPEN, RUN, CHECKPOINT, CLOSE = range(1, 5)


def main(path, marks_path, seed, first, sync, engine):
    with open(marks_path, "r+b") as file:
        marks = mmap.mmap(file.fileno(), 24)

    def mark(word, number):
        struct.pack_into("<Q", marks, 8 * word, number)

    number = first
    while True:
        mark(2, OPEN)
        pool = pmemobj.open(path, sync=sync, sync_interval=0.002, engine=engine)
        mark(2, RUN)
        root = pool.root
        for step in range(1, 400):
            mark(0, number + 1)
            workload.apply(root, number, seed, pool.transaction)
            number += 1
            mark(1, number)
            if step % 100 == 0:
                mark(2, CHECKPOINT)
                pool.checkpoint()
                mark(2, RUN)
        mark(2, CLOSE)
        del root
        pool.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5], sys.argv[6])
