"""Programs that use a pool in processes of their own, and the values that fields get."""

import os
import subprocess
import sys
import textwrap

from hypothesis import strategies as st

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=12),
    st.binary(max_size=12),
)


def run(directory, program, *args, code=0):
    """What the program prints.  It finds the modules in the directory, whose sources may have changed just now."""
    done = subprocess.run(
        [sys.executable, "-B", "-c", textwrap.dedent(program), *map(str, args)],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"PYTHONPATH": ":".join([str(directory), *sys.path]), "PYTHONHASHSEED": "random"},
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr
