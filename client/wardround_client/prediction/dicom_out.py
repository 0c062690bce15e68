"""Answers as DICOM objects of the study that was asked about: segmentations, and reports of measurements.

Every frame of a segmentation names the image that it lies on, and every number stands where a viewer shows it too: in
the label of its segment. Patient and study are those of the images, series and instances are new each time; an object
says by its algorithm that nobody drew it, so that it is not taken for a reference later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
from wardround_client.images.sop_class import OURS
from wardround_client.prediction.dicom_codes import code_of, own_code
from wardround_client.prediction.sources import LONG, Sources, carried, weights_of
from wardround_client.preparation.outline_page import COLOURS
from wardround_client.tasks.contract import Answer
from wardround_client.tasks.outline_sizes import millilitres
from wardround_common.results.model_folder import Card

Kind = Literal["BINARY", "LABELMAP"]

SERIES_NUMBER, REPORT_NUMBER = 9001, 9002
MOST_MEASURED = 20
"""Parts of a structure whose diameters a report has, the largest first."""
_ML = Code("cm3", "UCUM", "cubic centimeter")  # as DICOM counts volumes (CID 7462)
_MM = Code("mm", "UCUM", "mm")
_NO_UNIT = Code("1", "UCUM", "no units")
_LONG_AXIS = Code("103339001", "SCT", "Long axis")
_SHORT_AXIS = Code("103340004", "SCT", "Short axis")
_VOLUME = Code("118565006", "SCT", "Volume")
_STUDY_OF = Code("18748-4", "LN", "Diagnostic imaging study")


def segmentation_of(answer: Answer, sources: Sources, card: Card, kind: Kind) -> Dataset:
    """Make the DICOM segmentation of an outline; where nothing was outlined it says so with empty frames.

    Raises:
        ImageRefused: ``no-segmentation``: the images do not say what a segmentation needs of them.
    """
    outline = answer.outline
    if outline is None:
        raise TypeError("there is no outline in this answer")
    frames = outline
    if sources.frames:
        frames = np.zeros_like(outline)
        frames[list(sources.frames)] = outline  # in the order of the frames in their file
    described = [_described(number, one, card) for number, one in enumerate(answer.facts["structures"], 1)]
    with refusing("no-segmentation", "no segmentation can be made of these images", where=""), quiet():
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
    return carried(made, sources)


def _described(number: int, one: Mapping[str, Any], card: Card) -> SegmentDescription:
    category, kind = code_of(one["structure"])
    made = SegmentDescription(
        number,
        f"{one['structure'][:44]} {millilitres(one['volume_ml'])}",
        category,
        kind,
        "AUTOMATIC",
        _algorithm(card),
        highdicom.UID(),
        f"{one['structure']}"[:LONG],
        display_color=CIELabColor.from_rgb(*COLOURS[(number - 1) % len(COLOURS)].tolist()),
    )
    longest = max(one["lesions"], key=lambda lesion: float(lesion["long_axis_mm"]), default=None)
    parts = f"{millilitres(one['volume_ml'])} in {len(one['lesions'])} connected parts"
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


def report_of(answer: Answer, sources: Sources, card: Card, segmentation: Dataset | None) -> Dataset:
    """Make the report (TID 1500) of an answer: measurements of each structure, or the probability of each class.

    Raises:
        ImageRefused: ``no-report``: the images do not say what a report needs of them.
    """
    if segmentation is not None:
        groups = [*_of_structures(answer, sources, card, segmentation)]
    else:
        groups = [_of_classes(answer, sources, card)]
    evidence = [*sources.images, *([segmentation] if segmentation is not None else [])]
    device = sr.DeviceObserverIdentifyingAttributes(highdicom.UID(), OURS, OURS, card.name[:LONG], weights_of(card))
    context = sr.ObservationContext(observer_device_context=sr.ObserverContext(codes.DCM.Device, device))
    with refusing("no-report", "no report can be made of these images", where=""), quiet():
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
    return carried(made, sources)


def _identified(card: Card) -> sr.AlgorithmIdentification:
    return sr.AlgorithmIdentification(
        card.name[:LONG], f"{card.wardround}, weights {weights_of(card)}"[:LONG], manufacturer=OURS
    )


def _of_structures(answer: Answer, sources: Sources, card: Card, segmentation: Dataset) -> Iterator[Any]:
    frame = segmentation.FrameOfReferenceUID
    for number, one in enumerate(answer.facts["structures"], 1):
        category, kind = code_of(one["structure"])
        volume = sr.Measurement(_VOLUME, one["volume_ml"], _ML)
        described = next(item for item in segmentation.SegmentSequence if item.SegmentNumber == number)
        told: dict[str, Any] = {"finding_type": kind, "finding_category": category, "algorithm_id": _identified(card)}
        tracking = sr.TrackingIdentifier(described.TrackingUID, described.TrackingID)
        if not one["voxels"]:  # a segment without a voxel is nothing to refer to
            yield sr.MeasurementsAndQualitativeEvaluations(
                tracking, measurements=[volume], source_images=[_source(sources)], **told
            )
            continue
        series = sr.SourceSeriesForSegmentation(sources.images[0].SeriesInstanceUID)
        region = sr.ReferencedSegment(
            segmentation.SOPClassUID, segmentation.SOPInstanceUID, number, source_series=series
        )
        yield sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
            tracking, referenced_segment=region, measurements=[volume], **told
        )
        for part, lesion in enumerate(one["lesions"][:MOST_MEASURED], 1):
            yield sr.PlanarROIMeasurementsAndQualitativeEvaluations(
                sr.TrackingIdentifier(highdicom.UID(), f"{one['structure'][:50]} part {part}"),
                referenced_region=sr.ImageRegion3D("POLYLINE", np.array(lesion["long_axis"]), frame),
                measurements=[
                    sr.Measurement(_LONG_AXIS, lesion["long_axis_mm"], _MM),
                    sr.Measurement(_SHORT_AXIS, lesion["short_axis_mm"], _MM),
                ],
                **told,
            )


def _of_classes(answer: Answer, sources: Sources, card: Card) -> Any:
    facts = answer.facts
    kind = "Probability" if facts["calibrated"] else "Uncalibrated probability"
    return sr.MeasurementsAndQualitativeEvaluations(
        sr.TrackingIdentifier(highdicom.UID(), card.name[:LONG]),
        finding_type=code_of(facts["class"])[1],
        algorithm_id=_identified(card),
        measurements=[
            sr.Measurement(own_code(f"{kind} of {word}"), p, _NO_UNIT) for word, p in facts["probabilities"].items()
        ],
        source_images=[_source(sources)],
    )


def _source(sources: Sources) -> sr.SourceImageForMeasurementGroup:
    first = sources.images[0]
    return sr.SourceImageForMeasurementGroup(first.SOPClassUID, first.SOPInstanceUID)
