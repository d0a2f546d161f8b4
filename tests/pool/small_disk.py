"""Runs Python code on a file system of its own that can really be full: tmpfs, and ext4 in a file.

With the rights of root in a mount namespace; without them in a user namespace, which has tmpfs only.
"""

import functools
import os
import subprocess
import sys
from pathlib import Path

import pmemobj

PRELUDE = """
import errno, gc, os, signal, sys
import pmemobj

disk, path = sys.argv[1], os.path.join(sys.argv[1], "pool")

class Hog:
    "A file that takes all space but some."

    def __init__(self):
        self.fd = os.open(os.path.join(disk, "hog"), os.O_RDWR | os.O_CREAT)
        self.size = 0

    def leave(self, free):
        os.fsync(self.fd)
        for piece in (1 << 20, 1 << 16, 1 << 12):
            try:
                while True:
                    self.size += os.pwrite(self.fd, bytes(piece), self.size)
            except OSError as error:
                assert error.errno == errno.ENOSPC
        os.fsync(self.fd)
        self.size = max(0, self.size - free)
        os.ftruncate(self.fd, self.size)
        os.fsync(self.fd)
        return self

    def go(self):
        self.size = 0
        os.ftruncate(self.fd, 0)
        os.fsync(self.fd)

def full(function, *arguments):
    "True if the call says that the disk is full."
    try:
        function(*arguments)
    except OSError as error:
        assert error.errno == errno.ENOSPC, error
        return True
    return False
"""

#: Mounts, runs, and leaves: what is mounted in the namespace goes with it.
MOUNT = {
    "tmpfs": 'mount -t tmpfs -o size={size}k none "$0"',
    "ext4": 'truncate -s {size}k "$0.image" && mkfs.ext4 -q -m 0 -O ^resize_inode "$0.image" '
    '&& mount -o loop "$0.image" "$0"',
}


@functools.cache
def namespace() -> list[str]:
    """The command that gives a process mounts of its own."""
    for command in (["unshare", "-m"], ["unshare", "-Urm"]):
        if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
            return command
    raise RuntimeError("neither as root nor in a user namespace can anything be mounted here")


@functools.cache
def kinds() -> list[str]:
    """File systems that can be mounted: ext4 needs root and a loop device."""
    probe = 'losetup -f > /dev/null && command -v mkfs.ext4 > /dev/null && test "$(id -u)" = 0'
    done = subprocess.run([*namespace(), "sh", "-c", probe], capture_output=True, check=False)
    return ["tmpfs", "ext4"] if namespace() == ["unshare", "-m"] and done.returncode == 0 else ["tmpfs"]


def on_disk(kind: str, directory: Path, megabytes: int, code: str, *arguments: object) -> str:
    """What the code prints; `disk` and `path` in it lie on a file system of that size, and Hog fills it."""
    disk = directory / "disk"
    disk.mkdir()
    package = str(Path(pmemobj.__file__).parents[1])
    script = MOUNT[kind].format(size=megabytes << 10) + ' && exec "$@"'
    done = subprocess.run(
        [
            *namespace(), "sh", "-c", script, str(disk),
            sys.executable, "-X", "faulthandler", "-c", PRELUDE + code, str(disk), *map(str, arguments),
        ],
        env={**os.environ, "PYTHONPATH": package},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )  # fmt: skip
    if done.returncode or done.stderr:
        raise AssertionError(f"{done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout
