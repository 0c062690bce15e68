"""Whichever way round an image is stored, a network sees it as it hangs in a viewer, and what it says lies on it."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import highdicom
import nibabel
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from monai.data.meta_tensor import MetaTensor
from monai.transforms import LoadImage
from PIL import Image as Pillow
from pydicom import dcmread

from examples import study
from models_made import model_folder
from outlined_hospitals import outlining
from series_made import item
from tiny_dicom import RAMP, save, tiny
from turned_patient import PLANES, SIDES_MM, TURNED, TURNS, hung, in_patient, patient, place_of, write_series
from wardround_client import networks
from wardround_client.images import Image, read_image
from wardround_client.images.hanging import AS_STORED, Hanging, Turn, turn_of
from wardround_client.images.orientation import turn_in
from wardround_client.intake.boxes import Box
from wardround_client.intake.index import scan
from wardround_client.intake.scan_report import displayed
from wardround_client.maps.in_lesions import sums_in_lesions
from wardround_client.preparation.asking import cases_of, image_cases, slice_by_slice
from wardround_client.preparation.box_page import of_table
from wardround_client.preparation.dataset import prepare, take_in
from wardround_client.preparation.kept_images import keep_images
from wardround_client.preparation.outlined import Outlined
from wardround_client.preparation.preprocessing import cut_alike, to_network_form
from wardround_client.preparation.slices import prepare_slices
from wardround_client.preparation.source import Source
from wardround_client.preview.chosen import examinations
from wardround_client.preview.stages import of_examination, of_image
from wardround_client.publishing import around_network
from wardround_client.tasks.box_form import from_form, to_form
from wardround_client.tasks.box_loss import PRIOR, maps_of
from wardround_client.tasks.contract import Chosen
from wardround_client.tasks.detection import TASK as DETECTION
from wardround_client.tasks.outline_form import map_from_form
from wardround_client.volumes import Series, series_in
from wardround_common.shell.cli import wardround
from wardround_common.study.file import Study
from wardround_common.study.steps import Area
from wardround_simulation.phantoms import make_hospitals


def series_of(folder: Path) -> Series:
    (found,) = series_in(sorted(folder.glob("[0-9]*.dcm")))
    assert isinstance(found, Series)
    return found


@pytest.mark.parametrize(("plane", "turn"), TURNED)
def test_a_slice_is_brought_to_the_way_it_hangs_whichever_way_round_it_is_stored(plane: str, turn: Turn) -> None:
    _, cosines = place_of(plane, turn, (5, 7), 0)
    assert turn_of(np.array(cosines[:3]), np.array(cosines[3:])) == turn
    stored = turn.inverse.of(np.arange(35).reshape(5, 7))
    assert np.array_equal(turn.of(stored), np.arange(35).reshape(5, 7))
    assert turn.shape(*stored.shape) == (5, 7)


@pytest.mark.parametrize("turn", TURNS)
def test_a_box_is_turned_as_the_pixels_in_it_are(turn: Turn) -> None:
    stored = np.zeros((9, 6))
    stored[1:4, 2:6] = 1
    top, left, bottom, right = turn.box((1, 2, 4, 6), 9, 6)
    found = turn.of(stored)
    assert found.sum() == found[int(top) : int(bottom), int(left) : int(right)].sum() == 12
    assert turn.inverse.box((top, left, bottom, right), *turn.shape(9, 6)) == (1, 2, 4, 6)


@given(st.integers(0, 2**32 - 1))
def test_an_oblique_slice_hangs_as_the_plane_that_it_is_nearest_to(seed: int) -> None:
    matrix, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    across, down = matrix[:, 0], matrix[:, 1]
    turn = turn_of(across, down)
    if turn.exchanged:
        across, down = down, across
    across, down = (-1) ** turn.columns_reversed * across, (-1) ** turn.rows_reversed * down
    wanted = {"axial": ([1, 0, 0], [0, 1, 0]), "coronal": ([1, 0, 0], [0, 0, -1]), "sagittal": ([0, 1, 0], [0, 0, -1])}
    assert any(across @ one > 0 and down @ other > 0 for one, other in wanted.values())
    assert turn_of(across, down) == AS_STORED  # what hangs is turned no more
    normal = np.abs(np.cross(across, down))
    if normal.max() > 0.9:
        one, other = wanted[("sagittal", "coronal", "axial")[int(normal.argmax())]]
        assert across @ one + down @ other > 1  # in no other of the eight ways is it nearer


OUTLINING = outlining(data={"image_size": 24})


def outlined_in(folder: Path, plane: str, turn: Turn) -> Outlined:
    source = Source(write_series(folder / "in", plane, turn), folder / "state")
    return prepare_slices(source, scan(source.folder, state=source.state), OUTLINING.data, ("tumour",))


@pytest.fixture(scope="module", params=PLANES)
def usual(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Outlined]:
    return request.param, outlined_in(tmp_path_factory.mktemp("usual"), request.param, AS_STORED)


@pytest.mark.parametrize("turn", TURNS[1:])
def test_images_and_masks_of_a_series_are_prepared_alike_whichever_way_round_they_are_stored(
    turn: Turn, usual: tuple[str, Outlined], tmp_path: Path
) -> None:
    plane, as_usual = usual
    turned = outlined_in(tmp_path, plane, turn)
    (one,), (other,) = turned.stacks, as_usual.stacks
    assert one.spacing_mm == other.spacing_mm
    assert records(turned) == records(as_usual)
    assert np.asarray(as_usual.masks).any()


def records(made: Outlined) -> list[tuple[bytes, bytes]]:
    """Return image and mask of each slice, in no order: that of slices is the order of the series, which turns too."""
    pairs = zip(np.asarray(made.images), np.asarray(made.masks), strict=True)
    return sorted((image.tobytes(), mask.tobytes()) for image, mask in pairs)


@pytest.mark.parametrize(("plane", "turn"), TURNED)
def test_what_is_drawn_on_a_hung_slice_lies_on_the_stored_voxels(plane: str, turn: Turn, tmp_path: Path) -> None:
    values, mask = patient()
    series = series_of(write_series(tmp_path, plane, turn, outlined=False))
    assert series.geometry.hanging.turn == turn
    assert np.array_equal(in_patient(series.volume(), plane, turn), values)
    asked = slice_by_slice([series], outlining(data={"image_size": 24}).data)
    assert asked.back is not None
    assert asked.lay is not None
    bright = torch.from_numpy(asked.images)
    drawn = asked.back(torch.cat([torch.full_like(bright, 0.5), bright], dim=1))
    apart = in_patient(drawn, plane, turn)
    laid = in_patient(asked.lay(asked.images[:, 0]), plane, turn)
    usual = series_of(write_series(tmp_path / "usual", plane, AS_STORED, outlined=False))
    as_usual = slice_by_slice([usual], outlining(data={"image_size": 24}).data)
    assert as_usual.back is not None
    assert as_usual.lay is not None
    assert {one.tobytes() for one in asked.images} == {one.tobytes() for one in as_usual.images}
    logits = torch.cat([torch.full_like(bright, 0.5), torch.from_numpy(as_usual.images)], dim=1)
    assert np.array_equal(apart, in_patient(as_usual.back(logits), plane, AS_STORED))
    assert np.array_equal(laid, in_patient(as_usual.lay(as_usual.images[:, 0]), plane, AS_STORED))
    assert (apart * mask).sum() > 0.9 * mask.sum()


WAYS = {
    ("L", "F"): Turn(),
    ("R", "F"): Turn(columns_reversed=True),
    ("LF", "FR"): Turn(),
    ("RF", "HL"): Turn(rows_reversed=True, columns_reversed=True),
    ("F", "L"): Turn(exchanged=True),
    ("H", "R"): Turn(True, True, True),
    ("P", "F"): Turn(),
    ("A", "F"): Turn(columns_reversed=True),
    ("L", "A"): Turn(rows_reversed=True),
}


@pytest.mark.parametrize(("stated", "turn"), WAYS.items())
def test_a_radiograph_hangs_by_what_it_states_of_its_rows_and_columns(stated: tuple[str, str], turn: Turn) -> None:
    made = tiny(Modality="DX", PatientOrientation=[*stated], BodyPartExamined="CHEST")
    assert turn_in(made) == turn


@pytest.mark.parametrize(
    "stated",
    [
        {"PatientOrientation": None},
        {"PatientOrientation": ""},
        {"PatientOrientation": "R"},
        {"PatientOrientation": ["R", "L"]},
        {"PatientOrientation": ["R", "FRONT"]},
        {"PatientOrientation": ["R", "F"], "BodyPartExamined": "HAND"},
        {"PatientOrientation": ["R", "F"], "AnatomicRegionSequence": [item(CodeValue="85562004", CodeMeaning="Hand")]},
        {"PatientOrientation": ["R", "F"], "Modality": "US"},
        {"PatientOrientation": ["R", "D"], "AnatomicalOrientationType": "QUADRUPED"},
        {"PatientOrientation": ["R", "L"], "AnatomicalOrientationType": "QUADRUPED"},
        {"ImageOrientationPatient": [-1, 0, 0, 0.5, 1, 0]},
        {"ImageOrientationPatient": [-1, 0, 0, 0, 2, 0]},
        {"ImageOrientationPatient": [-1, 0, 0]},
    ],
    ids=str,
)
def test_what_does_not_say_which_way_round_it_is_hangs_as_it_is_stored(stated: dict[str, Any]) -> None:
    assert turn_in(tiny(**{"Modality": "DX", **stated})) == AS_STORED
    assert turn_in(tiny(Modality="MR", ImageOrientationPatient=[-1, 0, 0, 0, 1, 0])) != AS_STORED
    odd = tiny(Modality="MR")
    odd.add_new("ImageOrientationPatient", "LO", ["-1", "0", "0", "0", "one", "0"])
    assert turn_in(odd) == AS_STORED
    several = tiny(np.stack([RAMP, RAMP]), Modality="MR", ImageOrientationPatient=[-1, 0, 0, 0, 1, 0])
    assert turn_in(several) == AS_STORED


@pytest.mark.parametrize(
    ("side", "stated", "turn"),
    [
        ("R", ("P", "L"), Turn()),
        ("L", ("A", "R"), Turn()),
        ("R", ("P", "FL"), Turn()),
        ("L", ("A", "FR"), Turn()),
        ("R", ("A", "FL"), Turn(columns_reversed=True)),
        ("L", ("P", "F"), Turn(columns_reversed=True)),
        ("L", ("P", "L"), Turn(rows_reversed=True, columns_reversed=True)),
        ("R", ("L", "A"), Turn(exchanged=True, columns_reversed=True)),
        ("B", ("P", "F"), Turn()),
        ("", ("P", "F"), Turn()),
        ("R", ("L", "F"), Turn()),
    ],
)
@pytest.mark.parametrize("modality", ["MG", "CR"])
def test_mammograms_hang_back_to_back_with_the_outer_side_up(
    modality: str, side: str, stated: tuple[str, str], turn: Turn
) -> None:
    made = tiny(Modality=modality, PatientOrientation=[*stated], ImageLaterality=side, BodyPartExamined="BREAST")
    assert turn_in(made) == turn


def _radiograph(turn: Turn) -> dict[str, Any]:
    """Return what a chest radiograph states that is stored so."""
    across, down = ("L", "R")[turn.columns_reversed], ("F", "H")[turn.rows_reversed]
    stated = [down, across] if turn.exchanged else [across, down]
    return {"Modality": "DX", "PatientOrientation": stated, "ImagerPixelSpacing": [*turn.shape(0.5, 0.25)]}


PIXELS = np.random.default_rng(0).integers(0, 900, (24, 40)).astype(np.uint16)


def write_radiograph(folder: Path, turn: Turn, name: str = "0.dcm", **more: Any) -> Path:
    return save(tiny(np.ascontiguousarray(turn.inverse.of(PIXELS)), **_radiograph(turn), **more), folder / name)


@pytest.mark.parametrize("turn", TURNS)
def test_a_single_image_is_prepared_and_asked_about_alike_whichever_way_round_it_is_stored(
    turn: Turn, tmp_path: Path
) -> None:
    of = study(data={"image_size": 32, "intensity": "percentile"})
    path = write_radiograph(tmp_path / "in", turn)
    source = Source(tmp_path / "in", tmp_path / "state")
    index = scan(source.folder, state=source.state)
    assert index.accepted == scan(source.folder, state=source.state).accepted  # as the index keeps it
    assert index.accepted[0].turn == turn
    kept = keep_images(source, of.data, index.accepted, index.kept).images[0]
    usual = to_network_form(read_image(write_radiograph(tmp_path / "usual", AS_STORED)), of.data)
    assert np.array_equal(kept, usual)
    assert np.array_equal(keep_images(source, of.data, index.accepted, {}).images[0], usual)
    (case,) = image_cases([path], of, frozenset())
    assert np.array_equal(case.prepare().images[0], usual)
    stepped = study(data={"image_size": 32, "intensity": "percentile", "steps": [{"step": "median", "size": 3}]}).data
    kept = keep_images(source, stepped, index.accepted, index.kept).images[0]  # from what the scan kept, the long way
    assert np.array_equal(kept, to_network_form(read_image(tmp_path / "usual" / "0.dcm"), stepped))


def test_prepared_images_have_the_names_that_they_had_where_nothing_is_turned(tmp_path: Path) -> None:
    of, keys = study(data={"image_size": 16}), {}
    for name, stated in {
        "unsaid": {},
        "usual": {"PatientOrientation": ["L", "F"]},
        "turned": {"PatientOrientation": ["R", "F"]},
        "other": {"PatientOrientation": ["L", "H"]},
    }.items():
        save(tiny(PIXELS, Modality="DX", **stated), tmp_path / name / "0.dcm")
        source = Source(tmp_path / name, tmp_path / "state" / name)
        index = scan(source.folder, state=source.state)
        keys[name] = keep_images(source, of.data, index.accepted, index.kept).key
    assert keys["unsaid"] == keys["usual"]
    assert len(set(keys.values())) == 3


@pytest.mark.parametrize("turn", TURNS)
def test_boxes_and_maps_of_a_single_image_lie_on_the_stored_pixels(turn: Turn, tmp_path: Path) -> None:
    stored = Box(*turn.inverse.box((4, 10, 12, 30), *PIXELS.shape), 0)
    usual = to_form([Box(4, 10, 12, 30, 0)], Area.whole(*PIXELS.shape), 32, Hanging((0.5, 0.25)))
    image = read_image(write_radiograph(tmp_path, turn))
    area = Area.whole(*image.pixels.shape[1:])
    formed = to_form([stored], area, 32, image.hanging)
    assert formed == usual
    back = from_form(np.array([formed[0][:4]], np.float32), area, 32, image.hanging)
    assert back[0] == pytest.approx([stored.top, stored.left, stored.bottom, stored.right], abs=1e-4)
    heat = np.random.default_rng(1).random((1, 32, 32), np.float32)
    (laid,) = map_from_form(heat, area, *area.shape, image.hanging)
    (as_usual,) = map_from_form(heat, Area.whole(*PIXELS.shape), *PIXELS.shape, Hanging((0.5, 0.25)))
    assert np.array_equal(turn.of(laid), as_usual)
    part = Area(3, 5, 20, 33)
    corners = turn.inverse.box((part.top, part.left, part.bottom, part.right), *PIXELS.shape)
    (cut,) = map_from_form(heat, Area(*map(int, corners)), *area.shape, image.hanging)
    (cut_as_usual,) = map_from_form(heat, part, *PIXELS.shape, Hanging((0.5, 0.25)))
    assert np.array_equal(turn.of(cut), cut_as_usual)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")  # of MONAI's readers
@pytest.mark.parametrize(
    "stated",
    [
        *(_radiograph(turn) for turn in TURNS),
        *({"Modality": "DX", "PatientOrientation": [*letters]} for letters in WAYS),
        *({"Modality": "MG", "PatientOrientation": ["A", "F"], "ImageLaterality": side} for side in ("R", "L", "B")),
        {"Modality": "CR", "PatientOrientation": ["A", "F"], "ImageLaterality": "L", "BodyPartExamined": "BREAST"},
        *(
            {"Modality": "DX", "PatientOrientation": ["R", "F"], "BodyPartExamined": word}
            for word in ("HAND", "CHEST", "Knee ")
        ),
        {"Modality": "DX", "PatientOrientation": ["R", "F"], "AnatomicRegionSequence": [item(CodeMeaning="Lower leg")]},
        {"Modality": "US", "PatientOrientation": ["R", "F"]},
        {"Modality": "DX", "PatientOrientation": ["R", "L"]},
        *(
            {"ImageOrientationPatient": place_of(plane, turn, (24, 40), 0)[1], "PixelSpacing": [0.5, 0.25]}
            for plane, turn in TURNED
        ),
        {"ImageOrientationPatient": [-1, 0, 0, 0.5, 1, 0]},
    ],
    ids=str,
)
def test_a_bundle_hangs_an_image_as_training_does(stated: dict[str, Any], tmp_path: Path) -> None:
    path = save(tiny(PIXELS, **{"Modality": "MR", **stated}), tmp_path / "x.dcm")
    ours = to_network_form(read_image(path), study(data={"image_size": 32, "intensity": "range"}).data)
    image = LoadImage(image_only=True, ensure_channel_first=True)(path)
    theirs = around_network.PrepareImage(32, 1, "range")({"image": image, "path": str(path)})
    np.testing.assert_allclose(theirs["image"][0].numpy(), ours, atol=1e-6)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of MONAI's transforms
@pytest.mark.parametrize(("plane", "turn"), TURNED)
def test_a_bundle_hangs_the_slices_of_a_series_as_training_does(plane: str, turn: Turn, tmp_path: Path) -> None:
    series = series_of(write_series(tmp_path, plane, turn, outlined=False))
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ series.geometry.affine[:, [2, 1, 0, 3]]
    image = MetaTensor(torch.from_numpy(series.volume().transpose(2, 1, 0).copy())[None], affine=affine)
    theirs = around_network.PrepareSlices(24, "percentile")({"image": image})["image"].numpy()
    ours = slice_by_slice([series], outlining(data={"image_size": 24}).data).images
    np.testing.assert_allclose(theirs, ours, atol=1e-6)


def run(*words: object) -> list[dict[str, Any]]:
    done = CliRunner().invoke(wardround, [*map(str, words), "--json"])
    assert done.exit_code == 0, done.output
    if words[0] == "evaluate":
        return [json.loads(done.stdout)]
    return [json.loads(line) for line in done.stdout.splitlines()]


def whole(path: Path) -> np.ndarray:
    """Return a mask (left, back, head) from where its file says that its voxels lie."""
    image: Any = nibabel.as_closest_canonical(nibabel.load(path))
    assert np.allclose(np.diag(image.affine)[:3], SIDES_MM)
    return np.asarray(image.dataobj)[::-1, ::-1]


def segmented(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Return the same of a DICOM segmentation."""
    volume = highdicom.seg.segread(path).get_volume(combine_segments=True)
    found = np.zeros(shape, np.uint8)
    for index in np.argwhere(volume.array):
        at = (volume.affine @ [*index, 1])[:3] / SIDES_MM
        assert np.allclose(at, np.rint(at), atol=1e-3)
        found[tuple(np.rint(at).astype(int))] = volume.array[tuple(index)]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("plane", PLANES)
