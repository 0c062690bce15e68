"""All files below a folder, in one order: what a person means who names a folder of images, or of results."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from wardround_common.errors import DataError


def files_below(
    folder: Path, aside: Collection[Path] = (), passed_by: Callable[[Path], bool] = lambda below: False
) -> Iterator[Path]:
    """Yield the files below a folder by name, without links; hidden files and folders are left out.

    ``aside``: folders that are left out too; so are those below of which ``passed_by`` is true.

    Raises:
        DataError: a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise DataError(
            f"the folder cannot be read ({error.strerror})",
            where=str(folder),
            do="Give this user permission to list and read it.",
        ) from None

    for place, folders, files in os.walk(folder, onerror=refuse):
        here = Path(place)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and here / name not in aside and not passed_by(here / name)
        )
        for name in sorted(files):
            path = (here / name).resolve()
            if not name.startswith(".") and path.is_file():
                yield path
