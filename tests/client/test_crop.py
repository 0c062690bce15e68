"""The step that cuts images to what is not background: which part it leaves, and that everything comes back from it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.transforms import CropForeground
from pydicom import dcmread

from examples import study
from models_made import model_folder
from outlined_hospitals import PIXEL_MM, STEP_MM, outlining, outlining_volumes, write_hospital, write_mask
from series_made import slices, written
from tiny_dicom import save, tiny
from wardround_client.images import Image, read_image
from wardround_client.images.hanging import NOT_SAID, hanging_of
from wardround_client.intake.boxes import Box
from wardround_client.intake.index import scan
from wardround_client.maps.in_lesions import measured
from wardround_client.preparation.asking import cases_of, image_cases, slice_by_slice
from wardround_client.preparation.dataset import Dataset, prepare, take_in
from wardround_client.preparation.kept_images import areas_alike
from wardround_client.preparation.preprocessing import Place, located, to_network_form
from wardround_client.preparation.source import Source
from wardround_client.preparation.steps.crop import PART, STEP
from wardround_client.preview.make import preview
from wardround_client.preview.stages import of_image
from wardround_client.tasks.box_form import from_form, to_form, together
from wardround_client.tasks.box_loss import PRIOR, maps_of
from wardround_client.tasks.contract import Case, Chosen
from wardround_client.tasks.detection import TASK as DETECTION
from wardround_client.tasks.outline_form import to_form as outline_to_form
from wardround_client.volumes import Series, series_in
from wardround_common.errors import StudyError
from wardround_common.shell.cli import wardround
from wardround_common.study.file import Study
from wardround_common.study.steps import Area

TIGHT = {"step": "crop", "above": 0.1, "margin": 0}
CROP = TIGHT | {"margin": 0.1}
BODY = Area(9, 12, 49, 42)
"""Of a made image of 64 rows and 56 columns: 40 rows and 30 columns."""
WITH_MARGIN = Area(5, 9, 53, 45)


def made(seed: int = 0) -> np.ndarray:
    """Return an image of a body in noisy air, with a burnt-in letter in a corner: (64, 56) uint16."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 60, (64, 56))
    BODY.of(pixels)[...] = rng.integers(600, 1000, BODY.shape)
    pixels[2:5, 50:53] = 1000
    return pixels.astype(np.uint16)


def area(pixels: np.ndarray, above: float = 0.1, margin: float = 0) -> Area:
    assert STEP.area is not None
    return STEP.area({"above": above, "margin": margin}, pixels.astype(np.float32))


def cropping(*more: dict[str, Any], step: dict[str, Any] = CROP, **sections: Any) -> Study:
    data = {"intensity": "percentile", "steps": [step, *more]} | sections.pop("data", {})
    return study(data=data, **sections)


def test_a_body_in_noisy_air_is_left_with_its_margin_and_a_letter_is_not() -> None:
    assert area(made()) == BODY
    assert area(made(), margin=0.1) == WITH_MARGIN
    assert area(made(), margin=1) == Area.whole(64, 56)  # no further than the image


@settings(max_examples=40, deadline=None)
@given(st.data(), st.sampled_from([0, 0.05, 0.3]))
def test_the_part_is_that_of_monais_crop_and_turns_with_the_image(data: st.DataObject, margin: float) -> None:
    height, width = data.draw(st.integers(12, 70)), data.draw(st.integers(12, 70))
    rows, columns = data.draw(st.integers(height // 3 + 1, height)), data.draw(st.integers(width // 3 + 1, width))
    top, left = data.draw(st.integers(0, height - rows)), data.draw(st.integers(0, width - columns))
    pixels = np.zeros((height, width), np.float32)
    pixels[top : top + rows, left : left + columns] = 100
    pixels[top, left] = 70
    found = area(pixels, margin=margin)
    pad = [int(np.rint(margin * rows)), int(np.rint(margin * columns))]
    start, stop = CropForeground(margin=pad, allow_smaller=True).compute_bounding_box(pixels[None])
    assert found == Area(*map(int, start), *map(int, stop))
    turned = area(pixels.T, margin=margin)
    assert (turned.left, turned.top, turned.right, turned.bottom) == (found.top, found.left, found.bottom, found.right)
    mirrored = area(pixels[::-1], margin=margin)
    assert (mirrored.top, mirrored.bottom) == (height - found.bottom, height - found.top)


def test_two_legs_stay_and_what_is_smaller_than_a_tenth_of_one_goes() -> None:
    pixels = np.zeros((60, 60))
    pixels[5:55, 4:14] = pixels[8:50, 44:56] = 500
    assert area(pixels) == Area(5, 4, 55, 56)
    small = int(PART * 500) - 1
    pixels[8:50, 44:56] = 0
    pixels[5 : 5 + small, 58] = 500
    assert area(pixels) == Area(5, 4, 55, 14)


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((20, 30), 7),  # of one value
        np.random.default_rng(0).integers(0, 1000, (20, 30)),  # of noise alone
        np.pad(np.full((18, 28), 900), 1, constant_values=1000),  # a white frame
        np.pad(np.full((2, 3), 900), ((9, 9), (13, 14))),  # of hardly anything
        np.ones((1, 1)),
    ],
)
def test_an_image_in_which_no_body_is_found_is_not_cut(pixels: np.ndarray) -> None:
    assert area(pixels) == Area.whole(*pixels.shape)


