"""Opening and creating: flags, forms, arguments and what they are refused for, sizes on disk."""

import math
import os
import stat

import pytest

import pmemobj
from pmemobj import PersistentObjectPool

SMALL = 64 << 20


def test_c_makes_a_pool_once_and_opens_it_afterwards(pool_path):
    with pmemobj.open(pool_path, "c", max_size=SMALL) as pool:
        assert pool.root is None
        pool.root = 1
    with pmemobj.open(pool_path, "c", max_size=SMALL) as pool:
        assert pool.root == 1
    with pmemobj.open(pool_path) as pool:  # the default
        assert pool.root == 1


def test_w_opens_only_what_is_there(pool_path):
    with pytest.raises(FileNotFoundError) as caught:
        pmemobj.open(pool_path, "w")
    assert caught.value.filename == str(pool_path)
    assert os.listdir(pool_path.parent) == []
    pmemobj.create(pool_path, SMALL).close()
    with pmemobj.open(pool_path, "w") as pool:
        pool.root = "w"
    with pmemobj.open(pool_path, "r") as pool:
        assert pool.root == "w"


def test_r_opens_only_what_is_there(pool_path):
    with pytest.raises(FileNotFoundError):
        pmemobj.open(pool_path, "r")
    assert os.listdir(pool_path.parent) == []


def test_x_makes_only_what_is_not_there(pool_path):
    with pmemobj.open(pool_path, "x", max_size=SMALL) as pool:
        pool.root = "x"
    with pytest.raises(FileExistsError, match="use flag='w' to open it") as caught:
        pmemobj.open(pool_path, "x")
    assert caught.value.filename == str(pool_path)
    with pytest.raises(FileExistsError):
        pmemobj.create(pool_path)
    with pmemobj.open(pool_path) as pool:
        assert pool.root == "x"


def test_create_takes_the_size_as_in_pynvm(pool_path):
    with pmemobj.create(pool_path, pmemobj.MIN_POOL_SIZE) as pool:
        assert pool.stats()["max_size"] == pmemobj.MIN_POOL_SIZE


def test_the_class_opens_too(pool_path):
    with PersistentObjectPool(pool_path, flag="c", pool_size=SMALL, debug=True) as pool:
        assert type(pool) is PersistentObjectPool
        assert pool.stats()["max_size"] == SMALL
    with pytest.raises(FileExistsError):
        PersistentObjectPool(pool_path, flag="x")


def test_max_size_is_that_of_the_creation_or_larger(pool_path):
    pmemobj.create(pool_path, max_size=2 * SMALL).close()
    with pmemobj.open(pool_path, max_size=SMALL) as pool:
        assert pool.stats()["max_size"] == 2 * SMALL
    with pmemobj.open(pool_path) as pool:
        assert pool.stats()["max_size"] == 2 * SMALL


def test_max_size_goes_before_pool_size(pool_path):
    with pmemobj.open(pool_path, max_size=SMALL, pool_size=2 * SMALL) as pool:
        assert pool.stats()["max_size"] == SMALL


@pytest.mark.parametrize("size", [None, 8 << 20, 1 << 30, 1 << 40])
def test_a_fresh_pool_takes_few_megabytes(pool_path, size):
    with pmemobj.open(pool_path, max_size=size) as pool:
        assert pool_path.stat().st_size == (64 << 30 if size is None else size)
        assert pool.stats()["file"] < 5 << 20
    assert pool_path.stat().st_blocks * 512 < 5 << 20
    assert os.listdir(pool_path.parent) == [pool_path.name]


def test_path_as_str_bytes_and_pathlike(pool_path):
    for path in str(pool_path), os.fsencode(pool_path), pool_path:
        with pmemobj.open(path, max_size=SMALL) as pool:
            assert pool.path == str(pool_path)


def test_path_that_is_not_utf8(tmp_path):
    path = os.fsencode(tmp_path) + b"/\xff\xfe.pool"
    with pmemobj.open(path, max_size=SMALL) as pool:
        pool.root = "here"
        assert os.fsencode(pool.path) == path
        repr(pool)
    with pmemobj.open(os.fsdecode(path), "w") as pool:
        assert pool.root == "here"


def test_relative_path_stays_the_same_file(pool_path, monkeypatch):
    monkeypatch.chdir(pool_path.parent)
    with pmemobj.open(pool_path.name, max_size=SMALL) as pool:
        monkeypatch.chdir("/")
        assert pool.path == str(pool_path)
        pool.root = 1
        pool.stats()
    assert pool_path.exists()


def test_new_pool_behind_a_dangling_link(tmp_path):
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "target")
    with pmemobj.open(link, max_size=SMALL) as pool:
        assert pool.path == str(tmp_path / "target")
    assert link.is_symlink()


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666])
def test_mode_is_that_of_pool_and_journal(pool_path, mode):
    old = os.umask(0)
    try:
        with pmemobj.open(pool_path, max_size=SMALL, mode=mode):
            for name in os.listdir(pool_path.parent):
                assert stat.S_IMODE(os.stat(pool_path.parent / name).st_mode) == mode, name
    finally:
        os.umask(old)


