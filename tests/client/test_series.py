"""A series is ordered by where its slices lie; what is no volume is refused with its reason."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from series_made import AXIAL, COLUMNS, OBLIQUE, ROWS, SAGITTAL, enhanced, slices, written
from tiny_dicom import save
from wardround_client.images import read_image
from wardround_client.volumes import Refused, Series, series_in, survey
from wardround_common.errors import ImageRefused


def only(files: list[Path]) -> Series:
    (found,) = series_in(files)
    assert isinstance(found, Series), found
    return found


def reason(files: list[Path]) -> str:
    (found,) = series_in(files)
    assert isinstance(found, Refused)
    assert found.do
    return found.reason


@pytest.mark.parametrize("orientation", [AXIAL, SAGITTAL, OBLIQUE])
def test_slices_are_ordered_along_their_normal_and_not_by_name_or_number(tmp_path: Path, orientation: Any) -> None:
    made = slices(6, orientation=orientation)
    series = only(written(made, tmp_path))
    assert [int(values[0, 0]) for values in series] == [0, 100, 200, 300, 400, 500]
    assert series.geometry.shape == (6, ROWS, COLUMNS)
    np.testing.assert_allclose(series.geometry.spacing_mm, (5, 1, 2))
    for number, one in enumerate(made):
        np.testing.assert_allclose(series.geometry.to_mm([number, 0, 0]), one.ImagePositionPatient)
    last = np.array(made[-1].ImagePositionPatient) + np.array(orientation[:3]) * 2 * 9 + np.array(orientation[3:]) * 7
    np.testing.assert_allclose(series.geometry.to_mm([5, 7, 9]), last, atol=1e-9)
    np.testing.assert_allclose(series.geometry.to_index(last), [5, 7, 9], atol=1e-9)


def test_a_geometry_says_its_plane_and_its_directions(tmp_path: Path) -> None:
    axial = only(written(slices(orientation=AXIAL), tmp_path / "a")).geometry
    sagittal = only(written(slices(orientation=SAGITTAL), tmp_path / "s")).geometry
    assert (axial.plane, axial.orientation, axial.voxel_ml) == ("axial", "SPL", pytest.approx(0.01))
    assert (sagittal.plane, sagittal.orientation) == ("sagittal", "RIP")
    assert axial.is_grid_of(axial)
    assert not axial.is_grid_of(sagittal)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless])
def test_a_slice_has_the_values_that_its_file_has_read_alone(tmp_path: Path, syntax: str) -> None:
    made = slices(3, RescaleIntercept=-7, PixelPaddingValue=100)
    for number, one in enumerate(made):
        one.RescaleSlope = 2.5 + number  # as PET has it
    if syntax == RLELossless:
        for one in made:
            one.compress(syntax)
    else:
        for one in made:
            one.file_meta.TransferSyntaxUID = syntax
            one.set_original_encoding(syntax == ImplicitVRLittleEndian, True)
    series = only(written(made, tmp_path))
    assert series.stored == "single-frame"
    for values, stored in zip(series, series.slices, strict=True):
        np.testing.assert_array_equal(values, read_image(stored.file).pixels[0])


@pytest.mark.parametrize("compressed", [False, True])
def test_frames_of_an_enhanced_object_are_sorted_by_position_each_with_its_own_rescale(
    tmp_path: Path, compressed: bool
) -> None:
    made = enhanced((2, 0, 3, 1), slopes=(3.0, 1.0, 4.0, 2.0))
    if compressed:
        made.compress(RLELossless)
    series = only([save(made, tmp_path / "a")])
    assert series.stored == "multi-frame"
    ramp = np.tile(np.arange(COLUMNS, dtype=np.float32), (ROWS, 1))
    for number, values in enumerate(series):
        np.testing.assert_array_equal(values, (ramp + 100 * number) * (number + 1))
    np.testing.assert_allclose(series.geometry.spacing_mm, (5, 1, 2))


def test_one_slice_takes_the_memory_of_one_slice(tmp_path: Path) -> None:
    frames, side = 100, 1024
    made = enhanced(range(frames))
    made.Rows = made.Columns = side
    at = save(made, tmp_path / "a")
    whole = at.read_bytes()
    stored, wanted = frames * ROWS * COLUMNS * 2, frames * side * side * 2  # 200 MiB, mostly a hole in the file
    head = whole[: -stored - 4] + wanted.to_bytes(4, "little")
    at.write_bytes(head)
    os.truncate(at, len(head) + wanted)
    tracemalloc.start()
    assert only([at]).slice(7).shape == (side, side)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * side * side * 2


def test_a_nifti_of_any_size_is_read_slice_by_slice(tmp_path: Path) -> None:
    at = nifti(tmp_path / "a.nii", np.zeros((4, 4, 4), np.uint8))
    header = bytearray(at.read_bytes()[:352])
    header[40:56] = np.array([3, 2000, 1000, 1200, 1, 1, 1, 1], "<i2").tobytes()  # 2.4 GB
    at.write_bytes(header)
    os.truncate(at, 352 + 2000 * 1000 * 1200)
    tracemalloc.start()
    series = only([at])
    assert (series.geometry.shape, series.slice(1199).shape) == ((1200, 1000, 2000), (1000, 2000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6


def test_a_compressed_nifti_that_grows_beyond_the_limit_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    at = nifti(tmp_path / "a.nii.gz", np.zeros((40, 40, 40), np.uint8))
    monkeypatch.setattr("wardround_client.images.formats.nifti.LARGEST_FILE_BYTES", 10_000)
    assert reason([at]) == "too-large"


def nifti(path: Path, values: np.ndarray, affine: np.ndarray | None = None, **header: Any) -> Path:
    """Write a NIfTI volume of (x, y, z) values; ``header`` is written over what nibabel writes."""
    image: Any = nibabel.Nifti1Image(values, np.diag([1.0, 2.0, 5.0, 1.0]) if affine is None else affine)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)
    if header:
        made = nibabel.Nifti1Header(path.read_bytes()[:348], check=False)
        for word, value in header.items():
            made[word] = value
        path.write_bytes(made.binaryblock + path.read_bytes()[348:])
    return path


AXES = {"axial": (0, 1, 2), "swapped": (1, 0, 2), "coronal": (0, 2, 1), "sagittal": (1, 2, 0)}


@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, -1, 1), (-1, 1, -1)])
@pytest.mark.parametrize("name", AXES)
def test_a_nifti_lies_where_its_affine_says_however_it_is_stored(tmp_path: Path, name: str, signs: Any) -> None:
    values = np.arange(3 * 4 * 5, dtype=np.int16).reshape(3, 4, 5)
    affine = np.zeros((4, 4))
    for axis, (of, sign, size) in enumerate(zip(AXES[name], signs, (1.0, 2.0, 5.0), strict=True)):
        affine[of, axis] = sign * size
    affine[:, 3] = (10, 20, 30, 1)
    series = only([nifti(tmp_path / "a.nii.gz", values, affine)])
    volume = series.volume()
    for index in np.ndindex(volume.shape):
        ras = series.geometry.to_mm(index) * (-1, -1, 1)
        x, y, z = np.rint(np.linalg.inv(affine) @ [*ras, 1])[:3].astype(int)
        assert volume[index] == values[x, y, z]
    rows, columns = series.geometry.orientation[1:]
    assert rows + columns == {"axial": "PL", "coronal": "IL", "sagittal": "IP"}[series.geometry.plane]
    normal = np.cross(series.geometry.directions[:, 2], series.geometry.directions[:, 1])
    assert series.geometry.directions[:, 0] @ normal > 0.99


def test_the_scaling_of_a_nifti_is_that_of_its_header(tmp_path: Path) -> None:
    values = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    series = only([nifti(tmp_path / "a.nii", values, scl_slope=0.5, scl_inter=-3)])
    assert (series.volume().min(), series.volume().max()) == (-3, 8.5)
    unscaled = only([nifti(tmp_path / "b.nii", values, scl_slope=0, scl_inter=0)])
    assert unscaled.volume().max() == 23


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_what_is_no_number_takes_the_smallest_value_of_the_volume_and_not_of_its_slice(
    tmp_path: Path, name: str
) -> None:
    """Beyond what was scanned, tools write NaN: as 0 in a slice without a number it would be water, in CT."""
    hounsfield = np.arange(24, dtype=np.float32).reshape(2, 3, 4) * 10 - 1000
    hounsfield[1, 0, 0] = np.nan
    hounsfield = np.concatenate([hounsfield, np.full((1, 3, 4), np.nan, np.float32)])
    path = nifti(tmp_path / name, hounsfield)
    read = np.where(np.isnan(hounsfield), np.float32(-1000), hounsfield)
    np.testing.assert_array_equal(np.sort(only([path]).volume().ravel()), np.sort(read.ravel()))
    np.testing.assert_array_equal(only([path]).volume(), read_image(path).pixels[0])


def test_a_form_in_another_unit_is_read_in_mm(tmp_path: Path) -> None:
    series = only(
        [nifti(tmp_path / "a.nii", np.zeros((2, 3, 4), np.uint8), np.diag([0.001, 0.002, 0.005, 1]), xyzt_units=1)]
    )
    np.testing.assert_allclose(series.geometry.spacing_mm, (5, 2, 1), rtol=1e-5)


def test_the_form_of_the_scanner_is_trusted_before_one_of_a_template(tmp_path: Path) -> None:
    moved = np.diag([1.0, 2.0, 5.0, 1.0])
    moved[:3, 3] = (40, 0, 0)
    at = nifti(tmp_path / "a.nii", np.zeros((2, 3, 4), np.uint8), moved, qform_code=1, sform_code=4, qoffset_x=0)
    series = only([at])
    assert "qform" in series.notes[0]
    assert abs(series.geometry.to_mm([0, 0, 0])[0]) <= 1
    both = nifti(tmp_path / "b.nii", np.zeros((2, 3, 4), np.uint8), moved, qform_code=1, sform_code=1, qoffset_x=0)
    assert reason([both]) == "affines-contradict"


SHEARED = np.array([[1.0, 0, 2, 0], [0, 1, 0, 0], [0, 0, 5, 0], [0, 0, 0, 1]])


@pytest.mark.parametrize(
    ("why", "header"),
    [
        ("no-orientation", {"qform_code": 0, "sform_code": 0}),
        ("pixel-values", {"scl_slope": 0, "scl_inter": 7}),
        ("pixel-values", {"scl_slope": np.nan, "scl_inter": 7}),
        ("pixel-values", {"scl_slope": 1, "scl_inter": np.inf}),
        ("singular-affine", {"qform_code": 0, "srow_z": [0, 0, 0, 0]}),
        ("singular-affine", {"qform_code": 0, "srow_z": [0, 2, 0, 0]}),
        ("singular-affine", {"qform_code": 0, "srow_z": [0, 0, np.nan, 0]}),
        ("tilted", {"qform_code": 0, "srow_x": SHEARED[0]}),
        ("shape", {"dim": [4, 2, 3, 2, 2, 1, 1, 1]}),
        ("shape", {"datatype": 32, "bitpix": 64}),
    ],
)
def test_a_nifti_that_can_be_read_in_two_ways_is_refused(tmp_path: Path, why: str, header: dict[str, Any]) -> None:
    stated = {"scl_slope": 1, "scl_inter": 0, "sform_code": 1, **header}
    assert reason([nifti(tmp_path / "a.nii", np.zeros((2, 3, 4), np.int16), **stated)]) == why


def without(number: int) -> list[Any]:
    made = slices(6)
    del made[number]
    return made


def changed(count: int = 5, **attributes: Any) -> list[Any]:
    """Make a series of which the last slice states something else."""
    made = slices(count)
    for word, value in attributes.items():
        setattr(made[-1], word, value)
    return made


def smaller() -> list[Any]:
    made = slices()
    made[-1].Rows, made[-1].PixelData = ROWS - 1, made[-1].PixelData[: (ROWS - 1) * COLUMNS * 2]
    return made


REFUSED = {
    "missing-slice": lambda: without(3),
    "two-at-one-place": lambda: changed(SOPInstanceUID="1.2.3", ImagePositionPatient=[-3, -4, 7.0]),
    "mixed-orientations": lambda: changed(ImageOrientationPatient=list(OBLIQUE)),
    "mixed-sizes": smaller,
    "mixed-spacing": lambda: changed(PixelSpacing=[1.0, 2.1]),
    "mixed-frames-of-reference": lambda: changed(FrameOfReferenceUID="1.2.3"),
    "several-patients": lambda: changed(PatientID="P2"),
    "tilted": lambda: slices(lean=(0, 5 * np.tan(np.radians(15)), 0)),
    "shifted-slices": lambda: changed(ImagePositionPatient=[-3, 9, 27.0]),
    "uneven-spacing": lambda: changed(ImagePositionPatient=[-3, -4, 29.0]),
    "no-position": lambda: slices(ImagePositionPatient=None),
    "no-spacing": lambda: slices(PixelSpacing=None),
    "bad-orientation": lambda: slices(ImageOrientationPatient=[1, 0, 0, 0.5, 1, 0]),
    "pixel-distances": lambda: slices(PixelSpacing=[1e-9, 1e-9]),
    "no-slice-spacing": lambda: slices(1, SliceThickness=None),
    "colour": lambda: slices(PhotometricInterpretation="RGB", SamplesPerPixel=3),
    "no-series": lambda: slices(1, SeriesInstanceUID=None),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_is_no_volume_is_refused_with_its_reason(tmp_path: Path, why: str) -> None:
    found = series_in(written(REFUSED[why](), tmp_path))
    assert {one.reason for one in found if isinstance(one, Refused)} == {why}
    assert not any(isinstance(one, Series) for one in found)


def test_a_tilt_is_measured_in_the_refusal(tmp_path: Path) -> None:
    (found,) = series_in(written(REFUSED["tilted"](), tmp_path))
    assert isinstance(found, Refused)
    assert "15.0 degrees" in found.what


def test_frames_without_positions_of_their_own_are_refused(tmp_path: Path) -> None:
    made = enhanced()
    for group in made.PerFrameFunctionalGroupsSequence:
        del group.PlanePositionSequence
    made.ImagePositionPatient = [0, 0, 0]
    assert reason([save(made, tmp_path / "a")]) == "no-position"


def test_several_echoes_in_one_series_are_two_slices_at_one_place(tmp_path: Path) -> None:
    assert reason([save(enhanced((0, 1, 2, 0, 1, 2)), tmp_path / "a")]) == "two-at-one-place"


def test_positions_rounded_to_a_tenth_of_a_millimetre_are_even(tmp_path: Path) -> None:
    made = slices(9, step_mm=0.625)
    for one in made:
        one.ImagePositionPatient = [round(float(value), 1) for value in one.ImagePositionPatient]
    assert only(written(made, tmp_path)).geometry.spacing_mm[0] == pytest.approx(0.625, abs=0.01)


def test_positions_are_trusted_before_the_stated_spacing_and_it_is_said(tmp_path: Path) -> None:
    series = only(written(slices(SpacingBetweenSlices=6.0), tmp_path))
    assert series.geometry.spacing_mm[0] == 5
    assert "6 mm" in series.notes[0]
    assert "the positions were trusted" in series.notes[0]
    assert not only(written(slices(SpacingBetweenSlices=5.0), tmp_path / "b")).notes


def test_a_file_that_is_there_twice_counts_once_and_another_one_of_its_uid_does_not(tmp_path: Path) -> None:
    made = slices()
    files = written(made, tmp_path / "a") + written(made[:1], tmp_path / "b")
    assert only(files).notes == ("copies of its files that were left out: 1",)
    made[0].PixelData = bytes(len(made[0].PixelData))
    assert reason(files[:5] + written(made[:1], tmp_path / "c")) == "two-at-one-place"


def test_a_series_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    made = slices()
    series = only(written(made, tmp_path))
    made[2].RescaleSlope = 3
    save(made[2], series.slices[2].file)
    series.slice(1)
    with pytest.raises(ImageRefused, match="changed while") as refused:
        series.slice(2)
    assert refused.value.reason == "changed"
    series.slices[3].file.unlink()
    with pytest.raises(ImageRefused) as refused:
        series.slice(3)
    assert refused.value.reason == "vanished"


def test_pixels_that_are_cut_off_are_refused_when_their_slice_is_read(tmp_path: Path) -> None:
    files = written(slices(), tmp_path)
    files[0].write_bytes(files[0].read_bytes()[:-20])
    series = only(files)
    at = next(number for number, stored in enumerate(series.slices) if stored.file == files[0])
    with pytest.raises(ImageRefused) as refused:
        series.slice(at)
    assert refused.value.reason == "truncated"


def test_other_files_are_passed_over_or_refused_and_do_not_end_a_survey(tmp_path: Path) -> None:
    files = written(slices(), tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    found = survey([*files, tmp_path / "notes.txt", tmp_path / "empty", tmp_path / "pipe", tmp_path / "gone"])
    assert len(found.series) == 1
    assert sorted(one.reason for one in found.refused) == ["empty", "not-a-file", "not-an-image", "vanished"]


def test_a_series_says_nothing_of_its_patient_where_it_is_printed(tmp_path: Path) -> None:
    series = only(written(slices(PatientID="SECRET", SeriesDescription="SECRET"), tmp_path))
    (refused,) = series_in(written(slices(lean=(0, 3, 0), PatientID="SECRET"), tmp_path / "SECRET"))
    assert "SECRET" not in repr(series) + repr(refused)


def test_series_of_one_folder_are_kept_apart(tmp_path: Path) -> None:
    found = series_in(written([*slices(3), *slices(4), *slices(2)], tmp_path))
    assert sorted(len(one) for one in found if isinstance(one, Series)) == [2, 3, 4]
