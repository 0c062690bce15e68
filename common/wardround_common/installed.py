"""Values that each stand in a file of their own: tasks, strategies, formats. A package of them lists itself."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
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


def files_in(package: str, *rooms: str) -> tuple[str, ...]:
    """Return the names of the modules in a room of another package, in order; nothing is imported for them.

    None where the package is not installed. Modules that begin with an underscore are not named.
    """
    found = find_spec(package)
    for room in rooms:
        if found is None or found.submodule_search_locations is None:
            return ()
        found = PathFinder.find_spec(room, list(found.submodule_search_locations))
    folders = (found.submodule_search_locations or ()) if found else ()
    return tuple(sorted(path.stem for folder in folders for path in Path(folder).glob("[a-z]*.py")))


def name_of(file: str) -> str:
    """Return the name of a thing that has a file of its own by that of its module: a network, a method."""
    return file.replace("_", "-")


def file_of(name: str) -> str:
    """Return the name of the module of such a thing."""
    return name.replace("-", "_")
