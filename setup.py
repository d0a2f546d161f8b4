"""Build of the compiled modules; everything else is declared in pyproject.toml.

Modules are found by convention: ``pmemobj/_name.pyx`` becomes ``pmemobj._name``.
``pmemobj._core`` also compiles ``pmemobj/_engine/**/*.c`` and is the only one that
contains libpmemobj (tools/check_symbols.py holds us to that).

Environment:
  PMEMOBJ_INCLUDE_DIR, PMEMOBJ_LIB_DIR   where libpmemobj.h / libpmemobj.a are
  XXHASH_INCLUDE_DIR                     where xxhash.h is
  PMEMOBJ_DEBUG=1                        -O0 -g, assertions on
  PMEMOBJ_SANITIZE=address,undefined     compile with these sanitizers
  PMEMOBJ_WERROR=0|1                     warnings are errors (default: in a git checkout)
"""

import os
import shlex
import shutil
import subprocess
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
os.chdir(ROOT)  # every path below, and in the compiler's messages, is relative

CORE = "pmemobj._core"

APT_PACKAGES = "libpmemobj-dev libpmem-dev libndctl-dev libdaxctl-dev libxxhash-dev pkg-config"

# libpmemobj.a leaves exactly these undefined. --wrap turns its references into
# __wrap_NAME, which _engine/persist.c defines; __real_NAME is libpmem's own.
WRAPPED = [
    "pmem_persist",
    "pmem_flush",
    "pmem_drain",
    "pmem_deep_flush",
    "pmem_msync",
    "pmem_is_pmem",
    "pmem_memcpy",
    "pmem_memmove",
    "pmem_memset",
]

DIRECTIVES = {
    "language_level": "3",
    "boundscheck": False,
    "wraparound": False,
    "initializedcheck": False,
    "cdivision": True,
    # With binding, Cython does not check the type of an explicit self: PersistentList.append(5, 1) would crash.
    "binding": False,
    "embedsignature": True,
    "embedsignature.format": "clinic",
}

ENGINE_WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wstrict-prototypes", "-Wpointer-arith"]

CYTHON_WARNINGS = [
    "-Wall",
    "-Wextra",
    # Slots and METH_O methods have a fixed signature; Cython names every parameter.
    "-Wno-unused-parameter",
    # PyMethodDef, PyGetSetDef and PyTypeObject tables leave trailing fields to zero.
    "-Wno-missing-field-initializers",
    # Utility code is emitted whole, used or not.
    "-Wno-unused-function",
    # METH_FASTCALL functions are stored as PyCFunction, as CPython itself does.
    "-Wno-cast-function-type",
    # GCC does not see that an error return skips the use.
    "-Wno-maybe-uninitialized",
    # Loops over range() and bint comparisons mix signs in generated code only.
    "-Wno-sign-compare",
    # Python 3.12+ marks parts of the C API deprecated that Cython still needs.
    "-Wno-deprecated-declarations",
]


def flag(name: str, default: bool = False) -> bool:
    return os.environ.get(name, str(int(default))) not in ("", "0")


def missing(what: str) -> SystemExit:
    return SystemExit(
        f"\npmemobj: cannot build, {what}.\n"
        "On Debian 12 and Ubuntu 22.04 or 24.04 (the names are the same):\n"
        f"    apt-get install {APT_PACKAGES}\n"
        "Elsewhere set PMEMOBJ_INCLUDE_DIR, PMEMOBJ_LIB_DIR and XXHASH_INCLUDE_DIR;\n"
        "libpmemobj and libpmem are needed as static archives (.a).\n"
    )


def pkg_config(*arguments: str) -> str:
    """The answer of pkg-config, or "" if there is none."""
    tool = os.environ.get("PKG_CONFIG", "pkg-config")
    if not shutil.which(tool):
        return ""
    done = subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def find_file(name: str, variable: str, packaged: str, usual: list[str]) -> Path:
    """Directory of `name`: what the environment says, else pkg-config, else the usual places."""
    override = os.environ.get(variable, "")
    places = [override] if override else [packaged] if packaged else usual
    for place in places:
        if Path(place, name).is_file():
            return Path(place)
    raise missing(f"{name} was not found (searched {', '.join(places)}; ${variable} overrides)")


