"""The tools that hold the architecture's hard rules find what they are there to find."""

import importlib.util
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


check_layers = load("check_layers")
check_symbols = load("check_symbols")


# ------------------------------------------------------------------ layers

SOUND = {
    "__init__.py": "from pmemobj.pool import open\nfrom . import cli\n",
    "cli.py": "import pmemobj.pool\n",
    "pool.py": 'def open():\n    "import pmemobj.cli"\n    from ._list import PersistentList\n',
    "errors.py": "import os\n",
    "_libpmemobj.pxd": 'cdef extern from "libpmemobj.h" nogil:\n    void pmemobj_close(void *pop)\n',
    "_core.pxd": "cimport cython\nfrom pmemobj._libpmemobj cimport pmemobj_close\n",
    "_core.pyx": '"""\nfrom pmemobj.cli import main\n"""\ninclude "_core_tx.pxi"\n',
    "_core_tx.pxi": "# import pmemobj.pool\ncdef close(void *p):\n    pmemobj_close(p)\n",
    "_list.pxd": "from pmemobj cimport _core\n",
    "_list.pyx": "from pmemobj._core cimport (\n    Handle,\n    Other,\n)\nfrom . import errors\n",
    "_list.pyi": "from pmemobj.pool import Pool\n",
    "_engine/layout.h": "#include <stdint.h>\n",
    "_engine/engine.h": '#include "layout.h"\n',
    "_engine/persist.c": '#include "engine.h"\nvoid f(void) { __real_pmem_drain(); }\n',
    "testing/__init__.py": "from ._faults import crash\n",
    "testing/_faults.py": "from ..pool import open\n",
}

# file, line added to it, what the report must say
PLANTED = [
    ("_list.pyx", "from pmemobj.pool import open", "_list.pyx:6: containers is below pool"),
    ("_list.pyx", "def f():\n    import pmemobj.cli", "_list.pyx:7: containers is below cli"),
    ("_list.pyx", "try: from . import pool", "containers is below pool"),
    ("_list.pyx", "from pmemobj import open", "containers is below package"),
    ("_list.pyx", "import pmemobj", "containers is below package"),
    ("_list.pyx", "from pmemobj cimport (\n    _core,\n    pool)", "containers is below pool"),
    ("_list.pyx", 'import_module("pmemobj.pool")', "containers is below pool"),
    ("_list.pyx", "from pmemobj._libpmemobj cimport x", "containers may not use _libpmemobj.pxd"),
    ("_list.pyx", "pmemobj_alloc(p)", "containers may not call pmemobj_alloc()"),
    ("_core_tx.pxi", "from pmemobj._list cimport A", "core is below containers"),
    ("_core.pyx", 'include "_list_sort.pxi"', "core is below containers"),
    ("_libpmemobj.pxd", 'cdef extern from "engine.h":\n    pass', "libpmemobj is below engine"),
    ("_engine/layout.h", '#include "engine.h"', "layout is below engine"),
    ("_engine/persist.c", "void g(void) { pmem_drain(); }", "engine may not call pmem_drain()"),
    ("errors.py", "from pmemobj import pool", "errors is below pool"),
    ("errors.py", "def f():\n    from .pool import open", "errors is below pool"),
    ("pool.py", "if TYPE_CHECKING:\n    import pmemobj.cli as c", "pool is below cli"),
    ("pool.py", 'importlib.import_module("pmemobj.testing._faults")', "pool is below testing"),
    ("testing/_faults.py", "from ..cli import main", "testing is below cli"),
    ("_novel.pyx", "x = 1", "_novel.pyx: belongs to no layer"),
]


@pytest.fixture
def tree(tmp_path):
    for name, text in {**SOUND, "_list_sort.pxi": ""}.items():
        path = tmp_path / "pmemobj" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_layers_of_this_tree():
    assert check_layers.violations(ROOT) == []


def test_layers_sound_tree(tree, capsys):
    assert check_layers.violations(tree) == []
    assert check_layers.main([str(tree)]) == 0
    assert "nothing uses a layer above" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "line", "report"), PLANTED)
def test_layers_planted(tree, name, line, report):
    with (tree / "pmemobj" / name).open("a") as file:
        file.write(line + "\n")
    (found,) = check_layers.violations(tree)
    assert report in found
    assert check_layers.main([str(tree)]) == 1


def test_layers_copy_of_this_tree_with_violation(tmp_path):
    shutil.copytree(
        ROOT / "pmemobj", tmp_path / "pmemobj", ignore=shutil.ignore_patterns("*.so", "__pycache__")
    )
    with (tmp_path / "pmemobj" / "errors.py").open("a") as file:
        file.write("\n\ndef late():\n    import pmemobj\n")
    (found,) = check_layers.violations(tmp_path)
    assert "errors is below package" in found


def test_layers_empty_tree(tmp_path):
    assert "no sources" in check_layers.violations(tmp_path)[0]


# ------------------------------------------------------------------ symbols

INIT = '__attribute__((visibility("default"))) void *PyInit_%s(void) { return 0; }\n'
SHOWN = '__attribute__((visibility("default"))) '


@pytest.fixture
def module(tmp_path):
    """A function that compiles C source into a module of the given name."""
    compiler = sysconfig.get_config_var("CC").split()
    if not (shutil.which(compiler[0]) and shutil.which("readelf")):
        pytest.skip("no C compiler or no readelf")

    def compile_module(name, source, *options):
        path = tmp_path / f"{name}.cpython-311-x86_64-linux-gnu.so"
        path.with_suffix(".c").write_text(INIT % name + source)
        command = [*compiler, "-shared", "-fPIC", "-fvisibility=hidden", "-w"]
        command += ["-o", path, path.with_suffix(".c"), *options]
        subprocess.run(command, check=True, timeout=60)
        return path

    return compile_module


def test_symbols_sound_module(module, capsys):
    calls = "void PyList_New(void); int getpid(void); void f(void) { PyList_New(); getpid(); }\n"
    path = module("_list", "void pmemobj_open(void) {}\n" + calls)
    assert check_symbols.problems(path) == []
    assert check_symbols.main([str(path)]) == 0
    assert "1 modules" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["_core", "_list"])
@pytest.mark.parametrize("symbol", ["pmemobj_open", "__wrap_pmem_persist", "engine_begin"])
def test_symbols_exported(module, name, symbol):
    path = module(name, f"{SHOWN}void {symbol}(void) {{}}\n")
    assert check_symbols.problems(path) == [f"{path.name}: exports {symbol}"]
    assert check_symbols.main([str(path)]) == 1


@pytest.mark.parametrize("symbol", ["pmemobj_open", "pmem_persist", "engine_begin"])
def test_symbols_undefined(module, symbol):
    path = module("_list", f"void {symbol}(void); {SHOWN}void *PyX(void) {{ {symbol}(); }}\n")
    found = check_symbols.problems(path)
    assert any(f"refers to {symbol}" in text for text in found)


@pytest.mark.parametrize("library", ["pmemobj", "pmem", "ndctl"])
def test_symbols_needed_library(module, tmp_path, library):
    stub = tmp_path / f"lib{library}.so.1"
    module("stub", "").rename(stub)
    name = "_list" if library == "ndctl" else "_core"
    path = module(name, "", "-Wl,--no-as-needed", f"-L{tmp_path}", f"-l:{stub.name}")
    assert check_symbols.problems(path) == [f"{path.name}: needs lib{library}.so.1"]


def test_symbols_no_modules(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(check_symbols, "__file__", str(tmp_path / "tools" / "check_symbols.py"))
    assert check_symbols.main([]) == 1
    assert "make compile" in capsys.readouterr().out
