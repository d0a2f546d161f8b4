#!/usr/bin/env python3
"""Fails when a file of pmemobj uses something from a layer above its own.

Usage: check_layers.py [ROOT]     ROOT holds the package directory pmemobj/

Read are: import in .py (inside functions and TYPE_CHECKING blocks too), import,
cimport, include and `cdef extern from` in .pyx/.pxd/.pxi, #include in C. Stubs
(.pyi) may name any type: nothing executes them.
"""

import ast
import re
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

CONTAINERS = [
    "batch",
    "buffer",
    "sequence",
    "deque",
    "list",
    "tuple",
    "table",
    "dict",
    "abstract_set",
    "set",
    "frozenset",
    "object",
    "bytearray",
    "array",
    "sorted",
]

# The layers, lowest first: a file may use its own layer and those above its line here.
# A file belongs to the first line that matches; one that matches none is an error.
# CONTRIBUTING.md repeats this list with a sentence for each layer.
LAYERS = [
    ("errors", ["errors.py"]),
    ("libpmemobj", ["_libpmemobj.pxd"]),
    ("layout", ["_layout.pxd", "_engine/layout.h"]),
    ("engine", ["_engine/*.[ch]", "_engine/*/*.[ch]", "_cengine.pxd"]),
    ("core", ["_core.pyx", "_core.pxd", "_core_*.pxi"]),
    ("values", ["_values.p*", "_values_*.pxi"]),
    ("containers", [*(f"_{name}*.p*" for name in CONTAINERS), "fields.py", "dataclass.py"]),
    ("pickling", ["pickling.py", "_pickling.p*"]),
    ("native", ["native/*.py"]),
    ("registry", ["registry.py", "_registry.p*"]),
    ("convert", ["convert.py"]),
    ("check", ["check.py", "_check.p*", "_check_*.pxi"]),
    ("space", ["space.py", "_compact.p*", "_compact_*.pxi"]),
    ("pool", ["pool.py", "repair.py", "backup.py", "durability.py", "busy.py", "collect.py", "leftovers.py"]),
    ("testing", ["testing/*.py"]),
    ("cli", ["cli.py", "__main__.py"]),
    ("package", ["__init__.py"]),
]

# Modules that only the named layers may use, whatever the order above says.
RESTRICTED = {"_libpmemobj.pxd": {"libpmemobj", "core"}}

# Only these layers may call libpmemobj or libpmem; engine reaches the latter as __real_NAME.
CALLERS = {"libpmemobj", "core"}
LIBRARY_CALL = re.compile(r"(?<![\w.])(pmem(?:obj)?_\w+)\s*\(")

CYTHON = {".pyx", ".pxd", ".pxi"}
C = {".c", ".h"}


class Use(NamedTuple):
    line: int
    names: list[str]  # of modules, dotted, the most specific first; or of one included file
    text: str
    is_file: bool = False


def layer_of(name: str) -> int | None:
    """Index of the layer of a path inside the package, written with slashes."""
    for index, (_, patterns) in enumerate(LAYERS):
        if any(name.count("/") == p.count("/") and fnmatchcase(name, p) for p in patterns):
            return index
    return None


# ------------------------------------------------------------------ reading the sources


def absolute(module: str, level: int, package: list[str]) -> str:
    """The dotted name that `from <level dots><module>` means inside package."""
    base = package[: len(package) - level + 1] if level else []
    return ".".join([*base, *filter(None, [module])])


def from_import(module: str, names: list[str], line: int, text: str) -> Iterator[Use]:
    """`from module import name`: the submodule called name if there is one, else module."""
    for name in names:
        yield Use(line, [f"{module}.{name}", module], text)


def python_uses(source: str, package: list[str]) -> Iterator[Use]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import():
                for alias in node.names:
                    yield Use(node.lineno, [alias.name], f"import {alias.name}")
            case ast.ImportFrom():
                module = absolute(node.module or "", node.level, package)
                names = [alias.name for alias in node.names]
                yield from from_import(module, names, node.lineno, f"from {module} import")
            case ast.Call(args=[ast.Constant(value=str(name)), *_]):
                called = ast.unparse(node.func).rpartition(".")[2]
                if called in ("import_module", "__import__"):
                    yield Use(node.lineno, [name], f"{called}({name!r})")


# Docstrings and comments; other strings stay, because includes are strings.
CYTHON_NOISE = re.compile(
    r"""(\"{3}|'{3}) (?:\\.|(?!\1).)* \1
      | (?P<keep> "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' )
      | \#[^\n]*""",
    re.DOTALL | re.VERBOSE,
)
C_NOISE = re.compile(r"""/\*.*?\*/ | //[^\n]* | (?P<keep>"(?:\\.|[^"\\\n])*")""", re.DOTALL | re.VERBOSE)

