"""Several images as one record: padding and neighbours change nothing, and its gradient is that of its images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from examples import DP, STUDY
from tiny_dicom import tiny
from wardround_client import networks
from wardround_client.networks import FEATURES, Bag, weighing, with_padding_of
from wardround_client.prediction.pictures import lines_of
from wardround_client.preparation.asking import cases_of
from wardround_client.preparation.bags import KeptBags, evenly
from wardround_client.preparation.dataset import prepare, take_in
from wardround_client.preparation.examples import Examples
from wardround_client.preparation.source import Source
from wardround_client.training.augmentation import augment
from wardround_client.training.bookkeeping import BookKeeping, UnknownGradientError, Way, clipping_factors
from wardround_client.training.evaluation import patient_sums
from wardround_client.training.network_probe import WAYS
from wardround_client.training.rehearsal import rehearse
from wardround_common.errors import DataError, ImageRefused, StudyError
from wardround_common.randomness import insecure_stream
from wardround_common.study.file import Study


def of(**more: dict[str, object]) -> Study:
    tables = {name: table | more.get(name, {}) for name, table in STUDY.items() if name != "privacy"}
    tables["privacy"] = more.get("privacy", STUDY["privacy"])
    tables["data"] = {**tables["data"], "record": "patient", "bag_size": 4} | more.get("data", {})
    return Study.model_validate(tables)


def bags(padded: int = 2) -> torch.Tensor:
    """Return three records of four images, of which the second is short of some."""
    found = torch.rand(3, 1, 4, 8, 8, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    found[1, :, 4 - padded :] = -1.0
    return found


def small(pooling: str) -> Bag:
    with networks.seeded(1):
        encoder = nn.Sequential(
            nn.Conv2d(1, 4, 3, stride=2), nn.GroupNorm(2, 4), nn.Tanh(), nn.Flatten(), nn.Linear(36, FEATURES)
        )
        return Bag(encoder, pooling, 2).double()  # type: ignore[arg-type]


@pytest.mark.parametrize("pooling", ["attention", "mean"])
def test_what_is_said_of_a_record_depends_neither_on_padding_nor_on_its_neighbours_nor_on_the_order(
    pooling: str,
) -> None:
    network, whole = small(pooling), bags()
    together = network(whole)
    torch.testing.assert_close(network(whole[1:2]), together[1:2])
    torch.testing.assert_close(network(whole[1:2, :, :2]), together[1:2])  # without its padding
    torch.testing.assert_close(network(whole[:, :, [2, 0, 3, 1]]), together)
    with weighing(network) as seen:
        network(whole)
    (weights,) = seen
    assert weights[1, 2:].tolist() == [0.0, 0.0]
    torch.testing.assert_close(weights.sum(1), torch.ones(3, dtype=torch.float64))


def test_the_mean_of_a_record_is_the_mean_of_what_is_said_of_its_images() -> None:
    network, whole = small("mean"), bags(0)
    each = torch.stack([network(whole[:, :, place : place + 1]) for place in range(4)])
    torch.testing.assert_close(network(whole), each.mean(0))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("pooling", ["attention", "mean", "recurrent"])
def test_the_gradient_of_a_patient_is_that_of_all_images_of_the_records(pooling: str, way: Way) -> None:
    network, whole = small(pooling), bags()
    labels, counts = torch.tensor([0, 1, 1]), [2, 1]  # the first patient has two records

    def losses(of: torch.Tensor, to: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(network(of), to, reduction="none")

    alone = []
    for some in (slice(0, 2), slice(2, 3)):
        network.zero_grad()
        for record in range(some.start, some.stop):  # one at a time, without padding
            shown = whole[record : record + 1, :, : 2 if record == 1 else 4]
            losses(shown, labels[record : record + 1]).sum().backward()
        alone.append([weight.grad.clone() for weight in network.parameters() if weight.grad is not None])
    network.zero_grad()
    norms = torch.stack([torch.stack([one.norm() for one in patient]).norm() for patient in alone])
    factors = clipping_factors(norms, float(norms.min()) / 2)
    with BookKeeping(network, way) as books:
        found = books.clipped_sum(losses(whole, labels), counts, float(norms.min()) / 2)
        each = list(books.each(losses(whole, labels), counts))
    for place, total in enumerate(found):
        expected = sum(factor * patient[place] for factor, patient in zip(factors, alone, strict=True))
        torch.testing.assert_close(total, expected, rtol=1e-6, atol=1e-12)
        for patient, own in zip(alone, each, strict=True):
            torch.testing.assert_close(own[place], patient[place])


def test_images_in_a_row_are_taken_for_records_inside_a_bag_alone() -> None:
    layer = nn.Sequential(nn.Linear(3, 2))
    with BookKeeping(layer) as books, pytest.raises(UnknownGradientError, match="8 gradients for 4 records"):
        books.clipped_sum(layer(torch.ones(8, 3)).view(4, 4).sum(1), [1] * 4, 1.0)


def test_padding_stays_padding_in_every_view_of_a_record() -> None:
    whole = bags().float()
    seen, _ = augment(whole, torch.zeros(3), ["flip", "shift", "rotate", "scale", "intensity"], insecure_stream(1, "v"))
    padded = with_padding_of(seen, whole)
    assert (padded[1, :, 2:] == -1).all()
    assert torch.equal(padded[0], seen[0])
    assert not torch.equal(padded[0], whole[0])
    dark = torch.zeros(1, 1, 2, 8, 8) - 0.075  # what the darkest image may become
    assert torch.equal(with_padding_of(dark, dark), dark)


def test_of_more_images_than_a_record_takes_some_are_taken_at_equal_distances() -> None:
    assert evenly(3, 4).tolist() == [0, 1, 2]
    assert evenly(10, 4).tolist() == [1, 3, 6, 8]
    images = np.arange(6, dtype=np.float32)[:, None, None, None] * np.ones((1, 2, 3, 3), np.float32)
    kept = KeptBags(images, np.array([[4, 1], [5, -1]]))
    assert kept.shape == (2, 2, 2, 3, 3)
    assert kept[np.array([1, 0])][:, 0, :, 0, 0].tolist() == [[5, -1], [4, 1]]


@pytest.mark.parametrize("page", [False, True])
def test_a_record_that_is_judged_alone_has_no_places_for_the_images_of_another(page: bool) -> None:
    """Where sums have noise, one patient more may not change even how another one's score is rounded."""
    images = np.random.default_rng(0).random((6, 1, 8, 8), np.float32)
    rows = np.array([[0, 1, -1, -1], [2, 3, 4, 5]])
    numbers = np.array([[1, 0.5], [1, 0.25]], np.float32) if page else None
    kept = KeptBags(images, rows, numbers)
    both = Examples(kept, np.arange(2), np.array([0, 1]), np.array([0, 1]))
    shapes: list[tuple[int, ...]] = []
    network = small("attention").float()
    network.register_forward_pre_hook(lambda _, given: shapes.append(tuple(given[0].shape)))
    seen = patient_sums(network, of(), both, finite=True)
    assert shapes == [(1, 1, 2 + page, 8, 8), (1, 1, 4 + page, 8, 8)]
    first = KeptBags(images, rows[:1, :2], None if numbers is None else numbers[:1])
    (alone,) = patient_sums(network, of(), Examples(first, *([np.array([0])] * 3)), finite=True).vectors()
    assert np.array_equal(next(seen.vectors()), alone)
    bare = kept.without_padding(torch.from_numpy(kept[[0]]), 0)
    assert np.array_equal(bare[0, 0, :2], images[:2, 0])


