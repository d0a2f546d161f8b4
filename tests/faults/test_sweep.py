"""Every file call fails once, and from then on for ever, in every way: see sweep.py for what must hold."""

import contextlib
import errno
import itertools
import os
import signal
from collections import Counter

import pytest

import pmemobj
from pmemobj import _core
from tests.copies import copy_pool
from tests.faults import sweep
from tests.faults.sweep import FAULTS, POLICIES, Fault, Log

NAMES = ["create", "work, close", "work, kill", "recover"]


#: Each case names its engine.
pytestmark = pytest.mark.journal_engine(
    "the cases choose their engine, and need a file that has to be synced"
)


@pytest.fixture(scope="module")
def scenarios(tmp_path_factory):
    made = sweep.scenarios(tmp_path_factory.mktemp("scenarios"))
    return {(scenario.name, scenario.policy): scenario for scenario in made}


@pytest.fixture(scope="module")
def direct_scenarios(tmp_path_factory):
    made = sweep.scenarios(tmp_path_factory.mktemp("scenarios"), "direct")
    return {scenario.name: scenario for scenario in made}


def results_of(scenario, directory, each, first):
    """Every function has failed, but those that the journal's threads do not call each time."""
    order = sweep.order_of_calls(scenario, directory)
    outcomes = list(sweep.sample(scenario, directory, order, each, first))
    certain = {kind for kind, letter in sweep.LETTERS.items() if order.count(letter) > 1}
    assert {outcome.kind for outcome in outcomes} >= certain
    return Counter(outcome.result for outcome in outcomes)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", NAMES)
def test_some_calls_fail(scenarios, tmp_path, name, policy):
    seen = results_of(scenarios[name, policy], tmp_path / "run", 2, POLICIES.index(policy) + 3)
    assert len(seen) >= 2, seen


@pytest.mark.parametrize("name", NAMES)
def test_some_calls_fail_directly(direct_scenarios, tmp_path, name):
    seen = results_of(direct_scenarios[name], tmp_path / "run", 3, 1)
    assert len(seen) >= 2, seen


@pytest.mark.parametrize(("name", "stride"), [("create", 1), ("work, close", 23)])
def test_no_sync_succeeds_directly(direct_scenarios, tmp_path, name, stride):
    """From one on, not even those that libpmemobj asks for while a commit publishes its allocations."""
    fault = sweep.Fault(errno.EIO, True, kinds=("msync",))
    seen = Counter(o.result for o in sweep.sweep(direct_scenarios[name], fault, tmp_path / "run", stride))
    assert seen["failed"] > 3, seen


def test_a_failed_pool_knows_what_is_freed_later(tmp_path):
    """A commit frees an allocation of libpmemobj, and one of its syncs fails: if it was the last one, the next open is
    to free it, and check() of this handle does not call it lost."""
    _core._faults_install()
    try:
        for number in itertools.count(1):
            pool = pmemobj.open(tmp_path / f"pool {number}", "x", engine="direct", max_size=16 << 20)
            pool.root = [bytes(250_000) for _ in range(4)]
            _core._faults_arm(["msync"], number, errno.EIO)
            with contextlib.suppress(pmemobj.PoolFailedError):
                pool.root.clear()
            _calls, hits, _kind = _core._faults_hits()
            _core._faults_disarm()
            assert pool.check().ok
            with contextlib.suppress(pmemobj.PoolFailedError):
                pool.close()
            with pmemobj.open(pool.path) as again:
                assert again.check().ok
            if hits == 0:
                break
        assert number > 3
    finally:
        _core._faults_remove()


