"""Answers as DICOM objects: the voxels come back as they were, frames name their images, a checker finds no error."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from pydantic import ValidationError
from pydicom import Dataset, FileDataset, dcmread

from examples import study
from models_made import model_folder
from outlined_hospitals import outlining
from series_made import OBLIQUE, SAGITTAL, enhanced, slices, written
from tiny_dicom import item, save, tiny
from wardround_client.images.picture import COLOURS
from wardround_client.images.sop_class import other_object
from wardround_client.masks import Structures
from wardround_client.masks.formats import seg
from wardround_client.prediction import dicom_out, pictures
from wardround_client.prediction.box_pictures import pictures_of_boxes
from wardround_client.prediction.capture import Picture, captures_of
from wardround_client.prediction.dicom_out import report_of, segmentation_of
from wardround_client.prediction.keeping import keeping
from wardround_client.prediction.pictures import pictures_of
from wardround_client.prediction.predicting import Done
from wardround_client.prediction.sources import Equipment, Sources, content_of, sources_of
from wardround_client.prediction.written import write_files
from wardround_client.tasks.contract import Answer, Asked, Case, Chosen, thresholds_of
from wardround_client.tasks.registry import LOCAL_TASKS
from wardround_client.volumes import Series, series_in
from wardround_common.errors import ImageRefused
from wardround_common.results.model_folder import Card, read_model_folder
from wardround_common.study.file import Study

STRUCTURES = ("tumour", "something else")
COMPLETE = {
    "PatientID": "MRN 1",
    "PatientName": "Doe^Jane",
    "PatientBirthDate": "19500101",
    "PatientSex": "F",
    "StudyDate": "20240102",
    "StudyTime": "101112",
    "StudyID": "1",
    "AccessionNumber": "A1",
    "BodyPartExamined": "BRAIN",
}


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Card:
    return read_model_folder(model_folder(tmp_path_factory.mktemp("model"), two_structures())).card


def two_structures() -> Study:
    of = outlining()
    return of.model_copy(update={"task": of.task.model_copy(update={"classes": STRUCTURES})})


def answered(series: Series, outline: np.ndarray) -> tuple[Case, Answer]:
    """Return the answer of a model that outlined this."""
    task = LOCAL_TASKS["segmentation"]
    asking = task.asking
    assert asking is not None
    case = Case(series.uid, tuple(series.files), lambda: Asked(np.zeros((0, 1, 1, 1), np.float32)), (series,))
    asked = Asked(np.zeros((0, 1, 1, 1), np.float32), back=lambda outputs: outline)
    section = two_structures().task
    return case, asking.answer(section, torch.zeros(1), asked, case, Chosen(None, None))


def outlined(shape: tuple[int, ...]) -> np.ndarray:
    outline = np.zeros(shape, np.uint8)
    outline[1, 2:6, 3:5] = 1
    outline[2, 2:4, 3:7] = 1
    outline[2, 6, 8] = 2
    return outline


def empty(shape: tuple[int, ...]) -> np.ndarray:
    return np.zeros(shape, np.uint8)


def files(kind: str, folder: Path, spacing: tuple[float, float] = (1.0, 2.0)) -> list[FileDataset]:
    more = {"Modality": "MR", "PixelSpacing": list(spacing), **COMPLETE}
    match kind:
        case "axial":
            made = slices(4, **more)
        case "oblique":
            made = slices(4, orientation=OBLIQUE, **more)
        case "sagittal":
            made = slices(4, orientation=SAGITTAL, step_mm=1.5, **more)
        case _:
            made = [enhanced(**{**more, "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.77"})]
            measures = made[0].SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
            measures.PixelSpacing = list(spacing)
    written(made, folder)
    return made


def objects(
    kind: str,
    folder: Path,
    card: Card,
    outline: Any = outlined,
    form: Any = "BINARY",
    spacing: tuple[float, float] = (1.0, 2.0),
) -> tuple[Series, np.ndarray, Any, Any]:
    files(kind, folder, spacing)
    (series,) = series_in(sorted(folder.iterdir()))
    assert isinstance(series, Series)
    drawn = outline(series.geometry.shape)
    case, answer = answered(series, drawn)
    sources = sources_of(case)
    segmentation = segmentation_of(answer, sources, card, form)
    return series, drawn, segmentation, report_of(answer, sources, card, segmentation)


def read_back(segmentation: Dataset, series: Series) -> np.ndarray:
    """Return the outline by where each frame of the object lies, in the order of the series."""
    read = highdicom.seg.segread(BytesIO(content_of(segmentation)))
    volume = read.get_volume(combine_segments=True, allow_missing_positions=True)
    found = np.zeros(series.geometry.shape, np.uint8)
    for index in np.argwhere(volume.array):
        place = volume.affine @ [*index, 1]
        s, r, c = np.rint(series.geometry.to_index(place[:3])).astype(int)
        assert np.allclose(series.geometry.to_mm((s, r, c)), place[:3], atol=1e-3)
        found[s, r, c] = volume.array[tuple(index)]
    return found


@pytest.mark.parametrize("form", ["BINARY", "LABELMAP"])
@pytest.mark.parametrize("kind", ["axial", "oblique", "sagittal", "enhanced"])
def test_the_voxels_come_back_where_they_were(kind: str, form: str, card: Card, tmp_path: Path) -> None:
    series, drawn, segmentation, _ = objects(kind, tmp_path, card, form=form)
    assert np.array_equal(read_back(segmentation, series), drawn)


@pytest.mark.parametrize("kind", ["oblique", "enhanced"])
def test_every_frame_names_the_image_that_it_lies_on(kind: str, card: Card, tmp_path: Path) -> None:
    series, _, segmentation, _ = objects(kind, tmp_path, card)
    assert segmentation.PerFrameFunctionalGroupsSequence
    for group in segmentation.PerFrameFunctionalGroupsSequence:
        (derived,) = group.DerivationImageSequence
        (source,) = derived.SourceImageSequence
        place = group.PlanePositionSequence[0].ImagePositionPatient
        at = int(np.rint(series.geometry.to_index(place)[0]))
        named = series.slices[at]
        assert source.ReferencedSOPInstanceUID == named.sop_uid
        if kind == "enhanced":
            assert source.ReferencedFrameNumber == named.number + 1
    (referenced,) = segmentation.ReferencedSeriesSequence
    assert referenced.SeriesInstanceUID == series.uid


def test_an_object_whose_frames_are_not_all_of_the_series_is_outlined_in_those_that_are(
    card: Card, tmp_path: Path
) -> None:
    files("enhanced", tmp_path)
    (series,) = series_in(sorted(tmp_path.iterdir()))
    assert isinstance(series, Series)
    drawn = outlined(series.geometry.shape)
    case, answer = answered(series, drawn)
    every = sources_of(case)
    some = Sources(every.images, every.frames[1:3])
    segmentation = segmentation_of(Answer(answer.facts, drawn[1:3]), some, card, "BINARY")
    assert np.array_equal(read_back(segmentation, series)[1:3], drawn[1:3])


@pytest.mark.parametrize("charset", ["", "ISO_IR 100"])
def test_words_in_any_letters_stand_in_every_object(charset: str, card: Card, tmp_path: Path) -> None:
    name = "Müller^Jörg" if charset else "Doe^Jane"
    more = {"Modality": "MR", **COMPLETE, **({"SpecificCharacterSet": charset} if charset else {}), "PatientName": name}
    written(slices(4, **more), tmp_path)
    (series,) = series_in(sorted(tmp_path.iterdir()))
    assert isinstance(series, Series)
    case, answer = answered(series, outlined(series.geometry.shape))
    for one, word in zip(answer.facts["structures"], ("Ödem ≥ 3", "肿瘤"), strict=True):
        one["structure"] = word
    sources = sources_of(case)
    segmentation = segmentation_of(answer, sources, card, "BINARY")
    report = report_of(answer, sources, card, segmentation)
    (picture,) = captures_of(drawn_of(case, answer, card), sources, card, "肿瘤")
    back = [dcmread(BytesIO(content_of(made))) for made in (segmentation, report, picture)]
    assert [str(made.PatientName) for made in back] == [name] * 3
    assert [one.SegmentLabel for one in back[0].SegmentSequence] == ["Ödem ≥ 3 0.16 mL", "肿瘤 0.010 mL"]
    assert "肿瘤" in str(back[1])
    assert back[2].SeriesDescription == "肿瘤"


def test_an_object_is_of_the_patients_study_and_says_that_a_model_made_it(card: Card, tmp_path: Path) -> None:
    series, _, segmentation, report = objects("axial", tmp_path, card)
    for made in (segmentation, report):
        assert (made.PatientID, str(made.PatientName), made.AccessionNumber) == ("MRN 1", "Doe^Jane", "A1")
        assert made.StudyInstanceUID == series.study_uid
        assert made.SeriesInstanceUID not in (series.uid, segmentation.SeriesInstanceUID if made is report else "")
    assert segmentation.FrameOfReferenceUID == series.frame_of_reference
    tumour, other = segmentation.SegmentSequence
    assert (tumour.SegmentAlgorithmType, tumour.SegmentAlgorithmName) == ("AUTOMATIC", "made")
    assert tumour.SegmentLabel == "tumour 0.16 mL"
    assert "0.16 mL in 1 connected part, the longest" in tumour.SegmentDescription
    assert tumour.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Neoplasm"
    assert other.SegmentedPropertyTypeCodeSequence[0].CodingSchemeDesignator == "99WARDROUND"
    assert "RecommendedDisplayCIELabValue" in tumour
    again = objects("axial", tmp_path / "again", card)[2]
    assert again.SOPInstanceUID != segmentation.SOPInstanceUID


def test_a_report_has_volume_and_diameters_of_what_was_outlined(card: Card, tmp_path: Path) -> None:
    _, _, segmentation, report = objects("oblique", tmp_path, card)
    read = highdicom.sr.srread(BytesIO(content_of(report)))
    volumes = read.content.get_volumetric_roi_measurement_groups()
    assert [group.get_measurements()[0].value for group in volumes] == pytest.approx([0.16, 0.01])
    parts = read.content.get_image_measurement_groups()
    lengths = [measurement.value for measurement in parts[0].get_measurements()]
    assert lengths[0] >= lengths[1] > 0
    assert [part.tracking_uid for part in parts] == [volume.tracking_uid for volume in volumes]
    assert {one.ReferencedSOPInstanceUID for one in _references(report)} >= {segmentation.SOPInstanceUID}


def lines_of(report: Dataset) -> list[list[Dataset]]:
    """Return for each finding of a report the lines that its numbers were taken along."""
    (measured,) = [item for item in report.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "126010"]
    findings: dict[str, list[Dataset]] = {}
    for group in measured.ContentSequence:
        (uid,) = [item.UID for item in group.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "112040"]
        numbers = [item for item in group.ContentSequence if item.ValueType == "NUM"]
        findings.setdefault(uid, []).extend(line for item in numbers for line in item.get("ContentSequence", ()))
    return [*findings.values()]


@pytest.mark.parametrize("outlined_here", [True, False], ids=["outlined", "empty"])
@pytest.mark.parametrize("square", [True, False], ids=["square", "not-square"])
@pytest.mark.parametrize("kind", ["oblique", "enhanced"])
def test_every_finding_of_a_report_lies_on_an_image_or_where_pixels_are_not_square_in_space(
    kind: str, square: bool, outlined_here: bool, card: Card, tmp_path: Path
) -> None:
    series, _, _, report = objects(
        kind, tmp_path, card, outlined if outlined_here else empty, spacing=(1.5, 1.5) if square else (1.0, 2.0)
    )
    for lines in lines_of(report):
        assert len(lines) == (2 if outlined_here else 1)
        assert {line.ValueType for line in lines} == {"SCOORD" if square else "SCOORD3D"}
    if not outlined_here:
        return
    long, _ = lines_of(report)[0]
    place, ends = series.geometry, np.array(long.GraphicData, np.float64)
    if square:
        (image,) = long.ContentSequence[0].ReferencedSOPSequence
        at = next(
            number
            for number, one in enumerate(series.slices)
            if (one.sop_uid, one.number + 1) == (image.ReferencedSOPInstanceUID, image.get("ReferencedFrameNumber", 1))
        )
        ends = place.to_mm([(at, row - 0.5, column - 0.5) for column, row in ends.reshape(2, 2)])
    ends = ends.reshape(2, 3)
    index = place.to_index(ends)
    assert np.allclose(index[:, 0], 2, atol=1e-3)  # the slice in which it is longest
    assert 1.4 <= index[:, 1].min() <= index[:, 1].max() <= 3.6  # rows 2 and 3, columns 3 to 6, to their edges
    assert 2.4 <= index[:, 2].min() <= index[:, 2].max() <= 6.6
    length = np.linalg.norm(ends[1] - ends[0])
    group = highdicom.sr.srread(BytesIO(content_of(report))).content.get_image_measurement_groups()[0]
    assert length == pytest.approx(group.get_measurements()[0].value, abs=0.01)


def _references(report: Dataset) -> list[Dataset]:
    return [
        item
        for study_item in report.CurrentRequestedProcedureEvidenceSequence
        for one in study_item.ReferencedSeriesSequence
        for item in one.ReferencedSOPSequence
    ]


@pytest.mark.parametrize("kind", ["axial", "enhanced"])
def test_nothing_outlined_is_an_object_that_says_so(kind: str, card: Card, tmp_path: Path) -> None:
    _, _, segmentation, report = objects(kind, tmp_path, card, outline=empty)
    assert [one.SegmentLabel for one in segmentation.SegmentSequence] == ["tumour 0.00 mL", "something else 0.00 mL"]
    assert not highdicom.seg.segread(BytesIO(content_of(segmentation))).pixel_array.any()
    assert report.ContentSequence


def test_what_is_no_dicom_or_has_no_frame_of_reference_cannot_be_written_back(card: Card, tmp_path: Path) -> None:
    written(slices(3, FrameOfReferenceUID=""), tmp_path / "series")
    (series,) = series_in(sorted((tmp_path / "series").iterdir()))
    assert isinstance(series, Series)
    case, _ = answered(series, np.zeros(series.geometry.shape, np.uint8))
    with pytest.raises(ImageRefused, match="do not say from where they measure"):
        sources_of(case)
    (tmp_path / "one.png").write_bytes(b"no DICOM")
    with pytest.raises(ImageRefused, match="not DICOM"):
        sources_of(Case("one", (tmp_path / "one.png",), lambda: Asked(np.zeros((1, 1, 2, 2), np.float32))))


def classified(folder: Path, **stated: Any) -> tuple[Case, Answer]:
    image = tiny(np.arange(400, dtype=np.uint16).reshape(20, 20), **{"Modality": "DX", **COMPLETE, **stated})
    path = save(image, folder / "one.dcm")
    asking = LOCAL_TASKS["classification"].asking
    assert asking is not None
    case = Case("one", (path,), lambda: Asked(np.zeros((1, 1, 2, 2), np.float32)))
    outputs = torch.tensor([[0.0, 2.0]])
    return case, asking.answer(study().task, outputs, case.prepare(), case, Chosen(0.5, 2.0))


@pytest.mark.parametrize(
    ("stated", "wanted"),
    [
        ({"PatientOrientation": ["L", "F"]}, ["L", "F"]),
        ({"PatientOrientation": ["PR", "HL"]}, ["PR", "FR"]),
        ({"PatientOrientation": ["P", "L"], "ImageOrientationPatient": [-1, 0, 0, 0, 0.1, -0.99]}, ["L", "F"]),
        ({"PatientOrientation": ["L", "FRONT"]}, None),
        ({}, None),
    ],
)
def test_the_picture_of_a_single_image_hangs_and_says_which_side_is_which(
    stated: dict[str, Any], wanted: list[str] | None, card: Card, tmp_path: Path
) -> None:
    """A viewer shows its letters by it; a radiograph without them can be read on the wrong side."""
    case, answer = classified(tmp_path, **stated)
    (picture,) = captures_of(drawn_of(case, answer, card), sources_of(case), card, "Pictures of made")
    assert (list(picture.PatientOrientation) if picture.PatientOrientation else None) == wanted


def test_the_studys_codes_and_the_hospitals_equipment_stand_in_every_object(card: Card, tmp_path: Path) -> None:
    written(slices(4, **{"Modality": "MR", "InstitutionName": "From the images", **COMPLETE}), tmp_path)
    (series,) = series_in(sorted(tmp_path.iterdir()))
    assert isinstance(series, Series)
    case, answer = answered(series, outlined(series.geometry.shape))
    sources, place = sources_of(case), Equipment("Ward 1", "Radiology", "AI-1", "A maker")
    of = two_structures().task.model_validate(
        {"name": "segmentation", "classes": STRUCTURES, "codes": ["", "SCT 40413006 Cystic structure"]}
    )
    segmentation = segmentation_of(answer, sources, card, "BINARY", of.coded, place)
    report = report_of(answer, sources, card, segmentation, of.coded, place)
    tumour, other = segmentation.SegmentSequence
    assert tumour.SegmentedPropertyTypeCodeSequence[0].CodeValue == "108369006"
    coded = other.SegmentedPropertyTypeCodeSequence[0]
    assert (coded.CodingSchemeDesignator, coded.CodeValue, coded.CodeMeaning) == of.coded["something else"]
    (picture, *_) = captures_of(drawn_of(case, answer, card), sources, card, "Pictures", place)
    for made in (segmentation, report, picture):
        assert (made.InstitutionName, made.InstitutionalDepartmentName) == ("Ward 1", "Radiology")
        assert (made.StationName, made.Manufacturer) == ("AI-1", "A maker")
    assert segmentation_of(answer, sources, card, "BINARY").InstitutionName == "From the images"
    assert other_object(picture) is not None  # under another maker's name too
    (tmp_path / "own.dcm").write_bytes(content_of(segmentation))
    with pytest.raises(ImageRefused, match="not a person"):
        seg.read(tmp_path / "own.dcm", series, Structures(STRUCTURES, {}))


@pytest.mark.parametrize(
    ("codes", "said"),
    [(["SCT 108369006 Neoplasm"], "1 entries for 2 classes"), (["SCT 108369006", ""], "a code is its scheme")],
)
def test_a_code_that_is_none_or_of_no_class_is_refused(codes: list[str], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        two_structures().task.model_validate({"name": "segmentation", "classes": STRUCTURES, "codes": codes})


def test_a_class_and_its_probabilities_are_a_report_of_the_image(card: Card, tmp_path: Path) -> None:
    case, answer = classified(tmp_path)
    report = report_of(answer, sources_of(case), card, None)
    (group,) = highdicom.sr.srread(BytesIO(content_of(report))).content.get_image_measurement_groups()
    said = {one.name.meaning: one.value for one in group.get_measurements()}
    assert list(said) == ["Probability of none", "Probability of finding"]
    assert [*said.values()] == pytest.approx([0.2689, 0.7311], abs=1e-3)
    assert len({one.name.value for one in group.get_measurements()}) == 2
    assert group.finding_type.meaning == "finding"


@pytest.mark.parametrize(
    ("charsets", "name"),
    [
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
        ("ISO_IR 144", "Люкceмбypг"),
    ],
    ids=["japanese", "korean", "cyrillic"],
)
def test_a_patients_name_in_any_character_set_of_dicom_stands_in_report_and_picture(
    charsets: Any, name: str, card: Card, tmp_path: Path
) -> None:
    """highdicom refuses a first character set that is empty, as PS3.3 C.12.1.1.2 has it for Japanese and Korean."""
    case, answer = classified(tmp_path, SpecificCharacterSet=charsets, PatientName=name)
    sources = sources_of(case)
    (picture,) = captures_of(drawn_of(case, answer, card), sources, card, "Pictures of made")
    for made in (report_of(answer, sources, card, None), picture):
        assert str(dcmread(BytesIO(content_of(made))).PatientName) == name


def test_dates_of_before_dicom_are_written_as_today_and_what_is_no_date_is_named(card: Card, tmp_path: Path) -> None:
    old = {"StudyDate": "2020.01.31", "StudyTime": "12:30:59.5", "PatientBirthDate": "1950.12.01"}
    case, answer = classified(tmp_path, **old)
    report = report_of(answer, sources_of(case), card, None)
    assert (report.StudyDate, report.StudyTime, report.PatientBirthDate) == ("20200131", "123059.5", "19501201")
    case, _ = classified(tmp_path, StudyDate="31 Jan")
    with pytest.raises(ImageRefused, match="its StudyDate is not written as DICOM"):
        sources_of(case)


@pytest.mark.parametrize("stated", ["1950", "195012", "19500000", "19501200"])
def test_a_birth_date_of_which_only_a_part_was_left_is_written_as_unknown(
    stated: str, card: Card, tmp_path: Path
) -> None:
    case, answer = classified(tmp_path, PatientBirthDate=stated)
    assert report_of(answer, sources_of(case), card, None).PatientBirthDate == ""
    case, _ = classified(tmp_path, StudyDate=stated)
    with pytest.raises(ImageRefused, match="its StudyDate is not written as DICOM"):
        sources_of(case)


@pytest.mark.parametrize("word", ["StudyInstanceUID", "SOPInstanceUID"])
def test_an_image_that_names_no_study_or_instance_is_told_so_and_not_that_it_is_no_dicom(
    word: str, tmp_path: Path
) -> None:
    case, _ = classified(tmp_path, **{word: None})
    with pytest.raises(ImageRefused, match=f"it states no {word}"):
        sources_of(case)


@pytest.mark.parametrize(
    ("unit", "code", "name"),
    [
        ("years", "a", "Age"),
        ("mL", "cm3", "Age"),
        ("%", "%", "Age"),
        ("points", "1", "Age in points"),
        ("D", "1", "Age in D"),
    ],
)
def test_a_number_has_its_unit_in_the_report(unit: str, code: str, name: str, card: Card, tmp_path: Path) -> None:
    case, _ = classified(tmp_path)
    facts = {"measurement": "age", "value": 61.5, "unit": unit, "within_range": True, "calibrated": True}
    (group,) = groups_of(report_of(Answer(facts), sources_of(case), card, None))
    (measured,) = group.get_measurements()
    assert (measured.value, measured.unit.value, measured.unit.scheme_designator) == (61.5, code, "UCUM")
    assert measured.name.meaning == name


def test_a_report_of_findings_says_of_each_whether_it_is_present(card: Card, tmp_path: Path) -> None:
    case, _ = classified(tmp_path)
    findings = {"mass": {"probability": 0.35, "present": True}, "scar": {"probability": 0.4, "present": False}}
    report = report_of(Answer({"findings": findings, "calibrated": True}), sources_of(case), card, None)
    (group,) = groups_of(report)
    said = {one.name.meaning: one.value.value for one in group.get_qualitative_evaluations()}
    assert said == {"Neoplasm": "52101004", "scar": "2667000"}


def test_a_report_and_a_picture_say_from_where_on_a_finding_is_decided_which_may_be_the_less_probable_class(
    card: Card, tmp_path: Path
) -> None:
    """'finding', with 0.53 for 'normal' and 0.47 for 'finding', contradicts itself without its threshold."""
    case, _ = classified(tmp_path)
    probabilities = {"normal": 0.53, "finding": 0.47}
    facts = {"class": "finding", "probabilities": probabilities, "calibrated": True, "operating_point": 0.4312}
    (group,) = groups_of(report_of(Answer(facts), sources_of(case), card, None))
    said = {one.name.meaning: one.value.meaning for one in group.get_qualitative_evaluations()}
    assert said == {"Threshold for finding": "0.431"}
    assert "threshold for finding: 0.431" in [text.strip() for text, _ in pictures.lines_of(facts)]
    asking = LOCAL_TASKS["classification"].asking
    assert asking is not None
    assert asking.said(facts) == "finding (calibrated probability of finding 0.47, threshold 0.43)"
    several = {"class": "b", "probabilities": {"a": 0.2, "b": 0.5, "c": 0.3}, "operating_point": None}
    assert thresholds_of(several) == {}


def test_a_picture_of_findings_says_at_what_probability_each_is_decided() -> None:
    findings = {
        "mass": {"probability": 0.35, "present": True, "operating_point": 0.3},
        "scar": {"probability": 0.99, "present": False, "operating_point": None},
    }
    assert [text.strip() for text, _ in pictures.lines_of({"findings": findings, "calibrated": True})] == [
        "findings",
        "probability of mass: 0.350, present (threshold 0.300)",
        "probability of scar: 0.9900, absent",
    ]


@pytest.mark.parametrize("lacking", ["measures", "orientation", "thickness", "thickness of slices"])
def test_what_each_frame_states_for_itself_or_nobody_does_is_no_reason_to_write_no_outline(
    lacking: str, card: Card, tmp_path: Path
) -> None:
    """Siemens' enhanced MR states distances and directions of each frame, and none for all."""
    if lacking == "thickness of slices":
        made = files("oblique", tmp_path / "none")
        for one in made:
            del one.SliceThickness
    else:
        made = files("enhanced", tmp_path / "none")
        shared = made[0].SharedFunctionalGroupsSequence[0]
        word = "PlaneOrientationSequence" if lacking == "orientation" else "PixelMeasuresSequence"
        if lacking == "thickness":
            del shared[word][0].SliceThickness
        else:
            for group in made[0].PerFrameFunctionalGroupsSequence:
                group[word] = shared[word]
            del shared[word]
    for one in made:
        one.ProcedureCodeSequence = []
    written(made, tmp_path / "series")
    (series,) = series_in(sorted((tmp_path / "series").iterdir()))
    assert isinstance(series, Series)
    drawn = outlined(series.geometry.shape)
    case, answer = answered(series, drawn)
    segmentation = segmentation_of(answer, sources_of(case), card, "BINARY")
    assert np.array_equal(read_back(segmentation, series), drawn)
    assert "ProcedureCodeSequence" not in segmentation


