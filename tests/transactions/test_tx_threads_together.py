"""Eight threads on shared containers, with and without transactions: the same result as some serial order."""

import sys
import threading
import time

import pytest
from thread_work import Thread, prepare, work_together

import pmemobj


def together(path, operations, sync, seed):
    with pmemobj.open(path, max_size=256 << 20, sync=sync, sync_interval=0.005) as pool:
        result = work_together(pool, operations, seed=seed)
    with pmemobj.open(path) as pool:
        result["check"](pool)
    assert result["switches"] > operations // 50  # else they came one after the other
    assert result["background"] > 10
    return result


@pytest.mark.parametrize("sync", ["interval", "manual", "commit"])
def test_some_serial_order(tmp_path, sync):
    together(tmp_path / "pool", 40_000 if sync != "commit" else 8_000, sync, 1)


@pytest.mark.long
@pytest.mark.parametrize("sync", ["interval", "manual", "commit"])
@pytest.mark.parametrize("seed", range(2, 5))
@pytest.mark.timeout(3600)
def test_some_serial_order_of_a_million(tmp_path, sync, seed):
    together(tmp_path / "pool", 1_000_000 if sync != "commit" else 100_000, sync, seed)


def test_threads_that_die_inside_transactions(tmp_path):
    """By an exception, by leaving a transaction behind, by SystemExit; others go on in between."""
    with pmemobj.open(tmp_path / "pool", max_size=64 << 20, sync="manual") as pool:
        prepare(pool)
        accounts, stop = pool.root["accounts"], threading.Event()
        rounds = 25

        def die(number):
            if number % 3 == 0:
                pool.begin()
                accounts[0] -= 5
                return
            with pool.transaction():
                accounts[0] -= 5
                time.sleep(0.0001)
                raise (SystemExit if number % 3 == 1 else ZeroDivisionError)

        def transfer():
            done = 0
            while not stop.is_set():
                with pool.transaction():
                    accounts[1] -= 1
                    accounts[2] += 1
                done += 1
            return done

        workers = [Thread(transfer) for _ in range(3)]
        with pytest.warns(ResourceWarning, match="has been undone"):
            for number in range(rounds):
                victim = Thread(lambda number=number: die(number))
                victim.join(60)
                assert not victim.is_alive()
            stop.set()
            for worker in workers:
                worker.join(60)
            assert accounts[0] == 1000  # undoes what the last victim has left behind
        assert [type(worker.error) for worker in workers] == [type(None)] * 3
        done = sum(worker.result for worker in workers)
        assert done > 0
        assert (accounts[1], accounts[2]) == (1000 - done, 1000 + done)
        assert pool.check().ok


@pytest.mark.parametrize("sync", ["interval", "commit"])
def test_closing_while_all_work(tmp_path, sync):
    """Each thread is told; what its last complete transaction wrote is there, and nothing of the next."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for attempt in range(6):
            path = tmp_path / str(attempt)
            pool = pmemobj.open(path, max_size=64 << 20, sync=sync, sync_interval=0.001)
            pool.root = {number: [0, 0] for number in range(8)}
            pairs = dict(pool.root)

            def work(number, pool=pool, pairs=pairs):
                done = 0
                try:
                    while True:
                        with pool.transaction():
                            pairs[number][0] = done + 1
                            pairs[number][1] = done + 1
                        done += 1
                        len(pool.root)
                        if number == 0:
                            pool.sync()
                        if number == 1:
                            pool.stats()
                except pmemobj.PoolClosedError:
                    return done

            workers = [Thread(lambda number=number, work=work: work(number)) for number in range(8)]
            time.sleep(0.02 + 0.004 * attempt)
            pool.close()
            for worker in workers:
                worker.join(60)
                assert not worker.is_alive()
                assert worker.error is None, worker.error
            with pmemobj.open(path) as pool:
                assert pool.recovery is None
                assert pool.check().ok
                for number, worker in enumerate(workers):
                    first, second = pool.root[number]
                    assert first == second
                    assert worker.result in (first, first - 1)  # told of the close by its own commit's sync
    finally:
        sys.setswitchinterval(before)