def test_a_model_outlines_boxes_and_judges_a_patient_alike_whichever_way_round_they_are_stored(
    plane: str, tmp_path: Path
) -> None:
    values, mask = patient()
    (tmp_path / "model").mkdir()
    (tmp_path / "boxes").mkdir()
    model = model_folder(tmp_path / "model", OUTLINING)
    boxing = OUTLINING.tables() | {"task": {"name": "detection", "classes": ["tumour"], "boxes": "masks"}}
    boxer = model_folder(tmp_path / "boxes", Study.model_validate(boxing), point=0.01)
    found = []
    for turn in TURNS:
        name = "".join(str(int(way)) for way in turn)
        folder, out = tmp_path / "in" / name, tmp_path / "out" / name
        write_series(folder, plane, turn, SeriesNumber=1, Modality="MR")
        (line,) = run("predict", model, folder, "-o", out, "--dicom")
        (drawn,) = (whole(path) for path in out.glob("*.nii.gz"))
        objects = {str(dcmread(path).Modality): path for path in out.glob("*.dcm")}
        assert np.array_equal(segmented(objects["SEG"], values.shape), drawn)
        run("explain", model, folder, "-o", out / "why")
        (undecided,) = (whole(path) for path in (out / "why").glob("*.nii.gz"))
        (boxes,) = run("predict", boxer, folder)
        sides = [sorted((box["width_mm"], box["height_mm"])) for box in boxes["boxes"]]
        seen = {(*np.round(box["centre_mm"], 2), *mm) for box, mm in zip(boxes["boxes"], sides, strict=True)}
        (judged,) = run("evaluate", model, folder)
        volume = line["structures"][0]["volume_ml"]
        found.append((drawn.tobytes(), undecided.tobytes(), seen, judged, volume))
    assert mask.any()
    assert found[0][2]  # there are boxes
    assert all(one == found[0] for one in found)


