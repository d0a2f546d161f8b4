"""Where the engine and the containers call what makes crashes harmless, in a build in which nothing is inlined.

A mutant is the compiled module with one such call left out: instead of the call, its file holds instructions that
return 0 at once.  So no source is edited, and each place is one mutant, also where an inline function or a static one
is called.  A store that goes through the log (pm_store) is left out in another way: the word is stored, but nothing
notes it, neither for an undo nor for a record.

The build is that of PMEMOBJ_DEBUG=1; `make mutants` makes it in build/mutants.
"""

import functools
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: What is left out, by what it is for.  Functions give 0 when all is well, or nothing.
LEFT_OUT = {
    "sync": ("io_fdatasync", "io_fsync", "io_msync", "io_sync_directory_of", "sync_pages", "jr_target_sync"),
    "flush and fence": ("make_durable", "flush_page", "flush_changes"),
    "order": (
        "jr_sync", "jr_sync_file", "jr_sync_pool", "sync_parts", "sync_all", "jr_update_header", "jr_header_update",
        "jr_drain", "jr_mark_pool", "rewrite", "mark_empty", "update_header", "direct_settle",
        "direct_sync", "raise_generation", "pf_set_state", "undo_finish", "undo_note_run", "jr_write_direct",
    ),
    "undo image": ("undo_append", "pm_capture", "pm_capture_image", "pm_snapshot", "direct_note", "pm_images_undo",
                   "pm_log_undo"),
    "note of a range": ("pm_fresh", "pm_mark_dirty", "mark_lines", "pm_add_range", "keep_early", "mark"),
    "note of a store": ("pm_store",),
}  # fmt: skip
KINDS = {name: kind for kind, names in LEFT_OUT.items() for name in names}

#: Calls through a pointer, by the source line.
THROUGH_POINTERS = {
    r"->flush\(": "flush and fence",
    r"->drain\(": "flush and fence",
    r"error = sync\(context\)": "sync",
    r"->capture_line\(": "undo image",
    r"->mark_dirty\(": "note of a range",
    r"->add_range\(": "note of a range",
}

#: Only what the package itself calls, not what is for tests or for checks.
MODULES = (
    *("_core", "_values", "_batch", "_sequence", "_list", "_tuple", "_table", "_dict", "_dict_kinds", "_set"),
    *("_object", "_deque", "_sorted", "_buffer", "_bytearray", "_array", "_compact"),
)

RETURN_ZERO = bytes.fromhex("31c0")  # xor eax, eax
STORE = bytes.fromhex("488916")  # mov [rsi], rdx: pm_store(p, at, value)
FILLER = b"\x90"  # nop

CALL = re.compile(r"^\s*([0-9a-f]+):\t([0-9a-f ]+?)\s*\tcall\s+(?:[0-9a-f]+ <([\w.]+)>|\*(.*))$")
FUNCTION = re.compile(r"^[0-9a-f]+ <([\w.]+)>:$")


@dataclass(frozen=True)
class Site:
    """One call.  caller, callee, number: the number-th call of the callee there; where: file and line of the source."""

    binary: str
    kind: str
    caller: str
    callee: str
    number: int
    where: str
    offset: int  # in the file
    length: int

    def __str__(self) -> str:
        again = f" ({self.number + 1})" if self.number else ""
        return f"{self.where}: {self.callee}{again} in {self.caller}"

    def patched(self, content: bytes) -> bytes:
        body = STORE if self.callee == "pm_store" else RETURN_ZERO
        new = body + FILLER * (self.length - len(body))
        return content[: self.offset] + new + content[self.offset + self.length :]


def _run(*command: str, text: str | None = None) -> str:
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def _text_delta(binary: Path) -> int:
    """Offset in the file minus address, of the code."""
    for line in _run("objdump", "-h", str(binary)).splitlines():
        words = line.split()
        if len(words) > 5 and words[1] == ".text":
            return int(words[5], 16) - int(words[3], 16)
    raise ValueError(f"{binary} has no code")