@pytest.mark.long
@pytest.mark.timeout(0)
@pytest.mark.parametrize("fault", sweep.faults_of("direct"), ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_every_call_fails_directly(direct_scenarios, tmp_path, name, fault):
    assert list(sweep.sweep(direct_scenarios[name], fault, tmp_path / "run", 3))


@pytest.mark.long
@pytest.mark.timeout(0)
@pytest.mark.parametrize("fault", FAULTS, ids=str)
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", NAMES)
def test_every_call_fails(scenarios, tmp_path, name, policy, fault):
    assert list(sweep.sweep(scenarios[name, policy], fault, tmp_path / "run"))


# --- the checks are able to fail


def test_an_acknowledged_step_that_is_lost_is_found(scenarios, tmp_path, monkeypatch):
    """The journal of a killed child is exchanged for the one it began with."""
    scenario = scenarios["recover", "commit"]
    lost = sweep.Scenario("work, kill", "commit", scenario.files, scenario.start, scenario.end, True)
    directory = tmp_path / "run"
    directory.mkdir()
    in_child = sweep.in_child

    def and_lose(function):
        status = in_child(function)
        copy_pool(scenario.files, directory / "pool")
        return status

    monkeypatch.setattr(sweep, "in_child", and_lose)
    with pytest.raises(AssertionError, match="not in a state after"):
        sweep.run_case(lost, Fault(errno.EIO, False), 1 << 40, directory, Log())


def test_a_child_that_hangs_or_crashes_is_found(scenarios, tmp_path, monkeypatch, capfd):
    directory = tmp_path / "run"
    directory.mkdir()
    scenario = scenarios["work, close", "manual"]
    monkeypatch.setattr(sweep, "SECONDS", 0.2)
    monkeypatch.setattr(sweep.Child, "work", lambda self, *_: signal.pause())
    with pytest.raises(AssertionError, match="ended with status 14"):
        sweep.run_case(scenario, Fault(errno.EIO, False), 1 << 40, directory, Log())
    monkeypatch.setattr(sweep.Child, "work", lambda self, *_: os.kill(os.getpid(), signal.SIGUSR1))
    for path in directory.iterdir():
        path.unlink()
    with pytest.raises(AssertionError, match="ended with status 10"):
        sweep.run_case(scenario, Fault(errno.EIO, False), 1 << 40, directory, Log())


def test_a_sync_that_is_repeated_is_found():
    def call(kind, moment, error=0, file="/a", address=0, length=0):
        return {
            "kind": kind, "began": moment, "ended": moment, "error": error, "file": file, "address": address,
            "length": length,
        }  # fmt: skip

    failed = call("fdatasync", 1, errno.EIO)
    sweep.no_sync_is_repeated([failed, call("fdatasync", 2, file="/b")])
    sweep.no_sync_is_repeated([failed, call("open", 2), call("fsync", 3)])
    sweep.no_sync_is_repeated([call("fdatasync", 1, errno.EINTR), call("fdatasync", 2)])
    with pytest.raises(AssertionError, match="fsync of /a again"):
        sweep.no_sync_is_repeated([failed, call("fsync", 2)])
    mapped = call("mmap", 0, address=4096, length=8192)
    with pytest.raises(AssertionError, match="msync of /a again"):
        sweep.no_sync_is_repeated([mapped, failed, call("msync", 2, file="", address=8192)])


# --- what the sweep has found


@contextlib.contextmanager
def direct_pool_that_fails(path, kind, error):
    """A pool under the direct engine whose next call of that kind fails.  It has failed then, with its last commit."""
    pmemobj.open(path, max_size=sweep.MAX_SIZE).close()
    _core._faults_install()
    try:
        with pmemobj.open(path, engine="direct") as pool:
            pool.root = [1, 2, 3]
            _core._faults_trace()
            _core._faults_arm([kind], 1, error)
            yield pool
            assert pool.root == [1, 2, 3]
            with pytest.raises(pmemobj.PoolFailedError):
                pool.close()
    finally:
        _core._faults_disarm()
        _core._faults_remove()
    with pmemobj.open(path) as pool:
        assert pool.root == [1, 2, 3]


def test_a_sync_of_the_undo_log_that_says_full_is_a_failure(pool_path):
    """It was taken for a full disk, and the log synced again."""
    with direct_pool_that_fails(pool_path, "msync", errno.ENOSPC) as pool:
        with pytest.raises(OSError):
            pool.root.append("a text that needs a block")
        with pytest.raises(pmemobj.PoolFailedError):
            pool.root.append(4)
        assert pool.root == [1, 2, 3]
        synced = [call["error"] for call in _core._faults_traced() if call["kind"] == "msync"]
        assert synced == [errno.ENOSPC]


def test_nothing_is_synced_after_a_failed_commit(pool_path):
    """libpmemobj's own flushes, when it takes back what was reserved, were msync calls of the failed pool."""
    with direct_pool_that_fails(pool_path, "fdatasync", errno.EIO) as pool:
        with pytest.raises(pmemobj.PoolFailedError):
            pool.root.append("x" * 3_000_000)
        calls = _core._faults_traced()
        failed = next(call["number"] for call in calls if call["error"])
        assert [call for call in calls if call["number"] > failed and call["kind"] in sweep.SYNCS] == []


@pytest.mark.parametrize("number", [1, 2, 3])
def test_nothing_is_synced_after_a_failed_open(pool_path, faults, number):
    """What libpmemobj flushes while it opens a pool: the file was synced at the end, and the pool said to be clean."""
    pmemobj.open(pool_path, max_size=sweep.MAX_SIZE).close()
    _core._faults_trace()
    _core._faults_arm(["msync"], number, errno.EIO)
    with pytest.raises(OSError) as caught:
        pmemobj.open(pool_path, engine="direct")
    calls = _core._faults_traced()
    assert caught.value.errno == errno.EIO
    failed = next(call["number"] for call in calls if call["error"])
    after = [call for call in calls if call["number"] > failed and call["kind"] in sweep.SYNCS]
    assert after == []
    with pmemobj.open(pool_path, engine="direct") as pool:
        pool.root = [1]
    with pmemobj.open(pool_path) as pool:
        assert pool.root == [1]


def test_nothing_is_synced_after_a_failed_sync_in_recovery(direct_scenarios, tmp_path, faults):
    """libpmemobj frees there what a commit that was not made had reserved; the log must stay until that is durable."""
    path = tmp_path / "pool"
    copy_pool(direct_scenarios["recover"].files, path)
    _core._faults_trace()
    _core._faults_arm(["msync"], 1, errno.EIO)
    with pytest.raises(OSError, match=r"ending the recovery: .*; open the pool again"):
        pmemobj.open(path, engine="direct")
    calls = _core._faults_traced()
    failed = next(call["number"] for call in calls if call["error"])
    after = [call for call in calls if call["number"] > failed and call["kind"] in sweep.SYNCS]
    assert after == []
    with pmemobj.open(path, engine="direct") as pool:
        assert pool.recovery is not None
        assert pool.check().ok
        assert pool.stats()["limbo"] == 0


def test_without_any_way_to_undo_the_program_ends(direct_scenarios, tmp_path):
    """The undo log cannot be synced, and the pool not be mapped privately: dying keeps the last commit."""
    directory = tmp_path / "run"
    directory.mkdir()
    scenario = direct_scenarios["work, close"]
    fault = Fault(errno.EIO, True, kinds=("msync", "mmap"))
    outcome = sweep.run_case(scenario, fault, 40, directory, Log())
    assert outcome.result == sweep.GIVEN_UP


@pytest.fixture
def faults():
    _core._faults_install()
    yield
    _core._faults_disarm()
    _core._faults_remove()


def test_boot_id_that_cannot_be_read_is_no_other_boot(scenarios, tmp_path, faults):
    """Recovery took it for one, and threw away what only the ring held."""
    scenario = scenarios["recover", "manual"]
    path = tmp_path / "pool"
    copy_pool(scenario.files, path)
    for kind, error in (
        ("open", errno.EIO),
        ("open", errno.EMFILE),
        ("pread", errno.EIO),
        ("open", errno.ENOENT),
    ):
        _core._faults_arm([kind], 1, error, file="boot_id")
        with pytest.raises(
            OSError, match=r"cannot tell whether the system .* Nothing is lost; make it readable"
        ) as caught:
            pmemobj.open(path)
        assert caught.value.errno == error
    with pmemobj.open(path) as pool:
        assert sweep.state_of(pool, scenario.start)


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOENT])
def test_boot_id_that_cannot_be_read_when_the_journal_is_made(tmp_path, error, pool_path):
    """A ring of no known boot would be worthless after a kill: without the id there is none."""

    def work():
        _core._faults_install()
        _core._faults_arm(["open"], 1, error, file="boot_id")
        try:
            pool = pmemobj.open(pool_path, max_size=sweep.MAX_SIZE, sync="manual")
        except OSError as refused:
            assert refused.errno == error == errno.EIO
            pool = pmemobj.open(pool_path, max_size=sweep.MAX_SIZE, sync="manual")
        else:
            assert error == errno.ENOENT
        pool.root = ["kept"]
        os.kill(os.getpid(), 9)

    assert sweep.in_child(work) == 9
    with pmemobj.open(pool_path) as pool:
        assert pool.root == ["kept"]


