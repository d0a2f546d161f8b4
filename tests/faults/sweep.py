"""One failing file call at a time: a workload in a child process, and an oracle in its parent.

The child makes the k-th file call fail, works on a pool, and writes down what it was told: which step it began,
which one was acknowledged, which state it could still read at the end.  The parent then opens the pool without
faults and compares.  run_case() raises AssertionError when a promise was broken, and otherwise tells how it went.
"""

import errno
import itertools
import json
import mmap
import os
import shutil
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pmemobj
import pmemobj.pool
from pmemobj import _core
from tests.copies import copy_pool

POLICIES = ("commit", "interval", "manual")
MAX_SIZE = 24 << 20
#: So small that the workload fills, grows and recycles it.
JOURNAL = {"first_segment": 64 << 10, "max_segment": 128 << 10, "limit": 256 << 10, "ring": 64 << 10,
           "undo_log": 4 << 10}  # fmt: skip
SECONDS = 60  # after which a child that does not end is said to hang
SYNCS = ("fdatasync", "fsync", "msync")


#: Creating a pool reads all of it once, so reads are swept apart.
KINDS = tuple(_core._faults_counts())
CALLS = tuple(kind for kind in KINDS if kind != "pread")
LETTERS = {kind: chr(97 + number) for number, kind in enumerate(KINDS)}
READS = ("pread",)


@dataclass(frozen=True)
class Fault:
    """What happens to a call of one of these kinds."""

    error: int
    sticky: bool
    cut: bool = False
    kinds: tuple[str, ...] = CALLS

    @property
    def name(self) -> str:
        name = errno.errorcode[self.error] if self.error else ""
        if self.cut:
            name = f"short, then {name}" if name else "short transfer"
        return name

    def __str__(self) -> str:
        reads = " of a read" if self.kinds == READS else ""
        return f"{self.name}{reads}, {'sticky' if self.sticky else 'once'}"


def _faults() -> list[Fault]:
    made = []
    for sticky in (False, True):
        for error in (errno.EIO, errno.ENOSPC, errno.EDQUOT):
            made.append(Fault(error, sticky))
        made.append(Fault(errno.EINTR, sticky, kinds=tuple(kind for kind in CALLS if kind != "mmap")))
        made.append(Fault(0, sticky, cut=True, kinds=("pwrite",)))
        made.append(Fault(errno.ENOSPC, sticky, cut=True, kinds=("pwrite",)))
        for error in (errno.EIO, errno.EINTR):
            made.append(Fault(error, sticky, kinds=READS))
        made.append(Fault(0, sticky, cut=True, kinds=READS))
    return made


FAULTS = _faults()


def faults_of(engine: str) -> list[Fault]:
    """Under the direct engine no mapping fails together with everything else: see is_given_up()."""
    if engine == "journal":
        return FAULTS
    made = []
    for fault in FAULTS:
        kinds = tuple(kind for kind in fault.kinds if kind != "mmap" or not fault.sticky)
        made.append(replace(fault, kinds=kinds))
    return [*made, Fault(errno.ENOMEM, True, kinds=("mmap",))]


# --- the workload: every step is one commit, or changes nothing


class _Undone(Exception):
    pass


def _begin(p: Any) -> None:
    p.root = {"list": [], "dict": {}, "set": set(), "count": 0}


def _append(p: Any) -> None:
    p.root["list"].append("a text that has a block of its own")


def _nested(p: Any) -> None:
    p.root["dict"]["nested"] = [1, [2.5, {"deep": None}], ("tuple", b"bytes")]


def _transaction(p: Any) -> None:
    with p.transaction():
        p.root["list"].extend(range(40))
        p.root["set"].update({"a", "b", 3})
        if p.model:
            p.root["count"] += 1
            return
        try:
            with p.transaction():
                p.root["list"].clear()
                p.root["dict"]["never"] = [1, 2, 3]
                raise _Undone
        except _Undone:
            pass
        p.root["count"] += 1


def _synced_transaction(p: Any) -> None:
    with p.transaction(sync=True):
        p.root["dict"]["synced"] = [p.root["count"]]
        p.root["list"].append(1.5)


def _long(p: Any) -> None:
    """One record larger than a segment."""
    p.root["dict"]["long"] = [f"item {i}" for i in range(9000)]


def _range(p: Any) -> None:
    """Goes past the journal, straight to the pool file."""
    p.root["dict"]["range"] = "x" * (4 << 20)


def _text(number: int) -> Callable[[Any], None]:
    def text(p: Any) -> None:
        p.root["dict"][f"text {number}"] = str(number) * 6000

    return text