UNLIKE = {"unlike": {"distance": 9.0, "threshold": 1.0, "unlike": True, "words": "further than 95% of these are"}}


@pytest.mark.parametrize("of", ["image", "boxes", "outline"])
def test_what_must_be_known_of_an_answer_stands_in_its_report_and_below_its_picture(
    of: str, card: Card, tmp_path: Path
) -> None:
    """Who reads a result in the archive sees no other word of it."""
    if of == "outline":
        written(slices(4, **{"Modality": "MR", **COMPLETE}), tmp_path)
        (series,) = series_in(sorted(tmp_path.iterdir()))
        assert isinstance(series, Series)
        case, answer = answered(series, outlined(series.geometry.shape))
    else:
        case, answer = classified(tmp_path)
    if of == "boxes":
        answer = Answer({"boxes": []})
    more = {**answer.facts, **UNLIKE, "images_refused": 2}
    usual, told = (replace(answer, facts=facts) for facts in (answer.facts, more))
    heights = []
    for one, cautions in ((usual, []), (told, ["without 2 of its files, which were refused", "unlike the training"])):
        sources = sources_of(case)
        segmentation = segmentation_of(one, sources, card, "BINARY") if of == "outline" else None
        for group in groups_of(report_of(one, sources, card, segmentation)):
            said = [(found.name.meaning, found.value.meaning) for found in group.get_qualitative_evaluations()]
            assert [value for name, value in said if name == "Caution"] == cautions
        drawn = pictures_of_boxes if of == "boxes" else pictures_of
        heights.append(len(drawn(Done(case, Asked(np.zeros((0, 1, 1, 1), np.float32)), one), card)[0].pixels))
    assert heights[1] - heights[0] >= 40  # two lines or more