def hospital(folder: Path, table: str = "") -> Source:
    """Make four patients with two series of two and one images; the label is by patient."""
    folder.mkdir()
    lines = ["patient,label"]
    rng = np.random.default_rng(0)
    for patient in range(4):
        name = f"P{patient}"
        for number in range(3):
            pixels = rng.integers(0, 4000, (16, 16)).astype(np.uint16)
            series = f"1.2.{patient + 1}.{number // 2 + 1}"
            made = tiny(pixels, PatientID=name, PatientName=name, SeriesInstanceUID=series, Modality="DX")
            made.save_as(folder / f"{name}-{number}.dcm", enforce_file_format=True)
        lines.append(f"{name},{'finding' if patient % 2 else 'none'}")
    (folder / "labels.csv").write_text(table or "\n".join(lines) + "\n")
    return Source(folder, folder.parent / "state")


@pytest.mark.parametrize(("record", "each"), [("patient", [3]), ("series", [2, 1])])
def test_all_images_of_a_patient_or_a_series_are_one_record(tmp_path: Path, record: str, each: list[int]) -> None:
    source, study = hospital(tmp_path / "images"), of(data={"record": record})
    data = prepare(source, study, *take_in(source, study))
    splits = (data.train, data.validation, data.test)
    assert sum(map(len, splits)) == 4 * len(each)
    for split in splits:
        for places in split.places_by_patient():
            shown = split.images(places)
            assert shown.shape[1:] == (1, 4, 16, 16)
            assert (shown.max(axis=(1, 3, 4)) >= 0).sum(axis=1).tolist() == each
            assert len(set(split.targets[places].tolist())) == 1


