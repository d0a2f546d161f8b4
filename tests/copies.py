"""Copies of pool files, holes included."""

import os
from pathlib import Path


def copy_sparse(source: Path, target: Path) -> None:
    with open(source, "rb") as old, open(target, "wb") as new:
        size, at = os.fstat(old.fileno()).st_size, 0
        while at < size:
            try:
                at = os.lseek(old.fileno(), at, os.SEEK_DATA)
            except OSError:
                break
            end = os.lseek(old.fileno(), at, os.SEEK_HOLE)
            while at < end:
                at += os.pwrite(new.fileno(), os.pread(old.fileno(), min(end - at, 1 << 20), at), at)
        os.ftruncate(new.fileno(), size)


def copy_pool(source: Path, target: Path) -> None:
    for suffix in ("", "-journal"):
        if (file := source.with_name(source.name + suffix)).exists():
            copy_sparse(file, target.with_name(target.name + suffix))