def test_an_inverted_image_is_cut_as_the_image_that_it_shows(tmp_path: Path) -> None:
    plain = save(tiny(made(), Modality="DX"), tmp_path / "plain.dcm")
    inverted = (2**16 - 1 - made().astype(np.int64)).astype(np.uint16)
    turned = save(tiny(inverted, Modality="DX", PhotometricInterpretation="MONOCHROME1"), tmp_path / "turned.dcm")
    one, other = (located(read_image(path), cropping().data) for path in (plain, turned))
    assert one[1] == other[1] == WITH_MARGIN
    assert one[0] == pytest.approx(other[0], abs=1e-5)


def test_what_a_later_step_measures_it_measures_on_what_is_left_and_channels_are_cut_alike() -> None:
    pixels = made().astype(np.float32)
    for more in ((), ({"step": "percentiles", "low": 1, "high": 99},)):
        scaled = {"intensity": "steps" if more else "percentile"}
        found, where = located(Image(pixels[None], None), cropping(*more, data=scaled).data)
        by_hand = study(data=scaled | {"steps": [*more]} if more else {"intensity": "percentile"}).data
        assert where == WITH_MARGIN
        assert np.array_equal(found, to_network_form(Image(WITH_MARGIN.of(pixels)[None], None), by_hand))
    colour = np.zeros((3, 40, 40), np.float32)
    colour[0, 5:20, 5:20] = colour[2, 15:30, 15:35] = 200
    _, where = located(Image(colour, None), cropping(step=TIGHT, data={"channels": 3}).data)
    assert where == Area(5, 5, 30, 35)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_box_goes_into_the_form_of_a_part_and_back(data: st.DataObject) -> None:
    sides = [sorted(data.draw(st.lists(st.integers(0, 300), min_size=2, max_size=2, unique=True))) for _ in range(2)]
    (top, bottom), (left, right) = sides
    part = Area(top, left, bottom, right)
    inside = [sorted(data.draw(st.floats(*ends)) for _ in range(2)) for ends in sides]
    box = Box(inside[0][0], inside[1][0], inside[0][1], inside[1][1], 0)
    size = data.draw(st.integers(8, 96))
    spacing = data.draw(st.sampled_from([None, (1.0, 1.0), (0.5, 1.0), (1.0, 0.25)]))
    formed = np.array(to_form([box], part, size, hanging_of(spacing)), np.float32)[:, :4]
    assert formed.min() >= 0
    assert formed.max() <= size + 1e-3
    back = from_form(formed, part, size, hanging_of(spacing))[0]
    place = Place.of(*part.shape, size, hanging_of(spacing))
    thinnest = min(place.rows / part.shape[0], place.columns / part.shape[1])
    assert back == pytest.approx([box.top, box.left, box.bottom, box.right], abs=1e-4 / min(1, thinnest) + 1e-3)


