"""Outlines are measured over whole volumes as a slow loop measures them, and trained by one number a record."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from examples import study
from wardround_client.tasks import segmentation
from wardround_client.tasks.outline_choice import chosen, strata
from wardround_client.tasks.outline_loss import outline_loss
from wardround_client.tasks.outline_measures import Places, Volume, measure, volumes_by_patient
from wardround_client.tasks.windows import outline
from wardround_client.training.rehearsal import rehearse
from wardround_common.errors import ModelError, StudyError
from wardround_common.metrics.outlines import Outcome
from wardround_common.study.file import Study
from wardround_common.tasks.segmentation import METRICS, TASK, Segmentation

Bools = NDArray[np.bool_]


@pytest.fixture(scope="module", autouse=True)
def monai() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI's import speaks of its optional parts
        import monai.inferers
        import monai.losses  # noqa: F401


def surface_by_loops(mask: Bools) -> list[tuple[int, ...]]:
    """Return the voxels of a mask with a neighbour over a face that is outside."""
    found = []
    for place in zip(*map(list, np.nonzero(mask)), strict=True):
        for axis, step in itertools.product(range(mask.ndim), (-1, 1)):
            other = list(place)
            other[axis] += step
            inside = 0 <= other[axis] < mask.shape[axis]
            if not inside or not mask[tuple(other)]:
                found.append(tuple(int(each) for each in place))
                break
    return found


def distances_by_loops(one: Bools, other: Bools, spacing: tuple[float, ...]) -> list[float]:
    """Return for each surface voxel of one mask how far the nearest surface voxel of the other is."""
    targets = surface_by_loops(other)
    return [
        min(
            math.sqrt(sum((mm * (a - b)) ** 2 for mm, a, b in zip(spacing, place, target, strict=True)))
            for target in targets
        )
        for place in surface_by_loops(one)
    ]


def parts_by_flooding(mask: Bools) -> list[set[tuple[int, ...]]]:
    """Return the parts of a mask that are connected over faces, edges or corners."""
    left, parts = {tuple(map(int, place)) for place in np.argwhere(mask)}, []
    while left:
        part, waiting = set(), [left.pop()]
        while waiting:
            place = waiting.pop()
            part.add(place)
            near = {tuple(np.add(place, step).tolist()) for step in itertools.product((-1, 0, 1), repeat=mask.ndim)}
            waiting += near & left
            left -= near
        parts.append(part)
    return parts


masks = st.tuples(st.integers(0, 2**27 - 1), st.integers(0, 2**27 - 1))


def mask_of(bits: int, shape: tuple[int, ...] = (3, 3, 3)) -> NDArray[np.uint8]:
    """Return a mask with one voxel for each bit; sparse, so that it has several parts."""
    values = [(bits >> place) & 1 for place in range(math.prod(shape))]
    return np.array(values, np.uint8).reshape(shape)


@settings(max_examples=40, deadline=None)
@given(masks, st.sampled_from([(1.0, 1.0, 1.0), (5.0, 0.5, 0.7)]))
def test_a_volume_is_measured_as_loops_over_its_voxels_measure_it(
    bits: tuple[int, int], spacing: tuple[float, float, float]
) -> None:
    reference, predicted = mask_of(bits[0] & bits[1] >> 3), mask_of(bits[1] & bits[0] >> 5)
    found = measure([Volume(reference, predicted, spacing)], 1)
    there, drawn = reference == 1, predicted == 1
    both = {tuple(place) for place in np.argwhere(there & drawn).tolist()}
    assert (found.reference[0, 0], found.predicted[0, 0]) == (there.sum(), drawn.sum())
    assert found.overlap[0, 0] == len(both)
    parts, outlined = parts_by_flooding(there), parts_by_flooding(drawn)
    assert found.parts[0, 0] == len(parts)
    assert found.parts_found[0, 0] == sum(bool(part & both) for part in parts)
    assert found.false_parts[0, 0] == sum(not part & both for part in outlined)
    if there.any():
        assert found.dice[0, 0] == pytest.approx(2 * len(both) / (there.sum() + drawn.sum()))
    assert np.isnan(found.dice[0, 0]) != there.any()
    if there.any() and drawn.any():
        ways = distances_by_loops(drawn, there, spacing), distances_by_loops(there, drawn, spacing)
        assert found.hausdorff_mm[0, 0] == pytest.approx(max(np.percentile(way, 95) for way in ways), rel=1e-6)
        assert found.surface_mm[0, 0] == pytest.approx(np.mean([*ways[0], *ways[1]]), rel=1e-6)
    else:
        assert np.isnan(found.hausdorff_mm[0, 0])


def two_balls() -> Volume:
    """Return two overlapping balls in a volume of thick slices."""
    z, y, x = np.mgrid[:8, :24, :24]
    ball = ((z - 4) * 3) ** 2 + (y - 11) ** 2 + (x - 11) ** 2 < 64
    other = ((z - 4) * 3) ** 2 + (y - 13) ** 2 + (x - 9) ** 2 < 49
    return Volume(ball.astype(np.uint8), other.astype(np.uint8), (3.0, 1.0, 1.0))


@pytest.mark.filterwarnings("ignore::FutureWarning")  # MONAI calls itself with an argument that it will drop
def test_distances_are_those_of_monai() -> None:
    from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance

    volume = two_balls()
    found = measure([volume], 1)
    pair = [torch.from_numpy(mask)[None, None] for mask in (volume.predicted, volume.reference)]
    how = {"include_background": True, "spacing": list(volume.spacing_mm or ())}
    assert found.hausdorff_mm[0, 0] == pytest.approx(
        float(compute_hausdorff_distance(*pair, percentile=95, **how)), rel=1e-6
    )
    assert found.surface_mm[0, 0] == pytest.approx(
        float(compute_average_surface_distance(*pair, symmetric=True, **how)), rel=1e-6
    )
    assert found.volume_error_ml[0, 0] == pytest.approx(
        (volume.predicted.sum() - float(volume.reference.sum())) * 0.003
    )


def test_one_voxel_each_is_as_far_apart_as_the_spacing_says() -> None:
    reference, predicted = np.zeros((2, 4, 6, 6), np.uint8)
    reference[1, 2, 2], predicted[3, 2, 2] = 1, 1
    found = measure([Volume(reference, predicted, (5.0, 0.5, 0.5))], 1)
    assert (found.hausdorff_mm[0, 0], found.surface_mm[0, 0], found.dice[0, 0]) == (10.0, 10.0, 0.0)
    assert found.false_parts[0, 0] == 1


def test_a_single_slice_is_measured_in_its_plane() -> None:
    reference, predicted = np.zeros((2, 1, 9, 9), np.uint8)
    reference[0, 2:7, 2:7], predicted[0, 1:8, 1:8] = 1, 1
    found = measure([Volume(reference, predicted, (5.0, 1.0, 1.0))], 1)
    assert found.hausdorff_mm[0, 0] == pytest.approx(math.sqrt(2), rel=1e-6)
    assert found.surface_mm[0, 0] > 1  # a loop of surface, and not the whole disc, which would be nearer


@pytest.mark.parametrize(
    ("reference", "predicted", "outcome"),
    [(0, 0, Outcome.RIGHTLY_EMPTY), (1, 0, Outcome.MISSED), (0, 1, Outcome.FALSE_ALARM), (1, 1, Outcome.FOUND)],
)
def test_empty_outlines_have_no_distance_and_are_told_apart(reference: int, predicted: int, outcome: Outcome) -> None:
    shape = (2, 3, 3)
    volume = Volume(np.full(shape, reference, np.uint8), np.full(shape, predicted, np.uint8), (1.0, 1.0, 1.0))
    found = measure([volume], 1)
    assert found.outcome[0, 0] == outcome
    assert np.isnan(found.hausdorff_mm[0, 0]) == (outcome != Outcome.FOUND)
    assert np.isnan(found.dice[0, 0]) == (not reference)


def slices(heights: list[float], spacing: float = math.nan) -> tuple[NDArray[np.int64], Places]:
    count = len(heights)
    plane = np.tile([spacing, 0.5, 0.5], (count, 1))
    return np.zeros(count, np.int64), Places(np.zeros(count, np.int64), np.array(heights), plane)


def test_slices_are_stacked_by_their_place_and_never_by_their_order() -> None:
    masks = np.zeros((3, 2, 2), np.uint8)
    masks[:, 0, 0] = [1, 2, 3]
    patients, places = slices([30.0, 10.0, 20.0])
    (volume,), *_ = volumes_by_patient(masks, masks, patients, places)
    assert volume.reference[:, 0, 0].tolist() == [2, 3, 1]
    assert volume.spacing_mm == (10.0, 0.5, 0.5)


@pytest.mark.parametrize("heights", [[0.0, 5.0, 15.0], [0.0, 0.0, 5.0], [0.0, math.nan, 5.0], [0.0, 0.0, 0.0]])
def test_slices_with_a_gap_or_two_at_one_place_are_not_measured_in_mm(heights: list[float]) -> None:
    patients, places = slices(heights)
    masks = np.ones((3, 2, 2), np.uint8)
    (volume,), *_ = volumes_by_patient(masks, masks, patients, places)
    assert volume.spacing_mm is None
    found = measure([volume], 1)
    assert found.dice[0, 0] == 1.0
    assert not found.measured[0, 0]


def test_two_volumes_of_a_patient_are_one_patient() -> None:
    masks = np.ones((4, 2, 2), np.uint8)
    masks[2:] = 0
    where = Places(np.array([0, 0, 1, 1]), np.array([0.0, 1, 0, 1]), np.ones((4, 3)))
    (volumes,) = volumes_by_patient(np.ones((4, 2, 2), np.uint8), masks, np.zeros(4, np.int64), where)
    assert [volume.reference.shape for volume in volumes] == [(2, 2, 2)] * 2
    found = measure(volumes, 1)
    assert found.dice.shape == (1, 1)
    assert found.dice[0, 0] == pytest.approx(2 * 8 / (8 + 16))
    assert found.hausdorff_mm[0, 0] == 0.0  # of the volume that has both
    assert found.false_parts[0, 0] == 1


def test_outlines_of_other_sizes_and_spacings_that_are_none_are_refused() -> None:
    mask = np.zeros((1, 2, 2), np.uint8)
    with pytest.raises(ModelError, match="do not fit"):
        Volume(mask, mask[:, :1], None)
    with pytest.raises(ModelError, match="spacing"):
        Volume(mask, mask, (1.0, 0.0, 1.0))


SECTION = Segmentation(name="segmentation", classes=("core", "rim"))


@pytest.mark.parametrize("space", [(8, 8), (6, 4, 5)])
@pytest.mark.parametrize("kind", ["dice-ce", "dice-focal"])
def test_the_loss_of_a_batch_is_that_of_its_records_one_by_one(kind: str, space: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(2)
    outputs = torch.randn(5, 3, *space, generator=generator, dtype=torch.float64)
    targets = torch.randint(0, 3, (5, *space), generator=generator).to(torch.uint8)
    targets[0] = 0  # nothing there
    loss = outline_loss(kind)  # type: ignore[arg-type]
    together = loss(outputs, targets)
    assert together.shape == (5,)
    alone = torch.cat([loss(outputs[[row]], targets[[row]]) for row in range(5)])
    torch.testing.assert_close(together, alone)
    by_hand = [loss_by_hand(outputs[row], targets[row], kind) for row in range(5)]
    torch.testing.assert_close(together, torch.stack(by_hand))


def loss_by_hand(outputs: torch.Tensor, target: torch.Tensor, kind: str) -> torch.Tensor:
    """Compute the loss of one record from its definition."""
    chances = outputs.softmax(0)
    dice = []
    for structure in range(1, len(outputs)):
        there, said = (target == structure).double(), chances[structure]
        dice.append(1 - (2 * (there * said).sum() + 1) / (there.sum() + said.sum() + 1))
    right = chances.gather(0, target.long()[None])[0]
    entropy = -right.log()
    weight = 1.0 if kind == "dice-ce" else (1 - right) ** 2
    return torch.stack(dice).mean() + (weight * entropy).mean()


def test_a_right_outline_has_almost_no_loss_also_where_nothing_is_there() -> None:
    target = torch.zeros(2, 8, 8, dtype=torch.uint8)
    target[0, 2:5, 2:5] = 1
    sure = 30.0 * torch.nn.functional.one_hot(target.long(), 2).permute(0, 3, 1, 2).float()
    for kind in ("dice-ce", "dice-focal"):
        loss = outline_loss(kind)  # type: ignore[arg-type]
        assert float(loss(sure, target).max()) < 1e-4
        assert float(loss(-sure, target).min()) > 0.9


@pytest.mark.parametrize("kind", ["dice-ce", "dice-focal"])
def test_the_gradient_of_each_record_is_its_own(kind: str) -> None:
    loss = outline_loss(kind)  # type: ignore[arg-type]
    outputs = torch.randn(3, 2, 6, 6, generator=torch.Generator().manual_seed(0), requires_grad=True)
    targets = torch.zeros(3, 6, 6, dtype=torch.uint8)
    targets[1:, 2:4, 2:4] = 1
    (gradient,) = torch.autograd.grad(loss(outputs, targets)[1], outputs)
    assert gradient[[0, 2]].abs().max() == 0
    assert gradient[1].abs().max() > 0


def test_sums_of_records_are_over_patients_and_of_whole_volumes() -> None:
    targets = segmentation.noise(SECTION, 12, (16, 16))
    sure = 20.0 * torch.nn.functional.one_hot(targets.long(), 3).permute(0, 3, 1, 2).float()
    patients = np.arange(12) // 4
    places = Places(patients, np.tile(np.arange(4.0), 3), np.ones((12, 3)))
    found = segmentation.sums(SECTION, sure, targets, patients, places)
    assert (found.records, found.patients, found.mean_dice(), found.mean_hausdorff()) == (12, 3, 1.0, 0.0)
    loss = found.mean_loss()
    assert loss is not None
    assert 0 <= loss < 1e-4
    one = segmentation.sums(SECTION, sure[:4], targets[:4], patients[:4], None)
    assert (one.patients, one.mean_dice(), one.mean_hausdorff()) == (1, 1.0, None)
    with pytest.raises(ModelError, match="not finite"):
        segmentation.sums(SECTION, sure / 0, targets, patients, places)


def test_every_metric_has_a_value_or_a_reason() -> None:
    targets = segmentation.noise(SECTION, 6, (12, 12))
    outputs = torch.randn(6, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    patients = np.arange(6) // 2
    found = segmentation.sums(SECTION, outputs, targets, patients, Places(patients, np.arange(6.0), np.ones((6, 3))))
    nothing = TASK.empty(SECTION)
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    assert TASK.length(SECTION) == len(found.to_vector())
    assert TASK.metric(TASK.headline).value(found, None) is not None
    for metric in METRICS:
        value = metric.value(found, None)
        assert value is None or math.isfinite(value)
        assert metric.value(nothing, None) is None
        assert TASK.undefined(nothing, metric.name) == "no patients"
    assert set(TASK.summed) == set(type(nothing).__slots__)


def test_records_are_dealt_by_how_much_of_a_structure_they_have() -> None:
    targets = np.zeros((5, 4, 4), np.uint8)
    for row, count in enumerate([0, 1, 2, 9, 0]):
        targets[row].flat[:count] = 2
    assert segmentation.strata(SECTION, targets).tolist() == [0, 1, 1, 2, 0]
    assert strata(np.zeros(3, np.int64)).tolist() == [0, 0, 0]
    assert segmentation.members(SECTION, targets).tolist() == [[False, bool(c)] for c in (0, 1, 2, 9, 0)]


def test_all_slices_with_a_structure_are_chosen_and_a_few_without_spread_over_the_patient() -> None:
    voxels = np.array([0] * 10 + [5, 5] + [0] * 8 + [0] * 6)
    patients = np.array([7] * 20 + [3] * 6)
    taken = chosen(voxels, patients, empties=1.5, least=3)
    assert taken[10:12].all()
    assert np.flatnonzero(taken[:20]).tolist() == [3, 9, 10, 11, 17]
    assert np.flatnonzero(taken[20:]).tolist() == [1, 3, 5]
    assert not chosen(voxels, patients, empties=0.0, least=0)[voxels == 0].any()
    assert chosen(voxels, patients, empties=99)[:20].all()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=30), st.floats(0, 3), st.integers(0, 5))
def test_what_is_chosen_of_a_patient_depends_on_that_patient_alone(
    records: list[tuple[int, int]], empties: float, least: int
) -> None:
    patients, voxels = (np.array([row[part] for row in records], np.int64) for part in (0, 1))
    together = chosen(voxels, patients, empties, least)
    for patient in np.unique(patients):
        own = patients == patient
        assert np.array_equal(together[own], chosen(voxels[own], patients[own], empties, least))


class Normalising(nn.Module):
    """Says of each place how it differs from the whole of what it is given, as instance normalisation does."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, ...]] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        space = tuple(images.shape[2:])
        self.seen.append(space)
        inside = images - images.mean(tuple(range(2, images.ndim)), keepdim=True)
        return torch.cat([-inside, inside], 1)


