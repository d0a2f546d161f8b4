#!/usr/bin/env python3
"""Fails when a compiled module shows or needs symbols that it should not.

Usage: check_symbols.py [MODULE.so ...]     default: all of pmemobj/ beside this folder

- A module exports its PyInit_ function and nothing else: no pmem*, no engine.
- Only _core knows libpmemobj: elsewhere pmem* may not even be undefined.
- What is undefined comes from Python or from a library; anything else would fail at
  import, or worse at the first call.
- The libraries needed at run time are those of LIBRARIES: libpmemobj is inside _core.
"""

import re
import subprocess
import sys
from pathlib import Path

LIBRARY_SYMBOL = re.compile(r"(__wrap_|__real_)?pmem(obj)?_")

# Names that some linkers put into every shared object.
LINKER_SYMBOLS = {"_init", "_fini", "_edata", "_end", "__bss_start"}

PYTHON_SYMBOL = re.compile(r"_?Py")

LIBRARIES = re.compile(r"(libc|libm|libpthread|libdl|ld-linux[\w-]*)\.so\.\d+")
CORE_LIBRARIES = re.compile(r"lib(ndctl|daxctl)\.so\.\d+")

# In a build with PMEMOBJ_SANITIZE these stand in front of libc, without symbol versions.
SANITIZERS = re.compile(r"lib[atu]\w*san\.so\.\d+")


def readelf(*arguments: str) -> list[str]:
    done = subprocess.run(["readelf", "--wide", *arguments], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def symbols(path: Path) -> tuple[set[str], set[str]]:
    """(defined, undefined) names of the dynamic symbol table; a version stays, as NAME@VERSION."""
    defined, undefined = set(), set()
    for line in readelf("--dyn-syms", str(path)):
        # Num: Value Size Type Bind Vis Ndx Name [(version number)]
        fields = line.split()
        if len(fields) < 8 or not fields[0].rstrip(":").isdigit():
            continue
        bind, index, name = fields[4], fields[6], fields[7]
        if index != "UND":
            defined.add(name)
        elif bind != "WEAK":
            undefined.add(name)
    return defined, undefined


def needed(path: Path) -> list[str]:
    return re.findall(r"\(NEEDED\).*\[(.+)\]", "\n".join(readelf("--dynamic", str(path))))


def problems(path: Path) -> list[str]:
    module = path.name.partition(".")[0]
    core = module == "_core"
    defined, undefined = symbols(path)
    libraries = needed(path)
    sanitizers = {name for name in libraries if SANITIZERS.fullmatch(name)}
    found = []
    for name in sorted(defined - LINKER_SYMBOLS - {f"PyInit_{module}"}):
        found.append(f"exports {name}")
    for name in sorted(undefined):
        if LIBRARY_SYMBOL.match(name):
            found.append(f"refers to {name}, which only _core may, and it contains it")
        elif "@" not in name and not PYTHON_SYMBOL.match(name) and not sanitizers:
            found.append(f"refers to {name}, which nothing defines")
    for name in libraries:
        if not (LIBRARIES.fullmatch(name) or (core and CORE_LIBRARIES.fullmatch(name)) or name in sanitizers):
            found.append(f"needs {name}")
    return [f"{path.name}: {text}" for text in found]


def main(arguments: list[str]) -> int:
    package = Path(__file__).parent.parent / "pmemobj"
    paths = [Path(name) for name in arguments] or sorted(package.rglob("*.so"))
    if not paths:
        print("symbols: no compiled modules found; run `make compile` first")
        return 1
    found = [text for path in paths for text in problems(path)]
    print("\n".join(found) or f"symbols: {len(paths)} modules export only their PyInit_ function")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
