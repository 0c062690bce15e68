"""PNG masks: one beside one slice, of its rows and columns, since a picture has no place in the patient."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from wardround_client.images.dicom import refusing
from wardround_client.images.formats.picture import upright
from wardround_client.images.source import opened
from wardround_client.masks.formats.contract import SliceFormat
from wardround_client.masks.meet import Classes
from wardround_client.masks.structures import Structures, classes_of
from wardround_common.errors import ImageRefused

_WHITE = 255


def read(path: Path, size: tuple[int, int], structures: Structures) -> Classes:
    """Read the mask of a slice or picture of ``size`` (rows, columns): (rows, columns) uint8.

    Values are the numbers of structures; with one structure, black and white will do.

    Raises:
        ImageRefused: ``not-a-mask`` if it is no PNG, or in colour; ``other-size``; ``not-whole-numbers`` or
            ``unknown-class``.
    """
    where = str(path)
    with (
        opened(path) as file,
        refusing("not-a-mask", "the mask is not a readable PNG", where=where, do="Write it again."),
        Pillow.open(file, formats=("PNG",)) as stored,
    ):
        picture = upright(stored)  # as its image is
        if (picture.height, picture.width) != size:
            raise ImageRefused(
                "other-size",
                "the mask and its image differ in rows or columns",
                where=where,
                do="Export both at the same size.",
            )
        if picture.mode not in ("1", "L", "P", "I", "I;16"):
            raise ImageRefused(
                "not-a-mask",
                "the mask is in colour",
                where=where,
                do="Export it as a grey or indexed PNG whose values are the numbers of structures.",
            )
        values = np.asarray(picture).astype(np.int64)
    if len(structures.classes) == 1 and set(np.unique(values)) <= {0, _WHITE}:
        values = values // _WHITE
    return classes_of(values, structures, where=where)


FORMAT = SliceFormat("png", (".png",), read)