def _reverse(p: Any) -> None:
    """Overwrites more lines than the undo log has room for, and than it keeps room for afterwards."""
    p.root["dict"]["long"].reverse()


def _drop(p: Any) -> None:
    del p.root["dict"]["long"]


def _clear(p: Any) -> None:
    p.root["dict"].clear()


def _sync(p: Any) -> None:
    if not p.model:
        p.sync()


def _checkpoint(p: Any) -> None:
    if not p.model:
        p.checkpoint()


STEPS: list[Callable[[Any], None]] = [
    _begin,
    _append,
    _nested,
    _transaction,
    _sync,
    _append,
    *map(_text, range(20)),
    _synced_transaction,
    _long,
    _checkpoint,
    _range,
    _append,
    _drop,
    _sync,
    *map(_text, range(20, 40)),
    _transaction,
    _clear,
    _append,
    _checkpoint,
    _append,
]
DIRECT_STEPS = [*STEPS]
DIRECT_STEPS[STEPS.index(_drop) : STEPS.index(_drop)] = [_reverse]
FIRST = 4  # steps of the short workload, which is also done before a pool is only worked on


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return list(map(_plain, value))
    return set(value) if isinstance(value, set) else value


class _Model(SimpleNamespace):
    def transaction(self, sync: bool = False) -> "_Model":
        return self

    def __enter__(self) -> "_Model":
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Work:
    """steps, and states: states[n] is the root after n of them."""

    def __init__(self, steps: list[Callable[[Any], None]]) -> None:
        model = _Model(root=None, model=True)
        self.steps = steps
        self.states: list[Any] = [None]
        for step in steps:
            step(model)
            self.states.append(_plain(model.root))


#: By engine.
WORK = {"journal": Work(STEPS), "direct": Work(DIRECT_STEPS)}


class _Handle:
    """The pool as the steps see it; `p.root` is always read anew."""

    model = False

    def __init__(self, pool: Any) -> None:
        object.__setattr__(self, "pool", pool)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.pool, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.pool, name, value)


def state_of(pool: Any, *numbers: int, engine: str = "journal") -> int:
    """Which of these numbers of the engine's steps the pool is after; checked in depth."""
    found = pool.to_python(pool.root)
    for number in numbers:
        if found == WORK[engine].states[number]:
            return number
    raise AssertionError(
        f"the pool is not in a state after {' or '.join(map(str, numbers))} steps: {str(found)[:300]}"
    )


# --- the child


class Log:
    """Shared with the parent: how far the child is, and what it says at its end."""

    def __init__(self) -> None:
        self.map = mmap.mmap(-1, 1 << 16)

    def reset(self, done: int) -> None:
        self.map[:24] = struct.pack("<QQQ", done, done, 0)

    def begin(self, number: int) -> None:
        struct.pack_into("<Q", self.map, 0, number)

    def end(self, number: int) -> None:
        struct.pack_into("<Q", self.map, 8, number)

    def say(self, report: dict[str, Any]) -> None:
        text = json.dumps(report).encode()[:60000]
        self.map[24 : 24 + len(text)] = text
        struct.pack_into("<Q", self.map, 16, len(text))

    @property
    def numbers(self) -> tuple[int, int]:
        return struct.unpack_from("<QQ", self.map, 0)

    @property
    def said(self) -> dict[str, Any] | None:
        (length,) = struct.unpack_from("<Q", self.map, 16)
        return json.loads(self.map[24 : 24 + length]) if length else None


CHANGES: list[Callable[[Any], object]] = [
    lambda pool: setattr(pool, "root", 1),
    lambda pool: pool.root["list"].append(1),
    lambda pool: pool.root["list"].insert(0, "text"),
    lambda pool: pool.root["dict"].update(a=[1]),
    lambda pool: pool.root.clear(),
    lambda pool: pool.root["set"].add("z"),
    lambda pool: pool.new(pmemobj.PersistentList, [1]),
    lambda pool: pool.transaction().__enter__(),
    lambda pool: pool.begin(),
    lambda pool: pool.sync(),
    lambda pool: pool.checkpoint(),
]


def check_failed(pool: Any, number: int, engine: str) -> None:
    """A pool that has failed: reading goes on, nothing can be changed."""
    for change in CHANGES if number else CHANGES[:1]:
        try:
            change(pool)
        except pmemobj.PoolFailedError as error:
            assert error.errno and error.filename == pool.path, repr(error)
            assert "open it again" in error.strerror, error.strerror
        else:
            raise AssertionError("a failed pool was changed")
    assert state_of(pool, number, engine=engine) == number
    assert pool.check().ok
    assert not pool.in_transaction


