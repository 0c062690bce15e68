"""Of which of the study's sequences each image of a patient is, told apart as series of volumes are.

What a scanner writes of a series is read from one of its files. Images of no sequence of the study are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
from pydicom import Dataset

from wardround_client.images.attributes import elements_of, numbers, tag
from wardround_client.intake.instance import Instance
from wardround_client.intake.labels import ROLES_FILE
from wardround_client.preparation.headers import read_header
from wardround_client.preparation.source import Source
from wardround_client.volumes import Acquisition, Roles, roles_in
from wardround_client.volumes.acquisition import acquisition_of
from wardround_client.volumes.choice import role_of
from wardround_common.study.series import Wanted

OTHER, UNCLEAR = "other-series", "unclear-series"
_ORIENTATION = tag("ImageOrientationPatient")
_PLANES = ("sagittal", "coronal", "axial")


@dataclass(frozen=True)
class SeriesSaid:
    """What is written of a series of single images."""

    uid: str
    acquisition: Acquisition
    plane: str = ""
    """Empty where its files do not state how they lie."""


def said_of(header: Dataset | None, path: PurePath, uid: str) -> SeriesSaid:
    """Return what a file says of its series; of a file that is no DICOM the description is its folder's name."""
    if header is None:
        return SeriesSaid(uid, Acquisition(modality="OTHER", description=path.parent.name))
    return SeriesSaid(uid, acquisition_of(header), _plane(header))


def _plane(header: Dataset) -> str:
    if _ORIENTATION not in elements_of(header):
        return ""
    try:
        cosines = np.array(numbers(header, _ORIENTATION), np.float64)
    except ValueError:
        return ""
    if cosines.shape != (6,) or not np.isfinite(cosines).all():
        return ""
    return _PLANES[int(np.abs(np.cross(cosines[:3], cosines[3:])).argmax())]


def sequence_of(said: SeriesSaid, wanted: Sequence[Wanted], roles: Roles | None) -> int | str:
    """Return the number of the study's sequence that a series is, or the reason why it is none."""
    fitting = role_of(said.uid, said.acquisition, said.plane, wanted, roles)
    if len(fitting) == 1:
        return fitting[0]
    return UNCLEAR if fitting else OTHER


def sequences_of(source: Source, wanted: Sequence[Wanted], files: Sequence[Instance]) -> dict[str, int | str]:
    """Return of each file the number of its sequence, or the reason why it is left out.

    Raises:
        LabelError: the hospital's table of roles cannot be read, or contradicts itself or the study.
    """
    path = source.folder / ROLES_FILE
    roles = roles_in(path, wanted) if path.is_file() else None
    of_series: dict[tuple[str, str], int | str] = {}
    found: dict[str, int | str] = {}
    for instance in files:
        series = (instance.patient, instance.series_uid or str(PurePath(instance.file).parent))
        if series not in of_series:
            of_series[series] = _of_file(source, instance, wanted, roles)
        found[instance.file] = of_series[series]
    return found


def _of_file(source: Source, instance: Instance, wanted: Sequence[Wanted], roles: Roles | None) -> int | str:
    path = Path(instance.file)
    if instance.plain:
        return sequence_of(said_of(None, path, ""), wanted, roles)
    said = read_header(source, instance, lambda header: said_of(header, path, instance.series_uid))
    return OTHER if said is None else sequence_of(said, wanted, roles)
