"""asyncio: a transaction is its task's; what other tasks of the thread do meanwhile is refused, never joined."""

import asyncio
import contextvars
import gc
import threading

import pytest
from every_use import World

import pmemobj
from pmemobj import TransactionError

OTHER_TASK = "what runs now is not the asyncio task that began it"


class Meeting:
    """Two tasks of one loop: `holder` is inside a transaction while the other one runs."""

    def __init__(self):
        self.inside, self.go_on = asyncio.Event(), asyncio.Event()

    async def here(self):
        """In the holder's block."""
        self.inside.set()
        await self.go_on.wait()


async def meet(hold, other, **options):
    """Runs hold(meeting) as a task and other() as another one while the first is inside; gives both results."""
    meeting = Meeting()
    loop = asyncio.get_running_loop()
    holder = loop.create_task(hold(meeting), **options)
    await meeting.inside.wait()
    try:
        result = await loop.create_task(other(), **options)
    finally:
        meeting.go_on.set()
    return await holder, result


@pytest.mark.parametrize("end", ["commit", "abort"])
def test_every_use_by_another_task_is_refused(pool, reopen, end):
    world = World(pool)
    world.list[:] = ["before"]

    async def hold(meeting):
        with pool.transaction() as tx:
            world.list.append("inside")
            await meeting.here()
            world.list.append("inside too")
            if end == "abort":
                tx.abort()

    async def other():
        return world.refused(TransactionError, but={"pool.in_transaction", "pool.persist_via_pickle"})

    _, refused = asyncio.run(meet(hold, other))
    assert refused > 150
    expected = ["before", "inside", "inside too"] if end == "commit" else ["before"]
    assert world.list == expected
    world.unstored = None
    assert reopen(pool).root["list"] == expected


def test_what_the_error_says(pool, pool_path):
    async def hold(meeting):
        with pool.transaction():
            await meeting.here()

    async def other():
        assert not pool.in_transaction
        with pytest.raises(TransactionError) as caught:
            pool.root = 1
        return str(caught.value)

    _, message = asyncio.run(meet(hold, other))
    assert message.startswith(f"{pool_path}: a transaction is open in this thread, and {OTHER_TASK}; end a")
    assert "before the next await" in message
    assert "asyncio.to_thread" in message


def test_the_task_goes_on_after_each_await(pool):
    pool.root = []
    others = []

    async def hold():
        with pool.transaction():
            for i in range(50):
                pool.root.append(i)
                await asyncio.sleep(0)
                assert pool.in_transaction
                assert pool.root[i] == i
                with pool.transaction() as inner:
                    pool.root.append("inner")
                    await asyncio.sleep(0)
                    inner.abort()

    async def other():
        for _ in range(100):
            with pytest.raises(TransactionError):
                len(pool.root)
            others.append(1)
            await asyncio.sleep(0)

    async def both():
        task = asyncio.get_running_loop().create_task(hold())
        await asyncio.sleep(0)
        await other()
        await task

    asyncio.run(both())
    assert pool.root == list(range(50))
    assert len(others) == 100


def test_each_way_of_changing_after_an_await(pool):
    """The fast paths ask for the turn, too; this goes through each of them first thing after a switch."""
    pool.root = {"list": [0], "dict": {"a": 0}, "set": set()}
    thing = pool.new(pmemobj.PersistentObject)
    things, mapping, group = pool.root["list"], pool.root["dict"], pool.root["set"]
    steps = [
        lambda: things.__setitem__(0, 1),
        lambda: things.append(2),
        lambda: things.append("a long text, longer than a slot"),
        lambda: mapping.__setitem__("a", 1),
        lambda: mapping.__setitem__("b", 2.5),
        lambda: group.add(3),
        lambda: setattr(thing, "x", "another text that takes a block"),
        lambda: setattr(pool, "root", pool.root),
        lambda: things.extend([1, 2, 3]),
        lambda: mapping.pop("b"),
    ]

    async def hold(meeting):
        with pool.transaction():
            for step in steps:
                await asyncio.sleep(0)
                step()
            await meeting.here()

    async def other():
        for step in steps:
            with pytest.raises(TransactionError, match=OTHER_TASK):
                step()

    asyncio.run(meet(hold, other))
    assert things == [1, 2, "a long text, longer than a slot", 1, 2, 3]
    assert (mapping, group) == ({"a": 1}, {3})
    assert pool.check().ok


