"""The page of targets: what it says for which figures, and that explanations survive."""

import json
from types import SimpleNamespace

import pytest

from benchmarks import goals, instructions, peer_figures, report, targets
from benchmarks.goals import Goal, Part


def test_verdicts():
    ratio, faster = Goal("ratio", 2.0, 1.5), Goal("faster", 3, 5, "x faster")
    assert [ratio.verdict(x) for x in (1.5, 2.0, 2.1)] == ["met, and the aim", "met", "**missed**"]
    assert [faster.verdict(x) for x in (5, 4, 2.9)] == ["met, and the aim", "met", "**missed**"]
    assert Goal("must only", 1, None).verdict(1) == "met"
    assert [Goal("aim only", None, 1).verdict(x) for x in (1, 2)] == ["aim met", "aim not met"]


def test_names_of_rows_are_unique_and_measured_by_someone():
    names = [goal.name for part in goals.PARTS for goal in part.goals]
    assert len(names) == len(set(names))
    assert set(goals.CASES) <= set(names)
    assert set(peer_figures.FROM_LABELS) <= set(names)


def test_explanations_are_of_rows_that_exist(tmp_path):
    assert set(targets.explanations()) <= {goal.name for part in goals.PARTS for goal in part.goals}
    path = tmp_path / "explanations.md"
    path.write_text("Preface.\n\n## list get\n\nBecause.\n\nAnd so.\n")
    assert targets.explanations(path) == {"list get": "Because.\n\nAnd so."}
    path.write_text("## no such row\n\nBecause.\n")
    with pytest.raises(ValueError, match="no such row"):
        targets.explanations(path)


@pytest.fixture
def two_parts(monkeypatch):
    measured = []

    def part(name, *figures):
        def measure(directory, effort):
            measured.append(name)
            return [], {goal: (value, "a remark") for goal, value in figures}

        return Part(name, tuple(Goal(goal, 2.0, 1.5) for goal, _ in figures), measure)

    parts = (part("First", ("met", 1.2), ("missed", 3.0)), part("Second", ("other", 1.7)))
    monkeypatch.setattr(goals, "PARTS", parts)
    monkeypatch.setattr(targets, "explanations", lambda: {"missed": "It is hard."})
    monkeypatch.setattr(report, "commit", lambda: "abc")
    return measured


def test_the_page_has_figures_verdicts_and_reasons(two_parts, tmp_path):
    page = tmp_path / "page.md"
    targets.main(["--results", str(tmp_path), "--output", str(page), "--directory", str(tmp_path)])
    text = page.read_text()
    assert "| met (x) | **1.20** | 2.00 | 1.50 | met, and the aim | a remark |" in text
    assert "| missed (x) | **3.00** | 2.00 | 1.50 | **missed** | a remark |" in text
    assert "**missed.** It is hard." in text
    assert "make bench-targets" in text


def test_one_part_alone_keeps_the_figures_of_the_others(two_parts, tmp_path):
    arguments = [
        "--results",
        str(tmp_path),
        "--output",
        str(tmp_path / "page.md"),
        "--directory",
        str(tmp_path),
    ]
    targets.main(arguments)
    targets.main([*arguments, "--only", "second"])
    assert two_parts == ["First", "Second", "Second"]
    assert "not measured" not in (tmp_path / "page.md").read_text()
    store = tmp_path / targets.FIGURES
    store.write_text(json.dumps({**json.loads(store.read_text()), "commit": "another"}))
    targets.main([*arguments, "--only", "second"])
    assert "| met (x) |  | 2.00 | 1.50 | not measured |" in (tmp_path / "page.md").read_text()


def test_of_several_peers_figures_the_worst_is_taken():
    found = [
        SimpleNamespace(label="LMDB, no sync: get, in order", measured=5.0, unit="x faster"),
        SimpleNamespace(label="LMDB, no sync: get, random", measured=4.0, unit="x faster"),
        SimpleNamespace(label="LMDB, no sync: single put", measured=1.0, unit="x faster"),
        SimpleNamespace(label="bytes on disk over LMDB's: a", measured=0.5, unit="x"),
        SimpleNamespace(label="bytes on disk over LMDB's: b", measured=0.7, unit="x"),
    ]
    labels = peer_figures.FROM_LABELS
    assert peer_figures.worst(found, *labels["LMDB, no sync: get"]) == (4.0, "LMDB, no sync: get, random")
    assert peer_figures.worst(found, *labels["bytes on disk, to LMDB's"])[0] == 0.7
    assert peer_figures.worst(found, *labels["ZODB: cached get"]) is None


def test_the_table_of_instructions_is_read_as_it_was_written(tmp_path, monkeypatch):
    monkeypatch.setattr(instructions, "versions", lambda: "Versions.")
    table = {"list get": {"builtin": 10.0, "pmemobj": 25.5}, "dict get": {"builtin": 20.0, "pmemobj": 30.0}}
    path = tmp_path / "instructions.md"
    instructions.write(table, path)
    assert instructions.read(path) == table
    now = {"list get": {"builtin": 99.0, "pmemobj": 27.0}, "set add": {"builtin": 1.0, "pmemobj": 1.0}}
    assert instructions.moved(table, now) == [
        "dict get: not counted any more",
        "set add: not in the kept table",
    ]
    now = {**table, "dict get": {"builtin": 20.0, "pmemobj": 34.0}}
    assert instructions.moved(table, now) == ["dict get: 30.0 before, 34.0 now (+13%)"]


def test_the_kept_table_has_every_hot_path():
    from benchmarks import hotpaths

    assert list(instructions.read(instructions.TABLE)) == [path.name for path in hotpaths.paths()]