def _expected_error(error: BaseException, fault: Fault) -> None:
    """OSError of the injected kind, about a file; MemoryError where memory could not be mapped."""
    if isinstance(error, MemoryError) and not isinstance(error, pmemobj.PmemobjError):
        return
    assert isinstance(error, OSError), repr(error)
    assert error.errno == fault.error, repr(error)
    assert error.filename, repr(error)


class Child:
    """Runs in the child process."""

    def __init__(self, path: Path, policy: str, fault: Fault, log: Log, engine: str = "journal") -> None:
        self.path, self.policy, self.fault, self.log, self.engine = path, policy, fault, log, engine
        self.raised: list[str] = []  # where: "open", "step", "close"
        self.failed = False

    def open(self) -> Any:
        options = {
            "max_size": MAX_SIZE, "sync": self.policy, "sync_interval": 0.001, "engine": self.engine
        }  # fmt: skip
        while True:
            try:
                return pmemobj.open(self.path, **options)
            except Exception as error:
                _expected_error(error, self.fault)
                self.raised.append("open")
                assert len(self.raised) < 3, "open() goes on failing"
                if len(self.raised) == 2 or not self.fault.sticky:
                    _core._faults_disarm()

    def work(self, pool: Any, number: int, end: int) -> int:
        handle = _Handle(pool)
        errors = 0
        while number < end:
            self.log.begin(number + 1)
            try:
                WORK[self.engine].steps[number](handle)
            except Exception as error:
                seen = state_of(pool, number, number + 1, engine=self.engine)
                self.raised.append("step")
                if isinstance(error, pmemobj.PoolFailedError):
                    self.failed = True
                    return seen
                _expected_error(error, self.fault)
                errors += 1
                assert errors < 6, "the pool does not go on"
                if errors == 3 or not self.fault.sticky:
                    _core._faults_disarm()
                number = seen
            else:
                number += 1
                self.log.end(number)
        return number

    def close(self, pool: Any) -> None:
        try:
            pool.close()
        except Exception as error:
            assert isinstance(error, OSError), repr(error)
            assert error.filename and "next open" in str(error), repr(error)
            self.raised.append("close")
            self.failed |= isinstance(error, pmemobj.PoolFailedError)
        assert pool.closed
        pool.close()

    def leave_unfinished(self, pool: Any) -> None:
        """A commit of the direct engine that has noted what it allocates and frees, and comes no further."""
        _core._faults_arm(["fdatasync"], 1, errno.EIO)
        with suppress(pmemobj.PoolFailedError), pool.transaction():
            pool.root["list"].clear()
            pool.root["dict"]["unfinished"] = ["never committed", 2**80]
            pool.root["dict"]["range"] = "y" * (1 << 20)
        assert _core._faults_hits()[1]

    def run(self, k: int, start: int, end: int, kill: bool, unfinished: bool = False) -> None:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        pmemobj.pool.JOURNAL.update(JOURNAL)
        _core._faults_install(pretend_syncs=True)
        _core._faults_trace()
        fault = self.fault
        _core._faults_arm(fault.kinds, k, fault.error, sticky=fault.sticky, cut=fault.cut)
        pool = self.open()
        number = state_of(pool, start, engine=self.engine)
        number = self.work(pool, number, end)
        if self.failed:
            check_failed(pool, number, self.engine)
        else:
            assert pool.check().ok
        before_close = sum(_core._faults_counts().values())
        if kill and not self.failed and _core._faults_hits()[2] in SYNCS:
            # A thread of the journal may have met the fault just now: it is known to the next one who asks.
            time.sleep(0.02)
            try:
                pool.sync()
            except pmemobj.PoolFailedError:
                self.failed = True
        if not kill:
            self.close(pool)
        hits = _core._faults_hits()
        if unfinished:
            self.leave_unfinished(pool)
        _core._faults_disarm()
        calls = _core._faults_traced()
        no_sync_is_repeated(calls, str(self.path))
        self.log.say(
            {
                "hits": hits[1],
                "kind": hits[2],
                "raised": self.raised,
                "failed": self.failed,
                "state": number,
                "unsynced": [call["kind"] for call in calls if is_lost_sync(call, before_close)],
                "order": "".join(LETTERS[call["kind"]] for call in calls),
            }
        )
        if kill:
            os.kill(os.getpid(), signal.SIGKILL)


def is_lost_sync(call: dict[str, Any], last: int) -> bool:
    """A sync of one of the two files that failed, and not when nobody relied on it any more."""
    return (
        call["kind"] in SYNCS
        and call["error"] not in (0, errno.EINTR)
        and (call["kind"] == "msync" or Path(call["file"]).name.startswith("pool"))
        and call["number"] <= last
    )


