"""Whether a DICOM object is one of the images that its study was made for, or something that accompanies them.

An export of one study holds more than its images: the overview that planned the scan, the dose report as a picture,
screen saves, reformats and maps that were computed from the images. All of them carry the right modality, and most
the right patient. What a file is is told by its SOP class and by ImageType (PS3.3 C.7.6.1.1.2: value 1 says whether
the pixels are ORIGINAL or DERIVED, value 2 whether the examination made them (PRIMARY) or somebody afterwards
(SECONDARY), the others what they are), and where a maker leaves the third value out, by SeriesDescription.

* **Other objects** are never images: segmentations, dose grids, contours, reports, presentation states, documents.
  Each has a reason of its own (:mod:`wardround_client.images.sop_class`).
* **Kinds** are left out unless the hospital allows them by their word (:data:`KINDS`).

Two kinds depend on what else the study holds: :mod:`wardround_client.intake.image_kinds`.

What neither SOP class nor ImageType nor series says is not noticed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from pydicom import Dataset

from wardround_client.images.attributes import tag, text
from wardround_client.images.sop_class import CAPTURE, STORAGE, is_below, sop_class_of

KINDS: dict[str, str] = {
    "localizers": "localizer",
    "screens": "screen",
    "derived": "derived",
    "captures": "capture",
    "for-processing": "for-processing",
    "parametric-maps": "parametric-map",
    "synthetic": "synthetic",
}
"""What a hospital can take in with ``--allow``, and the reason under which a scan counts what it leaves out."""

_PARAMETRIC_MAPS = (f"{STORAGE}30", f"{STORAGE}81.1", f"{STORAGE}82.1")
_WHOLE_SLIDE = f"{STORAGE}77.1.6"
PROCESSED_OF = {f"{STORAGE}1.{kind}.1": f"{STORAGE}1.{kind}" for kind in ("1", "2", "3")}
"""Digital radiographs, mammograms and dental ones *for processing*, and the same *for presentation*."""

_LOCALIZER_WORDS = {"LOCALIZER", "LOCALISER", "SCOUT", "SURVEY", "SURVIEW", "TOPOGRAM", "SCANOGRAM"}
_SCREEN_WORDS = {"SCREEN", "SCREENSAVE", "SCREENSHOT", "SCREENCAPTURE", "DOSE", "REPORT", "PROT"}
_VIEW_WORDS = {"MPR", "CPR", "MIP", "MINIP", "MNIP", "MAXIP", "IP", "PROJECTION", "VOLREND", "RENDER", "VRT", "SSD"}
_REFORMAT_WORDS = {"REFORMATTED", "REFORMAT"}
_QUANTITY_WORDS = {"MAP", "MAPS", "ADC", "EADC", "EXPADC", "FA", "CBF", "CBV", "RCBF", "RCBV", "MTT", "TTP", "TMAX"}
_TOMOGRAPHIC = ("CT", "MR", "PT")
_LOCALIZER_SERIES = re.compile(r"\b(locali[sz]ers?|loc|scouts?|survey|surview|topograms?|scanograms?)\b", re.IGNORECASE)
_SCREEN_SERIES = re.compile(
    r"\b(dose (report|info|record)|patient protocol|screen ?(save|shot|capture)s?)\b", re.IGNORECASE
)
_PAPER_CONVERSIONS = {"SD": "a scanned page", "DRW": "a drawing"}
_TEXT_MODALITIES = ("SR", "KO", "PR", "DOC", "PLAN")

_MODALITY, _IMAGE_TYPE = tag("Modality"), tag("ImageType")
_SYNTHETIC = tag("SyntheticData")
_DESCRIPTION, _CONVERSION = tag("SeriesDescription"), tag("ConversionType")


def image_type_of(dataset: Dataset) -> str:
    r"""Return ImageType as one word, its values in capitals and without padding: ``ORIGINAL\PRIMARY\AXIAL``."""
    return "\\".join(value.strip() for value in text(dataset, _IMAGE_TYPE).upper().split("\\"))


def kinds_of(dataset: Dataset) -> dict[str, str]:
    """Find what says that an image is not one that its study was made for: words of :data:`KINDS`, each with why."""
    modality = text(dataset, _MODALITY).upper()
    series = text(dataset, _DESCRIPTION) if modality in _TOMOGRAPHIC else ""
    conversion = text(dataset, _CONVERSION).upper()
    found = dict(_kinds(sop_class_of(dataset), image_type_of(dataset), modality, conversion, series))
    if text(dataset, _SYNTHETIC).upper() == "YES":
        found["synthetic"] = "SyntheticData says that it was made, and is of no patient"
    return found


@lru_cache(maxsize=1024)  # the images of a series say the same
def _kinds(sop_class: str, image_type: str, modality: str, conversion: str, series: str) -> Mapping[str, str]:
    values, series = image_type.split("\\"), series.replace("_", " ")
    words = {word for value in values[2:] for word in re.split(r"[^A-Z0-9]+", value)}
    capture = is_below(sop_class, CAPTURE)
    found: dict[str, str] = {}
    if any(is_below(sop_class, root) for root in _PARAMETRIC_MAPS):
        found["parametric-maps"] = "the SOP class is that of a parametric map"
    if _LOCALIZER_WORDS & words or (sop_class == _WHOLE_SLIDE and {"OVERVIEW", "THUMBNAIL"} & words):
        found["localizers"] = "ImageType says that it is an overview"
    elif _LOCALIZER_SERIES.search(series):
        found["localizers"] = "SeriesDescription says that it is an overview"
    if _SCREEN_WORDS & words or (sop_class == _WHOLE_SLIDE and "LABEL" in words):
        found["screens"] = "ImageType says that it is a picture of a screen or of a text"
    elif _SCREEN_SERIES.search(series):
        found["screens"] = "SeriesDescription says that it is a picture of a screen or of a text"
    elif capture and conversion in _PAPER_CONVERSIONS:
        found["screens"] = f"ConversionType says that it is {_PAPER_CONVERSIONS[conversion]}"
    elif capture and modality in _TEXT_MODALITIES:
        found["screens"] = "its modality is that of a text"
    if not found and (_VIEW_WORDS | _REFORMAT_WORDS | _QUANTITY_WORDS) & words:
        found["derived"] = "ImageType says that it was computed from other images"
    elif not found and not capture and values[1:2] == ["SECONDARY"]:
        found["derived"] = "ImageType says SECONDARY: made after the examination"
    return found
