from collections.abc import Callable, Iterable

from pmemobj._core import Pool

class Checker:
    blocks: dict[int, int]
    counts: dict[str, int]
    findings: list[str]
    references: dict[int, int]
    def __init__(self, pool: Pool, progress: Callable[[int, int], object] | None = None) -> None: ...
    def run(self) -> None: ...
    def lead_to(self, wanted: int) -> tuple[str, tuple[tuple[object, str], ...]] | None: ...

class Namer(Checker):
    def names(self, offsets: Iterable[int]) -> list[str]: ...

class SortedChecker: ...
