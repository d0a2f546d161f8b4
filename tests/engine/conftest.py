"""Where the C tests work: in memory.  They make their crashes and failing calls themselves, and a real disk's syncs
would be nothing but time."""

import os
import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def work(tmp_path):
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="pmemobj-engine-", dir="/dev/shm") as directory:
        yield Path(directory)
