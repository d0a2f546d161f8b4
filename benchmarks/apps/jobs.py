"""A queue of jobs: put in, taken, done or, one time in ten, put back; each step is a transaction.

A job that was taken when the program died is still marked as taken, so none is lost and none is done twice
without notice.
"""

import sqlite3

import pmemobj

OPERATION = "transaction"
AMOUNT = 5000


def fails(number, tries):
    return tries == 1 and number % 10 == 3


class Job:
    def __init__(self, number):
        self.number = number
        self.payload = f"resize image {number:06d}"
        self.state = "waiting"
        self.tries = 0


class StoredJob(pmemobj.PersistentObject):
    __init__ = Job.__init__


def in_memory(directory, amount):
    waiting, done, head, tail, steps = {}, [], 0, 0, 0
    for number in range(amount):
        waiting[tail] = Job(number)
        tail += 1
        steps += 1
    while waiting:
        job = waiting.pop(head)
        head += 1
        job.state = "taken"
        job.tries += 1
        if fails(job.number, job.tries):
            job.state = "waiting"
            waiting[tail] = job
            tail += 1
        else:
            job.state = "done"
            done.append(job)
        steps += 2
    return steps, (len(done), sum(job.tries for job in done))


def with_pmemobj(directory, amount):
    with pmemobj.open(directory / "jobs.pool") as pool:
        pool.root = {"waiting": {}, "taken": {}, "done": [], "head": 0, "tail": 0}
        root, steps = pool.root, 0
        waiting, taken, done = root["waiting"], root["taken"], root["done"]
        for number in range(amount):
            with pool.transaction():
                waiting[root["tail"]] = pool.new(StoredJob, number)
                root["tail"] += 1
            steps += 1
        while waiting:
            with pool.transaction():
                job = waiting.pop(root["head"])
                root["head"] += 1
                job.state = "taken"
                job.tries += 1
                taken[job.number] = job
            with pool.transaction():
                del taken[job.number]
                if fails(job.number, job.tries):
                    job.state = "waiting"
                    waiting[root["tail"]] = job
                    root["tail"] += 1
                else:
                    job.state = "done"
                    done.append(job)
            steps += 2
        return steps, (len(done), sum(job.tries for job in done))


def with_sqlite(directory, amount):
    database = sqlite3.connect(directory / "jobs.db")
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=NORMAL")
    database.execute(
        "CREATE TABLE job (number INTEGER PRIMARY KEY, payload TEXT, state TEXT, tries INTEGER, place INTEGER)"
    )
    database.execute("CREATE INDEX waiting ON job (place) WHERE state = 'waiting'")
    steps = tail = 0
    for number in range(amount):
        with database:
            database.execute(
                "INSERT INTO job VALUES (?, ?, 'waiting', 0, ?)", (number, f"resize image {number:06d}", tail)
            )
        tail += 1
        steps += 1
    while True:
        found = database.execute(
            "SELECT number, tries FROM job WHERE state = 'waiting' ORDER BY place LIMIT 1"
        ).fetchone()
        if found is None:
            break
        number, tries = found
        with database:
            database.execute(
                "UPDATE job SET state = 'taken', tries = ? WHERE number = ?", (tries + 1, number)
            )
        with database:
            if fails(number, tries + 1):
                database.execute(
                    "UPDATE job SET state = 'waiting', place = ? WHERE number = ?", (tail, number)
                )
                tail += 1
            else:
                database.execute("UPDATE job SET state = 'done' WHERE number = ?", (number,))
        steps += 2
    found = database.execute("SELECT count(*), sum(tries) FROM job WHERE state = 'done'").fetchone()
    database.close()
    return steps, found


VERSIONS = {"in memory": in_memory, "pmemobj": with_pmemobj, "sqlite3": with_sqlite}