BOX = {"class": "mass", "confidence": 0.12, "x0": 1.0, "y0": 2.0, "x1": 5.0, "y1": 8.0}


@pytest.mark.parametrize("boxes", [[], [BOX]])
def test_a_report_and_a_picture_say_from_which_confidence_on_a_box_is_drawn(
    boxes: list[dict[str, Any]], card: Card, tmp_path: Path
) -> None:
    """A confidence of 0.12 may be a finding, and without one 'no box' says little."""
    case, _ = classified(tmp_path)
    card = card.model_copy(update={"classes": ("mass",)})
    heights = []
    for point, told in ((None, []), (0.0737, ["0.0737"])):
        answer = Answer({"boxes": boxes, "operating_point": point})
        (group,) = groups_of(report_of(answer, sources_of(case), card, None))
        said = [(found.name.meaning, found.value.meaning) for found in group.get_qualitative_evaluations()]
        assert [value for name, value in said if name == "Threshold for a box"] == told
        asked = Asked(np.zeros((0, 1, 1, 1), np.float32))
        heights.append(len(pictures_of_boxes(Done(case, asked, answer), card)[0].pixels))
    assert heights[1] - heights[0] >= 20  # a line


@pytest.mark.parametrize("of", ["image", "boxes", "outline"])
@pytest.mark.parametrize(
    ("stated", "side"),
    [
        ({"ImageLaterality": "L"}, ["Left"]),
        ({"Laterality": "R"}, ["Right"]),
        ({"ImageLaterality": "B", "Laterality": "R"}, ["Right and left"]),
        ({"Laterality": ""}, []),
        ({}, []),
    ],
)
def test_a_report_says_of_which_side_its_image_is_where_the_image_does(
    of: str, stated: dict[str, str], side: list[str], card: Card, tmp_path: Path
) -> None:
    written(slices(4, **{"Modality": "MR", **COMPLETE, **stated}), tmp_path)
    (series,) = series_in(sorted(tmp_path.iterdir()))
    assert isinstance(series, Series)
    case, answer = answered(series, outlined(series.geometry.shape))
    sources = sources_of(case)
    segmentation = segmentation_of(answer, sources, card, "BINARY") if of == "outline" else None
    if of == "image":
        case, answer = classified(tmp_path / "one", **stated)
        sources = sources_of(case)
    if of == "boxes":
        answer = Answer({"boxes": [BOX | {"slice": 3}]})
    for group in groups_of(report_of(answer, sources, card, segmentation)):
        said = [(one.name.value, one.value.meaning) for one in group.get_qualitative_evaluations()]
        assert [meaning for code, meaning in said if code == "272741003"] == side


