# Which asyncio task a transaction belongs to.
#
# Tasks of one thread take turns at each await.  One that awaits inside of its transaction lets others run, whose
# reads would see half of it, and whose changes would become part of it.  They get an error instead: to wait, as
# threads do, would stop the loop for ever.
#
#  1. The event loop runs every step of a task in a context of the task's, so no two steps are in one turn (op.h).
#  2. The gates compare turns.  Only when these differ is the loop asked which task runs.
#  3. Outside of tasks there is nothing to tell: callbacks of the loop, generators, and code without a loop are one.

cdef object get_running_loop = None
cdef object get_task_of_loop = None


cdef bint knows_asyncio() except -1:
    """asyncio has been imported by somebody: without it there are no tasks."""
    global get_running_loop, get_task_of_loop
    if get_task_of_loop is not None:
        return True
    asyncio = sys.modules.get("asyncio")
    if not hasattr(asyncio, "current_task"):    # None, or being imported
        return False
    get_running_loop = asyncio._get_running_loop
    get_task_of_loop = asyncio.current_task
    return True


cdef object current_task():
    """The asyncio task that this thread runs, or None."""
    if not knows_asyncio():
        return None
    loop = get_running_loop()
    return None if loop is None else get_task_of_loop(loop)


cdef int note_task(Pool pool) except -1:
    """A transaction begins."""
    pool.task = None
    if not pm_has_context():
        return 0
    task = current_task()
    if task is not None:
        pool.task = weakref.ref(task)
    return 0


cdef bint is_my_task(Pool pool) except -1:
    """The open transaction, which is this thread's, belongs to what runs now."""
    task = current_task()
    if pool.task is None:
        if task is not None:
            return False
    elif task is None or pool.task() is not task:
        return False
    if pool.p.owner == pm_this_thread():    # still: what asks for the task may run Python code
        pool.p.turn = pm_this_turn()
    return True


cdef bint task_has_ended(Pool pool) except -1:
    """It was begun by a task, and that is no more."""
    if pool.p.depth == 0 or pool.task is None:
        return False
    task = pool.task()
    return task is None or task.done()


cdef int pass_task(Pool pool) except -1:
    """This thread has a transaction open, and is in another turn than when it was last seen."""
    if is_my_task(pool):
        return 0
    if task_has_ended(pool):
        undo_orphaned(pool, "task")
    elif pool.p.depth:
        raise errors.TransactionError(
            f"{pool.path}: a transaction is open in this thread, and what runs now is not the asyncio task that "
            "began it; end a transaction before the next await, or run it in another thread (asyncio.to_thread)"
        )
    return 0


cdef bint owns_transaction(Pool pool) except -1:
    """The open transaction is this thread's and this task's."""
    cdef pm_pool *p = pool.p
    return p.depth > 0 and p.owner == pm_this_thread() and (p.turn == pm_this_turn() or is_my_task(pool))
