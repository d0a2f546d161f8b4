"""Pools on the disk of the temporary directory."""

import pytest


@pytest.fixture
def pool_path(tmp_path):
    return tmp_path / "test.pool"
