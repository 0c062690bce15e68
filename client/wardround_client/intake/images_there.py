"""Whether a hospital's images are where its settings say; a health check asks it every few seconds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple, Protocol

from wardround_common.errors import ImagesAwayError


class Images(NamedTuple):
    """Where images and labels lie, as ``hospital.toml`` says it."""

    data: Path
    labels: Path | None


class _Somewhere(Protocol):
    @property
    def data(self) -> Path: ...

    @property
    def labels(self) -> Path | None: ...


def check_images_there(settings: _Somewhere) -> None:
    """Check that the folder of images and the table of labels are there, before anything is concluded from their lack.

    A disk that is not mounted leaves an empty folder, or none.

    Raises:
        ImagesAwayError: they are not.
    """
    try:
        with os.scandir(settings.data) as entries:
            what = "" if any(True for _ in entries) else "the folder of the images is empty"
        where = settings.data
        if not what and settings.labels and not settings.labels.is_file():
            what, where = "the table of labels is not there", settings.labels
    except OSError as error:
        what, where = f"the images cannot be reached ({error.strerror or type(error).__name__})", settings.data
    if what:
        raise ImagesAwayError(
            what, where=str(where), do="Is its disk mounted? This hospital continues by itself when they are back."
        )
