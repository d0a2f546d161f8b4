"""Any value of the supported universe comes back in another process, equal and of equal type."""

import pytest

from tests.values.universe import examples, same, survive


def test_values_in_another_process(tmp_path):
    values = examples(400)
    assert len(values) >= 300
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
    ):
        assert not same(a, b) and same(a, a) and same(b, b)
