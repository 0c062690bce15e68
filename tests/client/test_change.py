"""A patient's lesions over time: followed on other grids and in other frames, against volumes whose truth is known."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image as Pillow
from scipy.spatial.transform import Rotation

from examples import study
from models_made import model_folder
from outlined_hospitals import outlining
from tiny_dicom import save, tiny
from wardround_client.prediction.lesion_tracks import Outlined, tracks_of
from wardround_client.prediction.over_time import VIEWS, Examined, change_of, in_order, rows_of
from wardround_client.prediction.registration import Registered, Volume, agreement, coarse, laid
from wardround_client.tasks.contract import Asked, Case
from wardround_client.volumes.geometry import Geometry
from wardround_common.errors import DataError, WardroundError
from wardround_common.shell.cli import wardround

Lesion = tuple[tuple[float, float, float], float]
"""Centre in mm, and radius."""


Shape = tuple[int, int, int]


def grid(shape: Shape = (40, 72, 72), spacing: Sequence[float] = (2.5, 1.25, 1.25), turn: float = 0) -> Geometry:
    """Return a grid around the origin, turned about the axis of the body."""
    turned = Rotation.from_euler("z", turn, degrees=True).as_matrix()
    axes = turned @ np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]]).T * spacing
    affine = np.eye(4)
    affine[:3, :3] = axes
    affine[:3, 3] = -axes @ (np.array(shape) - 1) / 2
    return Geometry.of(affine, shape)


def moved(degrees: float = 8.0, shift: Sequence[float] = (6.0, -9.0, 4.0)) -> np.ndarray:
    """Return how the patient lies in a later frame: (4, 4) from mm of the first frame to mm of that one."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("zyx", [degrees, degrees / 2, -degrees / 3], degrees=True).as_matrix()
    matrix[:3, 3] = shift
    return matrix


def at(geometry: Geometry, to_frame: np.ndarray) -> np.ndarray:
    """Return where each voxel of a grid lies in the first frame: (slices, rows, columns, 3) mm."""
    back = np.linalg.inv(to_frame)
    mm = geometry.to_mm(np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), axis=-1))
    return np.asarray(mm @ back[:3, :3].T + back[:3, 3])


def spheres(geometry: Geometry, lesions: Sequence[Lesion], to_frame: np.ndarray | None = None) -> Outlined:
    to_frame = np.eye(4) if to_frame is None else to_frame
    mm = at(geometry, to_frame)
    there = np.zeros(geometry.shape, bool)
    for centre, radius in lesions:
        there |= np.linalg.norm(mm - centre, axis=-1) <= radius
    return Outlined(there, geometry, np.linalg.inv(to_frame))


def states(*examinations: Outlined) -> list[list[str]]:
    return sorted([seen.state for seen in track.seen] for track in tracks_of(examinations))


A, B, C, D = (-20.0, 0.0, 5.0), (18.0, 10.0, -8.0), (0.0, -25.0, 0.0), (8.0, 22.0, 12.0)


def test_a_grown_a_vanished_and_a_new_lesion_are_told_apart_on_another_grid_in_another_frame() -> None:
    first = spheres(grid(), [(A, 6.0), (B, 5.0), (C, 7.0)])
    later = spheres(grid((33, 80, 80), (3.0, 1.1, 1.1), turn=15), [(A, 9.0), (C, 7.0), (D, 4.0)], moved())
    tracks = tracks_of([first, later])
    found = {tuple(seen.state for seen in track.seen): track for track in tracks if track.seen[0].parts}
    assert sorted(tuple(seen.state for seen in track.seen) for track in tracks) == [
        ("absent", "new"),
        ("first", "persisting"),
        ("first", "persisting"),
        ("first", "vanished"),
    ]
    steady, grown = (track for track in tracks if track.seen[1].state == "persisting")
    assert grown.seen[1].volume_ml / grown.seen[0].volume_ml == pytest.approx((9 / 6) ** 3, rel=0.12)
    assert (grown.seen[0].long_mm, grown.seen[1].long_mm) == pytest.approx((12.0, 18.0), abs=2.0)
    assert steady.seen[1].volume_ml == pytest.approx(steady.seen[0].volume_ml, rel=0.06)
    assert found["first", "vanished"].seen[1].volume_ml == 0


