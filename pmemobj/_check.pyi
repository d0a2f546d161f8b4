from pmemobj._core import Pool

class Checker:
    blocks: dict[int, int]
    counts: dict[str, int]
    findings: list[str]
    references: dict[int, int]
    todo: list[tuple[int, str]]
    def __init__(self, pool: Pool) -> None: ...
    def run(self) -> None: ...
