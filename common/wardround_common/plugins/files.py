"""What an installed package holds, read once and whole: its modules, its parts, and the digest that a study names.

The digest covers every file that the package's RECORD lists outside its ``.dist-info``, the package's name and version,
and the entry points by which it declares parts. It is the same wherever the package's wheel is installed, whatever
built it. A package of which this cannot be said is refused with the reason.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.machinery import EXTENSION_SUFFIXES, PathFinder
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path, PurePosixPath

from wardround_common.errors import PluginError
from wardround_common.plugins.names import GROUPS, PACKAGE, PART, VERSION, Named

DOMAIN = b"wardround plug-in 1\n"
LARGEST_BYTES = 256 * 2**20
MOST_FILES = 10_000
_COMPILED = (*EXTENSION_SUFFIXES, ".so", ".pyd", ".dll", ".dylib", ".pyc", ".pyo")
_BROKEN = (OSError, ValueError, TypeError, KeyError)
"""What is raised of metadata that is not there, or is none."""
_AT_START = ("sitecustomize", "usercustomize")


@dataclass(frozen=True)
class Files:
    """An installed package: what it is, and what is in it."""

    named: Named
    root: Path
    """The folder that its files are named from."""
    contents: Mapping[str, bytes] = field(repr=False)
    """Its files by their names, with slashes."""
    parts: Mapping[tuple[str, str], str]
    """Where each part stands, ``module:attribute``, by kind and by what it is called."""

    @property
    def tops(self) -> frozenset[str]:
        """The modules that it installs, at the top level."""
        return frozenset(PurePosixPath(name).parts[0].removesuffix(".py") for name in self.contents)


def installed_plugins() -> dict[str, tuple[str, ...]]:
    """Return the packages that declare parts, each with these as a study names them; nothing is imported or read."""
    kinds = {group: kind for kind, group in GROUPS.items()}
    found: dict[str, set[str]] = {}
    for there in distributions():
        with suppress(*_BROKEN):  # what an interrupted installation leaves behind
            name = _name(there)
            for point in there.entry_points:
                if point.group in kinds and re.fullmatch(PACKAGE, name) and re.fullmatch(PART, point.name):
                    found.setdefault(name, set()).add(f"{kinds[point.group]} {name}:{point.name}")
    return {name: tuple(sorted(parts)) for name, parts in sorted(found.items())}


def _name(there: Distribution) -> str:
    return _one_form(_said(there, "Name"))


def _said(there: Distribution, what: str) -> str:
    """Return what an installation says of itself.

    Raises:
        KeyError: it does not say it. Python 3.11 gives None, 3.12 warns, and a later one will raise.
    """
    said = there.metadata.get_all(what)
    if not said:
        raise KeyError(what)
    return str(said[0])


def read_files(package: str) -> Files:
    """Read an installed package.

    Raises:
        PluginError: it is not installed, or its files are not those that an installation alone put there.
    """
    there = _distribution(package)
    version = _version(there, package)
    where = f"plug-in {package} {version}"
    if (reason := _not_fixed(there)) is not None:
        raise PluginError(reason, where=where, do="Install it from its wheel: pip install FILE.whl (docs/plugins.md).")
    _check_points(there, where)
    root = Path(str(there.locate_file(""))).resolve()
    names = sorted(_names(there, root, package, where))
    contents = _contents(root, names, where)
    files = Files(Named(package, version, ""), root, contents, _parts(there, where))
    _check_tops(files, where)
    return Files(Named(package, version, _digest(files)), root, contents, files.parts)


def _distribution(package: str) -> Distribution:
    if not re.fullmatch(PACKAGE, package):
        raise PluginError(
            f"a plug-in cannot be called {package[:80]!r}",
            do="Write the package's name in small letters and digits, with hyphens between them.",
        )
    try:
        return distribution(package)
    except PackageNotFoundError:
        others = ", ".join(installed_plugins()) or "none"
        raise PluginError(
            f"the plug-in {package} is not installed",
            do=f"Install it here, in the version that the study names (docs/plugins.md). Installed: {others}.",
        ) from None


def _version(there: Distribution, package: str) -> str:
    try:
        version = _said(there, "Version") if _name(there) == package else ""
    except _BROKEN:
        version = ""
    if not re.fullmatch(VERSION, version):
        do = "Uninstall it, and install it again."
        raise PluginError(
            "its installation does not say which package and version it is", where=f"plug-in {package}", do=do
        )
    return version


def _not_fixed(there: Distribution) -> str | None:
    """Say why nobody knows what an installation put there, if so."""
    try:
        direct = json.loads(there.read_text("direct_url.json") or "{}")
    except ValueError:
        direct = {}
    if isinstance(direct, dict) and isinstance(direct.get("dir_info"), dict) and direct["dir_info"].get("editable"):
        return "it is installed as editable: its files are those of a working copy, which can change at any time"
    if there.read_text("RECORD") is None:
        return "its installation has no RECORD, so that nobody knows which files are its own"
    return None


def _check_points(there: Distribution, where: str) -> None:
    """Check that no other program is told to run its code, such as torch when it is imported."""
    others = sorted({point.group for point in there.entry_points} - set(GROUPS.values()))
    if others:
        raise PluginError(
            f"it declares entry points of {ascii(others[0])[1:-1][:80]}, by which other programs run its code before "
            "anything is checked",
            where=where,
            do=f"A plug-in declares parts only: {', '.join(GROUPS.values())}.",
        )


def _names(there: Distribution, root: Path, package: str, where: str) -> Iterator[str]:
    """Yield the files that the RECORD lists and that can run, all below the root."""
    listed = _listed(there)
    modules, about = set(listed), ""
    if len(listed) > MOST_FILES:
        raise PluginError(f"it has more than {MOST_FILES:,} files", where=where)
    for name in listed:
        parts = PurePosixPath(name).parts
        if PurePosixPath(name).is_absolute() or ".." in parts or "\\" in name or ":" in name or not name.isprintable():
            raise PluginError(
                f"it installs a file outside its own folder: {ascii(name)[:120]}",
                where=where,
                do="Use a package that installs modules only, with no commands and no data elsewhere.",
            )
        if parts[0].endswith(".dist-info") and _one_form(parts[0].partition("-")[0]) == package:
            about = about or parts[0]
            if parts[0] == about:
                continue  # what pip writes about it, which nothing imports
        if _source_of(PurePosixPath(name)) in modules:
            continue  # pip's compiled copy of a module of its own, which is never read
        if (len(parts) == 1 and name.endswith(".pth")) or parts[0].removesuffix(".py") in _AT_START:
            raise PluginError(
                f"it installs {name}, which runs whenever Python starts, before anything is checked", where=where
            )
        if parts[0].endswith(".dist-info") or "__pycache__" in parts:
            raise PluginError(
                f"it installs {name}, which is read as part of another package",
                where=where,
                do="Use a package that installs modules of its own only.",
            )
        if name.endswith(_COMPILED):
            raise PluginError(
                f"it has compiled code, which nobody who approves it can read: {name}",
                where=where,
                do="A plug-in is Python alone; compiled code goes into a package that it needs.",
            )
        if (root / name).resolve() != root / name:
            raise PluginError(f"{name} is a link to another place", where=where)
        yield name


def _listed(there: Distribution) -> list[str]:
    """Return the files that the RECORD names, there or not.

    ``Distribution.files`` leaves out what is missing as soon as any package has imported the backport
    ``importlib_metadata``, which then answers in the place of the standard library.
    """
    return [row[0] for row in csv.reader((there.read_text("RECORD") or "").splitlines()) if row and row[0]]


def _one_form(name: str) -> str:
    """Return a name as the folders of installations are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _source_of(path: PurePosixPath) -> str:
    """Return the module that a file would be the compiled copy of; nothing for any other file."""
    if path.parent.name != "__pycache__" or path.suffix != ".pyc":
        return ""
    return str(path.parent.parent / f"{path.name.partition('.')[0]}.py")