def test_a_box_in_the_form_of_a_part_is_where_it_was_computed_by_hand_and_is_cut_off_at_its_edges() -> None:
    part = Area(10, 20, 110, 70)  # 100 rows, 50 columns: 64 and 32 in the form, with 16 columns of margin beside
    assert to_form([Box(35, 30, 60, 45, 1)], part, 64, NOT_SAID)[0] == pytest.approx((16, 22.4, 32, 32, 1))
    assert to_form([Box(0, 0, 200, 45, 1)], part, 64, NOT_SAID)[0] == pytest.approx((0, 16, 64, 32, 1))
    back = from_form(np.array([[16, 22.4, 32, 32], [0, 0, 64, 64]], np.float32), part, 64, NOT_SAID)
    assert back.tolist() == [pytest.approx([35, 30, 60, 45], abs=1e-3), [10, 20, 110, 70]]


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write images of six patients, with labels, and a box in each but one, in which it lies beside the body."""
    folder = tmp_path_factory.mktemp("crop") / "in"
    labels, boxes = ["file,label"], ["file,x0,y0,x1,y1,class"]
    for number in range(6):
        pixels = made(number)
        facts = {
            "Modality": "DX",
            "PatientID": f"P{number}",
            "PatientName": f"P{number}",
            "ImageType": ["ORIGINAL", "PRIMARY"],
        }
        save(tiny(pixels, PixelSpacing=[0.5, 0.25], **facts), folder / f"{number}.dcm")
        labels.append(f"{number}.dcm,{('none', 'finding')[number % 2]}")
        boxes.append(f"{number}.dcm,{'50,1,54,5' if number == 5 else '20,15,30,35'},mass")
    (folder / "labels.csv").write_text("\n".join(labels))
    (folder / "boxes.csv").write_text("\n".join(boxes))
    return folder


def taken_in(folder: Path, of: Study, **how: bool) -> Dataset:
    source = Source(folder, folder.parent / "state")
    return prepare(source, of, *take_in(source, of), **how)


def test_training_and_predicting_see_the_same_part_and_an_answer_says_which(hospital: Path) -> None:
    of = cropping(
        {"step": "percentiles", "low": 1, "high": 99}, {"step": "clahe", "tiles": 4, "limit": 0.05}, data=STEPS
    )
    kept = taken_in(hospital, of, trains=False)
    assert len(kept.test) == 6
    assert kept.pictured is not None
    files = [hospital / file for file in kept.pictured.files]
    asked = [case.prepare() for case in image_cases(files, of, frozenset())]
    assert np.array_equal(kept.test.images(slice(None)), np.concatenate([one.images for one in asked]))
    assert {one.area for one in asked} == {*kept.pictured.areas.values()} == {WITH_MARGIN}
    assert asked[0].about["crop"] == {"x0": 9, "y0": 5, "x1": 45, "y1": 53}
    (plain,) = image_cases(files[:1], study(), frozenset())
    assert "crop" not in plain.prepare().about


def test_images_of_a_patient_are_each_cut_to_their_own_part(tmp_path: Path) -> None:
    both = [made(), np.roll(made(1), 4, axis=0)]
    for number, pixels in enumerate(both):
        facts = {"Modality": "DX", "PatientID": "P1", "ImageType": ["ORIGINAL", "PRIMARY"]}
        save(tiny(pixels, **facts), tmp_path / "in" / f"{number}.dcm")
    (tmp_path / "in/labels.csv").write_text("patient,label\nP1,finding\n")
    of = cropping(data={"record": "patient", "bag_size": 2})
    kept = taken_in(tmp_path / "in", of, trains=False)
    (case,) = cases_of(sorted((tmp_path / "in").glob("*.dcm")), of, frozenset())
    bag = case.prepare()
    assert np.array_equal(kept.test.images(slice(None)), bag.images)
    assert "crop" not in bag.about
    parts = [area(pixels, margin=0.1) for pixels in both]
    assert parts[1].top == parts[0].top + 4
    for at, (pixels, part) in enumerate(zip(both, parts, strict=True)):
        image = Image(part.of(pixels.astype(np.float32))[None], None)
        assert np.array_equal(bag.images[0, :, at], to_network_form(image, study(data=RANGE).data))


@pytest.mark.parametrize(
    "data",
    [
        {"record": "series", "bag_size": 4},
        {"record": "slice"},
        {
            "record": "patient",
            "bag_size": 8,
            "series": [{"role": "a", "description": ["a*"]}, {"role": "b", "description": ["b*"]}],
        },
    ],
)
def test_images_of_a_series_are_cut_alike_and_those_of_another_otherwise(data: dict[str, Any], tmp_path: Path) -> None:
    of = cropping(step=TIGHT, data={"modalities": ["MR"], "intensity": "percentile"} | data)
    for name, first in (("a", 1), ("b", 3)):
        files = slices(
            4, SeriesDescription=f"{name}x", PatientID="P1", PatientName="P1", SeriesInstanceUID=f"1.2.{first}"
        )
        for number, one in enumerate(files):
            pixels = np.random.default_rng(number).integers(0, 40, (12, 10)).astype(np.uint16)
            pixels[first + number : first + number + 3, 2 : 4 + first] = 900
            one.Rows, one.Columns, one.PixelData = 12, 10, pixels.tobytes()
        written(files, tmp_path / "in" / name)
    (tmp_path / "in/labels.csv").write_text("patient,label\nP1,finding\n")
    source = Source(tmp_path / "in", tmp_path / "state")
    index, found = take_in(source, of)
    kept = prepare(source, of, index, found, trains=False).test
    paths = sorted(source.folder / one.file for one in index.accepted)
    asked = [case.prepare() for case in cases_of(paths, of, frozenset())]
    assert len(kept) == len(asked) == {"series": 2, "slice": 8, "patient": 1}[data["record"]]
    assert len(kept.kept.images) == 8  # type: ignore[union-attr]  # bags
    ours = sorted(image.tobytes() for image in kept.images(slice(None)))
    assert ours == sorted(one.images[0].tobytes() for one in asked)
    parts = areas_alike(source, of.data, index.accepted, index.kept)
    assert {file: part for file, part in parts.items() if file.startswith("a")} == dict.fromkeys(
        (file for file in parts if file.startswith("a")), Area(1, 2, 7, 5)
    )
    assert {part for file, part in parts.items() if file.startswith("b")} == {Area(3, 2, 9, 7)}
    page = preview(source, index, of, datetime(2026, 11, 29)).page
    assert "· 6 × 3 pixels" in page
    assert "· 6 × 5 pixels" in page
    assert "· 3 × 3 pixels" not in page  # of one image alone


def two_series(folder: Path) -> list[Path]:
    """Write two images of a series whose bodies lie in other places, under an own series each or one for both."""
    pixels = np.zeros((2, 12, 10), np.uint16)
    pixels[0, 1:7, 1:7] = pixels[1, 4:10, 2:8] = 800 + 5 * np.arange(36).reshape(6, 6)
    files = slices(2, SeriesDescription="ax", PatientID="P1", PatientName="P1", SeriesInstanceUID="1.2.1")
    for one, image in zip(files, pixels, strict=True):
        one.Rows, one.Columns, one.PixelData = 12, 10, image.tobytes()
    paths = sorted(written(files, folder))
    (folder / "labels.csv").write_text("patient,label\nP1,finding\n")
    return paths


def test_images_that_were_cut_by_themselves_are_not_taken_for_those_of_a_series_that_is_cut_alike(
    tmp_path: Path,
) -> None:
    paths = two_series(tmp_path / "in")
    both = [{"role": "a", "description": ["a*"]}, {"role": "b", "description": ["b*"]}]
    alone = cropping(step=TIGHT, data={"modalities": ["MR"], "record": "patient", "bag_size": 4})
    alike = cropping(step=TIGHT, data={"modalities": ["MR"], "record": "patient", "bag_size": 4, "series": both})
    first = taken_in(tmp_path / "in", alone, trains=False).test.images(slice(None))
    second = taken_in(tmp_path / "in", alike, trains=False).test.images(slice(None))
    (case,) = cases_of(paths, alike, frozenset())
    assert np.array_equal(second, case.prepare().images)
    assert first[0, :, 0].any()
    assert not np.array_equal(first[0, :, 0], second[0, :, 0])
    of = cropping(step=TIGHT, data={"modalities": ["MR"], "record": "series", "bag_size": 4})
    taken_in(tmp_path / "in", of, trains=False)
    for number, path in enumerate(paths):  # the same pixels, corrected to be a series each
        made = dcmread(path)
        made.SeriesInstanceUID = f"1.3.{number + 1}"
        made.save_as(path)
    again = taken_in(tmp_path / "in", of, trains=False).test.images(slice(None))
    asked = [one.prepare().images[0, :, 0].tobytes() for one in cases_of(paths, of, frozenset())]
    assert sorted(record[:, 0].tobytes() for record in again) == sorted(asked)


def detecting(**data: Any) -> Study:
    task = {"name": "detection", "classes": ["mass"]} | data.pop("task", {})
    return cropping(data={"image_size": 32} | data, task=task, model={"network": "tiny-unet", "norm": "instance"})


def outputs_of(boxes: np.ndarray, size: int) -> torch.Tensor:
    """Return what a network that is right puts out for boxes of the form (records, most, 5)."""
    heat, goal, *_ = maps_of(torch.from_numpy(boxes), 1, (size, size))
    return torch.cat([torch.logit(heat.clamp(1e-4, 1 - 1e-4)) - PRIOR, goal], dim=1)


def answered(case: Case, boxes: np.ndarray, of: Study) -> list[dict[str, Any]]:
    assert DETECTION.asking is not None
    chosen = Chosen(0.5, None)
    found = DETECTION.asking.answer(of.task, outputs_of(boxes, of.data.square), case.prepare(), case, chosen)  # type: ignore[arg-type]
    drawn: list[dict[str, Any]] = found.facts["boxes"]
    return drawn


def test_boxes_are_learnt_in_the_part_and_drawn_in_the_stored_image_with_sides_in_mm(hospital: Path) -> None:
    kept = taken_in(hospital, detecting(), trains=False)
    assert kept.intake.left_out == {"outside-crop": 1}  # whose box lies in the air
    assert len(kept.test) == 5
    first = np.asarray(kept.test.targets[:1])
    by_hand = (15 - 5, 20 - 9, 35 - 5, 30 - 9)  # in the part of 48 rows of 0.5 mm and 36 columns of 0.25 mm, 24 x 9 mm
    in_form = [at * 12 / 36 + 10 if side % 2 else at * 32 / 48 for side, at in enumerate(by_hand)]  # 32 x 12 pixels
    assert first[0, 0, :4] == pytest.approx(in_form)
    (case,) = image_cases([hospital / "0.dcm"], detecting(), frozenset())
    (box,) = answered(case, first, detecting())
    assert [box[side] for side in ("x0", "y0", "x1", "y1")] == pytest.approx([20, 15, 30, 35], abs=0.1)
    assert (box["width_mm"], box["height_mm"]) == pytest.approx((10 * 0.25, 20 * 0.5), abs=0.06)


def moving_body(folder: Path) -> Series:
    """Return a series of five slices in the second and the fourth of which there is a body, in another place each."""
    files = slices(SeriesDescription="flair", PatientID="P1", PatientName="P1")
    for number, one in enumerate(files):
        pixels = np.random.default_rng(number).integers(0, 40, (one.Rows, one.Columns)).astype(np.uint16)
        if number == 1:
            pixels[1:4, 1:5] = 900
        if number == 3:
            pixels[2:5, 2:6] = 900
        one.PixelData = pixels.tobytes()
    (series,) = series_in(written(files, folder))
    assert isinstance(series, Series)
    return series


def test_all_slices_of_a_series_are_cut_alike_and_outlines_come_back_to_the_grid_of_all(tmp_path: Path) -> None:
    series = moving_body(tmp_path)
    part = Area(1, 1, 5, 6)
    of = outlining(data={"steps": [TIGHT]})
    asked, plain = slice_by_slice([series], of.data), slice_by_slice([series], outlining().data)
    assert asked.about == {"crop": {"x0": 1, "y0": 1, "x1": 6, "y1": 5}}
    assert plain.about == {}
    by_hand = replace(series, slices=tuple(_Cut(one, part) for one in series.slices))  # type: ignore[arg-type]
    values = np.stack([one.values() for one in by_hand.slices])
    low, high = np.percentile(series.volume(), (0.5, 99.5))  # measured on all of the series
    scaled = np.clip((values - low) / (high - low), 0, 1).astype(np.float32)
    window = study(data={"intensity": "window"}).data
    for plane, form in zip(scaled, asked.images, strict=True):
        assert form == pytest.approx(to_network_form(Image(plane[None], (1.0, 2.0)), window), abs=1e-6)
    assert asked.back is not None
    assert asked.lay is not None
    outputs = torch.zeros(5, 2, 16, 16)
    outputs[:, 1] = 1
    everywhere = np.zeros(series.geometry.shape, np.uint8)
    part.of(everywhere)[...] = 1
    assert np.array_equal(asked.back(outputs), everywhere)
    assert np.array_equal(asked.lay(np.ones((5, 16, 16), np.float32)), everywhere)
    corner = np.zeros(series.geometry.shape, np.uint8)
    corner[2, 1:3, 3:6] = 1  # off the middle of the part, so that a shift or a mirror would show
    formed = torch.from_numpy(outline_to_form(part.of(corner), 16, series.geometry.hanging)).long()
    drawn = asked.back(torch.nn.functional.one_hot(formed, 2).permute(0, 3, 1, 2).float())
    assert np.array_equal(drawn, corner)


class _Cut:
    def __init__(self, one: Any, part: Area) -> None:
        self.one, self.part = one, part

    def values(self) -> np.ndarray:
        return self.part.of(self.one.values())


SQUARE = {"step": "crop", "above": 0.45, "margin": 0}
"""What leaves of a made patient's series (``outlined_hospitals``) the outlined square alone: noise lies below."""


