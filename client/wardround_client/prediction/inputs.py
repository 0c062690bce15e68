"""What a person named, as files: a file is itself, a folder all that lies below it, each once and in one order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wardround_client.images.listing import files_below
from wardround_client.masks.find import FOLDER as MASKS
from wardround_common.errors import DataError


@dataclass(frozen=True)
class Input:
    """A file that a model is asked about."""

    path: Path = field(repr=False)
    """Without links, so that it has one name."""
    named: bool
    """Whether a person named it, and not a folder that holds it."""


def files_of(inputs: Sequence[Path], *, leave_out: Path | None = None) -> list[Input]:
    """List files in the order in which they were named, those of a folder by name; hidden ones are left out.

    So are the masks that a hospital keeps in ``masks`` at the top of a folder: they outline what is asked about; and
    folders below it that an earlier run wrote its answers, maps or figures to.

    ``leave_out``: a folder whose files are none, such as the one that answers are written to.

    Raises:
        DataError: an input is not there or cannot be read, or there is no file at all.
    """
    aside = {leave_out.resolve()} if leave_out else set[Path]()
    found: dict[Path, Input] = {}
    for given in inputs:
        path = given.resolve()
        if path.is_file():
            found[path] = Input(path, named=True)
        elif path.is_dir():
            for below in files_below(path, {*aside, path / MASKS}, holds_answers):
                found.setdefault(below, Input(below, named=False))
        else:
            raise DataError("there is no such file or folder", where=str(given), do="Check the path.")
    if not found:
        raise DataError("there is no file to ask about", where=str(inputs[0]), do="Name images, or folders of images.")
    return list(found.values())


HEADS = ("predict.json", "explain.json", "change.json")
"""Of the folders that ``predict``, ``explain`` and ``change`` write to: the file that says so."""


def holds_answers(folder: Path) -> bool:
    """Tell whether a run wrote what a model said to a folder: its pictures are of the images, and none of them."""
    for name in HEADS:
        try:
            with (folder / name).open("rb") as file:
                begins = file.read(80)
        except OSError:
            continue
        if b'"format": "wardround ' in begins:
            return True
    return False


def check_apart(inputs: Sequence[Path], out: Path | None, what: str) -> None:
    """Refuse to write pictures into a folder of images, where the next scan would take them for images.

    Raises:
        DataError: the one lies within the other.
    """
    for path in inputs:
        if out is not None and path.is_dir() and path.resolve() in (out.resolve(), *out.resolve().parents):
            raise DataError(
                f"the {what} would lie among the images, and a later scan would read their pictures as images",
                where=str(out),
                do="Name a folder outside with --out.",
            )