def test_without_the_way_from_frame_to_frame_the_same_lesions_would_be_new_and_vanished() -> None:
    lesions = [(A, 5.0), (B, 5.0)]
    first, later = spheres(grid(), lesions), spheres(grid(), lesions, moved(25, (20, -18, 12)))
    assert states(first, later) == [["first", "persisting"]] * 2
    wrong = Outlined(later.there, later.geometry, np.eye(4))
    assert states(first, wrong) == [["absent", "new"]] * 2 + [["first", "vanished"]] * 2


def test_lesions_split_merge_and_come_back_and_the_long_axes_of_parts_are_added_up() -> None:
    near = ((-20.0, 7.0, 5.0), 4.0)
    other = ((-20.0, -7.0, 5.0), 4.0)
    one = spheres(grid(), [(A, 11.0), (B, 5.0)])
    two = spheres(grid(), [near, other])
    assert states(one, two) == [["first", "split"], ["first", "vanished"]]
    assert states(two, one) == [["absent", "new"], ["first", "merged"]]
    split = tracks_of([one, two])[0]
    assert split.seen[1].long_mm == pytest.approx(16.0, abs=2.5)
    assert states(one, two, one) == [["first", "split", "merged"], ["first", "vanished", "back"]]


def test_a_lesion_that_another_examination_does_not_show_is_neither_new_nor_vanished() -> None:
    whole, lower = grid((40, 72, 72)), Geometry.of(grid((40, 72, 72)).affine, (16, 72, 72))
    high = ((0.0, 0.0, 35.0), 6.0)
    assert states(spheres(whole, [high]), spheres(lower, [])) == [["first", "outside"]]
    assert states(spheres(lower, []), spheres(whole, [high])) == [["outside", "first"]]
    assert states(spheres(whole, []), spheres(whole, [])) == []


class Shown:
    """The one thing that a change asks of a series besides its pixels."""

    def __init__(self, geometry: Geometry) -> None:
        self.geometry, self.study_uid, self.uid = geometry, "1.2", "1.2.3"


def examined(date: str, views: Sequence[Outlined]) -> Examined:
    masks = tuple(one.there.astype(np.uint8) for one in views)
    known = Registered(views[0].to_first, "rigid", 0.9, 1.0)
    return Examined(date, Shown(views[0].geometry), masks, known)  # type: ignore[arg-type]


def test_a_difference_is_beyond_its_interval_only_where_it_is_larger_than_what_the_views_differ_by() -> None:
    def seen(radii: Sequence[float]) -> list[Outlined]:
        return [spheres(grid(), [(A, radius)]) for radius in radii]

    sure = [6.0] * len(VIEWS)
    grown = change_of([examined("2026-01-01", seen(sure)), examined("2026-04-01", seen([9.0] * 4))], ["tumour"])
    (structure,) = grown["structures"]
    assert structure["sum_of_diameters_mm"]["difference"] == pytest.approx(6.0, abs=1.5)
    assert structure["sum_of_diameters_mm"]["percent"] == pytest.approx(50, abs=12)
    assert structure["volume_ml"]["beyond_interval"]
    assert structure["lesions"][0]["long_axis_mm"]["beyond_interval"]
    unsure = seen([6.6, 3.5, 8.5, 5.0])
    alike = change_of([examined("2026-01-01", seen(sure)), examined("2026-04-01", unsure)], ["tumour"])
    (structure,) = alike["structures"]
    low, high = structure["volume_ml"]["interval"]
    assert low < 0 < structure["volume_ml"]["difference"] < high
    assert not structure["volume_ml"]["beyond_interval"]
    assert [row["lesion"] for row in rows_of(alike)] == [1, 1, "all", "all"]
    nothing = [spheres(grid(), [])] * 4
    none = change_of([examined("2026-01-01", nothing), examined("2026-04-01", nothing)], ["tumour"])
    (structure,) = none["structures"]
    assert (structure["lesions"], structure["volume_ml"]["percent"]) == ([], None)


def test_an_outline_that_fills_its_volume_has_a_surface() -> None:
    geometry = Geometry.of(grid((4, 4, 4)).affine, (4, 4, 4))
    full = [Outlined(np.ones((4, 4, 4), bool), geometry, np.eye(4))] * len(VIEWS)
    change = change_of([examined("2026-01-01", full), examined("2026-04-01", full)], ["x"])
    low, high = change["structures"][0]["volume_ml"]["interval"]
    deviation = geometry.voxel_ml * (56 / 12) ** 0.5  # of 64 voxels all but 8 lie on the surface
    assert (low, high) == pytest.approx((-1.96 * 2**0.5 * deviation, 1.96 * 2**0.5 * deviation), abs=1e-3)