def _contents(root: Path, names: list[str], where: str) -> dict[str, bytes]:
    if not names:
        raise PluginError("it installs no module", where=where)
    contents: dict[str, bytes] = {}
    size = 0
    for name in names:
        try:
            about = (root / name).stat()
            if not stat.S_ISREG(about.st_mode):
                raise PluginError(f"{name} is no file", where=where)
            size += about.st_size
            if size > LARGEST_BYTES:
                raise PluginError(f"it is larger than {LARGEST_BYTES // 2**20} MiB", where=where)
            contents[name] = (root / name).read_bytes()
        except OSError as error:
            reason = (error.strerror or "no reason given").lower()
            raise PluginError(
                f"its file {name} cannot be read: {reason}", where=where, do="Install it again."
            ) from None
    for top in sorted({PurePosixPath(name).parts[0] for name in names if "/" in name}):
        if f"{top}/__init__.py" not in contents:
            raise PluginError(f"its folder {top} is no Python package: it has no __init__.py", where=where)
        for path in sorted((root / top).rglob("*")):
            name = path.relative_to(root).as_posix()
            if name not in contents and "__pycache__" not in path.parts and not path.is_dir():
                raise PluginError(
                    f"{ascii(name)[1:-1]} was added after it was installed, or belongs to another package",
                    where=where,
                    do="Uninstall the package, remove what is left of its folder, and install it again.",
                )
    return contents


