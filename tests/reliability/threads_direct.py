"""Threads on shared containers under the direct engine, whose process takes every file for persistent memory."""

import json
import os
import subprocess
import sys

from tests.reliability import threads

TITLE = "Threads, direct engine"

TEXT = """
The same eight threads, operations and requirements, under the direct engine, with every file taken for persistent
memory (`PMEM_IS_PMEM_FORCE=1`). There *sync* only says how often the files are looked at.
"""

CODE = "import json; from tests.reliability import threads; print(json.dumps(threads.row('commit', 14, 'direct')))"


def measure() -> tuple[list[str], list[list[object]]]:
    command = [sys.executable, "-c", CODE]
    environment = {**os.environ, "PMEM_IS_PMEM_FORCE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return threads.HEADS, [json.loads(done.stdout)]