@functools.cache
def _source(path: str) -> list[str]:
    return Path(path).read_text(errors="replace").splitlines() if Path(path).is_file() else []


def _place(root: Path, location: str) -> tuple[str, str]:
    """(where, source line) of what addr2line says; of generated C, the line of Cython it came from."""
    path, _, rest = location.partition(":")
    number = int(re.match(r"\d+|", rest)[0] or 0)  # type: ignore[index]
    full = path if path.startswith("/") else str(root / path)
    lines = _source(full)
    line = lines[number - 1] if 0 < number <= len(lines) else ""
    if "/cython/" in full or full.endswith("x.c"):
        for i in range(min(number, len(lines)) - 1, max(0, number - 400), -1):
            if found := re.match(r'\s*/\* "(pmemobj/[\w./]+)":(\d+)', lines[i]):
                return f"{found[1]}:{found[2]}", line
    short = full.split("/pmemobj/", 1)
    return (f"pmemobj/{short[-1]}:{number}" if len(short) > 1 else f"{path}:{number}"), line


def sites_of(binary: Path, root: Path) -> Iterator[Site]:
    """root: where the compiler was started."""
    caller, instance, calls = "", 0, []
    seen: dict[tuple[int, str], int] = {}  # an inline function has an instance in each object file
    for line in _run("objdump", "-d", "--wide", str(binary)).splitlines():
        if found := FUNCTION.match(line):
            caller, instance = found[1], instance + 1
        elif (found := CALL.match(line)) and ((found[3] and found[3] in KINDS) or found[4]):
            calls.append((int(found[1], 16), len(found[2].split()), instance, caller, found[3]))
    addresses = "\n".join(f"{address:#x}" for address, *_ in calls)
    places = _run("addr2line", "-e", str(binary), text=addresses).splitlines()
    delta = _text_delta(binary)
    for (address, length, instance, caller, callee), location in zip(calls, places, strict=True):
        where, line = _place(root, location)
        kind = KINDS.get(callee or "")
        if callee is None:
            matching = [(k, p) for p, k in THROUGH_POINTERS.items() if re.search(p, line)]
            if not matching:
                continue
            kind, callee = matching[0][0], re.sub(r"\W", "", matching[0][1].split("->")[-1].split("=")[-1])
        number = seen.get((instance, callee), 0)
        seen[instance, callee] = number + 1
        if kind is not None:
            yield Site(binary.name, kind, caller, callee, number, where, address + delta, length)


@dataclass(frozen=True)
class Mutant:
    """sites: one, or as many as there are instances of an inline function."""

    sites: tuple[Site, ...]

    @property
    def kind(self) -> str:
        return self.sites[0].kind

    @property
    def first(self) -> Site:
        return min(self.sites, key=lambda site: (not site.where.split(":")[0].endswith(".h"), str(site)))

    @property
    def name(self) -> str:
        """Without the line, which other changes move; a Cython function's name has its module in it."""
        file, _line, rest = str(self.first).split(":", 2)
        return rest.strip() if "__pyx" in rest else f"{file}:{rest}"

    def __str__(self) -> str:
        return str(self.first)


#: Calls that order nothing on the medium: for figures, and before memory is given back.
NOT_MEANT = ("jr_get_stats",)


def all_mutants(root: Path) -> list[Mutant]:
    groups: dict[tuple[object, ...], list[Site]] = {}
    for module in MODULES:
        (binary,) = (root / "pmemobj").glob(f"{module}.*.so")
        for site in sites_of(binary, root):
            if site.caller not in NOT_MEANT:
                inline = site.caller.startswith(("pm_", "jr_"))
                key = site.caller, site.callee, site.number, "" if inline else site.binary
                groups.setdefault(key, []).append(site)
    return [Mutant(tuple(sites)) for sites in groups.values()]


if __name__ == "__main__":
    for mutant in all_mutants(Path(__file__).resolve().parents[2] / "build" / "mutants"):
        print(mutant.kind, "|", mutant)