def test_a_preview_shows_the_outline_on_the_slice_as_it_hangs(tmp_path: Path) -> None:
    seen = []
    for turn in (AS_STORED, Turn(rows_reversed=True, columns_reversed=True)):  # which keep the order of the slices
        source = Source(write_series(tmp_path / f"in{len(seen)}", "axial", turn), tmp_path / f"state{len(seen)}")
        index = scan(source.folder, state=source.state)
        (one,) = examinations(source, index, index.accepted, OUTLINING)
        stored, hangs, *_ = of_examination(source.folder, one, index, OUTLINING).stages
        assert stored.mask is not None
        assert hangs.mask is not None
        assert hangs.mask.any()
        seen.append((turn.of(stored.mask).tobytes(), hangs.pixels.tobytes(), hangs.mask.tobytes()))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("window", [{}, {"WindowCenter": 100, "WindowWidth": -5}])
def test_an_image_that_is_shown_hangs_alike_whether_or_not_its_window_can_be_applied(
    window: dict[str, int], tmp_path: Path
) -> None:
    turn = TURNS[5]
    wanted = Hanging((0.25, 0.5), turn, towards=("F", "R"))
    assert displayed(write_radiograph(tmp_path, turn, **window)).hanging == wanted


def test_images_of_a_series_are_cut_alike_where_they_are_stored_the_same_way_round() -> None:
    of = study(data={"steps": [{"step": "crop", "above": 0.1, "margin": 0}], "intensity": "percentile"}).data
    pixels = np.zeros((1, 20, 20), np.float32)
    pixels[0, 2:6, 3:9] = 100
    mirrored = Turn(columns_reversed=True)
    found = cut_alike(
        [("usual", "s", Image(pixels, None)), ("mirrored", "s", Image(mirrored.of(pixels), None, turn=mirrored))], of
    )
    assert found == {"usual": Area(2, 3, 6, 9), "mirrored": Area(2, 11, 6, 17)}


