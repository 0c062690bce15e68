"""Which way round a file says that its image is stored: by ImageOrientationPatient, or as a radiograph states it.

A radiograph states PatientOrientation (PS3.3 C.7.6.1.1.1), and hangs as a slice of its plane. A limb's is that of a
patient who stands with arms down and palms to the front, as nobody hangs a hand; it stays as it is stored. Mammograms,
of any modality of radiographs, hang back to back: the chest wall of a right breast to the right, of a left one to the
left; the outer side, or the armpit, is up.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from wardround_client.images.attributes import code, frames_of, numbers, tag
from wardround_client.images.body_part import body_parts_of
from wardround_client.images.frames import group
from wardround_client.images.hanging import AS_STORED, BACK, FEET, FRONT, LEFT, RIGHT, Turn, Way, turn_of

_ORIENTATION, _ORIENTATIONS = tag("ImageOrientationPatient"), tag("PlaneOrientationSequence")
_STATED, _ANATOMY, _MODALITY = tag("PatientOrientation"), tag("AnatomicalOrientationType"), tag("Modality")
_SIDES = tag("ImageLaterality"), tag("Laterality")
_LETTERS = re.compile("[APRLHF]{1,3}")
_WAYS = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "H": (0, 0, 1), "F": (0, 0, -1)}
_TOWARDS = ("LR", "PA", "HF")
_ASLANT = math.sin(math.radians(15))
_RADIOGRAPHS = frozenset({"CR", "DX", "RG", "PX"})
_BACK_TO_BACK: dict[str, Mapping[int, tuple[Way, Way]]] = {
    "R": {0: (BACK, FEET), 2: (BACK, LEFT)},
    "L": {0: (FRONT, FEET), 2: (FRONT, RIGHT)},
}
"""Of a breast by its side and the axis on which the plane stands: where columns and rows are counted towards."""
_LIMBS = frozenset(
    {
        *("ANKLE", "ARM", "CALCANEUS", "ELBOW", "EXTREMITY", "FEMUR", "FINGER", "FOOT", "FOREARM", "HAND", "HEEL"),
        *("HUMERUS", "KNEE", "LEG", "LOWERARM", "LOWERLEG", "LOWERLIMB", "PATELLA", "RADIUS", "RADIUSULNA"),
        *("SCAPHOID", "THIGH", "THUMB", "TIBIA", "TIBIAFIBULA", "TOE", "ULNA", "UPPERARM", "UPPERLEG", "UPPERLIMB"),
        "WRIST",
    }
)
_RIGHT_ANGLE = 0.01
"""The largest cosine between rows and columns, and by how much a direction's length may differ from 1."""
Directions = tuple[NDArray[np.float64], NDArray[np.float64]]


def turn_in(header: Dataset) -> Turn:
    """Return how a single image is turned to hang; not at all where its file does not say which way round it is."""
    if frames_of(header) > 1:
        return AS_STORED
    modality, slice_ = code(header, _MODALITY), _of_a_slice(header)
    found = slice_ or _of_a_projection(header)
    if found is None:
        return AS_STORED
    parts = body_parts_of(header)
    if modality == "MG" or (modality in _RADIOGRAPHS and "BREAST" in parts):
        side = next((side for which in _SIDES if (side := code(header, which))), "")
        return turn_of(*found, _BACK_TO_BACK.get(side, {}))
    if slice_ is not None or (modality in _RADIOGRAPHS and not _LIMBS.intersection(parts)):
        return turn_of(*found)
    return AS_STORED


def towards_in(header: Dataset) -> tuple[str, ...]:
    """Return where rows and columns of a single image run to, such as ``L`` and ``PF``; empty where it is not said."""
    if frames_of(header) > 1:
        return ()
    if found := _of_a_slice(header):
        return tuple(towards(direction) for direction in found)
    return () if code(header, _ANATOMY) == "QUADRUPED" else patient_orientation(header)


def towards(direction: NDArray[np.float64]) -> str:
    """Return the letters of the sides that a direction (3,), towards left, back and head of the patient, leads to.

    The side that it leads to most comes first; others follow from an angle of 15 degrees on (PS3.3 C.7.6.1.1.1).
    """
    axes = [int(axis) for axis in np.argsort(-np.abs(direction), kind="stable")]
    told = [axis for axis in axes if axis == axes[0] or abs(direction[axis]) >= _ASLANT]
    return "".join(_TOWARDS[axis][int(direction[axis] < 0)] for axis in told)


def patient_orientation(header: Dataset) -> tuple[str, ...]:
    r"""Return where rows and columns of an image run to by PatientOrientation, such as ``L`` and ``PF``.

    Empty where it states none, or none that can be.
    """
    words = code(header, _STATED).split("\\")
    stated = tuple(word.strip() for word in words)
    return stated if len(stated) == 2 and all(map(_LETTERS.fullmatch, stated)) else ()


def _of_a_slice(header: Dataset) -> Directions | None:
    try:
        cosines = np.array(numbers(group(header, _ORIENTATIONS, 0), _ORIENTATION))
    except ValueError:
        return None
    if len(cosines) != 6:
        return None
    across, down = cosines[:3], cosines[3:]
    gram = np.array([across @ across, down @ down, across @ down])
    return (across, down) if np.abs(gram - [1, 1, 0]).max() <= _RIGHT_ANGLE else None


def _of_a_projection(header: Dataset) -> Directions | None:
    """Return the directions that the letters come first for; none of an animal, whose letters mean others."""
    stated = patient_orientation(header)
    if not stated or code(header, _ANATOMY) == "QUADRUPED":
        return None
    across, down = (np.array(_WAYS[word[0]], np.float64) for word in stated)
    return None if across @ down else (across, down)