def test_tasks_that_share_a_context(pool):
    pool.root = 1

    async def hold(meeting):
        with pool.transaction():
            pool.root = 2
            await meeting.here()

    async def other():
        with pytest.raises(TransactionError, match=OTHER_TASK):
            return pool.root

    asyncio.run(meet(hold, other, context=contextvars.copy_context()))
    assert pool.root == 2


def test_another_context_of_the_same_task_is_no_other_task(pool):
    """As libraries enter one for a call."""
    pool.root = []

    async def work():
        with pool.transaction():
            pool.root.append(1)
            contextvars.copy_context().run(pool.root.append, 2)
            await asyncio.sleep(0)
            contextvars.copy_context().run(lambda: [pool.root.append(i) for i in (3, 4)])
            pool.root.append(5)

    asyncio.run(work())
    assert pool.root == [1, 2, 3, 4, 5]


def test_a_context_without_a_loop_changes_nothing(pool):
    pool.root = []
    with pool.transaction():
        pool.root.append(1)
        contextvars.copy_context().run(pool.root.append, 2)
        contextvars.Context().run(pool.begin)
        contextvars.Context().run(pool.root.append, 3)
        pool.commit()
    assert pool.root == [1, 2, 3]


def test_callbacks_of_the_loop_are_not_the_task(pool):
    pool.root, errors = 1, []

    def callback():
        try:
            pool.root = 3
        except TransactionError as error:
            errors.append(str(error))

    async def work():
        with pool.transaction():
            pool.root = 2
            asyncio.get_running_loop().call_soon(callback)
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    asyncio.run(work())
    assert pool.root == 2
    assert len(errors) == 1
    assert OTHER_TASK in errors[0]


def test_a_transaction_around_the_loop_is_not_its_tasks(pool):
    async def work():
        with pytest.raises(TransactionError, match=OTHER_TASK):
            pool.root = 2

    with pool.transaction():
        pool.root = 1
        asyncio.run(work())
    assert pool.root == 1


@pytest.mark.parametrize(
    "factory", [f for f in [None, getattr(asyncio, "eager_task_factory", None)] if f or f is None]
)
def test_a_task_made_inside_a_transaction(pool, factory):
    """With an eager factory it even runs inside the call that makes it."""
    pool.root = 1

    async def child():
        pool.root = 3

    async def work():
        asyncio.get_running_loop().set_task_factory(factory)
        with pool.transaction():
            pool.root = 2
            task = asyncio.get_running_loop().create_task(child())
            with pytest.raises(TransactionError, match=OTHER_TASK):
                await task
            assert pool.root == 2

    asyncio.run(work())
    assert pool.root == 2


# --- ends


@pytest.mark.parametrize(
    "end",
    [
        lambda pool, tx: pool.commit(),
        lambda pool, tx: pool.abort(),
        lambda pool, tx: tx.commit(),
        lambda pool, tx: tx.abort(),
        lambda pool, tx: tx.on_commit(print),
        lambda pool, tx: tx.on_abort(print),
        lambda pool, tx: pool.close(),
    ],
)
def test_end_by_another_task(pool, end):
    """The owner's transaction is not touched."""
    pool.root = 1
    tx = pool.transaction()

    async def hold(meeting):
        tx.begin()
        pool.root = 2
        await meeting.here()
        pool.root += 1
        tx.commit()

    async def other():
        with pytest.raises(TransactionError, match="asyncio task"):
            end(pool, tx)

    asyncio.run(meet(hold, other))
    assert pool.root == 3


@pytest.mark.parametrize("cancelled", [False, True])
def test_the_block_of_a_task_that_fails_is_undone(pool, cancelled):
    pool.root = 1

    async def work():
        with pool.transaction():
            pool.root = 2
            await asyncio.sleep(0)
            await asyncio.sleep(0 if not cancelled else 3600)
            raise ZeroDivisionError

    async def main():
        task = asyncio.get_running_loop().create_task(work())
        await asyncio.sleep(0)
        if cancelled:
            await asyncio.sleep(0)
            task.cancel()
        with pytest.raises((ZeroDivisionError, asyncio.CancelledError)):
            await task
        assert pool.root == 1
        pool.root = 5

    asyncio.run(main())
    assert pool.root == 5


ENDED = "a task has ended without ending its transaction, which has been undone"