def test_an_operation_without_room_in_the_journal_says_so(pool_path, faults, monkeypatch):
    """It raised RuntimeError, from inside itself."""
    monkeypatch.setattr(pmemobj.pool, "JOURNAL", sweep.JOURNAL)
    with pmemobj.open(pool_path, max_size=sweep.MAX_SIZE, sync="manual") as pool:
        pool.root = []
        # Only a new segment can take this, and it cannot be mapped.
        _core._faults_arm(["mmap"], 1, errno.ENOMEM, sticky=True)
        with pytest.raises(OSError, match=r"no room in the journal .*; nothing has changed") as caught:
            pool.root.extend([str(i) * 3 for i in range(20000)])
        assert caught.value.errno == errno.ENOMEM
        assert pool.root == []
        _core._faults_disarm()
        pool.root.extend([str(i) * 3 for i in range(20000)])
        assert len(pool.root) == 20000
        assert pool.check().ok


def test_a_pool_that_could_not_be_marked_is_not_synced_again(pool_path, faults):
    pmemobj.open(pool_path, max_size=sweep.MAX_SIZE).close()
    _core._faults_trace()
    _core._faults_arm(["fdatasync"], 1, errno.EIO, file=pool_path.name)
    with pytest.raises(OSError, match="cannot mark the pool as open"):
        pmemobj.open(pool_path)
    syncs = [call for call in _core._faults_traced() if call["kind"] == "fdatasync"]
    assert [call["error"] for call in syncs] == [errno.EIO]
    with pmemobj.open(pool_path) as pool:
        assert pool.root is None
    assert os.listdir(pool_path.parent) == [pool_path.name]


def test_a_journal_that_could_not_be_published_leaves_nothing(pool_path, faults):
    pmemobj.open(pool_path, max_size=sweep.MAX_SIZE).close()
    _core._faults_arm(["rename"], 1, errno.EIO)
    with pytest.raises(OSError, match="cannot create the journal"):
        pmemobj.open(pool_path)
    assert os.listdir(pool_path.parent) == [pool_path.name]
