"""Outlined series as volumes: what is prepared, what is drawn of it in training, and how it is judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from outlined_hospitals import HOSPITALS, PIXEL_MM, SIZE, SLICES, STEP_MM, Patient, outlining_volumes, write_hospital
from outlined_hospitals import write_mask as write_mask_of
from series_made import segmentation
from tiny_dicom import save
from wardround_client.hospital.contribution import contribution
from wardround_client.preparation.asking import whole_volume
from wardround_client.preparation.dataset import Dataset, prepare, take_in
from wardround_client.preparation.examples import Examples
from wardround_client.preparation.kept_volumes import KeptVolume, KeptVolumes
from wardround_client.preparation.mapped_masks import MappedMasks
from wardround_client.preparation.source import Source
from wardround_client.tasks.outline_loss import loss_of_volume, outline_loss
from wardround_client.tasks.segmentation import sums
from wardround_client.training.evaluation import patient_sums, sums_of
from wardround_client.volumes import Series, series_in
from wardround_common.randomness import insecure_stream
from wardround_common.study.file import Study

STREAM = insecure_stream(0, "volumes")


def prepared(folder: Path, state: Path, study: Study | None = None) -> Dataset:
    source, of = Source(folder, state), study or outlining_volumes()
    return prepare(source, of, *take_in(source, of))


def volume_of(data: Dataset, patient: str) -> KeptVolume:
    for split in (data.train, data.validation, data.test):
        here = np.flatnonzero(split.patients == data.identifiers.index(patient))
        if len(here):
            assert isinstance(split.kept, KeptVolumes)
            return split.kept.volumes[split.rows[here[0]]]
    raise AssertionError(patient)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, list[Patient]]]:
    folder = tmp_path_factory.mktemp("outlined")
    return {name: (folder / name, write_hospital(folder / name, name)) for name in HOSPITALS}


@pytest.fixture(scope="module")
def data(written: dict[str, tuple[Path, list[Patient]]], tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return prepared(written["south"][0], tmp_path_factory.mktemp("state"))


@pytest.mark.parametrize("name", HOSPITALS)
def test_a_mask_meets_its_volume_however_it_is_stored(
    name: str, written: dict[str, tuple[Path, list[Patient]]], tmp_path: Path
) -> None:
    folder, patients = written[name]
    found = prepared(folder, tmp_path)
    assert found.intake.left_out == {"other-series": len(patients) * SLICES}
    brought = contribution(found, outlining_volumes())
    assert (brought.images, brought.patients, brought.classes[0].patients) == (5, 5, 5)
    for one in patients:
        kept = volume_of(found, one.name)
        image, mask = kept.image(), kept.mask()
        assert image.shape == (1, SLICES, SIZE, SIZE)
        assert (mask == one.mask).all()
        assert image[0][mask > 0].min() > image[0][mask == 0].mean()
        assert kept.form.spacing_mm == (STEP_MM, PIXEL_MM, PIXEL_MM)
        (there,) = kept.structures()
        assert np.array_equal(there, np.argwhere(one.mask))


def test_a_pass_is_over_several_patches_of_each_volume_and_half_of_them_hold_a_structure(data: Dataset) -> None:
    train = data.train
    assert isinstance(train.kept, KeptVolumes)
    assert isinstance(train.targets, MappedMasks)
    assert len(train) == 4 * train.patient_count == 4 * len(train.once)
    assert len(data.test) == data.test.patient_count
    small = Examples(KeptVolumes(train.kept.volumes, (8, 8, 8), 4), train.rows, train.targets, train.patients)
    images, masks = small.drawn(np.arange(len(small)), STREAM)
    assert (images.shape, masks.shape) == ((len(small), 1, 8, 8, 8), (len(small), 8, 8, 8))
    assert (images.dtype, masks.dtype) == (np.float32, np.uint8)
    assert masks[::2].any(axis=(1, 2, 3)).all()
    assert not images[:, :, [0, 1, 6, 7]].any()  # four slices in the middle of eight
    assert images[:, 0, 2:6][masks[:, 2:6] > 0].min() > 0.5


def test_what_is_drawn_depends_on_the_stream_and_the_place_and_not_on_the_batch(data: Dataset) -> None:
    kept = data.train.kept
    assert isinstance(kept, KeptVolumes)
    volumes = KeptVolumes(kept.volumes, (2, 8, 8), 4)
    small = Examples(volumes, data.train.rows, data.train.targets, data.train.patients)
    together, masks = small.drawn(np.arange(8), STREAM)
    alone = [small.drawn(np.array([place]), STREAM) for place in reversed(range(8))]
    assert np.array_equal(np.concatenate([image for image, _ in alone])[::-1], together)
    assert np.array_equal(np.concatenate([mask for _, mask in alone])[::-1], masks)
    assert not np.array_equal(small.drawn(np.arange(8), STREAM.child("next"))[0], together)


@pytest.mark.parametrize("each", [1, 3, 4])
def test_which_patches_lie_around_a_structure_does_not_depend_on_other_patients(data: Dataset, each: int) -> None:
    """Numbered over all patients, one more of them with an odd number of patches would change all later ones' law."""
    kept = data.train.kept
    assert isinstance(kept, KeptVolumes)
    rows = np.repeat(data.train.rows[data.train.once], each)
    small, places = KeptVolumes(kept.volumes, (1, 1, 1), each), np.arange(len(rows))
    structure = [small.drawn(rows, places, STREAM.child("try", one))[1].any(axis=(1, 2, 3)) for one in range(12)]
    always = np.all(structure, axis=0).reshape(-1, each)  # (volumes, patches) of one voxel: in a structure, or anywhere
    assert (always == [number % 2 == 0 and number + each % 2 < each for number in range(each)]).all()


