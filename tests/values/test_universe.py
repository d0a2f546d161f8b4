"""Any value of the supported universe comes back in another process, equal and of equal type."""

import datetime as dt
import zoneinfo
from collections import deque

import numpy as np
import pytest

from tests.values.native_values import Money
from tests.values.universe import combined, examples, same, survive


def test_values_in_another_process(tmp_path):
    values = examples(400)
    assert len(values) >= 300
    survive(values, tmp_path)


def test_combined_values_in_another_process(tmp_path):
    values = combined(2000, seed=1)
    assert len({type(value) for value in values}) > 40
    survive(values, tmp_path)


@pytest.mark.long
def test_many_values_in_other_processes(tmp_path):
    for seed in range(500):
        survive(examples(2000, seed=seed), tmp_path)


def test_the_comparison_sees_differences():
    for a, b in (
        (1, 1.0),
        (1, True),
        (0.0, -0.0),
        ([1], (1,)),
        ([1], [True]),
        ({1: 2}, {1.0: 2}),
        ({1}, {True}),
        ({1: 1, 2: 2}, {2: 2, 1: 1}),
        (float("nan"), 1.0),
        (np.float64(1), 1.0),
        (np.arange(3), np.arange(3.0)),
        (np.arange(4), np.arange(4).reshape(2, 2)),
        (bytearray(b"a"), b"a"),
        (deque([1]), deque([2])),
        (dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.datetime(2020, 1, 1, tzinfo=zoneinfo.ZoneInfo("UTC"))),
        (dt.datetime(2020, 10, 25, 2, 30), dt.datetime(2020, 10, 25, 2, 30, fold=1)),
        (Money(1), Money(2)),
    ):
        assert not same(a, b) and same(a, a) and same(b, b)
