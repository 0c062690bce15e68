"""Values that each stand in a file of their own: tasks, strategies, formats. A package of them lists itself."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any


def installed(package: ModuleType, name: str, kind: Any, *, besides: str) -> Iterator[Any]:
    """Yield the value called ``name`` of each module of a package that has one of this kind, in the modules' order.

    ``besides`` is the module of the package that asks, which is still being imported.
    """
    for module in iter_modules(package.__path__, f"{package.__name__}."):
        found = getattr(import_module(module.name), name, None) if module.name != besides else None
        if isinstance(found, kind):
            yield found


def name_of(file: str) -> str:
    """Return the name of a thing that has a file of its own by that of its module: a network, a method."""
    return file.replace("_", "-")


def file_of(name: str) -> str:
    """Return the name of the module of such a thing."""
    return name.replace("-", "_")
