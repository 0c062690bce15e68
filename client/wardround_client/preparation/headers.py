"""Attributes of files that an index has: read again where they are needed, since an index keeps few of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from wardround_client.images.dicom import refusing
from wardround_client.intake.instance import Instance
from wardround_client.preparation.source import Source
from wardround_common.errors import ImageRefused

T = TypeVar("T")


def read_header(
    source: Source, instance: Instance, read: Callable[[Dataset], T], tags: Iterable[BaseTag] | None = None
) -> T | None:
    """Return what ``read`` makes of a DICOM file's attributes, all or those of ``tags``.

    None where they cannot be read: an index has only files that could be, so that it was changed since.
    """
    try:
        with refusing("unreadable", "the attributes cannot be read", where=instance.file):
            some = None if tags is None else [*tags]
            return read(dcmread(source.folder / instance.file, stop_before_pixels=True, specific_tags=some))
    except ImageRefused:
        return None