def no_sync_is_repeated(calls: list[dict[str, Any]], pool: str = "") -> None:
    """After a sync that failed, that file is not synced again before it has been opened anew.  What nobody is seen to
    map is mapped by libpmemobj: that is the pool."""
    maps: list[tuple[int, int, str]] = []
    failed: dict[str, dict[str, Any]] = {}
    for call in calls:
        name = call["file"].removesuffix(".new")
        if call["kind"] == "mmap" and not call["error"]:
            maps.append((call["address"], call["address"] + call["length"], name))
        elif call["kind"] == "msync":
            known = (name for low, high, name in reversed(maps) if low <= call["address"] < high)
            name = next(known, pool)
        if call["kind"] == "open":
            failed.pop(name, None)
        elif call["kind"] in SYNCS:
            if name in failed and call["began"] > failed[name]["ended"]:
                raise AssertionError(f"{call['kind']} of {name} again, after one had failed")
            if call["error"] not in (0, errno.EINTR):
                failed[name] = call


# --- the parent


@dataclass(frozen=True)
class Scenario:
    """name: for the table.  files: the pool as it is at first, or None; its journal lies beside it.
    start: steps that have been done by then; end: steps to be done.  kill: the child kills itself, instead of
    closing the pool.  engine: of the child; the parent opens the pool with the journal."""

    name: str
    policy: str
    files: Path | None
    start: int
    end: int
    kill: bool = False
    engine: str = "journal"


@dataclass(frozen=True)
class Outcome:
    """How a case went.  kind: the call that was hit first, None if the workload made fewer than k calls.  order: all
    calls, a letter for each."""

    kind: str | None
    result: str
    order: str


#: What can come of a fault; the heads of the table.
RESULTS = ("unnoticed", "error, went on", "open refused", "failed", "failed at close")
GIVEN_UP = "program ended"  # by the direct engine only