START = r"(?:^|[;:])[ \t]*"
FROM = re.compile(START + r"from\s+(\.*)([\w.]*)\s+c?import\s*(\([^)]*\)|[^\n;]*)", re.MULTILINE)
IMPORT = re.compile(START + r"c?import[ \t]+([^\n;]+)", re.MULTILINE)
DYNAMIC = re.compile(r"""(?:import_module|__import__)\(\s*["']([\w.]+)["']""")
INCLUDE = re.compile(r"""^[ \t]*include[ \t]+["']([^"']+)["']""", re.MULTILINE)
EXTERN = re.compile(r"""^[ \t]*cdef[ \t]+extern[ \t]+from[ \t]+["']<?([^"'>]+)>?["']""", re.MULTILINE)
C_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+[<"]([^>"]+)[>"]', re.MULTILINE)


def without(noise: re.Pattern[str], source: str) -> str:
    """source with comments blanked; line numbers stay what they were."""
    return noise.sub(lambda m: m["keep"] or "\n" * m[0].count("\n"), source)


def without_strings(noise: re.Pattern[str], source: str) -> str:
    return noise.sub(lambda m: "\n" * m[0].count("\n"), source)


def line_of(source: str, position: int) -> int:
    return source.count("\n", 0, position) + 1


def matches(pattern: re.Pattern[str], source: str) -> Iterator[tuple[int, re.Match[str]]]:
    for match in pattern.finditer(source):
        first = len(match[0]) - len(match[0].lstrip(" \t\n;:"))
        yield line_of(source, match.start() + first), match


def plain_names(listing: str) -> list[str]:
    """`(a, b as c)` -> ["a", "b"]"""
    return [part.split()[0] for part in listing.strip("() \t\n").split(",") if part.strip()]


def cython_uses(source: str, package: list[str]) -> Iterator[Use]:
    source = without(CYTHON_NOISE, source).replace("\\\n", " \n")
    for line, match in matches(FROM, source):
        module = absolute(match[2], len(match[1]), package)
        yield from from_import(module, plain_names(match[3]), line, f"from {module} import")
    for line, match in matches(IMPORT, source):
        for name in plain_names(match[1]):
            yield Use(line, [name], f"import {name}")
    for line, match in matches(DYNAMIC, source):
        yield Use(line, [match[1]], f"import {match[1]}")
    for pattern in (INCLUDE, EXTERN):
        for line, match in matches(pattern, source):
            yield Use(line, [match[1]], f'include "{match[1]}"', is_file=True)


def c_uses(source: str) -> Iterator[Use]:
    for line, match in matches(C_INCLUDE, without(C_NOISE, source)):
        yield Use(line, [match[1]], f'#include "{match[1]}"', is_file=True)


# ------------------------------------------------------------------ judging them


def files_of_module(name: str, package: Path) -> list[str] | None:
    """Files of the module with this dotted name, [] if it is foreign, None if there is none."""
    parts = name.split(".")
    if parts[0] != package.name:
        return []
    if len(parts) == 1:
        return ["__init__.py"]
    stem = package.joinpath(*parts[1:])
    places = [stem / "__init__.py", *(stem.with_suffix(e) for e in (".py", ".pyx", ".pxd"))]
    return [path.relative_to(package).as_posix() for path in places if path.is_file()] or None


def files_of_include(name: str, path: Path, package: Path) -> list[str]:
    for folder in (path.parent, package, package / "_engine", package.parent):
        found = (folder / name).resolve()
        if found.is_file() and found.is_relative_to(package):
            return [found.relative_to(package).as_posix()]
    return []


def targets(use: Use, path: Path, package: Path) -> list[str]:
    if use.is_file:
        return files_of_include(use.names[0], path, package)
    for name in use.names:
        found = files_of_module(name, package)
        if found is not None:
            return found
    # `import pmemobj.pool.x`: the longest part of it that exists.
    parent = use.names[-1].rpartition(".")[0]
    return targets(use._replace(names=[parent]), path, package) if parent else []


def violations_in(path: Path, package: Path) -> Iterator[str]:
    name = path.relative_to(package).as_posix()
    where = f"{package.name}/{name}"
    layer = layer_of(name)
    if layer is None:
        yield f"{where}: belongs to no layer; add it to LAYERS in tools/check_layers.py"
        return
    title = LAYERS[layer][0]
    source = path.read_text()
    module = [package.name, *Path(name).parent.parts]
    if path.suffix == ".py":
        uses, code = python_uses(source, module), ""
    elif path.suffix in CYTHON:
        uses, code = cython_uses(source, module), without_strings(CYTHON_NOISE, source)
    else:
        uses, code = c_uses(source), without_strings(C_NOISE, source)

    for use in uses:
        for target in targets(use, path, package):
            above = layer_of(target)
            if above is not None and above > layer:
                yield f"{where}:{use.line}: {title} is below {LAYERS[above][0]}: {use.text}"
            elif title not in RESTRICTED.get(target, {title}):
                yield f"{where}:{use.line}: {title} may not use {target}: {use.text}"
    if title not in CALLERS:
        for line, match in matches(LIBRARY_CALL, code):
            yield f"{where}:{line}: {title} may not call {match[1]}()"


def violations(root: Path) -> list[str]:
    package = root.resolve() / "pmemobj"
    endings = {".py", *CYTHON, *C}
    paths = sorted(path for path in package.rglob("*") if path.suffix in endings)
    if not paths:
        return [f"{package}: no sources here"]
    return list(dict.fromkeys(text for path in paths for text in violations_in(path, package)))


def main(arguments: list[str]) -> int:
    root = Path(arguments[0]) if arguments else Path(__file__).parent.parent
    found = violations(root)
    print("\n".join(found) or "layers: nothing uses a layer above its own")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
