"""The frontier of a crawler that can be killed and goes on: pages to visit, pages seen, what was found.

A page is one transaction: it is marked as visited and its links join the frontier, or it will be visited again.
The web is made up: a page has ten links, which follow from its number.
"""

import sqlite3

import pmemobj

OPERATION = "page"
AMOUNT = 5000
LINKS = 10
START = "https://example.org/page/0"


def fetch(url):
    """Size and links of a page."""
    number = int(url.rpartition("/")[2])
    links = [f"https://example.org/page/{(number * 31 + 7 * i + i * i) % 10_000_019}" for i in range(LINKS)]
    return number % 1000, links


def summary(pages, waiting):
    return len(pages), sum(pages.values()), waiting


def in_memory(directory, amount):
    seen, queue, pages = {START}, [START], {}
    for visited in range(amount):
        url = queue[visited]
        size, links = fetch(url)
        pages[url] = size
        for link in links:
            if link not in seen:
                seen.add(link)
                queue.append(link)
    return amount, summary(pages, len(queue) - amount)


def with_pmemobj(directory, amount):
    with pmemobj.open(directory / "frontier.pool") as pool:
        if pool.root is None:
            pool.root = {"seen": {START}, "queue": [START], "pages": {}}
        root = pool.root
        seen, queue, pages = root["seen"], root["queue"], root["pages"]
        while len(pages) < amount:
            url = queue[len(pages)]
            size, links = fetch(url)
            with pool.transaction():
                pages[url] = size
                for link in links:
                    if link not in seen:
                        seen.add(link)
                        queue.append(link)
        return amount, summary(pages, len(queue) - amount)


def with_sqlite(directory, amount):
    database = sqlite3.connect(directory / "frontier.db")
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=NORMAL")
    database.execute(
        "CREATE TABLE IF NOT EXISTS page (number INTEGER PRIMARY KEY, url TEXT UNIQUE, size INTEGER)"
    )
    database.execute("INSERT OR IGNORE INTO page (url) VALUES (?)", (START,))
    database.execute("CREATE INDEX IF NOT EXISTS waiting ON page (number) WHERE size IS NULL")
    database.commit()
    for _ in range(amount):
        number, url = database.execute(
            "SELECT number, url FROM page WHERE size IS NULL ORDER BY number LIMIT 1"
        ).fetchone()
        size, links = fetch(url)
        with database:
            database.execute("UPDATE page SET size = ? WHERE number = ?", (size, number))
            database.executemany("INSERT OR IGNORE INTO page (url) VALUES (?)", ((link,) for link in links))
    found = database.execute("SELECT count(size), sum(size), count(*) - count(size) FROM page").fetchone()
    database.close()
    return amount, found


VERSIONS = {"in memory": in_memory, "pmemobj": with_pmemobj, "sqlite3": with_sqlite}
