"""What a DICOM object is by its SOP class, where it is not an image at all.

A segmentation, a dose grid or a report is never an image of a patient, also where it has pixels. Each is refused with
a reason of its own, so that a person sees that nothing was lost.
"""

from __future__ import annotations

from functools import lru_cache

from pydicom import Dataset

from wardround_client.images.attributes import tag, text

STORAGE = "1.2.840.10008.5.1.4.1.1."
_OTHER_OBJECTS: tuple[tuple[str, str, str], ...] = (
    (f"{STORAGE}66.4", "segmentation", "this is a segmentation"),
    (f"{STORAGE}66.5", "segmentation", "this is a segmentation of surfaces"),
    (f"{STORAGE}66.7", "segmentation", "this is a segmentation as a label map"),
    (f"{STORAGE}66.8", "segmentation", "this is a segmentation as a height map"),
    (f"{STORAGE}66.1", "registration", "this is a registration"),
    (f"{STORAGE}66.2", "registration", "these are fiducials"),
    (f"{STORAGE}66.3", "registration", "this is a registration"),
    (f"{STORAGE}66", "raw-data", "these are raw data"),
    (f"{STORAGE}481.2", "dose", "this is a dose distribution"),
    (f"{STORAGE}481.3", "contours", "this is a structure set"),
    (f"{STORAGE}88.59", "key-objects", "this is a selection of key objects"),
    (f"{STORAGE}88", "report", "this is a structured report"),
    (f"{STORAGE}11", "presentation-state", "this is a presentation state"),
    (f"{STORAGE}104", "document", "this is an encapsulated document"),
    (f"{STORAGE}9", "waveform", "this is a waveform"),
    ("1.2.840.10008.1.3.10", "directory", "this is the directory of a medium"),
)
"""(UID or root of UIDs, reason, words), the first that fits; PS3.4 annex B and PS3.6 annex A."""
_OTHER_MODALITIES = {
    "SEG": ("segmentation", "this is a segmentation"),
    "RTDOSE": ("dose", "this is a dose distribution"),
    "RTSTRUCT": ("contours", "this is a structure set"),
}
"""For objects whose SOP class a converter replaced or lost."""


OURS = "Wardround"
"""The Manufacturer of what is made of a model's answers: never taken for a person's outline, nor for an image."""
CAPTURE = f"{STORAGE}7"
"""Secondary Capture, and its four multi-frame classes below it."""
OWN_RESULT = "own-result"
OTHER_REASONS = frozenset({*(reason for _, reason, _ in _OTHER_OBJECTS), OWN_RESULT})
"""Every reason under which an object is refused that is no image."""

_SOP_CLASS, _MODALITY, _MEDIA_CLASS = tag("SOPClassUID"), tag("Modality"), tag("MediaStorageSOPClassUID")
_CAPTURED_BY = tag("SecondaryCaptureDeviceManufacturer")


def sop_class_of(dataset: Dataset) -> str:
    """Return the SOP class of an object, from the file's header where the object itself does not say."""
    return text(dataset, _SOP_CLASS) or text(getattr(dataset, "file_meta", None) or Dataset(), _MEDIA_CLASS)


def other_object(dataset: Dataset) -> tuple[str, str] | None:
    """Return the reason and the words for an object that is no image whatever its pixels; None for the others."""
    sop_class = sop_class_of(dataset)
    if is_below(sop_class, CAPTURE) and text(dataset, _CAPTURED_BY) == OURS:
        return OWN_RESULT, "this is a picture of what a model of Wardround answered"
    return other_class(sop_class) or _OTHER_MODALITIES.get(text(dataset, _MODALITY).upper())


@lru_cache(maxsize=256)
def other_class(sop_class: str) -> tuple[str, str] | None:
    """Return the reason and the words for a SOP class that is no image's; None for the others."""
    found = (other for root, *other in _OTHER_OBJECTS if is_below(sop_class, root))
    reason, what = next(found, (None, None))
    return None if reason is None or what is None else (reason, what)


def is_below(uid: str, root: str) -> bool:
    """Say whether a UID is this one, or lies below it."""
    return uid == root or uid.startswith(f"{root}.")
