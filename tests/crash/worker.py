"""The process that is killed: works on the pool, and writes down what it begins and what it has done.

A line of standard input is a JSON list of main()'s arguments: a child is forked to run it.  Its number is the answer,
and its wait status when it has ended.  So the interpreter and the package are loaded once.  MARKS is a file of three
8-byte words, mapped by the parent too: operations begun, operations done, phase.
"""

import json
import mmap
import os
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import workload

import pmemobj

OPEN, RUN, CHECKPOINT, CLOSE = range(1, 5)


def main(path, marks_path, seed, first, sync, engine):
    with open(marks_path, "r+b") as file:
        marks = memoryview(mmap.mmap(file.fileno(), 24)).cast("Q")

    def mark(word, number):
        marks[word] = (
            number  # one store: struct.pack_into() clears the word first, and a kill may come in between
        )

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


def serve():
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                main(*json.loads(line))
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        print(pid, flush=True)
        print(os.waitpid(pid, 0)[1], flush=True)


if __name__ == "__main__":
    serve()