def head(geometry: Geometry, to_frame: np.ndarray, seed: int, lesions: Sequence[Lesion] = ()) -> Volume:
    """Make a head of a bright skull and soft blobs, as it lies in a frame."""
    mm = at(geometry, to_frame)
    rng = np.random.default_rng(seed)
    inner = np.linalg.norm(mm / (34.0, 42.0, 46.0), axis=-1)
    values = np.where(inner < 1, 0.35, 0.0) + np.where((inner > 0.9) & (inner < 1), 0.5, 0.0)
    for _ in range(25):
        centre, width = rng.uniform(-26, 26, 3), rng.uniform(4, 10)
        values += rng.uniform(-0.3, 0.5) * np.exp(-((mm - centre) ** 2).sum(-1) / (2 * width**2)) * (inner < 0.9)
    for place, radius in lesions:
        values += 0.5 * (np.linalg.norm(mm - place, axis=-1) <= radius)
    noise = np.random.default_rng(seed + 1000 * len(lesions)).normal(0, 0.02, geometry.shape)
    return coarse((values + noise).astype(np.float32), geometry)


@pytest.mark.slow
def test_a_rigid_registration_finds_how_the_patient_lay_and_another_patient_is_refused() -> None:
    way = moved()
    first = head(grid(), np.eye(4), 1, [(A, 6.0), (B, 5.0)])
    later = head(grid((33, 80, 80), (3.0, 1.1, 1.1), turn=15), way, 1, [(A, 9.0), (D, 4.0)])
    found = laid(first, later, same_frame=False)
    assert found.method == "rigid"
    assert found.turn_degrees == pytest.approx(9.4, abs=1.5)
    places = np.array([A, B, C, D])
    there = places @ way[:3, :3].T + way[:3, 3]
    back = there @ found.to_first[:3, :3].T + found.to_first[:3, 3]
    assert np.linalg.norm(back - places, axis=1).max() < 1.5
    assert laid(first, later, same_frame=False).to_first.tobytes() == found.to_first.tobytes()
    assert agreement(first, later, np.eye(4))[0] < found.correlation - 0.1
    with pytest.raises(DataError, match="cannot be laid on one another"):
        laid(first, later, same_frame=True)  # the same frame of reference is believed, and checked
    with pytest.raises(DataError, match="cannot be laid on one another"):
        laid(first, head(grid((8, 72, 72)), moved(0, (0, 0, 90)), 1), same_frame=False)


def changed(*words: str | Path) -> tuple[int, str, str]:
    """Return the exit code, what was shown, and what was said of an error."""
    found = CliRunner().invoke(wardround, ["change", *map(str, words)])
    if isinstance(found.exception, WardroundError):
        return found.exception.exit_code, found.stdout, f"{found.stderr}\n{found.exception}"
    if found.exception and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found.exit_code, found.stdout, found.stderr


def examination(folder: Path, date: str | None, patient: str = "P1", modality: str = "MR", frame: str = "1.9") -> Path:
    """Write a FLAIR series of a few slices with some structure."""
    rows, columns = np.mgrid[:24, :24]
    for number in range(6):
        values = 1000 * np.exp(-((rows - 10) ** 2 + (columns - 13) ** 2) / 40.0) + 40 * number + 7 * rows
        stated: dict[str, Any] = {
            "Modality": modality, "SeriesDescription": "FLAIR", "PatientID": patient, "PatientName": patient,
            "StudyInstanceUID": f"1.2.{folder.name}", "SeriesInstanceUID": f"1.3.{folder.name}",
            "FrameOfReferenceUID": frame, "ImagePositionPatient": [0, 0, 5 * number], "PixelSpacing": [2, 2],
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "SliceThickness": 5, "InstanceNumber": number + 1,
            "ImageType": ["ORIGINAL", "PRIMARY", "M"], "StudyDate": date,
        }  # fmt: skip
        save(tiny(values.astype(np.uint16), **stated), folder / f"{number}.dcm")
    return folder


@pytest.fixture(scope="module")
def outliner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tmp_path_factory.mktemp("outliner"), outlining(data={"image_size": 24}))