def test_a_network_sees_windows_of_the_size_that_it_was_trained_on_and_no_other() -> None:
    for size, window in (((16, 16), (16, 16)), ((40, 24), (16, 16)), ((9, 30), (16, 16)), ((6, 20, 9), (8, 8, 8))):
        images = torch.rand(2, 1, *size, generator=torch.Generator().manual_seed(0))
        network = Normalising()
        said = outline(network, images, window)
        assert said.shape == (2, 2, *size)
        assert set(network.seen) == {window}


def test_an_image_of_the_window_s_size_is_seen_as_it_is_and_a_smaller_one_padded_on_all_sides() -> None:
    images = torch.rand(1, 1, 12, 16, generator=torch.Generator().manual_seed(0))
    padded = nn.functional.pad(images, (0, 0, 2, 2))
    assert torch.equal(outline(Normalising(), padded, (16, 16)), Normalising()(padded))
    assert torch.equal(outline(Normalising(), images, (16, 16)), Normalising()(padded)[:, :, 2:14])
    assert not torch.allclose(outline(Normalising(), images, (16, 16)), Normalising()(images))


def test_windows_of_a_network_that_looks_at_single_voxels_say_what_it_says_of_the_whole() -> None:
    images = torch.rand(1, 1, 40, 33, generator=torch.Generator().manual_seed(0))
    layer = nn.Conv2d(1, 3, 1)
    with torch.no_grad():
        torch.testing.assert_close(outline(layer, images, (16, 16)), layer(images))


