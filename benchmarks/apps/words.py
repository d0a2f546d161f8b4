"""Counts the words of the standard library's own sources; a file is one transaction, so it can be killed.

shelve has no transactions: it may count the words of a file twice after a kill.
"""

import functools
import re
import shelve
import sqlite3
import sysconfig
from pathlib import Path

import pmemobj

OPERATION = "word"
AMOUNT = 60  # files
SHELVE_SHARE = 20  # shelve does this part of the files only
WORD = re.compile(r"[A-Za-z_]\w*")


@functools.lru_cache(2)
def sources(amount):
    """Name and text of the first so many modules of the standard library."""
    found = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[:amount]
    return [(path.name, path.read_text(encoding="utf-8", errors="replace")) for path in found]


def summary(counts):
    return len(counts), sum(counts.values()), counts["return"]


def in_memory(directory, amount):
    counts, finished = {}, set()
    for name, text in sources(amount):
        for word in WORD.findall(text):
            counts[word] = counts.get(word, 0) + 1
        finished.add(name)
    return sum(counts.values()), summary(counts)


def with_pmemobj(directory, amount):
    with pmemobj.open(directory / "words.pool") as pool:
        if pool.root is None:
            pool.root = {"counts": {}, "finished": set()}
        counts, finished = pool.root["counts"], pool.root["finished"]
        for name, text in sources(amount):
            if name in finished:
                continue
            with pool.transaction():
                for word in WORD.findall(text):
                    counts[word] = counts.get(word, 0) + 1
                finished.add(name)
        found = summary(counts)
        return found[1], found


def with_sqlite(directory, amount):
    database = sqlite3.connect(directory / "words.db")
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=NORMAL")
    database.execute("CREATE TABLE word (word TEXT PRIMARY KEY, count INTEGER) WITHOUT ROWID")
    database.execute("CREATE TABLE finished (name TEXT PRIMARY KEY)")
    for name, text in sources(amount):
        with database:
            database.executemany(
                "INSERT INTO word VALUES (?, 1) ON CONFLICT (word) DO UPDATE SET count = count + 1",
                ((word,) for word in WORD.findall(text)),
            )
            database.execute("INSERT INTO finished VALUES (?)", (name,))
    counts = dict(database.execute("SELECT word, count FROM word"))
    database.close()
    return sum(counts.values()), summary(counts)


def with_shelve(directory, amount):
    total = 0
    with (
        shelve.open(str(directory / "words.shelve")) as counts,
        shelve.open(str(directory / "finished.shelve")) as finished,
    ):
        for name, text in sources(max(1, amount // SHELVE_SHARE)):
            for word in WORD.findall(text):
                counts[word] = counts.get(word, 0) + 1
                total += 1
            counts.sync()
            finished[name] = True
    return total, None


VERSIONS = {
    "in memory": in_memory,
    "pmemobj": with_pmemobj,
    "sqlite3": with_sqlite,
    "shelve": with_shelve,
}