def test_a_frame_states_the_side_of_its_own(card: Card, tmp_path: Path) -> None:
    made = enhanced(**{"Modality": "MR", **COMPLETE, "Laterality": "R"})
    made.SharedFunctionalGroupsSequence[0].FrameAnatomySequence = [item(FrameLaterality="L")]
    written([made], tmp_path)
    (series,) = series_in(sorted(tmp_path.iterdir()))
    assert isinstance(series, Series)
    case, _ = answered(series, outlined(series.geometry.shape))
    assert sources_of(case).side(1) == "L"


def test_a_report_has_the_sides_of_boxes_and_of_thousands_the_most_confident_and_says_so(
    card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dicom_out, "MOST_BOXES", 3)
    case, _ = classified(tmp_path)
    sized = BOX | {"width_mm": 4.5, "height_mm": 6.25}
    (group,) = groups_of(report_of(Answer({"boxes": [sized]}), sources_of(case), card, None))
    found = [(one.name.meaning, one.value, one.unit.value) for one in group.get_measurements()]
    assert found == [("Confidence", 0.12, "1"), ("Width", 4.5, "mm"), ("Height", 6.25, "mm")]
    many = [BOX | {"confidence": 0.9 - number / 1000} for number in range(7)]
    groups = groups_of(report_of(Answer({"boxes": many}), sources_of(case), card, None))
    values = [group.get_measurements()[0].value for group in groups]
    assert values == [box["confidence"] for box in many[:3]]
    for group in groups:
        said = [one.value.meaning for one in group.get_qualitative_evaluations() if one.name.meaning == "Caution"]
        assert said == ["the 3 most confident of 7 boxes"]


