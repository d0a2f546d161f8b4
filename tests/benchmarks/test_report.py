"""What benchmarks/report.py writes."""

import json
import socket

from benchmarks import report
from benchmarks.report import Row

ROWS = [
    Row("get", "list", "ns", {"builtin": 10.0, "pmemobj": 14.26, "ratio": 1.426}),
    Row("get", "dict", "ns", {"builtin": 20.0, "pmemobj": 2500.0}),
    Row("put", "lmdb", "x", {"faster": 0.0}),
]


def test_numbers_keep_three_digits():
    values = [0, 0.0125, 1.426, 14.26, 142.6, 14250]
    assert list(map(report.number, values)) == ["0", "0.0125", "1.43", "14.3", "143", "14,250"]


def test_a_table_for_each_group_with_gaps_where_nothing_was_measured():
    assert report.markdown(ROWS).splitlines()[:6] == [
        "### get",
        "",
        "| ns | builtin | pmemobj | ratio |",
        "|---|--:|--:|--:|",
        "| list | 10.0 | 14.3 | 1.43 |",
        "| dict | 20.0 | 2,500 |  |",
    ]


def test_the_machine_is_described_and_not_named():
    about = report.machine(["numpy", "no-such-package"])
    assert about["packages"]["no-such-package"] == "not installed"
    assert about["packages"]["pmemobj"] != "not installed"
    assert about["filesystem"] != "unknown"
    assert about["cores"] >= 1
    text = report.machine_text(about)
    assert "/" not in text
    assert socket.gethostname() not in text


def test_save_writes_tables_and_says_if_there_is_no_plot(tmp_path, capsys):
    report.save("demo", ROWS, tmp_path, sync="manual")
    data = json.loads((tmp_path / "demo.json").read_text())
    assert data["rows"][0]["values"]["pmemobj"] == 14.26
    assert data["options"] == {"sync": "manual"}
    assert "sync: manual" in (tmp_path / "demo.md").read_text()
    assert (tmp_path / "demo.svg").exists() or "no plot" in capsys.readouterr().out


def test_plots_are_drawn(tmp_path):
    report.save("demo", ROWS, tmp_path)
    assert (tmp_path / "demo.png").read_bytes()[:4] == b"\x89PNG"
    first = (tmp_path / "demo.svg").read_text()
    report.save("demo", ROWS, tmp_path)
    assert (tmp_path / "demo.svg").read_text() == first
