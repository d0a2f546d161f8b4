"""What the tests of the pool's life share: other processes, words of closed pool files, pmempool."""

import os
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pmemobj

#: Places in a libpmemobj pool file: its run id, the offset of the root block (see _engine/files/poolfile.h).
RUN_ID_AT = 6152
ROOT_OFFSET_AT = 6144

#: Fields of our root block (see _engine/layout.h).
MAGIC, VERSION, INCOMPAT, STATE, ROOT_SLOT, LIMBO = 0, 8, 16, 48, 56, 72

PRELUDE = """
import gc, os, signal, sys, threading, time
import pmemobj
path = sys.argv[1]
def die():
    os.kill(os.getpid(), signal.SIGKILL)
"""


def start(code, *arguments, python_options=(), command=(), **options):
    """A Python process that runs `code`, through `command`; `path` in it is the first argument."""
    package = str(Path(pmemobj.__file__).parents[1])
    return subprocess.Popen(
        [
            *command,
            sys.executable,
            "-X",
            "faulthandler",
            *python_options,
            "-c",
            PRELUDE + code,
            *map(str, arguments),
        ],
        env={**os.environ, "PYTHONPATH": package},
        cwd="/",
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def run(code, *arguments, returncode=0, command=()):
    """Runs `code` to its end; gives what it printed.  Its standard error must be empty."""
    process = start(code, *arguments, command=command)
    try:
        out, err = process.communicate(timeout=60)
    except BaseException:
        process.kill()
        process.communicate()
        raise
    assert (process.returncode, err) == (returncode, ""), out + err
    return out


def run_with_mounts(code, *arguments):
    """As run(), in a process that may mount what nobody else sees: mount(directory, options) gives a tmpfs."""
    own = ["unshare", "--mount"] if os.getuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    prelude = """
import subprocess
def mount(directory, options):
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", directory], check=True)
"""
    return run(prelude + code, *arguments, command=own)


def run_until_killed(code, *arguments):
    return run(code, *arguments, returncode=-signal.SIGKILL)


def read_word(path, offset):
    with open(path, "rb") as file:
        file.seek(offset)
        return struct.unpack("<Q", file.read(8))[0]


def write_word(path, offset, value):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(struct.pack("<Q", value))


def root_field(path, field):
    """Where a field of the root block lies in the file."""
    return read_word(path, ROOT_OFFSET_AT) + field


def pmempool_check(path):
    tool = shutil.which("pmempool")
    assert tool, "pmempool is missing: apt-get install pmdk-tools"
    done = subprocess.run([tool, "check", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def journal_of(path):
    return Path(f"{path}-journal")