def _parts(there: Distribution, where: str) -> dict[tuple[str, str], str]:
    kinds = {group: kind for kind, group in GROUPS.items()}
    found: dict[tuple[str, str], str] = {}
    for point in there.entry_points:
        if point.group in kinds:
            if not re.fullmatch(PART, point.name):
                raise PluginError(f"it declares a part that cannot be named: {ascii(point.name)[:80]}", where=where)
            if (kinds[point.group], point.name) in found:
                raise PluginError(f"it declares two parts called {point.name!r} of one kind", where=where)
            found[kinds[point.group], point.name] = point.value
    if not found:
        raise PluginError(
            "it declares no part that a study can name",
            where=where,
            do=f"Its pyproject.toml needs entry points: {', '.join(GROUPS.values())} (docs/plugins.md).",
        )
    return found


def _check_tops(files: Files, where: str) -> None:
    """Check that its modules are its own: none of ours, of Python's, or of another package that is found first."""
    for top in sorted(files.tops):
        if top in sys.stdlib_module_names or top in _OURS:
            raise PluginError(f"its module {top} has the name of another that is not its own", where=where)
        own = (files.root / top / "__init__.py", files.root / f"{top}.py")
        for folder in sys.path:
            found = PathFinder.find_spec(top, [folder])
            places = [found.origin or "", *(found.submodule_search_locations or ())] if found else []
            if places and not any(Path(place).resolve() in own for place in places):
                raise PluginError(f"its module {top} has the name of another that is installed too", where=where)
    for other in distributions():  # whose file it may have written over
        with suppress(*_BROKEN):
            lines = "\n" + (other.read_text("RECORD") or "")
            shared = [top for top in sorted(files.tops) if f"\n{top}/" in lines or f"\n{top}.py," in lines]
            if shared and _name(other) != files.named.package:
                raise PluginError(f"its module {shared[0]} has the name of another that is installed too", where=where)


_OURS = ("wardround", "wardround_common", "wardround_client", "wardround_server", "wardround_simulation")


def _digest(files: Files) -> str:
    total = hashlib.sha256(DOMAIN)
    total.update(f"{files.named.package}\n{files.named.version}\n".encode())
    for (kind, name), value in sorted(files.parts.items()):
        total.update(json.dumps([kind, name, value]).encode() + b"\n")
    for name in sorted(files.contents):
        total.update(json.dumps([name, hashlib.sha256(files.contents[name]).hexdigest()]).encode() + b"\n")
    return total.hexdigest()