def detecting() -> Study:
    return study(
        data={"image_size": 32, "intensity": "percentile"},
        task={"name": "detection", "classes": ["mass"]},
        model={"network": "tiny-unet", "norm": "instance"},
    )


@pytest.fixture(scope="module")
def boxed(tmp_path_factory: pytest.TempPathFactory) -> dict[Turn, Path]:
    """Write a radiograph and the table of its box once for each way round."""
    found = {}
    for turn in TURNS:
        found[turn] = tmp_path_factory.mktemp("boxed")
        for number in range(2):
            write_radiograph(found[turn], turn, PatientID=f"P{number}", PatientName=f"P{number}", name=f"{number}.dcm")
        top, left, bottom, right = turn.inverse.box((4, 10, 12, 30), *PIXELS.shape)
        lines = [f"{number}.dcm,{left},{top},{right},{bottom},mass" for number in range(2)]
        (found[turn] / "boxes.csv").write_text("\n".join(["file,x0,y0,x1,y1,class", *lines]))
    return found


@pytest.mark.parametrize("turn", TURNS[1:])
def test_boxes_are_learnt_shown_and_drawn_where_they_are_on_the_stored_image(
    turn: Turn, boxed: dict[Turn, Path], tmp_path: Path
) -> None:
    of, seen = detecting(), {}
    for way in (AS_STORED, turn):
        source = Source(boxed[way], tmp_path / str(way == turn))
        index, found = take_in(source, of)
        kept = prepare(source, of, index, found, trains=False).test
        stage = of_image(source.folder, index.accepted[0], of, found.more[0].of["0.dcm"]).stages[1]
        page = of_table(*found.more, of.data, of.groups, "boxes", datetime(2026, 1, 2))
        seen[way] = (
            np.asarray(kept.targets[:]).tobytes(),
            kept.images(slice(None)).tobytes(),
            stage.pixels.tobytes(),
            list(stage.boxes),
            page,
        )
    assert seen[turn] == seen[AS_STORED]
    (case,) = image_cases([boxed[turn] / "0.dcm"], of, frozenset())
    heat, goal, *_ = maps_of(torch.from_numpy(np.asarray(kept.targets[:1])), 1, (32, 32))
    outputs = torch.cat([torch.logit(heat.clamp(1e-4, 1 - 1e-4)) - PRIOR, goal], dim=1)
    assert DETECTION.asking is not None
    (box,) = DETECTION.asking.answer(of.task, outputs, case.prepare(), case, Chosen(0.5, None)).facts["boxes"]  # type: ignore[arg-type]
    top, left, bottom, right = turn.inverse.box((4, 10, 12, 30), *PIXELS.shape)
    assert [box[side] for side in ("x0", "y0", "x1", "y1")] == pytest.approx([left, top, right, bottom], abs=0.1)
    assert [box["width_mm"], box["height_mm"]] == pytest.approx([*turn.shape(20 * 0.25, 8 * 0.5)], abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("turn", [TURNS[1], TURNS[6]])
def test_maps_are_measured_in_lesions_alike_whichever_way_round_images_are_stored(turn: Turn, tmp_path: Path) -> None:
    of = study(
        data={"modalities": ["MR"], "image_size": 24},
        evaluation={"smallest_subgroup": 5, "maps": {"method": "hires-cam"}},
    )
    (tmp_path / "model").mkdir()
    model, found = model_folder(tmp_path / "model", of, point=0.5), {}
    for name, way in (("usual", AS_STORED), ("turned", turn)):
        folder, lines = tmp_path / name, ["patient,label"]
        for number in range(5):
            who = {"PatientID": f"P{number}", "PatientName": f"P{number}^", "StudyInstanceUID": f"1.2.{number}"}
            write_series(folder / str(number), "coronal", way, seed=number, **who)
            lines.append(f"P{number},{('none', 'finding')[number % 2]}")
        (folder / "labels.csv").write_text("\n".join(lines))
        source = Source(folder, tmp_path / f"state-{name}")
        kept = prepare(source, of, *take_in(source, of), trains=False)
        sums = sums_in_lesions(networks.build(of), of, kept)
        (explained,) = run("explain", model, folder / "0" / "03.dcm", "--lesion", "tumour", "--method", "hires-cam")
        found[name] = sums, explained
    assert found["usual"][0].patients == 5
    ours, usual = (found[name][0].sums.to_vector() for name in ("turned", "usual"))
    assert ours == pytest.approx(usual, rel=1e-6)
    mine, other = (found[name][1] for name in ("turned", "usual"))
    assert mine["similarity_to_untrained"] == other["similarity_to_untrained"]
    row, column = other["peak"]["row"], other["peak"]["column"]
    at = turn.inverse.box((row, column, row + 1, column + 1), *hung(patient()[0], "coronal").shape[1:])
    assert (mine["peak"]["row"], mine["peak"]["column"]) == pytest.approx(at[:2], abs=1)  # a middle is rounded


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")  # of MONAI's readers
@pytest.mark.parametrize(
    ("stated", "as_if"),
    [
        ({"PixelAspectRatio": ["2", "1"]}, (2.0, 1.0)),
        ({"PixelAspectRatio": ["3", "4"], "Modality": "DX", "PatientOrientation": ["F", "L"]}, (3.0, 4.0)),
        ({"PixelAspectRatio": ["1", "1"]}, None),
        ({"PixelAspectRatio": ["2", "1"], "PixelSpacing": [0.5, 0.5]}, (0.5, 0.5)),
        ({"PixelAspectRatio": ["2", "1"], "PixelSpacing": [0.5, 0.25]}, (0.5, 0.25)),
        ({"PixelAspectRatio": ["0", "1"]}, None),
        ({"PixelAspectRatio": ["1", "0"]}, None),
        ({"PixelAspectRatio": ["-2", "1"]}, None),
        ({"PixelAspectRatio": ["1", "40"]}, None),
        ({"PixelAspectRatio": "2"}, None),
        ({"PixelSpacing": "2", "ImageOrientationPatient": "1", "PatientOrientation": "L"}, None),
    ],
    ids=str,
)
def test_pixels_are_as_high_for_their_width_as_an_image_without_distances_says(
    stated: dict[str, Any], as_if: tuple[float, float] | None, tmp_path: Path
) -> None:
    of = study(data={"modalities": ["MR", "DX"], "image_size": 32, "intensity": "range"}).data
    path = save(tiny(PIXELS, **stated), tmp_path / "in" / "0.dcm")
    image = read_image(path)
    apart = stated.get("PixelSpacing")
    assert image.spacing_mm == (tuple(apart) if isinstance(apart, list) else None)  # a shape is no size
    wanted = to_network_form(Image(image.pixels, as_if, turn=image.turn), of)
    assert np.array_equal(to_network_form(image, of), wanted)
    source = Source(tmp_path / "in", tmp_path / "state")
    index = scan(source.folder, state=source.state)
    assert index.accepted == scan(source.folder, state=source.state).accepted
    assert np.array_equal(keep_images(source, of, index.accepted, index.kept).images[0], wanted)
    median = of.model_copy(update={"steps": study(data={"steps": [{"step": "median", "size": 3}]}).data.steps})
    long = keep_images(source, median, index.accepted, index.kept).images[0]
    assert np.array_equal(long, to_network_form(image, median))
    monais = LoadImage(image_only=True, ensure_channel_first=True)(path)
    theirs = around_network.PrepareImage(32, 1, "range")({"image": monais, "path": str(path)})
    np.testing.assert_allclose(theirs["image"][0].numpy(), wanted, atol=1e-6)


def test_pictures_have_the_shape_of_an_image_that_states_no_distances(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    model = model_folder(tmp_path / "model", study(data={"modalities": ["MR"]}), point=0.5)
    pixels = np.random.default_rng(2).integers(0, 900, (64, 64)).astype(np.uint16)
    found = []
    for stated in ({"PixelAspectRatio": ["2", "1"]}, {"PixelSpacing": [2.0, 1.0]}, {}):
        place = tmp_path / str(len(found))
        save(tiny(pixels, ImageType=["ORIGINAL", "PRIMARY"], **stated), place / "in" / "0.dcm")
        run("predict", model, place / "in" / "0.dcm", "-o", place / "out", "--preview")
        run("explain", model, place / "in" / "0.dcm", "-o", place / "why", "--method", "hires-cam")
        pictures = [*(place / "out").glob("*.png"), *(place / "why").glob("*.png")]
        found.append([np.asarray(Pillow.open(path)).tobytes() for path in pictures])
    assert len(found[0]) == 2
    assert found[0] == found[1]
    assert all(one != other for one, other in zip(found[0], found[2], strict=True))


@pytest.mark.parametrize(("plane", "turn"), TURNED[1::3])
def test_a_slice_has_the_same_neighbours_whichever_way_round_its_series_is_stored(
    plane: str, turn: Turn, tmp_path: Path
) -> None:
    of = study(data={"modalities": ["MR"], "record": "slice", "image_size": 24})
    found = []
    for name, way in (("usual", AS_STORED), ("turned", turn)):
        folder = write_series(tmp_path / name, plane, way, outlined=False)
        cases = cases_of(sorted(folder.iterdir()), of, frozenset())
        found.append({case.prepare().images.tobytes() for case in cases})
    assert found[0] == found[1]
    assert len(found[0]) == len(hung(patient()[0], plane))


def test_made_hospitals_of_any_scanner_are_stored_as_they_hang(tmp_path: Path) -> None:
    make_hospitals(tmp_path, seed=0, patients=2)
    turns = {dcmread(file).Modality: turn_in(dcmread(file)) for file in tmp_path.rglob("*.dcm")}
    assert len(turns) > 1
    assert set(turns.values()) == {Turn()}
