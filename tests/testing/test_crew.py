"""The processes that open images: they get the right files, and whatever kills one of them is found."""

import importlib
import os
import random
import subprocess
import sys

import pytest

import pmemobj
from pmemobj.testing import Budget, crew, explore, scratch
from pmemobj.testing.disk import SECTOR, WORD, Base, Disk, Kind
from pmemobj.testing.images import Images
from pmemobj.testing.record import record
from pmemobj.testing.slim import LANES, slim
from pmemobj.testing.worker import Bench, Job, Questions
from tests.testing import operations as op

explorer = importlib.import_module("pmemobj.testing.explore")
QUESTIONS = Questions("a.pool", {"max_size": 8 << 20, "sync": "commit", "engine": "journal"}, op.length, None)


def expected(cut, image):
    """The files of an image, made from the model alone."""
    files = {}
    for name, (ino, size) in image.names.items():
        content = bytearray(size)
        changed = {offset: block for number, offset, block in image.changes if number == ino}
        for offset, block in (cut.files[ino].durable | changed).items():
            if offset < size:
                content[offset : offset + len(block)] = block[: size - offset]
        files[name] = bytes(content)
    return files


def test_the_files_are_laid_out_as_the_model_says(tmp_path):
    """Also when it goes back and forth between moments, as when several processes work at them."""
    run = record([op.append, op.insert], op.start, QUESTIONS, create=False)
    bench, disk, known, chosen = Bench(str(tmp_path), QUESTIONS), Disk(SECTOR), None, random.Random(1)
    jobs = []
    for event in disk.replay(run.trace):
        cut = disk.cut(event)
        for image in Images(cut, Budget(exhaustive=2, random=2)):
            if chosen.random() < 0.1:
                jobs.append((Job(image.names, image.changes, cut.base, power=True), expected(cut, image)))
    assert len(jobs) > 10
    for job, files in chosen.sample(jobs, len(jobs)):
        if job.base is not known:
            bench.set_base(crew.since(job.base, known))
            known = job.base
        bench.lay_out(job)
        assert {path.name for path in tmp_path.iterdir()} == files.keys()
        for name, content in files.items():
            assert (tmp_path / name).read_bytes() == content


def test_since_gives_what_is_missing():
    first = Base(None, {1: {0: b"a", 8: b"a"}})
    second = Base(first, {1: {0: b"b"}})
    third = Base(second, {1: {0: b"c"}, 2: {0: b"c"}})
    assert crew.since(third, first) == (False, {1: {0: b"c"}, 2: {0: b"c"}})
    assert crew.since(third, None) == (True, {1: {0: b"c", 8: b"a"}, 2: {0: b"c"}})
    assert crew.since(first, third) == (True, first.files)
    assert crew.since(third, Base(None, {})) == crew.since(third, None)


def test_one_image_that_kills_is_found_among_many():
    report = explore(
        [op.append, op.remove_last],
        op.start,
        observe=op.length,
        check=op.dies_with_four,
        budget=Budget(exhaustive=1, random=0, per_cut=2, nested=0),
        faults=["kill"],
        workers=1,
    )
    assert {bug.what for bug in report.bugs} == {"the process died (exit code -9)"}
    assert 0 < len(report.bugs) < report.images == sum(report.found.values()) + len(report.bugs)


def test_one_image_that_hangs_is_found(monkeypatch):
    monkeypatch.setattr(crew, "PATIENCE", 3.0)
    report = explore(
        [op.append, op.remove_last],
        op.start,
        observe=op.length,
        check=op.hangs_with_four,
        budget=Budget(exhaustive=1, random=0, per_cut=2, nested=0),
        faults=["kill"],
        workers=1,
    )
    assert {bug.what for bug in report.bugs} == {"hangs: no answer within 3 s (exit code -9)"}


