"""Classes and functions by their names, "module:qualname".

A name in a pool may come from anybody.  So it is looked up in modules that the program has imported itself, in their
and their classes' own dictionaries: nothing is imported, and no __getattr__ is run.
"""

import sys
import types

from pmemobj import errors

__all__ = ["find", "name_of"]

#: What builtins has no name for.
_UNNAMED = {cls: f"types:{name}" for name, cls in vars(types).items() if isinstance(cls, type)}


def find(name: str) -> object:
    """What has the name, or ClassNotFoundError, which says what to do."""
    if type(name) is not str:
        raise errors.PoolDamagedError(f"{name!r} stands where a name must be")
    module, _, qualname = name.partition(":")
    if module not in sys.modules:
        raise errors.ClassNotFoundError(
            f"a stored value needs {module}.{qualname}, and pmemobj imports nothing that a pool names: "
            f"import {module} before reading it"
        )
    found = _find(module, qualname)
    if found is None:
        raise errors.ClassNotFoundError(
            f"a stored value needs {module}.{qualname}, but {module} has no {qualname}"
        )
    return found


def _find(module: str, qualname: str) -> object:
    at: object = sys.modules.get(module)
    for part in qualname.split("."):
        if isinstance(at, types.ModuleType):
            members = types.ModuleType.__getattribute__(at, "__dict__")
        elif isinstance(at, type):
            members = type.__dict__["__dict__"].__get__(at)
        else:
            return None
        at = members.get(part)
    return at


def name_of(thing: type | types.FunctionType | types.BuiltinFunctionType) -> str:
    """The name under which it can be found again; TypeError if it cannot."""
    if thing.__module__ is None:
        raise TypeError(
            f"the method {thing.__qualname__} cannot be stored; store the object and call it there"
        )
    module, qualname = thing.__module__, thing.__qualname__
    if _find(module, qualname) is thing:
        return f"{module}:{qualname}"
    if isinstance(thing, type) and thing in _UNNAMED:
        return _UNNAMED[thing]
    if "<locals>" in qualname or "<lambda>" in qualname:
        why = "it was made inside a function"
    else:
        why = (
            f"{module!r} has something else of that name"
            if _find(module, qualname)
            else f"it is not in {module!r}"
        )
    raise TypeError(
        f"{module}.{qualname} cannot be stored by its name: {why}, so it could not be found again"
    )