VOLUMES = {"image_size": None, "spacing_mm": [5.0, 2.0, 2.0]}


def outlining(dims: int, network: str, size: int, privacy: str = "dp-sgd") -> Study:
    task = {"name": "segmentation", "classes": ["tumour"], "dims": dims}
    protection = {"mechanism": "dp-sgd", "epsilon": 8.0, "delta": 1e-3, "clip_norm": 1.0}
    return study(
        task=task,
        model={"network": network},
        data={"image_size": size} if dims == 2 else {**VOLUMES, "patch_size": [size, size, size]},
        privacy=protection if privacy == "dp-sgd" else {"mechanism": privacy},
    )


@pytest.mark.parametrize(
    ("dims", "extent"),
    [(2, "16 × 16 pixels"), pytest.param(3, "16 × 16 × 16 voxels", marks=pytest.mark.slow)],
)
def test_a_private_study_of_outlines_is_rehearsed_in_its_dimensions(dims: int, extent: str) -> None:
    said = rehearse(outlining(dims, "tiny-unet", 16))
    assert f"noise of {extent}" in said
    assert "the gradient of each image is its own" in said


def test_a_study_of_volumes_with_a_network_for_images_is_refused_with_those_that_fit() -> None:
    with pytest.raises(StudyError, match="says something of the image as a whole") as refused:
        rehearse(outlining(3, "tiny-cnn", 16, "none"))
    assert "tiny-unet, unet" in str(refused.value.do)
    with pytest.raises(StudyError, match="cannot be trained on images of this size"):
        rehearse(outlining(2, "unet", 24, "none"))
    with pytest.raises(StudyError, match="cannot be trained on patches of this size") as refused:
        rehearse(outlining(3, "tiny-unet", 12, "none"))  # which it halves three times
    assert refused.value.do == "Write patch_size = [16, 16, 16]."
