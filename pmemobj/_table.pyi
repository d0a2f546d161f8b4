from typing import final

# For Cython only: see _table.pxd.

@final
class Batch: ...