def test_several_series_are_channels_on_the_grid_of_the_outlined_one(
    written: dict[str, tuple[Path, list[Patient]]], tmp_path: Path
) -> None:
    folder, patients = written["south"]
    roles = [{"role": "t1", "description": ["T1*"]}, {"role": "flair", "description": ["*flair*"]}]
    kept = volume_of(prepared(folder, tmp_path, outlining_volumes(data={"series": roles})), patients[0].name)
    image, mask = kept.image(), kept.mask()
    assert image.shape == (2, SLICES, SIZE, SIZE)
    bright = image[1][mask > 0].mean() - image[1][mask == 0].mean()
    assert bright > 0.5 > abs(image[0][mask > 0].mean() - image[0][mask == 0].mean())


def test_air_around_the_body_is_cut_off_and_what_is_outlined_never_is(tmp_path: Path) -> None:
    folder = tmp_path / "south"
    one, two, *_ = write_hospital(folder, "south", patients=4)
    air = np.zeros((SLICES, SIZE, SIZE), bool)
    air[:, :, :5] = air[:, 14:] = air[0] = True
    for patient, beyond in ((one, False), (two, True)):
        mask = np.where(air, 0, patient.mask)
        mask[2, 10, 8] = 1
        if beyond:
            mask[0, 15, 1] = 1
        for at, stored in enumerate(patient.series["flair"]):
            stored.PixelData = np.where(air[at], 0, stored.pixel_array).astype(np.uint16).tobytes()
            save(stored, folder / patient.name / "flair" / f"{SLICES - at}.dcm")
        write_mask_of(folder, "south", patient, mask)
        kept = volume_of(prepared(folder, tmp_path / "state"), patient.name)
        assert kept.form.shape == ((SLICES, 16, 15) if beyond else (3, 14, 11))
        assert np.array_equal(kept.form.back(kept.mask()), mask)


@pytest.mark.slow
def test_a_patient_outlined_with_gaps_is_left_out_and_an_empty_mask_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "south"
    one, two, *_ = write_hospital(folder, "south", patients=5)
    seen = [0, 1, 3]
    sources = [one.series["flair"][at] for at in seen]
    save(segmentation(sources, one.mask[seen].astype(bool)), folder / one.name / "outline.dcm")
    (folder / two.name / "outline.dcm").unlink()
    found = prepared(folder, tmp_path / "state")
    assert found.intake.left_out == {"partly-outlined": SLICES, "no-mask": SLICES, "other-series": 5 * SLICES}
    east = tmp_path / "east"
    three, *_ = write_hospital(east, "east", patients=4)
    write_mask_of(east, "east", three, np.zeros_like(three.mask))
    kept = volume_of(prepared(east, tmp_path / "state-east"), three.name)
    assert not kept.mask().any()
    assert kept.structures() == []
    image, mask = kept.patch((8, 8, 8), STREAM, around=True)
    assert image.any()
    assert not mask.any()


