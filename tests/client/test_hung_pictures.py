"""Pictures for people show an image as it hangs in a viewer, with square pixels and the letters of its sides."""

from __future__ import annotations

import base64
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw
from pydicom import dcmread

from examples import study
from models_made import model_folder
from outlined_hospitals import outlining
from tiny_dicom import save, tiny
from turned_patient import PLANES, TURNED, TURNS, hung, patient, place_of, write_series
from wardround_client.gallery.catalogue import Entry
from wardround_client.gallery.drawing import drawn
from wardround_client.images.hanging import AS_STORED, Hanging, Turn
from wardround_client.images.orientation import towards_in
from wardround_client.images.picture import hung as hung_picture
from wardround_client.prediction.change_picture import picture_of
from wardround_client.prediction.over_time import VIEWS, Examined, change_of
from wardround_client.prediction.registration import Registered
from wardround_client.volumes import Series, series_in
from wardround_common.shell.cli import wardround

SIDES = {"axial": ("L", "P"), "coronal": ("L", "F"), "sagittal": ("P", "F")}
"""Where rows and columns of a slice run to that hangs."""
SAME_ORDER = [turn for turn in TURNS[1:] if not sum(turn) % 2]
"""Of all ways round, those in which a series is counted from the same end."""
PIXELS = np.add.outer(np.arange(24) * 30, np.arange(40) ** 2).astype(np.uint16)
"""An image that is its own mirror image in no way."""


def side_of(cosines: list[float]) -> str:
    """Return the letter of the side that a direction of the patient leads to."""
    axis = int(np.abs(cosines).argmax())
    return ("LR", "PA", "HF")[axis][int(cosines[axis] < 0)]


@pytest.mark.parametrize(("plane", "turn"), TURNED)
def test_letters_of_sides_are_turned_with_the_image(plane: str, turn: Turn) -> None:
    _, cosines = place_of(plane, turn, (5, 7), 0)
    assert turn.letters((side_of(cosines[:3]), side_of(cosines[3:]))) == SIDES[plane]
    assert turn.letters(()) == ()


def test_all_letters_of_a_side_are_turned() -> None:
    assert Turn(True, rows_reversed=True).letters(("PFL", "AHR")) == ("AHR", "AHR")


def run(*words: object) -> None:
    done = CliRunner().invoke(wardround, [*map(str, words)])
    assert done.exit_code == 0, done.output


def pictures(folder: Path) -> list[NDArray[np.uint8]]:
    return [np.asarray(Pillow.open(path).convert("RGB")) for path in sorted(folder.glob("*.png"))]


def unlike(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Return by how many of 255 levels two pictures differ on the mean; those of other sizes by all."""
    return float(np.abs(one.astype(float) - other).mean()) if one.shape == other.shape else 255.0


def captured(folder: Path, sides: tuple[str, ...]) -> NDArray[np.uint8]:
    """Return the picture of a folder's Secondary Capture, which says that rows and columns run to these sides."""
    (found,) = [one for path in folder.glob("*.dcm") if (one := dcmread(path)).get("ConversionType") == "WSD"]
    assert tuple(found.PatientOrientation) == sides
    return np.asarray(found.pixel_array)


@pytest.fixture(scope="module")
def outliner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tmp_path_factory.mktemp("outliner"), outlining(data={"image_size": 24}))


@pytest.mark.parametrize(("plane", "turn"), [*zip(PLANES, SAME_ORDER, strict=True)])
def test_pictures_of_outlines_and_of_what_is_undecided_hang(
    plane: str, turn: Turn, outliner: Path, tmp_path: Path
) -> None:
    found: dict[Turn, list[NDArray[np.uint8]]] = {}
    for way in (AS_STORED, turn):
        folder, out = tmp_path / f"in{len(found)}", tmp_path / f"out{len(found)}"
        write_series(folder, plane, way, outlined=False, SeriesNumber=1, Modality="MR")
        run("predict", outliner, folder, "-o", out, "--preview")
        run("explain", outliner, folder, "-o", out / "why", "--dicom")
        found[way] = [*pictures(out), *pictures(out / "why"), captured(out / "why", SIDES[plane])]
    assert len(found[turn]) == 3
    for usual, turned in zip(found[AS_STORED], found[turn], strict=True):
        assert unlike(usual, turned) < 2
        assert unlike(usual[::-1, ::-1], turned) > 10


def radiograph(turn: Turn, **more: Any) -> Any:
    """Make a chest radiograph with pixels twice as high as wide that is stored so."""
    across, down = ("L", "R")[turn.columns_reversed], ("F", "H")[turn.rows_reversed]
    stated = [down, across] if turn.exchanged else [across, down]
    apart = [*turn.shape(0.5, 0.25)]
    pixels = np.ascontiguousarray(turn.inverse.of(PIXELS))
    return tiny(pixels, Modality="DX", PatientOrientation=stated, ImagerPixelSpacing=apart, **more)