def test_a_slim_pool_is_a_pool(tmp_path):
    path = tmp_path / "a.pool"
    pmemobj.open(path, max_size=8 << 20).close()
    slim(str(path))
    assert int.from_bytes(path.read_bytes()[4096 + 1032 : 4096 + 1040], "little") == LANES
    for number in range(3):
        with pmemobj.open(path) as pool:
            assert pool.root == (list(range(number)) or None)
            pool.root = list(range(number + 1))
            assert pool.check().ok
    before = path.read_bytes()
    slim(str(path))
    assert path.read_bytes() == before


def test_what_is_not_understood_is_not_slimmed(tmp_path):
    path = tmp_path / "a.pool"
    pmemobj.open(path, max_size=8 << 20).close()
    damaged = bytearray(path.read_bytes())
    damaged[4096 + 2000] ^= 1
    path.write_bytes(damaged)
    slim(str(path))
    assert path.read_bytes() == damaged


SCRATCH = """
import sys
import pmemobj
from pmemobj import _core

_core._scratch_calls()
with pmemobj.open(sys.argv[1], max_size=16 << 20, engine=sys.argv[2], sync="commit") as pool:
    pool.root = list(range(5000))
    pool.checkpoint()
    pool.root.extend("a text that needs a block, %d" % i for i in range(2000))
    del pool.root[100:4000]
    if sys.argv[2] == "journal":
        pool.trim()
with pmemobj.open(sys.argv[1], engine=sys.argv[2]) as pool:
    assert pool.check().ok
    pool.root.append(len(pool.root))
"""


@pytest.mark.parametrize("engine", ["journal", "direct"])
def test_cheap_file_calls_leave_the_same_contents(tmp_path, engine):
    path = tmp_path / "a.pool"
    subprocess.run([sys.executable, "-c", SCRATCH, path, engine], check=True)
    texts = [f"a text that needs a block, {i}" for i in range(2000)]
    with pmemobj.open(path) as pool:
        assert pool.check().ok
        assert pool.root == [*range(100), *range(4000, 5000), *texts, 3100]


class _Forgetful(dict):
    def __setitem__(self, key, value):
        pass


@pytest.fixture
def in_memory():
    place = scratch.Scratch()
    yield place.path
    place.close()


@pytest.mark.parametrize("engine", ["journal", "direct"])
@pytest.mark.parametrize("step", [op.transfer, op.two_operations])
def test_what_was_recovered_before_is_not_examined_again(in_memory, engine, step):
    """And the answers are those that every image gives by itself."""
    questions = Questions("a.pool", QUESTIONS.options | {"engine": engine}, explorer.whole_root, None)
    run = record([step], op.start, questions, create=False)
    disk, known = Disk(SECTOR if engine == "journal" else WORD), None
    benches = [Bench(os.path.join(in_memory, name), questions) for name in ("each", "once")]
    examined, answers = [0, 0], [[], []]
    for number, bench in enumerate(benches):
        os.mkdir(bench.directory)
        bench.examine = counting(bench.examine, examined, number)
    benches[0].known = _Forgetful()
    marks = 0
    for event in disk.replay(run.trace):
        marks += event.kind is Kind.MARK
        if marks != 1:
            continue
        images = Images(
            disk.cut(event), Budget(exhaustive=1, random=1, per_cut=2 if engine == "direct" else 9)
        )
        if images.cut.base is not known:
            for bench in benches:
                bench.set_base(crew.since(images.cut.base, known))
            known = images.cut.base
        for bench in benches:
            bench.set_layer(images.layer)
        for image in images:
            job = explorer._job(image, images)._replace(layered=image.newest)
            for bench, given in zip(benches, answers, strict=True):
                given.append(bench.look(job))
    assert answers[0] == answers[1]
    assert len({repr(answer) for answer in answers[0]}) >= 2
    assert examined[0] == len(answers[0]) > 2 * examined[1] > 0


def counting(function, counts, number):
    def counted(pool):
        counts[number] += 1
        return function(pool)

    return counted