@pytest.mark.parametrize("gone", [False, True])
def test_a_task_that_ends_without_ending_its_transaction(pool, gone):
    pool.root = 1

    async def work():
        pool.begin()
        pool.root = 2

    async def main():
        task = asyncio.get_running_loop().create_task(work())
        await task
        if gone:
            del task
            gc.collect()
        with pytest.warns(ResourceWarning, match=ENDED):
            assert pool.root == 1
        with pool.transaction():
            pool.root = 3

    asyncio.run(main())
    assert pool.root == 3


def test_other_threads_do_not_wait_for_a_task_that_has_ended(pool):
    pool.root = 1
    begun, stop = threading.Event(), threading.Event()

    def loop():
        async def work():
            pool.begin()
            pool.root = 2

        asyncio.run(work())
        begun.set()
        stop.wait(60)

    thread = threading.Thread(target=loop)
    thread.start()
    begun.wait()
    try:
        with pytest.warns(ResourceWarning, match=ENDED):
            assert pool.root == 1
    finally:
        stop.set()
        thread.join()


def test_an_asynchronous_generator_that_another_task_closes(pool):
    """Its block is undone there; the error of that task is the generator's own."""
    pool.root = 1

    async def generate():
        with pool.transaction():
            pool.root = 2
            yield 1
            pool.root = 3

    async def main():
        generator = generate()
        await anext(generator)
        assert pool.in_transaction
        await asyncio.get_running_loop().create_task(generator.aclose())
        assert not pool.in_transaction
        assert pool.root == 1
        generator = generate()
        await anext(generator)
        del generator
        gc.collect()
        await asyncio.sleep(0)  # the loop closes it, in a task of its own
        await asyncio.sleep(0)
        assert not pool.in_transaction
        assert pool.root == 1

    asyncio.run(main())


def test_an_asynchronous_generator_that_another_task_finishes(pool):
    pool.root = 1

    async def generate(change):
        with pool.transaction():
            pool.root = 2
            yield 1
            if change:
                pool.root = 3

    async def finish(generator):
        async for _ in generator:
            pass

    async def main():
        loop = asyncio.get_running_loop()
        for change, message in (
            (True, OTHER_TASK),
            (False, "entered by another thread or asyncio task than it is"),
        ):
            generator = generate(change)
            await anext(generator)
            with pytest.raises(TransactionError, match=message):
                await loop.create_task(finish(generator))
            assert not pool.in_transaction
            assert pool.root == 1

    asyncio.run(main())


def test_a_block_that_another_thread_leaves(pool):
    """The same with threads: a generator that goes from one to the other."""
    pool.root = 1

    def generate():
        with pool.transaction():
            pool.root = 2
            yield

    generator, errors = generate(), []
    next(generator)

    def finish():
        try:
            list(generator)
        except TransactionError as error:
            errors.append(str(error))

    thread = threading.Thread(target=finish)
    thread.start()
    thread.join()
    assert errors == [
        "this block was entered by another thread or asyncio task than it is left by; it is undone"
    ]
    assert (pool.root, pool.in_transaction) == (1, False)


def test_decorated_coroutines_and_generators_are_refused(pool):
    async def coroutine():
        pass

    async def generator():
        yield

    def plain_generator():
        yield

    for function in coroutine, generator, plain_generator:
        with pytest.raises(TypeError, match="runs after its call has returned"):
            pool.transaction()(function)


# --- what works


def test_transactions_without_await(pool):
    pool.root = {"a": 100, "b": 0}

    async def move():
        for _ in range(20):
            with pool.transaction():
                pool.root["a"] -= 1
                pool.root["b"] += 1
            await asyncio.sleep(0)
            assert pool.root["a"] + pool.root["b"] == 100

    async def main():
        await asyncio.gather(*[move() for _ in range(5)])

    asyncio.run(main())
    assert pool.root == {"a": 0, "b": 100}


def test_a_lock_around_awaits(pool):
    pool.root = [0]

    async def main():
        lock = asyncio.Lock()

        async def add():
            for _ in range(10):
                async with lock:
                    with pool.transaction():
                        before = pool.root[0]
                        await asyncio.sleep(0)
                        pool.root[0] = before + 1

        await asyncio.gather(*[add() for _ in range(5)])

    asyncio.run(main())
    assert pool.root == [50]


def test_transactions_in_threads(pool):
    pool.root = [0]

    def add():
        with pool.transaction():
            pool.root[0] += 1

    async def work():
        for _ in range(10):
            await asyncio.to_thread(add)
            assert pool.root[0] > 0

    async def main():
        await asyncio.gather(*[work() for _ in range(5)])

    asyncio.run(main())
    assert pool.root == [50]
