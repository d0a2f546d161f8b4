"""How much memory a process takes that writes a pool from end to end."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pmemobj

WORKER = r"""
import json, resource, sys
import pmemobj

path, size, memory = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

def field(name):
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024

texts = [chr(97 + i) * (400 + 10 * i) for i in range(20)]
with pmemobj.open(path, max_size=size + size // 4 + (64 << 20), memory=memory) as pool:
    pool.root = []
    root, stored, i, peak, before = pool.root, 0, 0, 0, field("RssAnon")
    while stored < size:
        with pool.transaction():
            for _ in range(2000):
                root.append(texts[i % 20])
                stored += len(texts[i % 20]) + 16
                i += 1
        peak = max(peak, field("RssAnon"))
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    figures = pool.stats()["journal"]
    ok = all(root[k] == texts[k % 20] for k in range(0, i, 997)) and len(root) == i
    heap = pool.usage()
print(json.dumps({
    "stored": stored, "private_before": before, "peak_private": peak, "ok": ok, "journal": figures["journal_bytes"],
    "peak_resident": resident,
    "values": heap.values, "checkpoints": figures["checkpoints"],
}))
"""


@dataclass
class Use:
    """Bytes.  private: RssAnon of the process; resident: its largest resident set, pages of files included."""

    stored: int
    private_before: int
    peak_private: int
    peak_resident: int
    journal: int
    values: int
    checkpoints: int
    ok: bool


def written_end_to_end(path: Any, size: int, memory: int) -> Use:
    """A process of its own writes `size` bytes of texts into a new pool in transactions of 2000."""
    package = str(Path(pmemobj.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", WORKER, str(path), str(size), str(memory)],
        env={**os.environ, "PYTHONPATH": package},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode or done.stderr:
        raise RuntimeError(f"{done.returncode}: {done.stderr}")
    return Use(**json.loads(done.stdout))