def test_other_patches_need_no_other_preparation_and_another_spacing_does(
    written: dict[str, tuple[Path, list[Patient]]], tmp_path: Path
) -> None:
    folder, patients = written["south"]
    one = prepared(folder, tmp_path)
    other = prepared(folder, tmp_path, outlining_volumes(data={"patch_size": [8, 8, 8], "patches_per_volume": 1}))
    finer = prepared(folder, tmp_path, outlining_volumes(data={"spacing_mm": [2.5, 1.0, 2.0]}))
    paths = [volume_of(data, patients[0].name).path for data in (one, other, finer)]
    assert paths[0] == paths[1] != paths[2]
    assert len(other.train) == other.train.patient_count
    kept = volume_of(finer, patients[0].name)
    assert kept.form.shape == (2 * SLICES, 2 * SIZE, SIZE)
    assert kept.mask().sum() == pytest.approx(4 * patients[0].mask.sum(), rel=0.15)


def test_a_new_volume_is_prepared_as_those_of_training_and_its_outline_lies_on_its_series(
    written: dict[str, tuple[Path, list[Patient]]], tmp_path: Path
) -> None:
    folder, (one, *_) = written["south"]
    study = outlining_volumes(data={"spacing_mm": [2.5, 2.0, 2.0]})
    kept = volume_of(prepared(folder, tmp_path, study), one.name)
    (series,) = series_in((folder / one.name / "flair").iterdir())
    assert isinstance(series, Series)
    asked = whole_volume([series], study.data)
    assert asked.window == (8, 16, 16)
    assert asked.back is not None
    assert np.array_equal(asked.images[0], kept.image())
    mask = torch.from_numpy(kept.mask().astype(np.float32))
    assert np.array_equal(asked.back(torch.stack([1 - mask, mask])[None]), one.mask)


class Bright(nn.Module):
    """Outlines what is brighter than half: a network that looks at one voxel at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(20.0))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = self.scale * (images - 0.5)
        return torch.cat([-logits, logits], 1)


def test_a_volume_is_judged_whole_in_mm_and_ml_window_by_window(data: Dataset) -> None:
    kept = data.test.kept
    assert isinstance(kept, KeptVolumes)
    split = data.test
    volumes = KeptVolumes(kept.volumes, (8, 8, 8), 4)
    test = Examples(volumes, split.rows, split.targets, split.patients, split.places)
    study = outlining_volumes()
    found = sums_of(Bright(), study, test)
    truth = [kept.volumes[row] for row in test.rows]
    expected = [2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in ((v.image()[0] > 0.5, v.mask() > 0) for v in truth)]
    assert found.mean_dice() == pytest.approx(np.mean(expected), abs=1e-5)
    volumes_ml = [((v.image()[0] > 0.5).sum() - (v.mask() > 0).sum()) * PIXEL_MM**2 * STEP_MM / 1000 for v in truth]
    assert found.volume_bias() == pytest.approx(np.mean(volumes_ml), abs=1e-4)
    assert found.mean_hausdorff() is not None
    assert np.array_equal(patient_sums(Bright(), study, test).total(), found.to_vector())


@pytest.mark.parametrize("kind", ["dice-ce", "dice-focal"])
def test_the_loss_of_a_volume_is_that_of_a_record_however_many_slices_are_taken_at_a_time(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits = torch.randn(3, 7, 6, 5, generator=torch.Generator().manual_seed(1))
    mask = torch.randint(0, 3, (7, 6, 5), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    expected = float(outline_loss(kind)(logits[None].double(), mask[None]))
    for most in (2**20, 1):
        monkeypatch.setattr("wardround_client.tasks.outline_loss.MOST_AT_A_TIME", most)
        assert loss_of_volume(kind, logits, mask) == pytest.approx(expected, abs=1e-9)


def test_volumes_of_unlike_extents_of_one_patient_are_judged_together() -> None:
    section = outlining_volumes().task
    masks = [torch.zeros(4, 6, 6, dtype=torch.uint8), torch.zeros(3, 8, 5, dtype=torch.uint8)]
    for mask in masks:
        mask[1:3, 2:4, 2:4] = 1
    logits = [torch.stack([1.0 - mask, mask.float()]) for mask in masks]
    found = sums(section, logits, masks, np.array([0, 0]))  # type: ignore[arg-type]  # a section of outlines
    assert (found.patients, found.records, found.mean_dice()) == (1, 2, 1.0)