def test_masks_are_cut_as_their_images_volumes_stay_and_what_is_outlined_beyond_leaves_the_patient_out(
    tmp_path: Path,
) -> None:
    patients = write_hospital(tmp_path / "in", "east", 3)
    both = [{"role": role, "description": [f"*{role}*"]} for role in ("flair", "t1")]
    of = outlining(data={"steps": [SQUARE], "series": both})
    kept = taken_in(tmp_path / "in", of, trains=False).test
    assert kept.places is not None
    rows, columns = 5, 6
    true_ml = 2 * rows * columns * PIXEL_MM**2 * STEP_MM / 1000
    masks = np.asarray(kept.targets[slice(None)])
    full = masks[masks.any(axis=(1, 2))]
    assert len(full) == 2 * len(patients)
    assert (full.sum(axis=(1, 2)) == 13 * 16).all()  # 5 × 6 pixels as large as fits in 16 × 16
    each_mm = np.asarray(kept.places.spacing_mm)
    ml = 13 * 16 * 2 * each_mm.prod(axis=1) / 1000
    assert ml == pytest.approx(np.full(len(ml), true_ml), rel=1e-6)
    other = np.stack([one.pixel_array for one in patients[0].series["t1"]]).astype(np.float32)
    low, high = np.percentile(other, (0.5, 99.5))
    where = np.argwhere(patients[0].mask)
    (_, top, left), (_, bottom, right) = where.min(axis=0).tolist(), (where.max(axis=0) + 1).tolist()
    plane = np.clip((Area(top, left, bottom, right).of(other[1]) - low) / (high - low), 0, 1)
    by_hand = to_network_form(Image(plane[None], None), study(data={"intensity": "window"}).data)[0]
    images = kept.images(slice(None))
    assert min(np.abs(image[1] - by_hand).max() for image in images) < 1e-6  # the second series is cut as the first
    write_mask(tmp_path / "in", "east", patients[0], np.ones_like(patients[0].mask))
    again = taken_in(tmp_path / "in", of, trains=False)
    assert again.intake.left_out["outside-crop"] == sum(map(len, patients[0].series.values()))
    assert again.test.patient_count == len(patients) - 1


