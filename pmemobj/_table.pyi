# Nothing here is for Python: see _table.pxd.
