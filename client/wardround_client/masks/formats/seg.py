"""DICOM segmentations, binary, fractional and as label maps, by highdicom: by position, never by frame number.

Frames without a voxel are usually left out, and frames may be stored in any order and orientation; highdicom puts them
into a volume with an affine of its own (PS3.3 C.8.20). Segments are read one by one, so that none takes the place of
another in silence.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydicom import FileDataset

from wardround_client.images.attributes import integer, items_of, tag, text
from wardround_client.images.dicom import parse, refusing
from wardround_client.images.sop_class import OURS, OWN_RESULT, STORAGE
from wardround_client.images.source import check_pixel_count, read_bytes
from wardround_client.masks.formats.contract import DicomFormat
from wardround_client.masks.meet import Classes, Outlined, onto
from wardround_client.masks.structures import Structures
from wardround_client.masks.target import Target
from wardround_client.volumes import Geometry, Series
from wardround_common.errors import ImageRefused

if TYPE_CHECKING:  # imported where a segmentation is read: most studies have none
    from highdicom.seg import Segmentation

# highdicom logs the identifiers of images that it finds odd: no log may hold those.
logging.getLogger("highdicom").setLevel(logging.CRITICAL + 1)

THRESHOLD = 0.5
"""From which part of a voxel on, or from which probability, a fractional segment holds it."""

_FULL, _MAKER = tag("MaximumFractionalValue"), tag("Manufacturer")
_SEGMENTS, _ALGORITHM = tag("SegmentSequence"), tag("SegmentationAlgorithmIdentificationSequence")
_SOURCE = tag("AlgorithmSource")
_SERIES, _SOP = tag("SeriesInstanceUID"), tag("ReferencedSOPInstanceUID")
_SERIES_SEQUENCE, _INSTANCES = tag("ReferencedSeriesSequence"), tag("ReferencedInstanceSequence")


def target(header: FileDataset) -> Target:
    """Return what a segmentation says that it outlines."""
    return Target.of(header, [text(item, _SERIES) for item in items_of(header, _SERIES_SEQUENCE)])


def read(path: Path, series: Series, structures: Structures) -> Outlined:
    """Read a segmentation onto the grid of a series.

    Raises:
        ImageRefused: ``unreadable``, ``pixels-missing``, ``own-result``, ``unknown-class``, ``no-structure``,
            ``overlap`` if two structures of the study hold one voxel, ``mask-geometry`` if its frames make up no
            volume, or as :func:`wardround_client.masks.meet.onto` does.
    """
    from highdicom.seg import Segmentation, SegmentationTypeValues

    where = str(path)
    dataset = _parsed(path)
    with refusing("unreadable", "the segmentation cannot be read", where=where):
        if text(dataset, _MAKER) == OURS or any(
            text(made, _SOURCE) == OURS
            for segment in items_of(dataset, _SEGMENTS)
            for made in items_of(segment, _ALGORITHM)
        ):
            raise ImageRefused(OWN_RESULT, "a model of Wardround made this outline, not a person", where=where)
        segmentation = Segmentation.from_dataset(dataset, copy=False)
        numbers = {
            number: structures.number(description.segment_label, description.segmented_property_type.meaning)
            for number in segmentation.segment_numbers
            if number > 0
            for description in [segmentation.get_segment_description(number)]
        }
        fractional = segmentation.segmentation_type == SegmentationTypeValues.FRACTIONAL
        full = integer(dataset, _FULL) or 0 if fractional else 1
        looked_at = _looked_at(dataset, series)
    if not any(numbers.values()):
        raise ImageRefused(
            "no-structure",
            "it has no structure of the study",
            where=where,
            do="Map the names of its segments to the study's classes, or leave it out.",
        )
    made = np.zeros(series.geometry.shape, np.uint8)
    strongest = np.zeros_like(made)
    for segment, number in numbers.items():
        if not number:
            continue
        found = onto(*_segment(segmentation, segment, full, where=where), series.geometry, covering=False)
        if not fractional and ((found > 0) & (made > 0) & (made != number)).any():
            raise ImageRefused(
                "overlap",
                "two structures of the study hold the same voxel, and a voxel has one class",
                where=where,
                do="Export each structure without the other, or leave one out.",
            )
        stronger = found > strongest  # of two fractions of one voxel the larger one counts
        made[stronger], strongest[stronger] = number, found[stronger]
    return Outlined(made, looked_at, frozenset(numbers.values()) - {0})


def _parsed(path: Path) -> FileDataset:
    try:
        return parse(read_bytes(path), where=str(path))
    except ImageRefused as refused:
        if refused.reason != "segmentation":
            raise
        raise ImageRefused("pixels-missing", "the segmentation has no pixels", where=str(path)) from None


def _segment(segmentation: Segmentation, segment: int, full: int, *, where: str) -> tuple[Classes, Geometry]:
    """Return the stored values of a segment where they reach the threshold, else 0, and where they lie."""
    with refusing("mask-geometry", "the frames of the segmentation make up no volume", where=where):
        where_it_lies = segmentation.get_volume_geometry()
        if where_it_lies is None:
            raise ImageRefused("mask-geometry", "the frames of the segmentation make up no volume", where=where)
        check_pixel_count(math.prod(where_it_lies.spatial_shape), where=where)
        volume = segmentation.get_volume(segment_numbers=[segment], combine_segments=False, rescale_fractional=False)
        values = np.asarray(volume.array[..., 0], np.uint8)
        if not full:
            raise ImageRefused("unreadable", "a fractional segmentation does not say what a whole is", where=where)
        slices, rows, columns = values.shape
        kept = np.where(values >= THRESHOLD * full, values, np.uint8(0))
        return kept, Geometry.of(volume.affine, (slices, rows, columns), where=where)


def _looked_at(dataset: FileDataset, series: Series) -> NDArray[np.bool_]:
    """Say which slices were outlined: those whose images the segmentation names, or all where it names none."""
    named = {
        text(instance, _SOP)
        for item in items_of(dataset, _SERIES_SEQUENCE)
        if text(item, _SERIES) == series.uid
        for instance in items_of(item, _INSTANCES)
    }
    return np.array([not named or one.sop_uid in named for one in series.slices])


FORMAT = DicomFormat("seg", (f"{STORAGE}66.4", f"{STORAGE}66.7"), target, read)
