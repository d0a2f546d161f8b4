"""Mutants: each is one call that is left out, and nothing else."""

import json
from pathlib import Path

import pytest

from tests.mutants import sites

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def found():
    (core,) = (ROOT / "pmemobj").glob("_core.*.so")
    return core.read_bytes(), list(sites.sites_of(core, ROOT))


def test_calls_are_found(found):
    _content, calls = found
    kinds = {site.kind for site in calls}
    assert {"sync", "order"} <= kinds
    assert sum(site.callee == "io_fdatasync" for site in calls) >= 5


def test_a_mutant_differs_in_its_call_only(found):
    content, calls = found
    for site in calls[:40]:
        mutant = site.patched(content)
        changed = [i for i in range(site.offset - 16, site.offset + 32) if content[i] != mutant[i]]
        assert len(mutant) == len(content)
        assert changed
        assert site.offset <= changed[0]
        assert changed[-1] < site.offset + site.length
        first = content[site.offset : site.offset + 2]
        assert first[0] in (0xE8, 0xFF) or first in (b"\x41\xff", b"\x67\xe8")  # a call


def test_what_is_left_out_is_still_there():
    """A function that is renamed must not silently be without mutants."""
    source = "".join(path.read_text() for path in (ROOT / "pmemobj" / "_engine").rglob("*.[ch]"))
    assert [name for name in sites.KINDS if f"{name}(" not in source] == []


def test_explanations_are_of_something():
    from tests.mutants.explained import EXPLAINED

    assert all(why.strip() for why in EXPLAINED.values())
    json.dumps(EXPLAINED)