def test_boxes_around_outlines_of_cut_slices_are_drawn_where_the_outlines_lie(tmp_path: Path) -> None:
    (one, *_) = write_hospital(tmp_path / "in", "south", 1)
    of = outlining(data={"steps": [SQUARE | {"margin": 0.5}]})
    of = Study.model_validate(of.tables() | {"task": {"name": "detection", "classes": ["tumour"], "boxes": "masks"}})
    assert DETECTION.asking is not None
    assert DETECTION.asking.cases is not None
    files = sorted((tmp_path / "in" / one.name / "flair").glob("*.dcm"))
    (case,) = DETECTION.asking.cases(files, of, frozenset())
    assert isinstance(case, Case)
    part = case.prepare().area
    assert part is not None
    where = np.argwhere(one.mask)
    (_, top, left), (_, bottom, right) = where.min(axis=0), where.max(axis=0) + 1
    formed = together([to_form([Box(top, left, bottom, right, 0)], part, 16, NOT_SAID)] * len(one.mask))
    formed[[0, 3], :, 4] = -1
    drawn = answered(case, formed, of)
    assert sorted(box["slice"] for box in drawn) == [2, 3]
    for box in drawn:
        assert [box[side] for side in ("x0", "y0", "x1", "y1")] == pytest.approx([left, top, right, bottom], abs=0.1)
        centre = [(left + right - 1) / 2 * PIXEL_MM, (top + bottom - 1) / 2 * PIXEL_MM]
        assert box["centre_mm"][:2] == pytest.approx(centre, abs=0.1 * PIXEL_MM)


