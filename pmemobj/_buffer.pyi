from types import TracebackType
from typing import Any, final

from pmemobj._core import Persistent

class PersistentBuffer(Persistent): ...

@final
class Writing:
    def __enter__(self) -> Any: ...
    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> bool: ...
