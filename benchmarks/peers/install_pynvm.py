"""Installs pynvm where that is possible, and keeps the reason where it is not: pynvm is measured if it is there.

It is not among the extras of pyproject.toml, because it has to be compiled against the headers of libpmemobj,
libpmemlog and libpmemblk and a failure would take the other peers with it.  Version 0.3.1 of 2018 builds and runs
on Python 3.11 without changes.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENT = "pynvm==0.3.1"
HEADERS = ["libpmemlog-dev", "libpmemblk-dev"]
REASON = Path(sys.prefix, "pynvm-is-missing.txt")


def why_missing() -> str:
    return REASON.read_text().strip() if REASON.exists() else "run benchmarks/peers/install_pynvm.py"


def installed() -> bool:
    return subprocess.run([sys.executable, "-c", "import nvm.pmemobj"], capture_output=True).returncode == 0


def install() -> str:
    """An empty string, or why it did not work."""
    if shutil.which("apt-get") and os.geteuid() == 0:
        subprocess.run(["apt-get", "install", "-y", "-q", *HEADERS], stdout=subprocess.DEVNULL, check=False)
    # What its setup.py asks for beside cffi is for its tests.
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "cffi>=1"], check=True)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", REQUIREMENT]
    done = subprocess.run(pip, capture_output=True, text=True)
    if done.returncode == 0:
        return "" if installed() else "it was built but cannot be imported"
    lines = [line.strip() for line in done.stderr.splitlines() if "error:" in line.lower()]
    return f"building {REQUIREMENT} failed: {lines[0] if lines else done.stderr.strip()[-200:]}"


def main() -> None:
    if installed():
        return
    reason = install()
    if reason:
        REASON.write_text(reason + "\n")
        print(f"pynvm will not be measured: {reason}")
    else:
        REASON.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
