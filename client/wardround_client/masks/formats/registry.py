"""The formats of masks that are installed: each module of this package with a value ``FORMAT`` is one."""

from __future__ import annotations

from pathlib import Path

from wardround_client.masks import formats
from wardround_client.masks.formats.contract import DicomFormat, Format, SliceFormat, VolumeFormat
from wardround_common.installed import installed

FORMATS: tuple[Format, ...] = tuple(installed(formats, "FORMAT", Format, besides=__name__))
_BY_CLASS = {uid: found for found in FORMATS if isinstance(found, DicomFormat) for uid in found.sop_classes}


def of_class(sop_class: str) -> DicomFormat | None:
    """Return the format of DICOM masks of a SOP class; None if these are not read."""
    return _BY_CLASS.get(sop_class)


def of_name(path: Path) -> tuple[VolumeFormat | SliceFormat, str] | None:
    """Return the format of masks that are told by their names' ending, and that ending; None if it is none of them."""
    name = path.name.lower()
    for found in FORMATS:
        if not isinstance(found, DicomFormat):
            for ending in found.endings:
                if name.endswith(ending):
                    return found, ending
    return None
