"""What CI hears of a campaign that fails."""

import multiprocessing
import os

from tests.testing import campaign


class Deadly:
    def is_set(self):
        os._exit(3)


def test_a_case_that_fails_is_told_with_its_name_and_its_reason():
    enough = multiprocessing.get_context("spawn").Event()
    (told,) = campaign.of_shares("no such engine", 1, enough)
    assert told.startswith("no such engine, commit, list of ")
    assert "KeyError" in told
    assert told in str(campaign.Totals(failed=[told]))


def test_a_process_that_dies_is_a_failure():
    assert (
        list(campaign.of_shares("journal", 2, Deadly())) == ["journal: a process ended with exit code 3"] * 2
    )
