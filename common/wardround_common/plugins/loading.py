"""A plug-in's modules, imported from the bytes whose digest was compared, and from nowhere else.

Files are read once; their digest is compared with the one that the study names; and what runs is compiled from these
bytes. So a file that changes afterwards, a compiled copy beside it, or a module that is added to its folder is never
run by this process.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec
from importlib.resources.readers import FileReader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from wardround_common.errors import PluginError, WardroundError
from wardround_common.plugins.files import Files, read_files
from wardround_common.plugins.names import Named, package_of, part_of

_LOADED: dict[str, Files] = {}
_PARTS: dict[tuple[str, str], Any] = {}
_LOCK = threading.RLock()


class _Loader(SourceLoader):
    """Loads one module from a plug-in's bytes; ``SourceLoader`` reads no compiled copy of a file without a date."""

    def __init__(self, files: Files, name: str) -> None:
        self._files = files
        self.path = str(files.root / name)

    def get_filename(self, fullname: str) -> str:
        return self.path

    def get_data(self, path: str | bytes) -> bytes:
        name = Path(str(path)).relative_to(self._files.root).as_posix()
        if name not in self._files.contents:
            raise OSError(f"{name} is not in the plug-in {self._files.named.package}")
        return self._files.contents[name]

    def get_resource_reader(self, fullname: str) -> FileReader:
        return FileReader(self)  # type: ignore[arg-type]  # it asks for ``path`` alone


class _Finder(MetaPathFinder):
    """Finds the modules of plug-ins that were admitted; below these it finds what was read, or nothing."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        files = plugin_of(fullname)
        if files is None:
            return None
        place = fullname.replace(".", "/")
        for name, within in ((f"{place}/__init__.py", [str(files.root / place)]), (f"{place}.py", None)):
            if name in files.contents:
                return spec_from_file_location(
                    fullname, files.root / name, loader=_Loader(files, name), submodule_search_locations=within
                )
        raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


_FINDER = _Finder()


def plugin_of(module: str) -> Files | None:
    """Return the admitted plug-in that a module belongs to; None for any other module."""
    top = module.partition(".")[0]
    return next((files for files in _LOADED.values() if top in files.tops), None)


def admit(named: Named) -> Files:
    """Let a plug-in run in this process, if what is installed is exactly what is named.

    Raises:
        PluginError: it is not, or this process runs another one of that name.
    """
    with _LOCK:
        there = read_files(named.package)
        if there.named != named:
            raise PluginError(
                f"the study names {_said(named)}, and installed is {_said(there.named)}",
                do="Install the package that the study names; if the study should name this one, "
                f"'wardround study plugin {named.package}' prints what to write, and every hospital is asked again.",
            )
        loaded = _LOADED.get(named.package)
        if loaded is None:
            for other in _LOADED.values():
                if shared := sorted(other.tops & there.tops):
                    raise PluginError(
                        f"the plug-ins {other.named.package} and {named.package} both have a module {shared[0]}"
                    )
            if _FINDER not in sys.meta_path:
                sys.meta_path.insert(0, _FINDER)
            for module in [one for one in sys.modules if one.partition(".")[0] in there.tops]:
                del sys.modules[module]  # imported before anything was compared
            _LOADED[named.package] = there
        elif loaded.named != named:
            raise PluginError(
                f"this process runs {_said(loaded.named)}, and was asked for {_said(named)}",
                do="Restart it: a process runs one version of a package.",
            )
        return _LOADED[named.package]


def loaded(name: str) -> Named | None:
    """Return the admitted plug-in of a part; None if it was not admitted in this process."""
    files = _LOADED.get(package_of(name))
    return None if files is None else files.named


def admitted(name: str) -> bool:
    """Tell whether the plug-in of a part was admitted in this process."""
    return package_of(name) in _LOADED


def part(kind: str, name: str) -> Any:
    """Return a part of an admitted plug-in by its name.

    Raises:
        PluginError: it was not admitted, declares no such part, or its code cannot be imported.
    """
    with _LOCK:
        files = _LOADED.get(package_of(name))
        if files is None:
            raise PluginError(
                f"the {kind} '{name}' is of a plug-in that no study was checked for in this process",
                do="Read it from a study that names the plug-in.",
            )
        where, place = f"plug-in {files.named.package} {files.named.version}", files.parts.get((kind, part_of(name)))
        if place is None:
            declared = ", ".join(sorted(of for what, of in files.parts if what == kind)) or "none"
            raise PluginError(
                f"it has no {kind} {part_of(name)!r}", where=where, do=f"Its parts of this kind: {declared}."
            )
        if (kind, name) not in _PARTS:
            _PARTS[kind, name] = _imported(place, kind, name, files, where)
        return _PARTS[kind, name]


@contextmanager
def imported_anew(package: str) -> Iterator[None]:
    """Let an admitted plug-in's parts be imported anew, so that its modules remember nothing; as it was afterwards.

    Other threads see the new modules meanwhile: for a process in which nothing else runs the plug-in.
    """
    files = _LOADED.get(package)
    tops = files.tops if files else frozenset()

    def taken() -> tuple[dict[str, ModuleType], dict[tuple[str, str], Any]]:
        modules = {name: sys.modules.pop(name) for name in [*sys.modules] if name.partition(".")[0] in tops}
        return modules, {key: _PARTS.pop(key) for key in [*_PARTS] if package_of(key[1]) == package}

    with _LOCK:  # and not meanwhile: its code may ask for a part in another thread
        modules, parts = taken()
    try:
        yield
    finally:
        with _LOCK:
            taken()
            sys.modules.update(modules)
            _PARTS.update(parts)


def _imported(place: str, kind: str, name: str, files: Files, where: str) -> Any:
    module, _, attribute = place.partition(":")
    if module.partition(".")[0] not in files.tops:
        raise PluginError(f"its {kind} {part_of(name)!r} stands in {module}, a module of another package", where=where)
    try:
        found: Any = import_module(module)
        for step in filter(None, attribute.split(".")):
            found = getattr(found, step)
    except WardroundError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"its {kind} {part_of(name)!r} cannot be imported from {place}: {type(error).__name__}: {error}",
            where=where,
            do="Ask whoever wrote the plug-in; a package that it needs may be missing here.",
        ) from error
    return found


def _said(named: Named) -> str:
    return f"{named.package} {named.version} with the SHA-256 {named.sha256}"
