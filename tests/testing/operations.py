"""Operations and questions that other processes can import."""

import os
import signal
import time


def start(pool):
    pool.root = {"items": [1, 2, 3], "names": {"a": 1}, "set": {1, 2}}


def append(pool):
    pool.root["items"].append("a text that needs a block")


def insert(pool):
    pool.root["names"]["a new key, long enough"] = {"nested": 1.5}


def transfer(pool):
    with pool.transaction():
        pool.root["items"].append(pool.root["names"].pop("a"))
        pool.root["set"].discard(1)


def undone(pool):
    try:
        with pool.transaction():
            pool.root["items"].append(1 << 80)
            raise KeyError
    except KeyError:
        pass


def two_operations(pool):
    """Atomic each, not together."""
    pool.root["items"].append(4)
    pool.root["items"].append(5)


def length(pool):
    return len(pool.root["items"])


def no_four(pool):
    assert 4 not in pool.root["items"], "there is a four"


def remove_last(pool):
    pool.root["items"].pop()


def dies_with_four(pool):
    if len(pool.root["items"]) == 4:
        os.kill(os.getpid(), signal.SIGKILL)


def hangs_with_four(pool):
    while len(pool.root["items"]) == 4:
        time.sleep(1)


def two_texts(pool):
    """Atomic each, not together."""
    pool.root["items"].append("a text that needs a block")
    pool.root["items"].append("a longer text " * 500)


def two_insertions(pool):
    pool.root["names"]["one"] = [1]
    pool.root["names"]["two"] = list(range(100))


def nothing(pool):
    return "nothing"