def in_child(function: Callable[[], None]) -> int:
    """Runs it in a forked child; gives the wait status.  What it raises is printed."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        try:
            function()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(1)
    return os.waitpid(pid, 0)[1]


def result_of(said: dict[str, Any]) -> str:
    if "open" in said["raised"]:
        return "open refused"
    if said["failed"]:
        return "failed" if "step" in said["raised"] else "failed at close"
    return "error, went on" if said["raised"] else "unnoticed"


def is_given_up(scenario: Scenario, fault: Fault, status: int) -> bool:
    """The direct engine ends the program when its undo log cannot take what has to be undone, and the pool cannot be
    mapped privately either: a store that nothing could undo must not happen."""
    return scenario.engine == "direct" and fault.sticky and "mmap" in fault.kinds and status == signal.SIGABRT


def run_case(scenario: Scenario, fault: Fault, k: int, directory: Path, log: Log) -> Outcome:
    """The k-th call (of the fault's kinds) fails.  directory is empty, and will be again."""
    path = directory / "pool"
    if scenario.files is not None:
        copy_pool(scenario.files, path)
    log.reset(scenario.start)
    child = Child(path, scenario.policy, fault, log, scenario.engine)
    status = in_child(lambda: child.run(k, scenario.start, scenario.end, scenario.kill))
    where = f"{scenario.engine}, {scenario.name}, {scenario.policy}, {fault}, call {k}"
    begun, done = log.numbers
    if is_given_up(scenario, fault, status):
        said = {"kind": "mmap", "state": begun, "raised": [], "failed": False, "unsynced": [], "order": ""}
    else:
        wanted = signal.SIGKILL if scenario.kill else 0
        assert status == wanted, f"{where}: the child ended with status {status}, {log.said}"
        said = log.said
        assert said is not None, where
    assert said["state"] >= done, where
    assert not said["unsynced"] or said["failed"] or "open" in said["raised"], f"{where}: {said}"
    assert fault.error or not said["raised"], f"{where}: {said}"
    try:
        with pmemobj.open(path, "w", sync="manual") as pool:
            numbers = [said["state"]] if log.said else [done, begun]
            assert state_of(pool, *numbers, engine=scenario.engine) >= done
            report = pool.check()
            assert report.ok, report
        assert os.listdir(directory) == ["pool"], os.listdir(directory)
    except Exception as error:
        raise AssertionError(f"{where}, {said}: {error!r}") from error
    finally:
        for name in os.listdir(directory):
            (directory / name).unlink()
    return Outcome(said["kind"], result_of(said) if log.said else GIVEN_UP, said["order"])


def prepare(directory: Path, policy: str, end: int, kill: bool, engine: str = "journal") -> Path:
    """A pool after `end` steps, closed or killed."""
    directory.mkdir()
    path = directory / "pool"
    log = Log()
    log.reset(0)
    child = Child(path, policy, Fault(0, False, True), log, engine)
    unfinished = kill and engine == "direct"
    status = in_child(lambda: child.run(1 << 60, 0, end, kill, unfinished))
    assert status == (signal.SIGKILL if kill else 0), status
    return path


def scenarios(directory: Path, engine: str = "journal") -> list[Scenario]:
    """All of them; the files that they begin with are made in the directory.  Under the direct engine all policies are
    the same."""
    clean = prepare(directory / f"clean-{engine}", "manual", FIRST, False, engine)
    last = len(WORK[engine].steps)
    made = []
    for policy in POLICIES if engine == "journal" else POLICIES[:1]:
        killed = prepare(directory / f"killed-{engine}-{policy}", policy, last - 2, True, engine)
        made += [
            Scenario("create", policy, None, 0, FIRST, engine=engine),
            Scenario("work, close", policy, clean, FIRST, last, engine=engine),
            Scenario("work, kill", policy, clean, FIRST, last - 2, True, engine=engine),
            Scenario("recover", policy, killed, last - 2, last, engine=engine),
        ]
    return made


def run_cases(
    scenario: Scenario, directory: Path, cases: Iterable[tuple[Fault, int]]
) -> Iterator[tuple[Fault, int, Outcome]]:
    log = Log()
    directory.mkdir()
    _core._faults_install(pretend_syncs=True)  # of the parent's own opens
    try:
        for fault, k in cases:
            yield fault, k, run_case(scenario, fault, k, directory, log)
    finally:
        _core._faults_remove()
        shutil.rmtree(directory)


def sweep(scenario: Scenario, fault: Fault, directory: Path, stride: int = 1) -> Iterator[Outcome]:
    """Call after call until the run is free of faults."""
    beyond = 0
    for _, _, outcome in run_cases(scenario, directory, ((fault, k) for k in itertools.count(1, stride))):
        if outcome.kind is not None:
            yield outcome
        else:
            beyond += 1
            if beyond == 2:  # threads make the number of calls differ a little
                return


def order_of_calls(scenario: Scenario, directory: Path) -> str:
    """Of a run without faults."""
    ((_, _, outcome),) = run_cases(scenario, directory, [(Fault(errno.EIO, False), 1 << 40)])
    return outcome.order


def spread(count: int, most: int) -> list[int]:
    """The first and the last of so many calls, and some between."""
    return sorted({1 + round(i * (count - 1) / (most - 1)) for i in range(most)}) if count else []


def cases_of(engine: str, order: str, kind: str, most: int) -> Iterator[tuple[Fault, int]]:
    """Some calls of this function fail, with each fault that it may meet: once; always; or always as all others from
    then on."""
    at = [i for i, letter in enumerate(order) if letter == LETTERS[kind]]
    for fault in faults_of(engine):
        if kind not in fault.kinds:
            continue
        for number in spread(len(at), most):
            yield replace(fault, kinds=(kind,)), number
        if fault.sticky and len(fault.kinds) > 1:
            counted = {LETTERS[other] for other in fault.kinds}
            for number in spread(len(at), 2):
                yield fault, sum(letter in counted for letter in order[: at[number - 1] + 1])


def sweep_functions(scenario: Scenario, directory: Path, most: int) -> Iterator[tuple[str, str, Outcome]]:
    """Of every function that the workload calls.  (fault, how long it lasts, how it went)"""
    order = order_of_calls(scenario, directory)
    cases = [case for kind in KINDS for case in cases_of(scenario.engine, order, kind, most)]
    for fault, _, outcome in run_cases(scenario, directory, cases):
        if outcome.kind is not None:  # threads make the number of calls differ a little
            lasting = "once" if not fault.sticky else "always" if len(fault.kinds) == 1 else "all calls"
            yield fault.name, lasting, outcome


def sample(scenario: Scenario, directory: Path, order: str, each: int, first: int = 0) -> Iterator[Outcome]:
    """So many cases of each function: its first call, and others spread over all that sweep_functions() would try."""
    cases = []
    for kind in KINDS:
        found = list(cases_of(scenario.engine, order, kind, 3))
        if found:
            firsts = [(fault, number) for fault, number in found if number == 1 and len(fault.kinds) == 1]
            cases += [firsts[first % len(firsts)]]
            cases += [found[(first + number * len(found) // each) % len(found)] for number in range(1, each)]
    for _, _, outcome in run_cases(scenario, directory, cases):
        if outcome.kind is not None:
            yield outcome