class Native:
    """What the system provides: headers, the two archives, and what those need."""

    def __init__(self) -> None:
        includes = ["/usr/include", "/usr/local/include"]
        multiarch = sysconfig.get_config_var("MULTIARCH") or "x86_64-linux-gnu"
        libraries = [f"/usr/lib/{multiarch}", "/usr/lib64", "/usr/lib", "/usr/local/lib"]
        include = pkg_config("--variable=includedir", "libpmemobj")
        libdir = pkg_config("--variable=libdir", "libpmemobj")
        xxhash = pkg_config("--variable=includedir", "libxxhash")

        header = find_file("libpmemobj.h", "PMEMOBJ_INCLUDE_DIR", include, includes)
        hasher = find_file("xxhash.h", "XXHASH_INCLUDE_DIR", xxhash, includes)
        # -isystem, not -I: their inline functions are not ours to mend.
        self.cflags = [f"-isystem{place}" for place in dict.fromkeys((str(header), str(hasher)))]

        # libpmemobj first: the linker reads archives once, and it needs libpmem.
        self.archives = [
            str(find_file(name, "PMEMOBJ_LIB_DIR", libdir, libraries) / name)
            for name in ("libpmemobj.a", "libpmem.a")
        ]
        # A PMDK built without ndctl says so in its .pc file.
        private = pkg_config("--static", "--libs-only-l", "libpmemobj") or "-lndctl -ldaxctl"
        ras = [name for name in ("-lndctl", "-ldaxctl") if name in private.split()]
        for name in ras:
            if not self.linkable(name):
                raise missing(f"lib{name[2:]}.so was not found")
        self.libs = ["-Wl,--as-needed", *ras, "-lpthread", "-ldl"]

    @staticmethod
    def linkable(option: str) -> bool:
        name = f"lib{option[2:]}.so"
        cc = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
        if not shutil.which(cc[0]):
            raise missing(f"the C compiler {cc[0]} was not found (package gcc)")
        # gcc and clang echo the bare name when they know no such file.
        answer = subprocess.run([*cc, f"-print-file-name={name}"], capture_output=True, text=True)
        return answer.stdout.strip() != name


def compile_flags() -> list[str]:
    flags = ["-std=gnu11", "-fvisibility=hidden", "-fno-strict-aliasing"]
    sanitizers = os.environ.get("PMEMOBJ_SANITIZE", "")
    if flag("PMEMOBJ_DEBUG"):
        flags += ["-O0", "-g", "-UNDEBUG"]
    elif sanitizers:
        flags += ["-O1", "-g", "-UNDEBUG"]
    else:
        flags += ["-O2"]
    if sanitizers:
        flags += [
            f"-fsanitize={sanitizers}",
            "-fno-omit-frame-pointer",
            "-fno-sanitize-recover=all",
        ]
    # Only for us: a compiler newer than a release must not break its installation.
    if flag("PMEMOBJ_WERROR", default=(ROOT / ".git").exists()):
        flags += ["-Werror"]
    return flags


def link_flags() -> list[str]:
    flags = ["-Wl,--exclude-libs,ALL"]
    sanitizers = os.environ.get("PMEMOBJ_SANITIZE", "")
    if sanitizers:
        flags += [f"-fsanitize={sanitizers}"]
    return flags


def sources_of(name: str) -> list[str]:
    pyx = name.replace(".", "/") + ".pyx"
    engine = sorted(map(str, Path("pmemobj/_engine").rglob("*.c"))) if name == CORE else []
    return [pyx, *engine]


def extensions() -> list[Extension]:
    """_core first: it takes longest to compile, so the others run beside it."""
    names = sorted(f"pmemobj.{path.stem}" for path in Path("pmemobj").glob("_*.pyx"))
    names.sort(key=lambda name: name != CORE)
    return [Extension(name, sources_of(name), include_dirs=["pmemobj", "pmemobj/_engine"]) for name in names]


