"""Answers as DICOM objects of the study that was asked about: segmentations, and reports of measurements.

Every frame of a segmentation names the image that it lies on, and every number stands where a viewer shows it too: in
the label of its segment. Patient and study are those of the images, series and instances are new each time; an object
says by its algorithm that nobody drew it, so that it is not taken for a reference later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Literal

import highdicom
import numpy as np
from highdicom import sr
from highdicom.color import CIELabColor
from highdicom.seg import Segmentation, SegmentDescription
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from wardround_client.images.dicom import quiet, refusing
from wardround_client.images.picture import colour_of
from wardround_client.images.sop_class import OURS
from wardround_client.prediction.dicom_codes import Coded, code_of, own_code, unit_of
from wardround_client.prediction.sources import LONG, NOT_STATED, Equipment, Floats, Sources, carried, weights_of
from wardround_client.tasks.contract import Answer, cautions_of, numbers_of, thresholds_of
from wardround_client.tasks.outline_sizes import millilitres
from wardround_common.counting import chance, count
from wardround_common.results.model_folder import Card

Kind = Literal["BINARY", "LABELMAP"]

SERIES_NUMBER, REPORT_NUMBER = 9001, 9002
MOST_MEASURED = 20
"""Parts of a structure whose diameters a report has, the largest first."""
MOST_BOXES = 100
"""Boxes that a report has, the most confident first: a series may have thousands."""
_NOT_CODED: Coded = MappingProxyType({})
_ML = Code("cm3", "UCUM", "cubic centimeter")  # as DICOM counts volumes (CID 7462)
_MM = Code("mm", "UCUM", "mm")
_NO_UNIT = Code("1", "UCUM", "no units")
_PRESENT, _ABSENT = Code("52101004", "SCT", "Present"), Code("2667000", "SCT", "Absent")  # CID 240
_LONG_AXIS = Code("103339001", "SCT", "Long axis")
_SHORT_AXIS = Code("103340004", "SCT", "Short axis")
_VOLUME = Code("118565006", "SCT", "Volume")
_WIDTH, _HEIGHT = Code("103355008", "SCT", "Width"), Code("121207", "DCM", "Height")
_LATERALITY = Code("272741003", "SCT", "Laterality")
_SIDES = MappingProxyType(
    {  # CID 244
        "L": Code("7771000", "SCT", "Left"),
        "R": Code("24028007", "SCT", "Right"),
        "B": Code("51440002", "SCT", "Right and left"),
        "U": Code("66459002", "SCT", "Unilateral"),
    }
)
_STUDY_OF = Code("18748-4", "LN", "Diagnostic imaging study")


def segmentation_of(
    answer: Answer,
    sources: Sources,
    card: Card,
    kind: Kind,
    coded: Coded = _NOT_CODED,
    equipment: Equipment = NOT_STATED,
) -> Dataset:
    """Make the DICOM segmentation of an outline; where nothing was outlined it says so with empty frames.

    Raises:
        ImageRefused: ``no-segmentation``: the images do not say what a segmentation needs of them.
    """
    outline = answer.outline
    if outline is None:
        raise TypeError("there is no outline in this answer")
    frames = outline
    if sources.frames:
        every = max(int(sources.images[0].get("NumberOfFrames") or 1), *(one + 1 for one in sources.frames))
        frames = np.zeros((every, *outline.shape[1:]), outline.dtype)
        frames[list(sources.frames)] = outline  # in the order of the frames in their file, which may hold others too
    described = [_described(number, one, card, coded) for number, one in enumerate(answer.facts["structures"], 1)]
    with (
        refusing("no-segmentation", "no segmentation can be made of these images", where="", do="Leave out --dicom."),
        quiet(),
    ):
        made = Segmentation(
            sources.images,
            frames,
            kind,
            described,
            highdicom.UID(),
            SERIES_NUMBER,
            highdicom.UID(),
            1,
            OURS,
            card.name[:LONG],
            card.wardround,
            weights_of(card),
            omit_empty_frames=bool(outline.any()),
            content_description=f"Outlined by the model {card.name}"[:LONG],
        )
    made.SeriesDescription = f"Outlines of {card.name}"[:LONG]
    return carried(made, sources, equipment)


def _described(number: int, one: Mapping[str, Any], card: Card, coded: Coded) -> SegmentDescription:
    category, kind = code_of(one["structure"], coded)
    made = SegmentDescription(
        number,
        f"{one['structure'][:44]} {millilitres(one['volume_ml'])}",
        category,
        kind,
        "AUTOMATIC",
        _algorithm(card),
        highdicom.UID(),
        f"{one['structure']}"[:LONG],
        display_color=CIELabColor.from_rgb(*colour_of(number - 1)),
    )
    longest = max(one["lesions"], key=lambda lesion: float(lesion["long_axis_mm"]), default=None)
    parts = f"{millilitres(one['volume_ml'])} in {count(len(one['lesions']), 'connected part')}"
    if longest:
        parts += f", the longest {longest['long_axis_mm']:.1f} x {longest['short_axis_mm']:.1f} mm"
    made.SegmentDescription = parts
    return made


def _algorithm(card: Card) -> highdicom.AlgorithmIdentificationSequence:
    return highdicom.AlgorithmIdentificationSequence(
        card.name[:LONG],
        codes.DCM.ArtificialIntelligence,
        f"{card.wardround}, weights {weights_of(card)}"[:LONG],
        OURS,
        {"study": card.study_digest},
    )


def report_of(
    answer: Answer,
    sources: Sources,
    card: Card,
    segmentation: Dataset | None,
    coded: Coded = _NOT_CODED,
    equipment: Equipment = NOT_STATED,
) -> Dataset:
    """Make the report (TID 1500) of an answer: measurements of each structure or box, or each class's probability.

    Raises:
        ImageRefused: ``no-report``: the images do not say what a report needs of them.
    """
    evidence = [*sources.images, *([segmentation] if segmentation is not None else [])]
    device = sr.DeviceObserverIdentifyingAttributes(highdicom.UID(), OURS, OURS, card.name[:LONG], weights_of(card))
    context = sr.ObservationContext(observer_device_context=sr.ObserverContext(codes.DCM.Device, device))
    with refusing("no-report", "no report can be made of these images", where="", do="Leave out --dicom."), quiet():
        if segmentation is not None:
            groups = [*_of_structures(answer, sources, card, coded, segmentation)]
        elif "boxes" in answer.facts:
            groups = [*_of_boxes(answer, sources, card, coded)]
        else:
            groups = [_of_classes(answer, sources, card, coded)]
        made = sr.Comprehensive3DSR(
            evidence,
            sr.MeasurementReport(context, _STUDY_OF, groups, codes.DCM.ImagingMeasurementReport),
            highdicom.UID(),
            REPORT_NUMBER,
            highdicom.UID(),
            1,
            OURS,
            is_complete=True,
            record_evidence=False,
        )
    made.SeriesDescription = f"Measurements of {card.name}"[:LONG]
    return carried(made, sources, equipment)


def _identified(card: Card) -> sr.AlgorithmIdentification:
    return sr.AlgorithmIdentification(
        card.name[:LONG], f"{card.wardround}, weights {weights_of(card)}"[:LONG], manufacturer=OURS
    )


def _of_structures(answer: Answer, sources: Sources, card: Card, coded: Coded, segmentation: Dataset) -> Iterator[Any]:
    """Make the groups of a report: the diameters of each part, then the volume of each structure.

    Every number lies somewhere: OHIF 3.13 shows nothing of a report in which one finding has no coordinates. A
    structure's volume is of the same finding as the diameters of its largest part, which have some.
    """
    structures = answer.facts["structures"]
    findings = {
        item.SegmentNumber: sr.TrackingIdentifier(item.TrackingUID, item.TrackingID)
        for item in segmentation.SegmentSequence
        if "TrackingUID" in item  # the background of a label map has none
    }
    for number, one in enumerate(structures, 1):
        for part, lesion in enumerate(one["lesions"][:MOST_MEASURED], 1):
            name, at = f"{one['structure'][:50]} part {part}", lesion["slice"] - 1
            yield sr.MeasurementsAndQualitativeEvaluations(
                findings[number] if part == 1 else sr.TrackingIdentifier(highdicom.UID(), name),
                measurements=[
                    sr.Measurement(concept, lesion[f"{axis}_mm"], _MM, referenced_coordinates=[line])
                    for concept, axis in ((_LONG_AXIS, "long_axis"), (_SHORT_AXIS, "short_axis"))
                    for line in [_line(np.array(lesion[axis], np.float64), sources, at)]
                ],
                source_images=[sr.SourceImageForMeasurementGroup(*_named(sources, at))],
                **_told(one, answer, sources, card, coded),
            )
    for number, one in enumerate(structures, 1):
        if one["voxels"]:
            yield sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
                findings[number],
                referenced_segment=sr.ReferencedSegment(
                    segmentation.SOPClassUID,
                    segmentation.SOPInstanceUID,
                    number,
                    source_series=sr.SourceSeriesForSegmentation(sources.images[0].SeriesInstanceUID),
                ),
                measurements=[sr.Measurement(_VOLUME, one["volume_ml"], _ML)],
                **_told(one, answer, sources, card, coded),
            )
        else:  # a segment without a voxel is nothing to refer to
            middle = len(sources.frames or sources.images) // 2
            edge = _line(sources.plane(middle).to_mm(_edge(sources.images[0])), sources, middle)
            yield sr.MeasurementsAndQualitativeEvaluations(
                findings[number],
                measurements=[sr.Measurement(_VOLUME, 0.0, _ML, referenced_coordinates=[edge])],
                source_images=[sr.SourceImageForMeasurementGroup(*_named(sources, middle))],
                **_told(one, answer, sources, card, coded),
            )


def _told(one: Mapping[str, Any], answer: Answer, sources: Sources, card: Card, coded: Coded) -> dict[str, Any]:
    category, kind = code_of(one["structure"], coded)
    return {
        "finding_type": kind,
        "finding_category": category,
        "algorithm_id": _identified(card),
        "qualitative_evaluations": [*_side(sources), *_cautions(answer)],
    }


def _cautions(answer: Answer) -> list[sr.QualitativeEvaluation]:
    """Say of a finding what must be known besides it: who reads a report has no other word of it."""
    short = [one.partition(":")[0] for one in cautions_of(answer.facts)]  # a meaning has 64 characters
    return [sr.QualitativeEvaluation(own_code("Caution"), own_code(one)) for one in short]


def _side(sources: Sources, number: int = 0) -> list[sr.QualitativeEvaluation]:
    """Say which side of the body an image is of, as it states it: a report is read without its image, too."""
    side = _SIDES.get(sources.side(number))
    return [] if side is None else [sr.QualitativeEvaluation(_LATERALITY, side)]


def _thresholds(answer: Answer) -> list[sr.QualitativeEvaluation]:
    """Say from which probability or confidence on something is decided: that of a report may be below a half."""
    return [
        sr.QualitativeEvaluation(own_code(f"Threshold for {word}"), own_code(chance(point)))
        for word, point in thresholds_of(answer.facts).items()
    ]


def _line(places_mm: Floats, sources: Sources, number: int) -> Any:
    """Draw a line (n, 3) mm on a slice; where its pixels are not square, in space.

    OHIF 3.13 draws lines on an image and goes to it, but mistakes the height of its pixels for their width; lines in
    space it lists, and draws only in its planes of a volume.
    """
    plane = sources.plane(number)
    if plane.is_square:
        image = sr.SourceImageForRegion(*_named(sources, number))
        return sr.CoordinatesForMeasurement("POLYLINE", plane.to_pixels(places_mm), image)
    frame = sources.images[0].FrameOfReferenceUID
    return sr.CoordinatesForMeasurement3D("POLYLINE", places_mm, frame)


def _edge(image: Dataset) -> Floats:
    """Return the edge of an image as a closed line of (column, row): (5, 2)."""
    right, down = image.Columns, image.Rows
    return np.array([(0, 0), (right, 0), (right, down), (0, down), (0, 0)], np.float64)


def _of_boxes(answer: Answer, sources: Sources, card: Card, coded: Coded) -> Iterator[Any]:
    """Make a group for each box: confidence and size along its edge; of no box, their number along the image's edge."""
    every = answer.facts["boxes"]
    boxes = every[:MOST_BOXES]
    cautions = _cautions(answer)
    if len(boxes) < len(every):
        left_out = f"the {len(boxes)} most confident of {len(every):,} boxes"
        cautions.append(sr.QualitativeEvaluation(own_code("Caution"), own_code(left_out)))
    middle = len(sources.frames or sources.images) // 2
    at = [box.get("slice", 1) - 1 for box in boxes] or [middle]
    told = [(_numbers_of(box), box["class"]) for box in boxes] or [([(own_code("Boxes"), 0, _NO_UNIT)], "")]
    edges = [_corners(*(box[edge] for edge in ("x0", "y0", "x1", "y1"))) for box in boxes] or [_edge(sources.images[0])]
    for number, ((numbers, word), edge) in enumerate(zip(told, edges, strict=True)):
        image = _named(sources, at[number])
        there = sr.CoordinatesForMeasurement("POLYLINE", edge, sr.SourceImageForRegion(*image))
        category, kind = code_of(word, coded) if word else (None, own_code("No box"))
        yield sr.MeasurementsAndQualitativeEvaluations(
            sr.TrackingIdentifier(highdicom.UID(), f"{word[:50] or 'no box'} {number + 1}"),
            finding_type=kind,
            finding_category=category,
            algorithm_id=_identified(card),
            qualitative_evaluations=[*_side(sources, at[number]), *_thresholds(answer), *cautions],
            measurements=[
                sr.Measurement(name, value, unit, referenced_coordinates=[there]) for name, value, unit in numbers
            ],
            source_images=[sr.SourceImageForMeasurementGroup(*image)],
        )


