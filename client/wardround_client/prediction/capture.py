"""A picture as a DICOM Secondary Capture: for viewers that show neither segmentations nor reports, which is most.

Whatever draws pictures of an image of the hospital's hands them over here: outlines with their diameters, the answer of
a classification, the map of an explanation. An object refers to the images that its picture is of, is of the patient's
own study under new UIDs, and says which model it is of. Its text may tell results only, never whose they are:
BurnedInAnnotation is NO.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime

import highdicom
import numpy as np
from highdicom.sc import SCImage
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import format_number_as_ds

from wardround_client.images.dicom import quiet, refusing
from wardround_client.images.hanging import AS_STORED, Turn
from wardround_client.images.sop_class import OURS
from wardround_client.prediction.sources import LONG, NOT_STATED, Equipment, Sources, carried, weights_of
from wardround_common.results.model_folder import Card

SERIES_NUMBER = 9003
_KEPT = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
"""What is true of a picture too: what was lost once stays lost (PS3.3 C.7.6.1.1.5)."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture of one image, or of several."""

    pixels: NDArray[np.uint8] = field(repr=False)
    """(rows, columns, 3) red, green, blue."""
    of: tuple[int, ...] = (0,)
    """The slices that it shows, from 0; of an image 0."""
    pixel_mm: float | None = None
    """The side of one of its pixels in the patient, where all of it has one scale."""
    turn: Turn = AS_STORED
    """What brought the stored image to the way round that the picture has."""


def captures_of(
    pictures: Sequence[Picture], sources: Sources, card: Card, what: str, equipment: Equipment = NOT_STATED
) -> list[Dataset]:
    """Make one series of Secondary Captures, an object for each picture in their order.

    ``what``: what the pictures show, which viewers list as the description of the series.

    Raises:
        ImageRefused: ``no-capture``: the images do not say what a capture needs of them.
        ValueError: a picture is not (rows, columns, 3) uint8, or shows a slice that the sources do not have.
    """
    series, now = highdicom.UID(), datetime.now()  # DICOM's times are those of the place
    return [
        carried(_capture(picture, sources, card, what, series, number, now), sources, equipment)
        for number, picture in enumerate(pictures, 1)
    ]


def _capture(
    picture: Picture, sources: Sources, card: Card, what: str, series: str, number: int, now: datetime
) -> Dataset:
    if picture.pixels.ndim != 3 or picture.pixels.shape[2] != 3 or picture.pixels.dtype != np.uint8:
        raise ValueError("a picture is (rows, columns, 3) of uint8")
    count = len(sources.frames or sources.images)
    if not picture.of or not all(0 <= one < count for one in picture.of):
        raise ValueError(f"a picture is of slices 0 to {count - 1} here")
    first = sources.images[0]
    refused = "no picture for the archive can be made of these images"
    with refusing("no-capture", refused, where="", do="Leave out --dicom."), quiet():
        made: Dataset = SCImage.from_ref_dataset(
            first,
            np.ascontiguousarray(picture.pixels),
            "RGB",
            8,
            "PATIENT",
            series,
            SERIES_NUMBER,
            highdicom.UID(),
            number,
            OURS,
            patient_orientation=("L", "P"),  # it takes no empty one: the right one follows
            transfer_syntax_uid=ExplicitVRLittleEndian,
            manufacturer_model_name=card.name[:LONG],
            software_versions=card.wardround,
            device_serial_number=weights_of(card),
            series_description=what[:LONG],
            series_date=now.date(),
            series_time=now.time(),
            content_date=now.date(),
            content_time=now.time(),
        )
        made.PatientOrientation = [*picture.turn.letters(sources.orientation(picture.of[0]))] or None
        if picture.pixel_mm is not None:
            made.PixelSpacing = [format_number_as_ds(float(picture.pixel_mm))] * 2
        for word in _KEPT:
            if word in first:
                made[word] = deepcopy(first[word])
        side = "ImageLaterality" if first.get("ImageLaterality") else "Laterality"
        # One of the two has to be there if it is not known whether the body part is one of a pair, and may be empty;
        # of a body part that is none it may not. So the part is stated only together with its side.
        setattr(made, side, first.get(side) or None)
        if first.get(side) and first.get("BodyPartExamined"):
            made.BodyPartExamined = str(first.BodyPartExamined)
        made.ConversionType = "WSD"  # drawn by a program: no camera, no scanner
        made.SecondaryCaptureDeviceManufacturer = OURS
        made.SecondaryCaptureDeviceManufacturerModelName = card.name[:LONG]
        made.SecondaryCaptureDeviceSoftwareVersions = card.wardround
        made.BurnedInAnnotation = "NO"  # no text in it says whose it is
        made.DerivationDescription = f"Drawn from the answer of the model {card.name}"[:1024]
        _refer(made, picture, sources)
    return made


def _refer(made: Dataset, picture: Picture, sources: Sources) -> None:
    """Name the images that a picture is of, for the picture itself and as the objects that it belongs with."""
    made.SourceImageSequence = [sources.reference(one) for one in picture.of]
    for item in made.SourceImageSequence:
        item.PurposeOfReferenceCodeSequence = [
            highdicom.sr.CodedConcept.from_code(codes.DCM.SourceImageForImageProcessingOperation)
        ]
    by_series: dict[str, dict[str, Dataset]] = {}
    for one in picture.of:
        image = sources.images[0 if sources.frames else one]
        instance = Dataset()
        instance.ReferencedSOPClassUID, instance.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
        by_series.setdefault(image.SeriesInstanceUID, {})[image.SOPInstanceUID] = instance
    made.ReferencedSeriesSequence = []
    for uid, instances in by_series.items():
        item = Dataset()
        item.SeriesInstanceUID = uid
        item.ReferencedInstanceSequence = list(instances.values())
        made.ReferencedSeriesSequence.append(item)