def test_uuid_tells_pools_apart(tmp_path):
    with pmemobj.open(tmp_path / "a", max_size=SMALL) as a, pmemobj.open(tmp_path / "b", max_size=SMALL) as b:
        assert len(a.uuid) == 16
        assert a.uuid != b.uuid


BAD = [
    ({"flag": "q"}, ValueError, r"^flag must be one of 'r', 'w', 'c', 'x', not 'q'$"),
    ({"flag": ""}, ValueError, "flag must be one of"),
    ({"flag": None}, ValueError, "flag must be one of .*, not None"),
    ({"flag": "rw"}, ValueError, "flag must be one of .*, not 'rw'"),
    ({"sync": "always"}, ValueError, "^sync must be one of 'commit', 'interval', 'manual', not 'always'$"),
    ({"sync": None}, ValueError, "sync must be one of .*, not None"),
    ({"sync": 1}, TypeError, "expected str, got int"),
    (
        {"sync_interval": 0},
        ValueError,
        "^sync_interval must be in seconds, above 0 and at most 3600, not 0.0$",
    ),
    ({"sync_interval": -1}, ValueError, "not -1.0"),
    ({"sync_interval": 3601}, ValueError, "not 3601.0"),
    ({"sync_interval": float("nan")}, ValueError, "not nan"),
    ({"sync_interval": "1"}, TypeError, "must be real number, not str"),
    (
        {"max_size": (8 << 20) - 1},
        ValueError,
        r"^max_size must be at least 8388608 bytes \(8 MiB\) and below 2\*\*47, not 8388607$",
    ),
    ({"max_size": 1 << 47}, ValueError, r"below 2\*\*47, not 140737488355328"),
    ({"max_size": -1}, ValueError, "not -1"),
    ({"pool_size": 0}, ValueError, "not 0"),
    ({"max_size": 1e9}, TypeError, "'float' object cannot be interpreted as an integer"),
    ({"max_size": "1G"}, TypeError, "'str' object cannot be interpreted as an integer"),
    ({"timeout": "1"}, TypeError, "^timeout must be a number of seconds, not '1'$"),
    ({"timeout": None}, TypeError, "^timeout must be a number of seconds, not None$"),
    (
        {"timeout": -1},
        ValueError,
        r"^timeout must be in seconds, 0 or more \(math.inf waits without end\), not -1$",
    ),
    ({"timeout": -math.inf}, ValueError, "not -inf"),
    ({"timeout": math.nan}, ValueError, "not nan"),
    ({"mode": "rw"}, TypeError, "an integer is required"),
    ({"size": 1}, TypeError, "unexpected keyword argument 'size'"),
]


@pytest.mark.parametrize(("options", "error", "message"), BAD)
def test_bad_argument_makes_nothing(pool_path, options, error, message):
    with pytest.raises(error, match=message):
        pmemobj.open(pool_path, **options)
    assert os.listdir(pool_path.parent) == []


@pytest.mark.parametrize("path", [3, None, 1.5, ["a"]])
def test_path_of_another_type(path):
    with pytest.raises(TypeError, match=r"^expected str, bytes or os.PathLike object, not "):
        pmemobj.open(path)


def test_path_with_a_nul():
    with pytest.raises(ValueError, match=r"embedded null (byte|character)"):
        pmemobj.open("a\0b")


def test_directory_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        pmemobj.open(tmp_path / "no" / "pool")
    assert caught.value.filename == str(tmp_path / "no" / "pool")


def test_path_of_a_directory(tmp_path):
    with pytest.raises(IsADirectoryError):
        pmemobj.open(tmp_path)


def test_an_open_handle_cannot_be_initialised_again(pool, pool_path):
    pool.root = 1
    with pytest.raises(RuntimeError, match=r"this handle has .* open"):
        pool.__init__(pool_path)
    with pytest.raises(RuntimeError, match=r"this handle has .* open"):
        pool.__init__(f"{pool_path}2")
    pool.root = 2
    assert pool.root == 2
    assert not os.path.exists(f"{pool_path}2")


def test_a_handle_that_was_never_opened(pool_path):
    pool = PersistentObjectPool.__new__(PersistentObjectPool)
    assert pool.closed
    pool.close()
    for use in (lambda: pool.root, pool.sync, pool.transaction, pool.begin, pool.check):
        with pytest.raises(pmemobj.PoolClosedError):
            use()


def test_many_pools_at_once(tmp_path):
    pools = [pmemobj.open(tmp_path / str(i), max_size=SMALL, sync="manual") for i in range(5)]
    for i, pool in enumerate(pools):
        pool.root = [i] * (i + 1)
    with pools[0].transaction(), pools[1].transaction() as second:
        pools[0].root.append("kept")
        pools[1].root.append("undone")
        second.abort()
    for pool in reversed(pools):
        pool.close()
    for i in range(5):
        with pmemobj.open(tmp_path / str(i), "w") as pool:
            assert pool.root == [i] * (i + 1) + (["kept"] if i == 0 else [])