def groups_of(report: Dataset) -> list[Any]:
    content = highdicom.sr.srread(BytesIO(content_of(report))).content
    return [*content.get_image_measurement_groups(), *content.get_volumetric_roi_measurement_groups()]


def test_diameters_can_be_seen_where_the_image_is_bright(card: Card, tmp_path: Path) -> None:
    bright = slices(4, Modality="MR", **COMPLETE)
    for one in bright:
        values = np.full((one.Rows, one.Columns), 900, np.uint16)
        values[0] = 0
        one.PixelData = values.tobytes()
    written(bright, tmp_path)
    (series,) = series_in(sorted(tmp_path.iterdir()))
    assert isinstance(series, Series)
    case, answer = answered(series, outlined(series.geometry.shape))
    lesion = answer.facts["structures"][0]["lesions"][0]
    (picture, *_) = drawn_of(case, answer, card)
    at = np.mean([series.geometry.to_index(place)[1:] for place in lesion["long_axis"]], axis=0) + 0.5
    _, rows_mm, columns_mm = series.geometry.spacing_mm
    assert picture.pixel_mm is not None
    row, column = np.rint(at * (rows_mm, columns_mm) / picture.pixel_mm).astype(int)
    near = picture.pixels[row - 12 : row + 13, column - 12 : column + 13].mean(axis=2)
    assert near.max() == 255
    assert near.min() == 0