def test_a_map_of_a_part_lies_on_the_whole_image_where_the_part_does(hospital: Path, tmp_path: Path) -> None:
    lesion = np.zeros((64, 56), bool)
    lesion[20:40, 15:30] = True
    own = outline_to_form(WITH_MARGIN.of(lesion[None].astype(np.uint8)), 32, NOT_SAID).astype(np.float32)
    even = np.ones_like(own)
    right, wrong = (measured(own, even, lesion, part, NOT_SAID) for part in (WITH_MARGIN, Area.whole(64, 56)))
    assert right.mass > 0.9 > wrong.mass
    assert right.untrained == pytest.approx(lesion.sum() / np.prod(WITH_MARGIN.shape))
    assert right.area == pytest.approx(right.untrained)  # a map that says nothing has what a random one has
    model = model_folder(tmp_path, cropping(), point=0.5)
    words = ["explain", model, hospital / "0.dcm", "--method", "occlusion", "--json"]
    done = CliRunner().invoke(wardround, [*map(str, words)])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert WITH_MARGIN.holds(told["peak"]["row"], told["peak"]["column"])


def test_the_preview_shows_what_is_left_with_its_boxes_and_says_where_nothing_is_cut_off(tmp_path: Path) -> None:
    pixels = made()
    pixels[20:25, 20:30] = 1000
    pixels[20:25, 20] = 900
    for name, image in (("cut", pixels), ("whole", np.full((20, 20), 5, np.uint16))):
        save(tiny(image, Modality="DX", ImageType=["ORIGINAL", "PRIMARY"]), tmp_path / "in" / f"{name}.dcm")
    index = scan(tmp_path / "in", state=tmp_path / "state")
    instances = {one.file: one for one in index.accepted}
    stored, cut, seen, *_ = of_image(
        tmp_path / "in", instances["cut.dcm"], detecting(), [Box(20, 20, 25, 30, 0)]
    ).stages
    assert np.array_equal(cut.pixels[0], WITH_MARGIN.of(stored.pixels[0]))
    for stage in (stored, cut):
        ((top, left, bottom, right, _),) = stage.boxes
        assert np.array_equal(stage.pixels[0, int(top) : int(bottom), int(left) : int(right)], pixels[20:25, 20:30])
    assert seen.boxes[0][:4] == to_form([Box(20, 20, 25, 30, 0)], WITH_MARGIN, 32, NOT_SAID)[0][:4]
    assert "around it" in cut.name
    assert "nothing is cut off" not in cut.name
    _, whole, *_ = of_image(tmp_path / "in", instances["whole.dcm"], detecting(), None).stages
    assert whole.name.endswith("; here nothing is cut off")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: cropping({"step": "crop", "above": 0.1, "margin": 0}), "it comes first, and once"),
        (lambda: study(data={"steps": [{"step": "median", "size": 3}, CROP]}), "it comes first, and once"),
        (lambda: outlining_volumes(data={"steps": [CROP]}), "volumes are cut to the body already"),
        (lambda: measuring("mm"), "a size in mm could not be told from it"),
        (lambda: measuring("mL"), "a size in mL could not be told from it"),
        (lambda: measuring("um"), "a size in um could not be told from it"),
        (lambda: measuring("μL"), "a size in μL could not be told from it"),
    ],
)
def test_a_study_in_which_cutting_would_be_wrong_is_refused(made: Any, said: str) -> None:
    with pytest.raises((StudyError, ValueError), match=said):
        made()


def measuring(unit: str) -> Study:
    task = {"name": "measurement", "quantity": "diameter", "unit": unit, "low": 0.0, "high": 200.0}
    return Study.model_validate(cropping().tables(nulls=False) | {"task": task})


def test_a_measurement_that_is_no_size_may_be_told_from_cut_images() -> None:
    assert measuring("months").data.steps[0].step == "crop"


STEPS = {"intensity": "steps"}
RANGE = {"intensity": "percentile"}