@pytest.mark.slow
@pytest.mark.parametrize(("frame", "method"), [("1.9", "frame of reference"), ("1.10", "rigid registration")])
def test_the_same_examination_on_another_day_has_changed_by_nothing(
    outliner: Path, tmp_path: Path, frame: str, method: str
) -> None:
    later = examination(tmp_path / "2", "20260401", frame=frame)
    first = examination(tmp_path / "1", "20260101")
    out = tmp_path / "out"
    code, shown, said = changed(outliner, later, first, "--out", out, "--preview")
    assert code == 0
    assert "It stays at the hospital" in said
    assert f"laid on the first by {method}, correlation 1.00 over 100%" in " ".join(shown.split())
    change = json.loads((out / "change.json").read_text())
    assert [one["date"] for one in change["examinations"]] == ["2026-01-01", "2026-04-01"]
    for structure in change["structures"]:
        assert structure["volume_ml"]["difference"] == 0
        assert not structure["volume_ml"]["beyond_interval"]
        states_of = [[seen["state"] for seen in lesion["seen"]] for lesion in structure["lesions"]]
        assert states_of == [["first", "persisting"]] * len(states_of)
    with (out / "change.csv").open(newline="") as table:
        assert {row["date"] for row in csv.DictReader(table)} == {"2026-01-01", "2026-04-01"}
    with Pillow.open(out / "change.png") as picture:
        assert picture.size[0] > 1024  # both, side by side
    assert {path.stat().st_mode & 0o077 for path in out.iterdir()} == {0}
    assert "P1" not in shown + said
    (out / ".change.png.0123abcd").write_bytes(b"half")  # of a run that was killed
    again = changed(outliner, first, later, "--out", out, "--json")
    assert {path.name for path in out.iterdir()} == {"change.json", "change.csv", "lock"}
    assert json.loads(again[1]) == change  # the order on the command line means nothing
    assert not (out / "change.png").exists()  # no picture of another change stays


@pytest.mark.parametrize(
    ("one", "other", "says"),
    [
        (("20260101", "P1"), ("20260401", "P2"), "examinations of 2 patients"),
        (("20260101", "P1"), ("20260101", "P1"), "two examinations are of the same date, 2026-01-01"),
        (("20260101", "P1"), (None, "P1"), "states no date"),
        (("20260101", "P1"), ("2026", "P1"), "states no date"),
        (("20260101", ""), ("20260401", ""), "does not say whose it is"),
        (("20260101", "P1"), None, "here is one"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused_before_anything_is_outlined(
    outliner: Path, tmp_path: Path, one: tuple[str, str], other: tuple[str | None, str] | None, says: str
) -> None:
    studies = [examination(tmp_path / str(n), *each) for n, each in enumerate((one, other)) if each is not None]
    code, shown, said = changed(outliner, *studies, "--out", tmp_path / "out")
    assert (code, shown) == (4, "")
    assert says in said.replace("\n", " ")
    assert not (tmp_path / "out" / "change.json").exists()
    assert "P1" not in said.replace(str(tmp_path), "")


def test_a_model_of_classes_and_a_folder_of_other_files_are_refused(outliner: Path, tmp_path: Path) -> None:
    studies = [examination(tmp_path / "1", "20260101"), examination(tmp_path / "2", "20260401")]
    code, _, said = changed(model_folder(tmp_path / "classes", study()), *studies)
    assert code == 4
    assert "outlines nothing" in said
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    code, _, said = changed(outliner, *studies, "-o", tmp_path / "full")
    assert code == 7
    assert "holds other files" in said
    code, _, said = changed(outliner, *studies, "-o", studies[1] / "out")
    assert code == 4
    assert "would lie among the images" in said
    (studies[1] / "0.dcm").write_bytes((studies[1] / "0.dcm").read_bytes()[:-600])
    code, _, said = changed(outliner, *studies)
    assert code == 4
    assert "truncated" in said
    examination(tmp_path / "3", "20260701", modality="CT")
    code, _, said = changed(outliner, studies[0], tmp_path / "3")
    assert code == 4
    assert "would have a gap" in said
    assert "other-modality" in said


def test_a_model_of_single_images_follows_no_lesion() -> None:
    def prepare() -> Asked:
        raise NotImplementedError

    with pytest.raises(DataError, match="asked about single images"):
        in_order([Case(name, (Path(name),), prepare) for name in ("a.dcm", "b.dcm")])