def test_a_preview_has_the_shape_of_what_lies_in_the_patient(card: Card, tmp_path: Path) -> None:
    made = slices(4, Modality="MR", PixelSpacing=[1.0, 3.0])
    for one in made:
        values = np.zeros((one.Rows, one.Columns), np.uint16)
        values[2:6, 2:6] = 900  # 4 x 12 mm
        one.PixelData = values.tobytes()
    written(made, tmp_path / "series")
    (series,) = series_in(sorted((tmp_path / "series").iterdir()))
    assert isinstance(series, Series)
    case, answer = answered(series, empty(series.geometry.shape))
    with keeping(tmp_path / "out", card) as kept:
        done = Done(case, Asked(np.zeros((0, 1, 1, 1), np.float32)), answer)
        _, png = write_files(done, kept, card, preview=True)
    with Pillow.open(tmp_path / "out" / png) as picture:
        bright = np.argwhere(np.asarray(picture.convert("RGB")).min(axis=2) > 240)
    high, wide = np.ptp(bright, axis=0) + 1
    assert wide / high == pytest.approx(3, rel=0.15)


def drawn_of(case: Case, answer: Answer, card: Card) -> list[Picture]:
    return pictures_of(Done(case, Asked(np.zeros((0, 1, 1, 1), np.float32)), answer), card)