class BuildExt(build_ext):
    """Runs Cython into build/cython and recompiles exactly the objects that are stale."""

    def finalize_options(self) -> None:
        super().finalize_options()
        # An editable install would compile into a directory that it throws away.
        self.build_temp = str(Path("build", f"objects-{sysconfig.get_config_var('SOABI')}"))
        if self.parallel is None:
            self.parallel = os.cpu_count()

    def run(self) -> None:
        # Here and not at import: `setup.py sdist` needs neither Cython nor the libraries.
        native = Native()
        headers = [str(path) for kind in ("pxd", "pxi") for path in Path("pmemobj").glob(f"*.{kind}")]
        headers += map(str, Path("pmemobj").rglob("*.h"))
        for ext in self.extensions:
            ext.extra_compile_args = [*native.cflags, *compile_flags()]
            ext.extra_link_args = link_flags()
            if ext.name == CORE:
                ext.extra_link_args += [f"-Wl,--wrap={name}" for name in WRAPPED]
                ext.extra_link_args += native.libs
                ext.extra_objects = native.archives
        self.cythonize()
        for ext in self.extensions:
            flags = f"{ext.sources} {ext.extra_compile_args} {ext.extra_link_args} {ext.extra_objects}\n"
            settings = Path("build", "settings", f"{self.get_ext_filename(ext.name)}.txt")
            update(settings, flags)
            ext.depends = [*headers, *ext.extra_objects, str(settings)]
        super().run()

    def cythonize(self) -> None:
        import Cython
        from Cython.Build import cythonize

        # Cython looks at the sources only, not at what else decides its output.
        how = f"{Cython.__version__} {sorted(DIRECTIVES.items())}\n"
        settings = Path("build", "settings", "cython.txt")
        changed = not settings.exists() or settings.read_text() != how
        bare = [Extension(ext.name, sources_of(ext.name)[:1]) for ext in self.extensions]
        done = cythonize(
            bare,
            build_dir="build/cython",
            compiler_directives=DIRECTIVES,
            nthreads=min(len(bare), self.parallel or 1),
            force=bool(self.force or changed),
            quiet=True,
        )
        update(settings, how)
        # Cython copies the headers that a .pxd names beside its output. Without the copies
        # the compiler reads, and names in its messages, the files that one edits.
        shutil.rmtree("build/cython/pmemobj/_engine", ignore_errors=True)
        generated = {ext.name: ext.sources for ext in done}
        for ext in self.extensions:
            ext.sources = [*generated[ext.name], *sources_of(ext.name)[1:]]

    def build_extensions(self) -> None:
        compile_object = self.compiler._compile

        # distutils recompiles all of an extension when any part of it changed. The
        # engine is edited far more often than _core, which takes half a minute.
        def compile_if_stale(obj, src, ext, cc_args, extra_postargs, pp_opts):
            engine = "_engine" in Path(src).parts
            warnings = ENGINE_WARNINGS if engine else CYTHON_WARNINGS
            arguments = [*warnings, *extra_postargs, "-MMD", "-MF", f"{obj}.d"]
            command = repr((src, self.compiler.compiler_so, cc_args, arguments, pp_opts))
            if self.force or is_stale(obj, command):
                # Removed first: an interrupted compiler may leave half an object.
                Path(f"{obj}.cmd").unlink(missing_ok=True)
                compile_object(obj, src, ext, cc_args, arguments, pp_opts)
                Path(f"{obj}.cmd").write_text(command)

        self.compiler._compile = compile_if_stale
        super().build_extensions()


def update(path: Path, text: str) -> None:
    """Write text unless path holds it already: its time is then that of the last change."""
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def is_stale(obj: str, command: str) -> bool:
    """True unless obj was made by this command after every file it was made from."""
    record, depfile = Path(f"{obj}.cmd"), Path(f"{obj}.d")
    if not (os.path.exists(obj) and record.exists() and depfile.exists()):
        return True
    if record.read_text() != command:
        return True
    made = os.path.getmtime(obj)
    # Make syntax: "object: source header \<newline> header ...".
    inputs = depfile.read_text().partition(":")[2].replace("\\\n", " ").split()
    return any(not os.path.exists(path) or os.path.getmtime(path) > made for path in inputs)


setup(ext_modules=extensions(), cmdclass={"build_ext": BuildExt})
