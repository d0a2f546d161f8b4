"""Single operations on each container, one file each; `cases(plan)` of a file gives its cases."""

from benchmarks.micro import (
    arrays,
    bulk,
    bytearrays,
    deques,
    dicts,
    lists,
    nested,
    objects,
    sets,
    sorteds,
    transactions,
    tuples,
)

MODULES = (
    lists,
    dicts,
    sets,
    sorteds,
    tuples,
    deques,
    bytearrays,
    arrays,
    objects,
    nested,
    bulk,
    transactions,
)


def cases(plan):
    return [case for module in MODULES for case in module.cases(plan)]