def captures(kind: str, folder: Path, card: Card, outline: Any = outlined) -> tuple[Series, list[Any]]:
    files(kind, folder)
    (series,) = series_in(sorted(folder.iterdir()))
    assert isinstance(series, Series)
    case, answer = answered(series, outline(series.geometry.shape))
    return series, captures_of(drawn_of(case, answer, card), sources_of(case), card, "Pictures of made")


@pytest.mark.parametrize("kind", ["axial", "enhanced"])
def test_a_picture_is_of_the_patients_study_names_its_image_and_no_patient(
    kind: str, card: Card, tmp_path: Path
) -> None:
    series, (made,) = captures(kind, tmp_path, card)
    assert made.SOPClassUID == "1.2.840.10008.5.1.4.1.1.7"
    assert (made.PatientID, made.StudyInstanceUID, made.BurnedInAnnotation) == ("MRN 1", series.study_uid, "NO")
    (source,) = made.SourceImageSequence
    assert source.ReferencedSOPInstanceUID == series.slices[2].sop_uid
    if kind == "enhanced":
        assert source.ReferencedFrameNumber == series.slices[2].number + 1
    (listed,) = made.ReferencedSeriesSequence
    assert listed.SeriesInstanceUID == series.uid
    _, (again,) = captures(kind, tmp_path / "again", card)
    assert {made.SOPInstanceUID, made.SeriesInstanceUID}.isdisjoint({again.SOPInstanceUID, again.SeriesInstanceUID})