@pytest.mark.parametrize("turn", SAME_ORDER[:2])
def test_pictures_and_objects_of_a_single_image_hang(turn: Turn, tmp_path: Path) -> None:
    model = model_folder(tmp_path, study(data={"modalities": ["DX"]}), point=0.5)
    found: dict[Turn, list[NDArray[np.uint8]]] = {}
    complete = {"StudyID": "", "AccessionNumber": "", "StudyDate": "", "StudyTime": "", "ReferringPhysicianName": ""}
    complete |= {"PatientBirthDate": "", "PatientSex": "", "SeriesNumber": "1", "InstanceNumber": "1"}
    for way in (AS_STORED, turn):
        place = tmp_path / str(len(found))
        save(radiograph(way, PatientID="P1", PatientName="P1", **complete), place / "in" / "0.dcm")
        for command in ("predict", "explain"):
            out = place / command
            more = ["--preview"] if command == "predict" else ["--method", "hires-cam"]
            run(command, model, place / "in" / "0.dcm", "-o", out, "--dicom", *more)
            found.setdefault(way, []).extend([*pictures(out), captured(out, ("L", "F"))])
    assert len(found[turn]) == 4
    for usual, turned in zip(found[AS_STORED], found[turn], strict=True):
        assert unlike(usual, turned) < 2


def shown(png: str) -> NDArray[np.uint8]:
    return np.asarray(Pillow.open(BytesIO(base64.b64decode(png))).convert("RGB"))


@pytest.mark.parametrize("turn", TURNS[1:])
def test_the_gallery_shows_an_image_and_its_boxes_as_they_hang_with_square_pixels(turn: Turn, tmp_path: Path) -> None:
    found = []
    for number, way in enumerate((AS_STORED, turn)):
        save(radiograph(way), tmp_path / f"{number}.dcm")
        entry = Entry(1, f"{number}.dcm", 1, boxes=(way.inverse.box((4, 10, 12, 30), *PIXELS.shape),))
        (facts,) = drawn(tmp_path, [entry])
        found.append(shown(facts["png"]))
    assert found[0].shape[:2] == (224, 187)  # 24 x 0.5 mm high, 40 x 0.25 mm wide
    assert unlike(*found) < 4  # a box's edge lies on the last pixel inside it, which another side is


@pytest.mark.parametrize("turn", SAME_ORDER)
def test_thumbnails_of_a_scan_hang_with_square_pixels(turn: Turn, tmp_path: Path) -> None:
    found = []
    for number, way in enumerate((AS_STORED, turn)):
        folder, report = tmp_path / str(number), tmp_path / f"{number}.html"
        save(radiograph(way), folder / "0.dcm")
        run("scan", folder, "--state", tmp_path / f"state{number}", "--report", report)
        (png,) = re.findall(r"data:image/png;base64,([^\"]+)", report.read_text())
        found.append(shown(png))
    assert found[0].shape[:2] == (40, 33)
    assert unlike(*found) < 2


@pytest.mark.parametrize(("plane", "turn"), [*zip(PLANES, SAME_ORDER, strict=True)])
def test_a_picture_of_a_change_hangs_with_its_numbers_upright(plane: str, turn: Turn, tmp_path: Path) -> None:
    found = []
    for way in (AS_STORED, turn):
        folder = write_series(tmp_path / str(len(found)), plane, way, outlined=False)
        (series,) = series_in(sorted(folder.iterdir()))
        assert isinstance(series, Series)
        mask = np.stack([way.inverse.of(slice_) for slice_ in hung(patient()[1], plane)])
        same = Registered(np.eye(4), "frame of reference", 1.0, 1.0)
        twice = [Examined(date, series, (mask,) * len(VIEWS), same) for date in ("2026-01-01", "2026-04-01")]
        found.append(np.asarray(Pillow.open(BytesIO(picture_of(twice, change_of(twice, ["tumour"]) | {"model": "m"})))))
    assert unlike(*found) < 2
    elsewhere = np.abs(found[0].astype(int) - found[1]).max(axis=-1) > 100
    assert np.count_nonzero(elsewhere) < 20  # a number takes some hundred pixels


@pytest.mark.parametrize("turn", TURNS)
def test_a_picture_has_the_letters_of_its_left_and_upper_edge(turn: Turn, monkeypatch: pytest.MonkeyPatch) -> None:
    written: dict[str, tuple[float, float]] = {}
    plain = ImageDraw.ImageDraw.text

    def text(self: ImageDraw.ImageDraw, at: tuple[float, float], word: str, *rest: Any, **more: Any) -> None:
        written[word] = at
        plain(self, at, word, *rest, **more)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    _, cosines = place_of("axial", turn, (5, 7), 0)
    towards = (side_of(cosines[:3]), side_of(cosines[3:]))
    drawn = np.zeros((*turn.inverse.shape(200, 300), 3), np.uint8)
    found = hung_picture(drawn, Hanging(None, turn, towards=towards))
    assert found.shape == (200, 300, 3)
    assert {word: (x < 20, y < 20) for word, (x, y) in written.items()} == {"R": (True, False), "A": (False, True)}
    rows, columns = np.nonzero(found.max(axis=2) > 128)
    assert (columns < 30).any()  # they lie in the picture
    assert (rows < 30).any()
    assert not hung_picture(drawn, Hanging(None, turn)).any()  # nothing is known, nothing is written


def test_an_animals_letters_are_not_written_as_a_persons() -> None:
    stated = {"Modality": "DX", "PatientOrientation": ["L", "F"]}
    assert towards_in(tiny(**stated)) == ("L", "F")
    assert towards_in(tiny(**stated, AnatomicalOrientationType="QUADRUPED")) == ()
    assert towards_in(tiny(Modality="MR", ImageOrientationPatient=[0, 1, 0, 0, 0, -1])) == ("P", "F")
    aslant = [0.8, -0.6, 0, 0.156, 0.208, -0.9656]
    assert towards_in(tiny(Modality="MR", ImageOrientationPatient=aslant)) == ("LA", "F")
    assert towards_in(tiny(np.stack([PIXELS, PIXELS]), **stated)) == ()
