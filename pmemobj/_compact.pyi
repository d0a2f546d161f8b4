from collections.abc import Callable

from pmemobj._core import Pool

class Copier:
    def __init__(self, source: Pool, target: Pool, progress: Callable[[int], object] | None) -> None: ...
    def run(self) -> int: ...