@pytest.mark.parametrize(("kind", "towards"), [("axial", ["L", "P"]), ("sagittal", ["P", "F"])])
def test_an_outline_lies_in_its_picture_where_it_lies_in_its_slice(
    kind: str, towards: list[str], card: Card, tmp_path: Path
) -> None:
    def landmark(shape: tuple[int, ...]) -> np.ndarray:
        outline = np.zeros(shape, np.uint8)
        outline[1, 2, 7] = 1
        return outline

    series, (made,) = captures(kind, tmp_path, card, landmark)
    side = float(made.PixelSpacing[0])
    rows, columns = np.nonzero((made.pixel_array[: round(8 / side)] == COLOURS[0]).all(axis=2))
    _, rows_mm, columns_mm = series.geometry.spacing_mm
    assert (rows.min() * side, (rows.max() + 1) * side) == pytest.approx((2 * rows_mm, 3 * rows_mm), abs=side)
    assert (columns.min() * side, (columns.max() + 1) * side) == pytest.approx(
        (7 * columns_mm, 8 * columns_mm), abs=side
    )
    assert list(made.PatientOrientation) == towards


def test_each_slice_in_which_a_part_is_longest_has_a_picture_the_largest_first(card: Card, tmp_path: Path) -> None:
    def parts(shape: tuple[int, ...]) -> np.ndarray:
        outline = np.zeros(shape, np.uint8)
        outline[0, 1, 1:4] = 1
        outline[3, 2:6, 2:8] = 1
        return outline

    series, (large, small) = captures("axial", tmp_path, card, parts)
    named = [one.SourceImageSequence[0].ReferencedSOPInstanceUID for one in (large, small)]
    assert named == [series.slices[3].sop_uid, series.slices[0].sop_uid]
    assert (large.SeriesInstanceUID, large.InstanceNumber) == (small.SeriesInstanceUID, small.InstanceNumber - 1)


def test_many_parts_in_a_slice_do_not_make_a_picture_of_text(card: Card, tmp_path: Path) -> None:
    def spots(shape: tuple[int, ...]) -> np.ndarray:
        outline = np.zeros(shape, np.uint8)
        outline[1, ::2, ::2] = 1
        return outline

    _, (made,) = captures("axial", tmp_path, card, spots)  # 20 parts of one voxel
    _, (few,) = captures("axial", tmp_path / "few", card)
    assert made.Rows - few.Rows < made.Rows / 2


def test_a_picture_of_an_answer_is_no_image_to_train_on(card: Card, tmp_path: Path) -> None:
    _, (made,) = captures("axial", tmp_path / "series", card)
    assert other_object(dcmread(BytesIO(content_of(made)))) == (
        "own-result",
        "this is a picture of what a model of Wardround answered",
    )


def test_what_a_model_outlined_is_no_reference_to_train_on(card: Card, tmp_path: Path) -> None:
    series, _, segmentation, _ = objects("axial", tmp_path / "series", card)
    (tmp_path / "own.dcm").write_bytes(content_of(segmentation))
    with pytest.raises(ImageRefused) as refused:
        seg.read(tmp_path / "own.dcm", series, Structures(STRUCTURES, {}))
    assert refused.value.reason == "own-result"


def errors_of(path: Path) -> list[str]:
    checked = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    return [line for line in checked.stderr.splitlines() if re.match("Error", line)]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is not installed (Debian: dicom3tools)")
@pytest.mark.parametrize("outline", [outlined, empty])
@pytest.mark.parametrize("spacing", [(1.0, 2.0), (1.5, 1.5)])
@pytest.mark.parametrize("kind", ["axial", "oblique", "sagittal", "enhanced"])
def test_a_checker_of_the_standard_finds_no_error(
    kind: str, spacing: tuple[float, float], outline: Any, card: Card, tmp_path: Path
) -> None:
    _, _, segmentation, report = objects(kind, tmp_path / "series", card, outline, spacing=spacing)
    _, pictures = captures(kind, tmp_path / "again", card, outline)
    for name, made in (("seg", segmentation), ("report", report), ("picture", pictures[0])):
        (tmp_path / name).write_bytes(content_of(made))
        assert errors_of(tmp_path / name) == []


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is not installed (Debian: dicom3tools)")
def test_of_label_maps_a_checker_says_only_that_it_does_not_know_them(card: Card, tmp_path: Path) -> None:
    _, _, segmentation, report = objects("oblique", tmp_path / "series", card, form="LABELMAP")
    for name, made in (("seg", segmentation), ("report", report)):
        (tmp_path / name).write_bytes(content_of(made))
    assert {line.split(" - ")[1] for line in errors_of(tmp_path / "seg")} <= {
        "Information Object Not found",
        "SegmentNumber not monotonically increasing from one by one",
    }
    known = "Shall not be present for Referenced SOP Class that is not segmentation"
    assert {line.split(" - ")[1] for line in errors_of(tmp_path / "report")} == {known}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is not installed (Debian: dicom3tools)")
def test_a_checker_of_the_standard_finds_no_error_in_what_is_made_of_one_image(card: Card, tmp_path: Path) -> None:
    case, answer = classified(tmp_path)
    sources = sources_of(case)
    (picture,) = captures_of(drawn_of(case, answer, card), sources, card, "Pictures of made")
    for name, made in (("report", report_of(answer, sources, card, None)), ("picture", picture)):
        (tmp_path / name).write_bytes(content_of(made))
        assert errors_of(tmp_path / name) == []
        assert dcmread(tmp_path / name).PatientID == "MRN 1"
