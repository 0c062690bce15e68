"""An export holds more than its images: what is not one is left out with a reason, and a hospital can say otherwise."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import (
    CTImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalMammographyXRayImageStorageForProcessing,
    MRImageStorage,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
    VLWholeSlideMicroscopyImageStorage,
    generate_uid,
)

from tiny_dicom import RAMP, save, tiny
from wardround_client.images.sop_class import OTHER_REASONS
from wardround_client.intake.image_kinds import KINDS
from wardround_client.intake.index import scan
from wardround_client.intake.instance import Index
from wardround_client.intake.record import ALLOWABLE
from wardround_common.refusals import MEANINGS

LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"  # pydicom 3.0.2 has no name for it


def scanned(tmp_path: Path, allow: frozenset[str] = frozenset(), /, **files: object) -> Index:
    for name, made in files.items():
        save(made, tmp_path / "images" / name)  # type: ignore[arg-type]
    return scan(tmp_path / "images", state=tmp_path / "state", allow=allow)


def reasons(found: Index) -> dict[str, int]:
    return dict(Counter(refusal.reason for refusal in found.refused))


@pytest.mark.parametrize(
    ("image_type", "reason"),
    [
        (["ORIGINAL", "PRIMARY", "LOCALIZER"], "localizer"),
        (["ORIGINAL", "PRIMARY", "AXIAL", "SCOUT"], "localizer"),
        (["DERIVED", "SECONDARY", "SCREEN SAVE"], "screen"),
        (["ORIGINAL", "SECONDARY", "OTHER", "CT_SOM5 PROT"], "screen"),
        (["DERIVED", "SECONDARY", "OTHER", "CSA REPORT"], "screen"),
        (["DERIVED", "SECONDARY", "DOSE_INFO"], "screen"),
        (["DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"], "derived"),
        (["DERIVED", "PRIMARY", "MPR"], "derived"),
        (["DERIVED", "PRIMARY", "AXIAL", "MIN_IP"], "derived"),
        (["DERIVED", "PRIMARY", "PROJECTION IMAGE"], "derived"),
        (["DERIVED", "PRIMARY", "DIFFUSION", "ADC", "ND"], "derived"),
        (["DERIVED", " secondary"], "derived"),
    ],
)
def test_what_image_type_says_is_no_primary_image_is_left_out(
    tmp_path: Path, image_type: list[str], reason: str
) -> None:
    found = scanned(tmp_path, image=tiny(ImageType=["ORIGINAL", "PRIMARY"]), other=tiny(ImageType=image_type))
    assert [instance.file for instance in found.accepted] == ["image"]
    assert reasons(found) == {reason: 1}


@pytest.mark.parametrize(
    "image_type",
    [
        None,
        ["ORIGINAL", "PRIMARY", "AXIAL"],
        ["DERIVED", "PRIMARY"],  # every digital radiograph for presentation
        ["DERIVED", "PRIMARY", "OTHER"],
        ["ORIGINAL", "PRIMARY", "M", "ND", "NORM"],
        ["DERIVED", "PRIMARY", "DIFFUSION", "TRACEW", "ND"],
        ["ORIGINAL", "PRIMARY", "T1", "NONE"],
    ],
)
def test_a_primary_image_is_accepted(tmp_path: Path, image_type: list[str] | None) -> None:
    assert len(scanned(tmp_path, image=tiny(ImageType=image_type)).accepted) == 1


@pytest.mark.parametrize("series", ["3-plane Loc SSFSE", "AAHead_Scout", "Survey_SHC", "Topogram  0.6  T20f"])
def test_an_overview_whose_maker_says_it_in_the_series_only_is_left_out(tmp_path: Path, series: str) -> None:
    files = {"overview": tiny(SeriesDescription=series), "image": tiny(SeriesDescription="ax T1 local shim blocked")}
    found = scanned(tmp_path, **files)
    assert [instance.file for instance in found.accepted] == ["image"]
    assert reasons(found) == {"localizer": 1}


def test_a_radiograph_that_is_called_scout_is_an_image(tmp_path: Path) -> None:
    assert scanned(tmp_path, image=tiny(Modality="DX", SeriesDescription="Abdomen scout")).accepted


def test_a_hospital_takes_each_kind_in_by_its_own_word_and_nothing_is_read_again(tmp_path: Path) -> None:
    made = {
        "localizers": tiny(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]),
        "screens": tiny(ImageType=["DERIVED", "SECONDARY", "SCREEN SAVE"]),
        "derived": tiny(ImageType=["DERIVED", "SECONDARY"]),
        "parametric-maps": tiny(SOPClassUID="1.2.840.10008.5.1.4.1.1.30"),
        "synthetic": tiny(SyntheticData="YES"),
    }
    assert not scanned(tmp_path, **made).accepted
    for word in made:
        found = scanned(tmp_path, frozenset({word}))
        assert [instance.file for instance in found.accepted] == [word]
        assert found.reread == 0
    assert len(scanned(tmp_path, frozenset(KINDS)).accepted) == len(made)


@pytest.mark.parametrize(
    ("sop_class", "reason"),
    [
        ("1.2.840.10008.5.1.4.1.1.66.4", "segmentation"),
        (LABEL_MAP, "segmentation"),
        ("1.2.840.10008.5.1.4.1.1.481.2", "dose"),
        ("1.2.840.10008.5.1.4.1.1.30", "parametric-map"),
    ],
)
def test_an_object_with_pixels_that_is_no_image_is_refused_as_what_it_is(
    tmp_path: Path, sop_class: str, reason: str
) -> None:
    found = scanned(tmp_path, other=tiny(SOPClassUID=sop_class))
    assert reasons(found) == {reason: 1}


@pytest.mark.parametrize(
    ("sop_class", "reason"),
    [
        ("1.2.840.10008.5.1.4.1.1.481.3", "contours"),
        ("1.2.840.10008.5.1.4.1.1.88.33", "report"),
        ("1.2.840.10008.5.1.4.1.1.88.67", "report"),  # the dose as a report
        ("1.2.840.10008.5.1.4.1.1.88.59", "key-objects"),
        ("1.2.840.10008.5.1.4.1.1.11.1", "presentation-state"),
        ("1.2.840.10008.5.1.4.1.1.104.1", "document"),
        ("1.2.840.10008.5.1.4.1.1.9.1.1", "waveform"),
        ("1.2.840.10008.5.1.4.1.1.66.1", "registration"),
        ("1.2.840.10008.5.1.4.1.1.66", "raw-data"),
    ],
)
def test_an_object_without_pixels_is_refused_as_what_it_is(tmp_path: Path, sop_class: str, reason: str) -> None:
    made = tiny(SOPClassUID=sop_class)
    for word in ("PixelData", "Rows", "Columns"):
        delattr(made, word)
    assert reasons(scanned(tmp_path, other=made)) == {reason: 1}


@pytest.mark.parametrize(("modality", "reason"), [("SEG", "segmentation"), ("RTDOSE", "dose")])
def test_a_mask_or_a_dose_that_a_converter_wrote_as_an_image_is_told_by_its_modality(
    tmp_path: Path, modality: str, reason: str
) -> None:
    assert reasons(scanned(tmp_path, other=tiny(Modality=modality))) == {reason: 1}


def test_one_bit_a_pixel_is_a_mask_in_dicom_too(tmp_path: Path) -> None:
    made = tiny(BitsAllocated=1, BitsStored=1, HighBit=0, PixelData=b"\x12\x34")
    assert reasons(scanned(tmp_path, other=made)) == {"mask": 1}


def test_nothing_that_is_allowed_makes_a_segmentation_an_image(tmp_path: Path) -> None:
    found = scanned(tmp_path, frozenset(ALLOWABLE), other=tiny(SOPClassUID=LABEL_MAP))
    assert reasons(found) == {"segmentation": 1}


def capture(study: str, **more: object) -> object:
    return tiny(SOPClassUID=SecondaryCaptureImageStorage, StudyInstanceUID=study, ConversionType="WSD", **more)


def test_a_secondary_capture_beside_the_images_of_its_study_is_left_out(tmp_path: Path) -> None:
    study = generate_uid()
    files = {"image": tiny(StudyInstanceUID=study), "picture": capture(study)}
    found = scanned(tmp_path, **files)
    assert ([instance.file for instance in found.accepted], reasons(found)) == (["image"], {"capture": 1})
    assert len(scanned(tmp_path, frozenset({"captures"})).accepted) == 2


@pytest.mark.parametrize("image_type", [None, ["DERIVED", "SECONDARY"], ["ORIGINAL", "PRIMARY"]])
def test_an_archive_that_was_exported_as_secondary_captures_is_accepted(
    tmp_path: Path, image_type: list[str] | None
) -> None:
    """Public radiograph sets are: Modality CR, ConversionType WSD, and mostly no ImageType."""
    files = {f"{n}": capture(generate_uid(), Modality="CR", ImageType=image_type) for n in range(3)}
    found = scanned(tmp_path, **files)
    assert len(found.accepted) == 3


def test_a_capture_that_says_that_it_is_primary_stands_beside_others(tmp_path: Path) -> None:
    study = generate_uid()
    files = {"image": tiny(StudyInstanceUID=study), "film": capture(study, ImageType=["ORIGINAL", "PRIMARY"])}
    assert len(scanned(tmp_path, **files).accepted) == 2


def test_frames_of_captures_and_scanned_pages_are_told_too(tmp_path: Path) -> None:
    study = generate_uid()
    several = tiny(np.stack([RAMP, RAMP]), SOPClassUID=MultiFrameGrayscaleByteSecondaryCaptureImageStorage)
    several.StudyInstanceUID = study
    page = capture(generate_uid())
    page.ConversionType = "SD"  # type: ignore[attr-defined]
    found = scanned(tmp_path, image=tiny(StudyInstanceUID=study), several=several, page=page)
    assert reasons(found) == {"capture": 1, "screen": 1}


def test_a_mammogram_for_processing_gives_way_to_the_one_for_presentation(tmp_path: Path) -> None:
    study = generate_uid()
    raw, shown = (
        tiny(SOPClassUID=uid, StudyInstanceUID=study, Modality="MG")
        for uid in (DigitalMammographyXRayImageStorageForProcessing, DigitalMammographyXRayImageStorageForPresentation)
    )
    alone = tiny(SOPClassUID=DigitalMammographyXRayImageStorageForProcessing, Modality="MG")
    found = scanned(tmp_path, raw=raw, shown=shown, alone=alone)
    assert [instance.file for instance in found.accepted] == ["alone", "shown"]
    assert reasons(found) == {"for-processing": 1}


def test_the_label_of_a_slide_is_a_text_and_its_overview_no_image(tmp_path: Path) -> None:
    label, overview = (
        tiny(SOPClassUID=VLWholeSlideMicroscopyImageStorage, ImageType=["ORIGINAL", "PRIMARY", word, "NONE"])
        for word in ("LABEL", "OVERVIEW")
    )
    asl = tiny(SOPClassUID=MRImageStorage, ImageType=["ORIGINAL", "PRIMARY", "ASL", "LABEL"])
    found = scanned(tmp_path, label=label, overview=overview, asl=asl)
    assert reasons(found) == {"screen": 1, "localizer": 1}


def test_half_of_a_folder_that_lies_beside_the_images_is_left_out(tmp_path: Path) -> None:
    """Labels go by patient, so every file of the modality would have been trained on."""
    types = {
        "ax": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "scout": ["ORIGINAL", "PRIMARY", "LOCALIZER"],
        "dose": ["DERIVED", "SECONDARY", "SCREEN SAVE"],
    }
    files = {
        f"{patient}{name}": tiny(SOPClassUID=CTImageStorage, Modality="CT", PatientID=patient, ImageType=values)
        for patient in "ABCD"
        for name, values in types.items()
    }
    for made in files.values():
        made.PatientName = made.PatientID
    found = scanned(tmp_path, **files)
    assert [instance.file for instance in found.accepted] == ["Aax", "Bax", "Cax", "Dax"]
    assert reasons(found) == {"localizer": 4, "screen": 4}


def test_every_kind_says_by_which_word_it_is_taken_in() -> None:
    for word, reason in KINDS.items():
        assert f"--allow {word}" in MEANINGS[reason][1]


def test_every_reason_that_leaves_an_object_out_says_what_it_means() -> None:
    assert {*KINDS.values(), *OTHER_REASONS} <= {*MEANINGS}
