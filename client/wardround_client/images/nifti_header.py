"""What the header of a NIfTI file states: its shape, where its values begin, their scaling, and the form it lies by.

Readers in common use take four of the format's conventions in two ways. Two are refused here instead: a file that
states no form (codes 0 and 0), where they differ by a mirror; and an intercept beside a slope that is none, where they
differ in value. Of two forms that contradict each other the scanner's is trusted, if one of them is the scanner's, and
else neither. Lengths are in the unit that the header states.
"""

from __future__ import annotations

import math
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import ImageRefused

_HEADERS: dict[bytes, Any] = {b"n+1\0": nibabel.Nifti1Header, b"n+2\0": nibabel.Nifti2Header}
_HEADER_BYTES = {b"n+1\0": 348, b"n+2\0": 540}
_UNIT_MM = {"mm": 1.0, "unknown": 1.0, "meter": 1000.0, "micron": 0.001}
_SCANNER = 1
"""Code of a form that puts the volume where the scanner saw it (NIFTI_XFORM_SCANNER_ANAT)."""
_SAME_FORM = 0.1
"""How far two forms may lie apart, in voxels, before they contradict each other."""


def header_of(head: bytes, *, where: str) -> Any:
    """Read the header of a single-file volume from the first 540 bytes of the (inflated) file.

    Raises:
        ImageRefused: ``not-an-image``.
    """
    magic = head[4:8] if head[4:8] in _HEADERS else head[344:348]
    if magic not in _HEADERS:
        pair = head[344:348] == b"ni1\0" or head[4:8] == b"ni2\0"
        do = "Convert the header and its .img to one .nii file." if pair else ""
        raise ImageRefused("not-an-image", "this is not a single-file NIfTI volume", where=where, do=do)
    return _HEADERS[magic](head[: _HEADER_BYTES[magic]], check=False)


def shape_of(header: Any, *, where: str) -> tuple[int, int, int]:
    """Return how many values lie along each axis.

    Raises:
        ImageRefused: ``shape`` if the file holds other than one grey volume.
    """
    shape = [int(size) for size in header.get_data_shape()]
    while len(shape) > 3 and shape[-1] == 1:
        shape.pop()
    kind = header.get_data_dtype()
    if not 2 <= len(shape) <= 3 or min(shape) < 1 or kind.fields is not None or kind.kind not in "iuf":
        raise ImageRefused(
            "shape",
            "only one volume of real grey values per file is supported",
            where=where,
            do="Split it by time or channel.",
        )
    across, along, *slices = shape
    return across, along, *(slices or [1])  # type: ignore[return-value]  # three of them


def starts_of(header: Any, *, where: str) -> int:
    """Return at which byte of the (inflated) file the values begin.

    Raises:
        ImageRefused: ``pixel-layout`` if that is within the header, whose bytes readers then take for values.
    """
    stated, least = float(header["vox_offset"]), int(header.single_vox_offset)
    if not least <= stated < math.inf:
        raise ImageRefused(
            "pixel-layout",
            f"it says that its values begin at byte {stated:.0f}, and its header ends at byte {least}",
            where=where,
            do="Convert it again with a tool that writes vox_offset.",
        )
    return int(stated)


def scaling_of(header: Any, *, where: str) -> tuple[float, float]:
    """Return the slope and the intercept of the values.

    Raises:
        ImageRefused: ``pixel-values`` if they can be read in two ways.
    """
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or math.isnan(slope):
        if intercept == 0 or math.isnan(intercept):
            return 1.0, 0.0
        what = "it states an intercept but no slope, which readers interpret differently"
    elif not math.isfinite(slope) or not math.isfinite(intercept):
        what = "its slope or intercept is not a number"
    else:
        return slope, intercept
    raise ImageRefused("pixel-values", what, where=where, do="Write it again with scl_slope 1 and scl_inter 0.")


def form_of(header: Any, shape: tuple[int, int, int], *, where: str) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Return the affine that is trusted, (4, 4) towards right, front and head in mm, and what it contradicts.

    Raises:
        ImageRefused: ``no-orientation`` if the header states no form, ``affines-contradict`` if it states two,
            ``pixel-distances`` if its qform has a distance that is not above 0.
    """
    if int(header["qform_code"]) > 0 and not (header["pixdim"][1:4] > 0).all():
        raise ImageRefused(
            "pixel-distances",
            "its qform goes with the distances of pixdim, of which one is not above 0",
            where=where,
            do="Convert it again from the original DICOM files.",
        )
    forms = {}
    for name, read in (("sform", header.get_sform), ("qform", header.get_qform)):
        affine, code = read(coded=True)
        if affine is not None and code > 0:
            forms[name] = (int(code), np.asarray(affine, np.float64))
    if not forms:
        raise ImageRefused(
            "no-orientation",
            "it does not say where it lies (its qform and sform codes are 0); readers guess left and right differently",
            where=where,
            do="Convert it again with a tool that writes the orientation.",
        )
    notes: tuple[str, ...] = ()
    trusted = next(iter(forms))
    if len(forms) == 2 and _apart(forms["sform"][1], forms["qform"][1], shape) > _SAME_FORM:
        codes = {name: code for name, (code, _) in forms.items()}
        scanner = [name for name, code in codes.items() if code == _SCANNER]
        if len(scanner) != 1:
            raise ImageRefused(
                "affines-contradict",
                "its sform and its qform put it into different places",
                where=where,
                do="Convert it again from the original DICOM files.",
            )
        trusted = scanner[0]
        other = next(name for name in forms if name != trusted)
        notes = (f"the {other} puts it elsewhere: the {trusted}, which is the scanner's, was trusted",)
    unit = header.get_xyzt_units()[0]
    affine = forms[trusted][1].copy()
    affine[:3] *= _UNIT_MM.get(unit, 1.0)
    return affine, notes


def _apart(one: NDArray[np.float64], other: NDArray[np.float64], shape: tuple[int, int, int]) -> float:
    """Measure how far the corners of two forms lie apart, in voxels of the first."""
    corners = np.array([[x, y, z, 1] for x in (0, shape[0]) for y in (0, shape[1]) for z in (0, shape[2])], np.float64)
    smallest = float(np.linalg.norm(one[:3, :3], axis=0).min())
    distance = float(np.linalg.norm((corners @ (one - other).T)[:, :3], axis=1).max())
    return distance / smallest if smallest > 0 else math.inf
