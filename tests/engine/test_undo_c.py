"""The undo log's C tests, compiled and run: as it ships, and with ASan and UBSan."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ENGINE = HERE.parents[1] / "pmemobj" / "_engine"
NAMES = re.findall(r'^    \{"(\w+)", test_\w+\}', (HERE / "test_undo.c").read_text(), re.MULTILINE)
FLAGS = ["-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-Werror", f"-I{ENGINE}"]
VARIANTS = {"plain": [], "memory": ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]}

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Compiles a variant when it is first asked for."""
    directory = tmp_path_factory.mktemp("undo")
    compiled = {}

    def program(variant):
        if variant not in compiled:
            # All but what calls libpmem, which has the two media of the shipped engine.
            sources = [
                HERE / "test_undo.c",
                *(path for path in ENGINE.rglob("*.c") if path.stem != "persist"),
            ]
            target = directory / variant
            command = ["gcc", *FLAGS, *VARIANTS[variant], "-o", target, *sources, "-lpthread"]
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            compiled[variant] = target
        return compiled[variant]

    return program


def test_every_test_is_found():
    assert len(NAMES) >= 8


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "variant", [pytest.param(name, marks=pytest.mark.xdist_group(f"undo-{name}")) for name in VARIANTS]
)
def test_undo(programs, memory_path, variant, name):
    done = subprocess.run([programs(variant), memory_path, name], capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