def _numbers_of(box: Mapping[str, Any]) -> list[tuple[Code, float, Code]]:
    """Return what is measured of a box: how confident the model is, and its sides where they are known.

    Each gets coordinates, the same ones: OHIF 3.13 shows nothing of a report in which one number has none.
    """
    sides = [(name, box[key], _MM) for name, key in ((_WIDTH, "width_mm"), (_HEIGHT, "height_mm")) if key in box]
    return [(own_code("Confidence"), box["confidence"], _NO_UNIT), *sides]


def _corners(left: float, top: float, right: float, bottom: float) -> Floats:
    """Return the edge of a box as a closed line of (column, row): (5, 2)."""
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], np.float64)


def _of_classes(answer: Answer, sources: Sources, card: Card, coded: Coded) -> Any:
    (finding, numbers), image, facts = numbers_of(answer.facts), sources.images[0], answer.facts
    unit = unit_of(facts["unit"]) if "measurement" in facts else None
    if unit is not None:
        numbers = {finding: facts["value"]}  # else the unit stands in the name of the number
    decided = [
        sr.QualitativeEvaluation(code_of(word, coded)[1], _PRESENT if one["present"] else _ABSENT)
        for word, one in facts.get("findings", {}).items()
    ]
    decided += _thresholds(answer)
    there = sr.CoordinatesForMeasurement("POLYLINE", _edge(image), sr.SourceImageForRegion(*_named(sources)))
    return sr.MeasurementsAndQualitativeEvaluations(
        sr.TrackingIdentifier(highdicom.UID(), card.name[:LONG]),
        finding_type=code_of(finding, coded)[1],
        algorithm_id=_identified(card),
        measurements=[
            sr.Measurement(
                own_code(f"{name[0].upper()}{name[1:]}"), number, unit or _NO_UNIT, referenced_coordinates=[there]
            )
            for name, number in numbers.items()
        ],
        qualitative_evaluations=[*_side(sources), *decided, *_cautions(answer)],
        source_images=[sr.SourceImageForMeasurementGroup(*_named(sources))],
    )


def _named(sources: Sources, number: int = 0) -> tuple[str, str, list[int] | None]:
    one = sources.reference(number)
    frames = [int(one.ReferencedFrameNumber)] if "ReferencedFrameNumber" in one else None
    return one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID, frames
