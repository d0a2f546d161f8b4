"""Temporary files of killed creations are removed by the next one, and nothing else is."""

import fcntl
import os
import signal
import subprocess
import sys

import pytest

import pmemobj
from pmemobj import _core
from tests.faults.sweep import in_child

SMALL = 16 << 20


@pytest.fixture
def dead():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def killed_creation(path):
    def create():
        _core._faults_install()
        _core._faults_arm(["link", "unlink"], 1, 5, sticky=True)  # EIO: it fails, and cannot clean up
        try:
            pmemobj.create(path, SMALL)
        except OSError:
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(create) == signal.SIGKILL


@pytest.mark.parametrize("flag", ["c", "x"])
@pytest.mark.parametrize("name", ["pool", "another"])
def test_killed_creation(tmp_path, flag, name):
    killed_creation(tmp_path / "pool")
    (left,) = os.listdir(tmp_path)
    assert left.startswith(".pool.") and left.endswith(".new")
    with pytest.raises(FileNotFoundError):
        pmemobj.open(tmp_path / name, "r")
    assert os.listdir(tmp_path) == [left]  # a reader changes nothing
    pmemobj.open(tmp_path / name, flag, max_size=SMALL).close()
    assert os.listdir(tmp_path) == [name]


def test_the_next_open_of_an_existing_pool(tmp_path):
    pmemobj.create(tmp_path / "there", SMALL).close()
    killed_creation(tmp_path / "pool")
    assert len(os.listdir(tmp_path)) == 2
    pmemobj.open(tmp_path / "there", "w").close()
    assert os.listdir(tmp_path) == ["there"]


def test_a_creation_that_goes_on_is_left_alone(tmp_path, dead):
    """Neither one of a living process, nor one that is locked, whatever its number says."""
    living = tmp_path / f".pool.{os.getpid()}.01234567.new"
    locked = tmp_path / f".pool.{dead}.01234567.new"
    living.write_bytes(b"half")
    locked.write_bytes(b"half")
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import fcntl, sys; f = open(sys.argv[1], 'r+b'); fcntl.lockf(f, fcntl.LOCK_EX); print(1, flush=True); "
            "sys.stdin.read()",
            locked,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        holder.stdout.readline()
        pmemobj.create(tmp_path / "pool", SMALL).close()
        assert sorted(os.listdir(tmp_path)) == sorted([living.name, locked.name, "pool"])
        holder.stdin.close()
    pmemobj.open(tmp_path / "pool").close()
    assert sorted(os.listdir(tmp_path)) == sorted([living.name, "pool"])
    os.utime(living, (1, 1))  # its number has been given out again
    pmemobj.open(tmp_path / "pool").close()
    assert os.listdir(tmp_path) == ["pool"]


def test_a_process_of_another_user_is_a_living_one(tmp_path, monkeypatch):
    theirs = tmp_path / ".pool.4000000.01234567.new"
    theirs.write_bytes(b"half")

    def kill(pid, signal):
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(os, "kill", kill)
        pmemobj.create(tmp_path / "pool", SMALL).close()
        assert theirs.exists()
    pmemobj.open(tmp_path / "pool").close()
    assert not theirs.exists()


def test_creation_begins_again_when_it_has_been_taken(tmp_path):
    """By a process of another container, to which this one's number means nothing."""
    _core._faults_install()
    try:
        # A link that finds no file is what such a creation meets.
        _core._faults_arm(["link"], 1, 2)
        pmemobj.create(tmp_path / "pool", SMALL).close()
        assert _core._faults_hits()[1] == 1
        _core._faults_arm(["link"], 1, 2, sticky=True)
        with pytest.raises(OSError, match="somebody takes away"):
            pmemobj.create(tmp_path / "other", SMALL)
    finally:
        _core._faults_disarm()
        _core._faults_remove()
    assert os.listdir(tmp_path) == ["pool"]


def test_names_that_only_look_alike_stay(tmp_path, dead):
    names = [
        f".pool.{dead}.new",
        f".pool.{dead}.0123456.new",
        f".pool.{dead}.0123456g.new",
        f"pool.{dead}.01234567.new",
        f".pool.{dead}.01234567.news",
        f"..{dead}.01234567",
    ]
    for name in names:
        (tmp_path / name).write_bytes(b"")
    (tmp_path / f".directory.{dead}.01234567.new").mkdir()
    (tmp_path / f".link.{dead}.01234567.new").symlink_to(names[0])
    before = sorted(os.listdir(tmp_path))
    pmemobj.create(tmp_path / "pool", SMALL).close()
    assert sorted(os.listdir(tmp_path)) == sorted([*before, "pool"])


def test_a_creation_is_locked_while_it_goes_on(tmp_path, monkeypatch):
    urandom, refused = os.urandom, []

    def look(n):
        for name in os.listdir(tmp_path):
            with open(tmp_path / name, "r+b") as file:
                try:
                    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    refused.append(name)
        return urandom(n)

    monkeypatch.setattr(os, "urandom", look)
    _core.create_file(str(tmp_path / "pool"), SMALL, 0o600)
    assert len(refused) == 1 and refused[0].endswith(".new")
