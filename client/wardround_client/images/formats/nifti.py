"""NIfTI volumes, by nibabel: turned so that they lie as DICOM slices do."""

from __future__ import annotations

import math
import zlib
from io import BytesIO
from typing import Any

import nibabel
import numpy as np

from wardround_client.images.dicom import Stored, refusing
from wardround_client.images.distances import check_distances
from wardround_client.images.formats.contract import Format, Plain
from wardround_client.images.nifti_header import form_of, header_of, scaling_of, shape_of, starts_of
from wardround_client.images.source import LARGEST_FILE_BYTES, check_pixel_count
from wardround_common.errors import ImageRefused

_orientations: Any = nibabel.orientations  # these functions carry no types

DICOM_EXTENSION = 2  # NIfTI extension code for a DICOM header carried along


def nifti_volume(data: bytes, *, where: str) -> tuple[Stored, tuple[float, ...], bool]:
    """Decode a volume; say how far apart its values lie, and whether its header may still name the patient.

    Returns (depth, rows, columns) with slices towards the head, rows towards the back and columns towards the patient's
    left, or (rows, columns) where the depth is one; the spacing in mm in the same order; and True if a DICOM header
    or a database name is carried along.

    Raises:
        ImageRefused: ``unreadable``, ``truncated``, ``too-large``, ``too-many-pixels``, ``shape`` if it holds other
            than one volume, ``pixel-layout`` if its values begin within its header, or ``no-orientation``,
            ``affines-contradict`` or ``pixel-values`` if readers differ on it, or ``pixel-distances``.
    """
    with refusing("unreadable", "the NIfTI file cannot be read", where=where):
        if data[:2] == b"\x1f\x8b":
            data = inflate(data, where=where)
        header = header_of(data[:540], where=where)
        shape = shape_of(header, where=where)
        starts_of(header, where=where), scaling_of(header, where=where)  # nibabel applies both
        affine, _ = form_of(header, shape, where=where)
        check_pixel_count(math.prod(shape), where=where)
        kind: Any = nibabel.Nifti2Image if isinstance(header, nibabel.Nifti2Header) else nibabel.Nifti1Image
        volume = kind.from_stream(BytesIO(data))
        values = np.asarray(volume.dataobj).reshape(shape)  # (x, y, z)
        turn = _orientations.ornt_transform(
            _orientations.io_orientation(affine), _orientations.axcodes2ornt(("L", "P", "S"))
        )
        spacing = np.empty(3)
        spacing[turn[:, 0].astype(int)] = np.linalg.norm(affine[:3, :3], axis=0)
        lying = _orientations.apply_orientation(values, turn).transpose(2, 1, 0)  # (depth, rows, columns)
        named = bool(bytes(header["db_name"]).strip(b"\0 ")) if "db_name" in header else False
        named = named or any(extension.get_code() == DICOM_EXTENSION for extension in volume.header.extensions)
        distances = tuple(float(value) for value in spacing[::-1])
        check_distances(distances, where=where)
        return (lying[0], distances[1:], named) if len(lying) == 1 else (lying, distances, named)


def inflate(data: bytes, *, where: str) -> bytes:
    """Inflate a compressed volume.

    Raises:
        ImageRefused: ``too-large`` or ``truncated``.
    """
    inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
    inflated = inflater.decompress(data, LARGEST_FILE_BYTES + 1)
    if len(inflated) > LARGEST_FILE_BYTES:
        raise ImageRefused("too-large", "the compressed volume grows beyond the limit", where=where)
    if not inflater.eof:
        raise ImageRefused("truncated", "the compressed volume is truncated", where=where)
    return inflated


def _matches(head: bytes) -> bool:
    return head[:2] == b"\x1f\x8b" or head[344:348] in (b"n+1\0", b"ni1\0") or head[4:8] in (b"n+2\0", b"ni2\0")


def _read(data: bytes, where: str) -> Plain:
    stored, spacing_mm, named = nifti_volume(data, where=where)
    findings = {"identity": "a DICOM header or a name is carried along"} if named else {}
    frames = len(stored) if stored.ndim == 3 else 1
    return Plain(stored, "NIFTI", frames, spacing_mm=spacing_mm, findings=findings)


FORMAT = Format(words=("NIfTI",), matches=_matches, read=_read, told_late=True)
