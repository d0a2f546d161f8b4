"""Samples of perf are counted by thread, place and function."""

import pytest

from benchmarks.profiles import samples

SCRIPT = """\
python  100  7f00 pm_find_text.constprop.0 (/x/pmemobj/_dict.cpython-311-x86_64-linux-gnu.so)
python  100  7f01 pm_find_text.constprop.0 (/x/pmemobj/_dict.cpython-311-x86_64-linux-gnu.so)
python  100  ffff clear_page_erms ([kernel.kallsyms])
python  100  55d0 _PyEval_EvalFrameDefault (/usr/lib/libpython3.11.so.1.0)
pm-merger  102  7f02 jr_drain (/x/pmemobj/_core.cpython-311-x86_64-linux-gnu.so)
python  103  7f03 memcpy (/lib/libc.so.6)
"""


def test_samples_are_counted_by_thread_place_and_function():
    assert samples(SCRIPT, 100) == {
        ("program", "pmemobj", "pm_find_text"): 2,
        ("program", "kernel", "clear_page_erms"): 1,
        ("program", "interpreter", "_PyEval_EvalFrameDefault"): 1,
        ("pm-merger", "pmemobj", "jr_drain"): 1,
        ("python", "libc", "memcpy"): 1,
    }


@pytest.mark.parametrize("line", ["", "python", "a b c d e"])
def test_other_lines_are_passed_over(line):
    assert not samples(line, 100)
