"""The smallest program. Run it twice.

    python examples/hello.py [POOL]

POOL is the file that keeps what the program remembers.
"""

import os
import sys
import tempfile

import pmemobj

default = os.path.join(tempfile.gettempdir(), f"pmemobj-hello-{os.getuid()}.pool")
path = sys.argv[1] if len(sys.argv) > 1 else default

with pmemobj.open(path) as pool:
    if pool.root is None:  # a new pool: lay out what this program keeps
        pool.root = {"runs": 0, "visitors": {"names": ["world"]}}
    root = pool.root

    root["runs"] += 1
    root["visitors"]["names"].append(f"run {root['runs']}")  # changed in place, deep inside; it stays

    print(f"Hello for the {root['runs']}. time, from {pool.path}")
    print("I remember:", ", ".join(root["visitors"]["names"]))
