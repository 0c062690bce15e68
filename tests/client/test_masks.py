"""A mask meets its image by geometry, whatever the order and the orientation in which its file holds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image as Pillow
from pydicom import Dataset, FileDataset, dcmread
from pydicom.uid import generate_uid

from series_made import AXIAL, COLUMNS, OBLIQUE, ROWS, contour, segmentation, slices, structure_set, written
from tiny_dicom import save
from wardround_client.masks import LEFT_OUT, Beside, Found, Structures, find, named
from wardround_client.masks.formats.contract import DicomFormat
from wardround_client.masks.formats.registry import FORMATS
from wardround_client.masks.formats.rtstruct import combined, inside
from wardround_client.volumes import Series, survey
from wardround_common.errors import ImageRefused, LabelError

TUMOUR = Structures(("tumour",))
ORGANS = Structures(("liver", "spleen"))


@dataclass(frozen=True)
class Place:
    """A series of five oblique slices in a folder, with its data sets in their order."""

    folder: Path
    images: list[FileDataset]
    series: Series

    def find(self, *masks: Dataset, structures: Structures = TUMOUR, beside: Sequence[Beside] = ()) -> Found:
        files = [save(mask, self.folder / f"mask{number}") for number, mask in enumerate(masks)]
        return find([self.series], survey(files).outlines, structures, beside=beside)

    def volume(self, *masks: Dataset, **more: Any) -> np.ndarray:
        found = self.find(*masks, **more)
        assert not found.unmet
        return found.masks[self.series.uid].volume()

    def why(self, *masks: Dataset, **more: Any) -> str:
        found = self.find(*masks, **more)
        assert not found.masks
        (reason,) = {one.reason for one in found.unmet}
        return reason


@pytest.fixture(scope="module")
def images() -> list[FileDataset]:
    return slices(5, orientation=OBLIQUE)


@pytest.fixture
def place(tmp_path: Path, images: list[FileDataset]) -> Place:
    found = survey(written(images, tmp_path / "images")).series[0]
    return Place(tmp_path, images, found)


@pytest.fixture(scope="module")
def drawn() -> np.ndarray:
    """(slices, rows, columns): something in slices 1 and 3 that looks like none of its mirror images."""
    made = np.zeros((5, ROWS, COLUMNS), np.uint8)
    made[1, 2:5, 3] = made[1, 2, 3:7] = made[3, 6, 1:3] = 1
    return made


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_a_segmentation_is_read_by_position_with_its_empty_frames_left_out(
    place: Place, drawn: np.ndarray, order: slice
) -> None:
    mask = segmentation(place.images[order], drawn[order], omit_empty_frames=True)
    assert mask.NumberOfFrames == 2
    found = place.find(mask).masks[place.series.uid]
    np.testing.assert_array_equal(found.volume(), drawn)
    np.testing.assert_array_equal(found.slice(3), drawn[3])
    assert found.annotated == (True,) * 5
    assert found.voxels == (int(drawn.sum()),)


def test_a_mask_that_met_its_series_is_not_read_again_unless_it_is_large(
    place: Place, drawn: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    for most, read_again in ((2**16, False), (0, True)):
        monkeypatch.setattr(import_module("wardround_client.masks.find"), "MOST_KEPT", most)
        found = place.find(segmentation(place.images, drawn)).masks[place.series.uid]
        for path in found.files:
            path.unlink()
        if read_again:
            with pytest.raises(ImageRefused, match="no longer there"):
                found.volume()
        else:
            np.testing.assert_array_equal(found.volume(), drawn)


def test_frames_of_a_segmentation_in_any_stored_order_lie_where_they_say(place: Place, drawn: np.ndarray) -> None:
    mask = segmentation(place.images, drawn, omit_empty_frames=False)
    bits = np.unpackbits(np.frombuffer(mask.PixelData, np.uint8), bitorder="little")[: 5 * ROWS * COLUMNS]
    order = [3, 0, 4, 1, 2]
    mask.PixelData = np.packbits(bits.reshape(5, -1)[order].ravel(), bitorder="little").tobytes()
    groups = list(mask.PerFrameFunctionalGroupsSequence)
    mask.PerFrameFunctionalGroupsSequence = [groups[number] for number in order]
    del mask.DimensionOrganizationType
    np.testing.assert_array_equal(place.volume(mask), drawn)


def test_a_segmentation_drawn_in_another_orientation_lies_on_the_same_voxels(place: Place, drawn: np.ndarray) -> None:
    turned = []
    for image in place.images:  # rows from the bottom up: the same pixels, counted the other way
        other = dcmread(save(image, place.folder / "turned"))
        down = np.array(OBLIQUE[3:])
        other.ImagePositionPatient = list(np.array(image.ImagePositionPatient) + down * (ROWS - 1))
        other.ImageOrientationPatient = [*OBLIQUE[:3], *-down]
        turned.append(other)
    mask = segmentation(turned, drawn[:, ::-1], omit_empty_frames=True)
    np.testing.assert_array_equal(place.volume(mask), drawn)


def test_half_of_the_largest_fraction_is_the_threshold(place: Place) -> None:
    fractions = np.zeros((5, ROWS, COLUMNS), np.float32)
    fractions[2, 3, 3:6] = (0.5, 0.495, 1.0)
    mask = segmentation(place.images, fractions, "FRACTIONAL", max_fractional_value=200)
    assert np.argwhere(place.volume(mask)).tolist() == [[2, 3, 3], [2, 3, 5]]


def test_of_two_fractions_of_one_voxel_the_larger_counts(place: Place) -> None:
    fractions = np.zeros((5, ROWS, COLUMNS, 2), np.float32)
    fractions[2, 3, 3:5] = ((0.5, 0.6), (0.75, 0.5))
    mask = segmentation(place.images, fractions, "FRACTIONAL", ("liver", "spleen"))
    assert place.volume(mask, structures=ORGANS)[2, 3, 3:5].tolist() == [2, 1]


def test_a_label_map_has_its_segments_and_no_background(place: Place, drawn: np.ndarray) -> None:
    labels = drawn.copy()
    labels[4] = 2
    mask = segmentation(place.images, labels, "LABELMAP", ("spleen", "liver"))
    expected = np.where(labels == 1, 2, np.where(labels == 2, 1, 0))
    np.testing.assert_array_equal(place.volume(mask, structures=ORGANS), expected)


def test_a_segmentation_that_says_nothing_is_there_is_not_the_absence_of_one(place: Place, drawn: np.ndarray) -> None:
    found = place.find(segmentation(place.images, np.zeros_like(drawn), omit_empty_frames=False))
    assert found.masks[place.series.uid].voxels == (0,)
    assert all(found.masks[place.series.uid].annotated)
    assert place.series.uid not in place.find().masks


def test_slices_that_a_segmentation_does_not_name_were_not_looked_at(place: Place, drawn: np.ndarray) -> None:
    found = place.find(segmentation(place.images[:4], drawn[:4])).masks[place.series.uid]
    assert found.annotated == (True, True, True, True, False)


def test_segments_of_two_files_are_one_mask_and_of_the_same_structure_none(place: Place, drawn: np.ndarray) -> None:
    one = segmentation(place.images, drawn, labels=("liver",))
    other = segmentation(place.images, drawn[::-1, ::-1], labels=("spleen",))
    expected = drawn + 2 * drawn[::-1, ::-1]
    assert expected.max() == 2
    np.testing.assert_array_equal(place.volume(one, other, structures=ORGANS), expected)
    assert place.why(one, one, structures=ORGANS) == "several-masks"


def test_a_mask_says_of_which_structures_it_speaks(place: Place, drawn: np.ndarray) -> None:
    found = place.find(segmentation(place.images, drawn, labels=("spleen",)), structures=ORGANS)
    assert (found.masks[place.series.uid].defined, found.masks[place.series.uid].voxels[0]) == ({2}, 0)


def test_a_voxel_of_two_structures_is_refused(place: Place, drawn: np.ndarray) -> None:
    both = np.stack([drawn, drawn], axis=-1)
    assert place.why(segmentation(place.images, both, labels=("liver", "spleen")), structures=ORGANS) == "overlap"
    separate = [segmentation(place.images, drawn, labels=(label,)) for label in ORGANS.classes]
    assert place.why(*separate, structures=ORGANS) == "overlap"


def test_a_structure_that_the_study_does_not_know_is_refused_until_the_hospital_says_what_it_is(
    place: Place, drawn: np.ndarray
) -> None:
    mask = segmentation(place.images, drawn, labels=("GTV 1",))
    assert place.why(mask) == "unknown-class"
    assert place.volume(mask, structures=Structures(("tumour",), {"gtv*": "tumour"})).sum() == drawn.sum()
    assert place.why(mask, structures=Structures(("tumour",), {"gtv*": LEFT_OUT})) == "no-structure"
    with pytest.raises(ValueError, match="'tumor' is not one"):
        Structures(("tumour",), {"gtv*": "tumor"})


def test_what_is_left_out_may_lie_over_what_is_not(place: Place, drawn: np.ndarray) -> None:
    both = np.stack([drawn, np.ones_like(drawn)], axis=-1)
    mask = segmentation(place.images, both, labels=("tumour", "BODY"))
    made = place.volume(mask, structures=Structures(("tumour",), {"body": LEFT_OUT}))
    np.testing.assert_array_equal(made, drawn)
    regions = {
        "tumour": [contour(box(place, 1, 2.5, 2.5, 4.5, 4.5), place.images[1])],
        "BODY": [contour(box(place, 1, 0.5, 0.5, 6.5, 6.5), place.images[1])],
    }
    left_out = Structures(("tumour",), {"body": LEFT_OUT})
    (place.folder / "mask0").unlink()
    assert place.volume(structure_set(place.images[0], regions), structures=left_out).sum() == 4


WRONG: dict[str, dict[str, Any]] = {
    "other-patient": {"PatientID": "P2"},
    "other-frame-of-reference": {"FrameOfReferenceUID": generate_uid()},
    "own-result": {"Manufacturer": "Wardround"},
}


@pytest.mark.parametrize("why", WRONG)
def test_a_segmentation_of_something_else_is_refused(place: Place, drawn: np.ndarray, why: str) -> None:
    mask = segmentation(place.images, drawn)
    for word, value in WRONG[why].items():
        setattr(mask, word, value)
    assert place.why(mask) == why


def test_a_segmentation_whose_source_series_is_absent_is_refused(place: Place, drawn: np.ndarray) -> None:
    mask = segmentation(slices(5, orientation=OBLIQUE), drawn)
    assert place.why(mask) == "source-absent"
    del mask.ReferencedSeriesSequence
    np.testing.assert_array_equal(place.volume(mask), drawn)  # of the same origin, and nothing says of another series


def test_a_segmentation_that_reaches_beyond_its_series_is_refused(place: Place, drawn: np.ndarray) -> None:
    mask = segmentation(place.images, drawn)
    for group in mask.PerFrameFunctionalGroupsSequence:
        group.PlanePositionSequence[0].ImagePositionPatient[0] += 8
    assert place.why(mask) == "outside-image"


def mm(place: Place, slice_number: float, *points: tuple[float, float]) -> list[np.ndarray]:
    """Return points of (row, column) in mm."""
    return [place.series.geometry.to_mm([slice_number, row, column]) for row, column in points]


def box(place: Place, slice_number: float, top: float, left: float, bottom: float, right: float) -> list[np.ndarray]:
    corners = ((top, left), (top, right), (bottom, right), (bottom, left))
    return mm(place, slice_number, *corners)


def contours_of(place: Place, *boxes: tuple[float, ...], kind: str = "CLOSED_PLANAR") -> FileDataset:
    """Make a structure set of boxes: slice, top, left, bottom, right."""
    drawn = [contour(box(place, *edges), place.images[round(edges[0])], kind) for edges in boxes]
    return structure_set(place.images[0], {"tumour": drawn})


@pytest.mark.parametrize("kind", ["CLOSED_PLANAR", "CLOSEDPLANAR_XOR"])
def test_a_contour_inside_another_is_a_hole_and_one_inside_that_an_island(place: Place, kind: str) -> None:
    nested = [(2, 0.5, 0.5, 7.5, 8.5), (2, 1.5, 1.5, 6.5, 6.5), (2, 3.5, 3.5, 4.5, 4.5)]
    expected = np.zeros((5, ROWS, COLUMNS), np.uint8)
    expected[2, 1:8, 1:9] = 1
    expected[2, 2:7, 2:7] = 0
    expected[2, 4, 4] = 1
    np.testing.assert_array_equal(place.volume(contours_of(place, *nested, kind=kind)), expected)


def test_contours_that_overlap_are_united_or_exclude_one_another_as_their_type_says(place: Place) -> None:
    crossing = [(1, 0.5, 0.5, 3.5, 3.5), (1, 2.5, 2.5, 5.5, 5.5)]
    assert place.volume(contours_of(place, *crossing))[1, 3, 3] == 1
    assert place.volume(contours_of(place, *crossing, kind="CLOSEDPLANAR_XOR"))[1, 3, 3] == 0
    twice = [crossing[0], crossing[0]]
    assert place.volume(contours_of(place, *twice)).sum() == 9


def test_a_keyhole_leaves_its_hole_and_parts_stay_apart(place: Place) -> None:
    keyhole = mm(
        place,
        2,
        *((0.5, 0.5), (0.5, 5.5), (5.5, 5.5), (5.5, 0.5), (0.5, 0.5)),
        *((2.5, 2.5), (3.5, 2.5), (3.5, 3.5), (2.5, 3.5), (2.5, 2.5)),
    )
    parts = [contour(keyhole, place.images[2]), contour(box(place, 2, 6.5, 6.5, 7.5, 8.5), place.images[2])]
    made = place.volume(structure_set(place.images[0], {"tumour": parts}))[2]
    expected = np.zeros((ROWS, COLUMNS), np.uint8)
    expected[1:6, 1:6] = 1
    expected[3, 3] = 0
    expected[7, 7:9] = 1
    np.testing.assert_array_equal(made, expected)


def test_rows_and_columns_of_contours_are_not_swapped(place: Place) -> None:
    assert np.argwhere(place.volume(contours_of(place, (0, 0.5, 6.5, 1.5, 9.2)))).tolist() == [
        [0, 1, 7],
        [0, 1, 8],
        [0, 1, 9],
    ]


def test_a_contour_between_slices_belongs_to_its_image(place: Place) -> None:
    drawn = [contour(box(place, 2.4, 0.5, 0.5, 2.5, 2.5), place.images[3])]
    made = place.volume(structure_set(place.images[0], {"tumour": drawn}))
    assert made.any(axis=(1, 2)).tolist() == [False, False, False, True, False]


def test_contours_on_every_second_slice_leave_the_others_unseen(place: Place) -> None:
    boxes = [(number, 0.5, 0.5, 2.5, 2.5) for number in (0, 2, 4)]
    found = place.find(contours_of(place, *boxes)).masks[place.series.uid]
    assert found.annotated == (True, False, True, False, True)
    alone = place.find(contours_of(place, boxes[0], boxes[2])).masks[place.series.uid]
    assert all(alone.annotated)  # two lesions


CONTOURS_REFUSED = {
    "no-closed-contours": lambda place: structure_set(
        place.images[0], {"tumour": [contour(box(place, 2, 1, 1, 3, 3), place.images[2], "POINT")]}
    ),
    "contour-off-plane": lambda place: structure_set(
        place.images[0], {"tumour": [contour(box(place, 2.4, 1, 1, 3, 3))]}
    ),
    "outside-image": lambda place: contours_of(place, (2, 1, 1, 3, 30)),
    "unknown-class": lambda place: structure_set(
        place.images[0], {"BODY": [contour(box(place, 2, 1, 1, 3, 3), place.images[2])]}
    ),
    "other-frame-of-reference": lambda place: structure_set(
        with_frame(place), {"tumour": [contour(box(place, 2, 1, 1, 3, 3), place.images[2])]}
    ),
}


def with_frame(place: Place) -> Dataset:
    other = dcmread(place.series.slices[0].file)
    other.FrameOfReferenceUID = generate_uid()
    return other


@pytest.mark.parametrize("why", CONTOURS_REFUSED)
def test_a_structure_set_that_outlines_no_slice_of_the_series_is_refused(place: Place, why: str) -> None:
    assert place.why(CONTOURS_REFUSED[why](place)) == why


def test_a_region_without_any_contour_is_refused_and_not_read_as_nothing_there(place: Place) -> None:
    assert place.why(structure_set(place.images[0], {"tumour": []})) == "no-closed-contours"


DAMAGES = {
    "an attribute of the segments": (b"\x62\x00\x01\x00CS", b"\x62\x00\x01\x00CR"),
    "the sequence of what is referenced": (b"\x08\x00\x15\x11SQ", b"\x08\x00\x15\x11RQ"),
    "the sequence of origins": (b"\x06\x30\x10\x00SQ", b"\x06\x30\x10\x00RQ"),
    "the pixels": (b"\xe0\x7f\x10\x00OB", b"\xe0\x7f\x12\x00OB"),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_mask_is_refused_and_ends_nothing(place: Place, drawn: np.ndarray, what: str) -> None:
    made = [segmentation(place.images, drawn), contours_of(place, (1, 0.5, 0.5, 2.5, 2.5))]
    files = [save(mask, place.folder / f"mask{number}") for number, mask in enumerate(made)]
    for file in files:
        file.write_bytes(file.read_bytes().replace(*DAMAGES[what]))
    found = find([place.series], files, TUMOUR)
    reason = "pixels-missing" if what == "the pixels" else "unreadable"
    assert found.counts() == {"met": 1, reason: 1}


def test_a_pixel_is_inside_if_its_centre_is() -> None:
    def slow(points: np.ndarray, row: int, column: int) -> bool:
        odd = False
        for (y, x), (y_end, x_end) in zip(points, np.roll(points, -1, axis=0), strict=True):
            if (y <= row) != (y_end <= row):
                odd ^= x + (row - y) / (y_end - y) * (x_end - x) <= column
        return odd

    random = np.random.default_rng(0)
    for _ in range(20):
        points = random.uniform(-2, 12, (7, 2)).round(4)
        filled = inside(points, (ROWS, COLUMNS))
        assert all(filled[index] == slow(points, *index) for index in np.ndindex(ROWS, COLUMNS))


def test_squares_that_share_an_edge_share_no_pixel() -> None:
    left = inside(np.array([[0.0, 0], [0, 3], [4, 3], [4, 0]]), (6, 8))
    right = inside(np.array([[0.0, 3], [0, 6], [4, 6], [4, 3]]), (6, 8))
    assert not (left & right).any()
    assert combined([left, right], exclusive=False).sum() == 24


def nifti_mask(place: Place, values: np.ndarray, name: str = "m.nii.gz", axes: str = "xyz", **shift: Any) -> Path:
    """Write a mask of (slices, rows, columns) on the grid of the series, its axes stored in this order and mirrored."""
    affine = np.diag([-1.0, -1, 1, 1]) @ place.series.geometry.affine  # towards right, front, head
    order = [{"x": 2, "y": 1, "z": 0}[axis.lower()] for axis in axes]
    stored = values.transpose(order)
    affine = affine[:, [*order, 3]]
    for axis, letter in enumerate(axes):
        if letter.isupper():
            affine[:, 3] += affine[:, axis] * (stored.shape[axis] - 1)
            affine[:, axis] *= -1
            stored = np.flip(stored, axis)
    affine[:3, 3] += shift.get("by", (0, 0, 0))
    nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(stored), affine), place.folder / name)  # type: ignore[no-untyped-call]
    return place.folder / name


@pytest.mark.parametrize("axes", ["xyz", "XYz", "YxZ", "zyX"])
def test_a_nifti_mask_meets_by_its_affine_however_its_axes_are_stored(
    place: Place, drawn: np.ndarray, axes: str
) -> None:
    mask = nifti_mask(place, drawn, axes=axes)
    found = place.volume(beside=[Beside(mask, patient="P1")])
    np.testing.assert_array_equal(found, drawn)


def test_a_nifti_mask_of_a_finer_grid_is_taken_at_the_nearest_voxel(place: Place, drawn: np.ndarray) -> None:
    fine = drawn.repeat(2, axis=2)
    affine = np.diag([-1.0, -1, 1, 1]) @ place.series.geometry.affine[:, [2, 1, 0, 3]]
    affine[:, 3] -= affine[:, 0] / 4
    affine[:, 0] /= 2
    nibabel.save(nibabel.Nifti1Image(fine.transpose(2, 1, 0).copy(), affine), place.folder / "m.nii")  # type: ignore[no-untyped-call]
    np.testing.assert_array_equal(place.volume(beside=[Beside(place.folder / "m.nii", patient="P1")]), drawn)


def test_a_mask_of_a_patient_outlines_the_series_on_whose_voxels_it_lies_and_not_every_one(
    place: Place, drawn: np.ndarray
) -> None:
    mask = Beside(nifti_mask(place, drawn), patient="P1")
    across = survey(written(slices(3, orientation=AXIAL), place.folder / "across")).series[0]
    alike = survey(written(slices(5, orientation=OBLIQUE), place.folder / "alike")).series[0]
    coarser = survey(written(slices(3, orientation=OBLIQUE, step_mm=7.5), place.folder / "coarser")).series[0]
    assert find([coarser], [], TUMOUR, beside=[mask]).counts() == {"met": 1}
    found = find([across, coarser, place.series, alike], [], TUMOUR, beside=[mask])
    assert set(found.masks) == {place.series.uid, alike.uid}
    assert found.counts() == {"met": 1}
    assert not find([across], [], TUMOUR, beside=[mask]).masks


def test_a_nifti_mask_that_does_not_fit_is_refused(place: Place, drawn: np.ndarray) -> None:
    def why(path: Path, **says: Any) -> str:
        return place.why(beside=[Beside(path, **{"patient": "P1", **says})])

    assert why(nifti_mask(place, drawn[:, :, :6] * 0)) == "not-covering"
    assert why(nifti_mask(place, drawn, by=(40, 0, 0))) == "outside-image"
    assert why(nifti_mask(place, drawn * 3)) == "unknown-class"
    assert why(nifti_mask(place, drawn * np.float32(0.5))) == "not-whole-numbers"
    for nothing in (np.nan, np.inf):  # as tools write it: with the slice's smallest value there, all was outlined
        assert why(nifti_mask(place, np.where(drawn > 0, drawn, np.float32(nothing)))) == "not-whole-numbers"
    assert why(nifti_mask(place, drawn), patient="P2") == "source-absent"


def test_a_small_mask_that_claims_a_huge_grid_is_refused_before_it_takes_memory(
    place: Place, drawn: np.ndarray
) -> None:
    at = nifti_mask(place, drawn, "m.nii")
    header = bytearray(at.read_bytes())
    header[40:56] = np.array([3, 30000, 30000, 30000, 1, 1, 1, 1], "<i2").tobytes()
    at.write_bytes(header)
    assert place.why(beside=[Beside(at, patient="P1")]) == "too-many-pixels"
    far = segmentation(place.images, drawn)
    place_of = far.PerFrameFunctionalGroupsSequence[-1].PlanePositionSequence[0]
    place_of.ImagePositionPatient = list(np.array([-3.0, -4, 7]) + 5e9 * np.cross(OBLIQUE[:3], OBLIQUE[3:]))
    assert place.why(far) in ("too-many-pixels", "mask-geometry")


def test_masks_are_found_by_the_name_of_their_patient_or_by_a_table(place: Place, drawn: np.ndarray) -> None:
    (place.folder / "masks").mkdir()
    nifti_mask(place, drawn, "masks/P1.nii.gz")
    (place.folder / "P1.json").write_text("{}", encoding="utf-8")  # of the same name, and no image
    assert place.find(beside=named(place.folder)).counts() == {"met": 1}
    nifti_mask(place, drawn, "other.nii.gz")
    image = place.series.slices[0].file.relative_to(place.folder)
    (place.folder / "t.csv").write_text(f"file,mask\n{image},other.nii.gz\n,\n", encoding="utf-8")
    assert [one.mask.name for one in named(place.folder)] == ["other.nii.gz"]
    assert place.find(beside=named(place.folder)).counts() == {"met": 1}
    (place.folder / "t.csv").write_text(f"file,mask\n{image},gone.nii.gz\n", encoding="utf-8")
    with pytest.raises(LabelError, match="does not exist"):
        named(place.folder)


def test_a_nifti_mask_lies_beside_the_nifti_image_of_its_path(tmp_path: Path) -> None:
    values, affine = np.zeros((3, 4, 5), np.uint8), np.diag([1.0, 2, 5, 1])
    values[1, 2, 3] = 1
    for at in ("P1/flair.nii", "masks/P1/flair.nii.gz"):
        (tmp_path / at).parent.mkdir(parents=True)
        nibabel.save(nibabel.Nifti1Image(values, affine), tmp_path / at)  # type: ignore[no-untyped-call]
    image = survey([tmp_path / "P1/flair.nii"]).series
    for beside in ("P1/flair.json", "P1/flair.txt", "flair.nii"):  # of the same name, or elsewhere: no image of a mask
        (tmp_path / beside).write_text("{}", encoding="utf-8")
    found = find(image, [], TUMOUR, beside=named(tmp_path))
    np.testing.assert_array_equal(found.masks[image[0].uid].volume(), image[0].volume())


def test_a_segmentation_that_highdicom_finds_odd_puts_no_identifier_into_a_log(
    place: Place, drawn: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    mask = segmentation(place.images, drawn)
    references = mask.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    references.append(references[0])
    np.testing.assert_array_equal(place.volume(mask), drawn)
    assert not caplog.text


def picture(path: Path, values: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(values).save(path)
    return path


def test_a_png_outlines_the_slice_beside_which_it_lies_and_says_nothing_of_the_others(
    place: Place, drawn: np.ndarray
) -> None:
    for number in (1, 3):
        at = place.series.slices[number].file.relative_to(place.folder)
        picture((place.folder / "masks" / at).with_suffix(".png"), drawn[number] * np.uint8(255))
    found = place.find(beside=named(place.folder)).masks[place.series.uid]
    assert found.annotated == (False, True, False, True, False)
    np.testing.assert_array_equal(found.volume(), drawn)


def test_a_png_mask_is_turned_as_it_says_as_its_image_is(place: Place, drawn: np.ndarray) -> None:
    at = (place.folder / "masks" / place.series.slices[1].file.relative_to(place.folder)).with_suffix(".png")
    remarks = Pillow.Exif()
    remarks[0x0112] = 6  # to be turned by a quarter, clockwise
    at.parent.mkdir(parents=True)
    Pillow.fromarray(np.ascontiguousarray(np.rot90(drawn[1])) * np.uint8(255)).save(at, exif=remarks)
    found = place.find(beside=named(place.folder)).masks[place.series.uid]
    np.testing.assert_array_equal(found.volume()[1], drawn[1])


PICTURES = {
    "other-size": np.zeros((ROWS, COLUMNS + 1), np.uint8),
    "not-a-mask": np.zeros((ROWS, COLUMNS, 3), np.uint8),
    "unknown-class": np.full((ROWS, COLUMNS), 7, np.uint8),
}


@pytest.mark.parametrize("why", PICTURES)
def test_a_png_that_is_no_mask_of_its_image_is_refused(place: Place, why: str) -> None:
    at = picture(place.folder / "m.png", PICTURES[why])
    assert place.why(beside=[Beside(at, files=(place.series.slices[0].file,))]) == why


def test_a_format_of_masks_is_a_file_of_its_own_and_no_two_claim_the_same() -> None:
    assert {kind.name for kind in FORMATS} == {"nifti", "png", "rtstruct", "seg"}
    claims = [
        claim for kind in FORMATS for claim in (kind.sop_classes if isinstance(kind, DicomFormat) else kind.endings)
    ]
    assert len(claims) == len({*claims})


def test_counts_say_how_many_met_and_why_others_did_not(place: Place, drawn: np.ndarray) -> None:
    good, wrong = segmentation(place.images, drawn), segmentation(place.images, drawn)
    wrong.PatientID = "P2"
    found = place.find(good, wrong, wrong)
    assert found.counts() == {"met": 1, "other-patient": 2}
    assert all(one.do for one in found.unmet)