def test_images_of_one_record_with_different_labels_are_refused(tmp_path: Path) -> None:
    lines = [f"P{p}-{n}.dcm,{'finding' if n else 'none'}" for p in range(4) for n in range(3)]
    source, study = hospital(tmp_path / "images", "file,label\n" + "\n".join(lines) + "\n"), of()
    with pytest.raises(DataError, match="4 patients have images with different labels"):
        prepare(source, study, *take_in(source, study))


@pytest.mark.parametrize(
    ("data", "model", "said"),
    [
        ({"record": "image", "bag_size": 4}, {}, "bag_size = 4: this is a key of record"),
        ({"record": "image", "bag_size": 32}, {"pooling": "mean"}, "pooling = 'mean': this is a key of"),
        ({"record": "slice", "bag_size": 32}, {"pooling": "mean"}, "pooling = 'mean': this is a key of"),
        ({"record": "volume"}, {}, "record"),
    ],
)
def test_keys_of_records_of_several_images_are_refused_elsewhere(
    data: dict[str, object], model: dict[str, object], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        of(data=data, model=model)


def test_a_study_without_bags_has_the_digest_that_it_had() -> None:
    plain = Study.model_validate(STUDY)
    assert "bag_size" not in plain.model_dump_json()
    assert plain.digest() != of().digest()


@pytest.mark.slow
@pytest.mark.parametrize("network", ["tiny-cnn", "unet", "wavelets"])
def test_a_network_of_each_kind_sees_bags_privately_or_is_refused_with_its_reason(network: str) -> None:
    study = of(model={"network": network}, data={"image_size": 32}, privacy=DP)
    if networks.find(network).dense:
        with pytest.raises(StudyError, match="this network says something of each place"):
            rehearse(study)
        return
    assert rehearse(study).endswith("the gradient of each image is its own")


def test_a_picture_says_of_how_many_images_the_answer_is_and_what_was_decided() -> None:
    facts = {"findings": {"mass": {"probability": 0.75, "present": True}}, "calibrated": True}
    written = [text for text, _ in lines_of(facts | {"weights": {"a.dcm": 0.3, "b.dcm": 0.7}})]
    assert "probability of mass: 0.750, present" in written[1]
    assert "of 2 images together, of which this one weighs 70%" in written[2]


def test_images_are_asked_about_by_record_and_what_is_no_image_by_itself(tmp_path: Path) -> None:
    folder = hospital(tmp_path / "images").folder
    whole = (folder / "P0-0.dcm").read_bytes()
    (folder / "P0-9.dcm").write_bytes(whole[:-100])  # a truncated one of the same patient
    (folder / "broken.dcm").write_bytes(b"junk")
    files = sorted(folder.iterdir())
    cases = {case.name: case for case in cases_of(files, of(), frozenset())}
    assert set(cases) == {"P0", "P1", "P2", "P3", str(folder / "broken.dcm"), str(folder / "labels.csv")}
    asked = cases["P0"].prepare()
    assert asked.images.shape == (1, 1, 3, 16, 16)
    assert (asked.about["images"], asked.about["images_left_out"], asked.about["images_refused"]) == (3, 0, 1)
    assert [Path(name).name for name in asked.members] == ["P0-0.dcm", "P0-1.dcm", "P0-2.dcm"]
    with pytest.raises(ImageRefused, match="this is not DICOM"):
        cases[str(folder / "broken.dcm")].prepare()
    by_series = {case.name for case in cases_of(files, of(data={"record": "series"}), frozenset())}
    assert {"1.2.1.1", "1.2.1.2"} < by_series
