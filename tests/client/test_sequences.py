"""Several sequences of one patient: each has its places and a vector of its own, and one that is missing is told so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from examples import DP, STUDY
from models_made import model_folder
from tiny_dicom import tiny
from wardround_client import networks
from wardround_client.gallery.catalogue import entries
from wardround_client.gallery.making import make
from wardround_client.networks import FEATURES, Bag, weighing
from wardround_client.prediction.model import open_model
from wardround_client.preparation.asking import cases_of
from wardround_client.preparation.bags import KeptBags, laid_out, without
from wardround_client.preparation.dataset import prepare, take_in, variables_of
from wardround_client.preparation.source import Source
from wardround_client.site_shift.head import tensors
from wardround_client.training.bookkeeping import BookKeeping, Way, clipping_factors
from wardround_client.training.evaluation import probabilities_of
from wardround_client.training.features import watching
from wardround_client.training.network_probe import WAYS
from wardround_client.training.rehearsal import rehearse
from wardround_common.study.file import Study

SERIES = [
    {"role": "flair", "description": ["*flair*", "*tirm*"]},
    {"role": "t1gd", "description": ["*t1*"], "contrast": True},
]


def of(**more: dict[str, object]) -> Study:
    tables = {name: table | more.get(name, {}) for name, table in STUDY.items() if name != "privacy"}
    tables["privacy"] = more.get("privacy", STUDY["privacy"])
    tables["data"] = {**tables["data"], "record": "patient", "bag_size": 4, "series": SERIES} | more.get("data", {})
    return Study.model_validate(tables)


def small(pooling: str = "attention") -> Bag:
    with networks.seeded(1):
        encoder = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.Tanh(), nn.Flatten(), nn.Linear(36, FEATURES))
        return Bag(encoder, pooling, 2, 0, 2).double()  # type: ignore[arg-type]


def bags() -> torch.Tensor:
    """Return four records of two sequences of two images: whole, without the second, without the first, empty."""
    found = torch.rand(4, 1, 4, 8, 8, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    found[0, :, 1] = -1.0
    found[1, :, 2:] = -1.0
    found[2, :, :2] = -1.0
    found[3] = -1.0
    return found


@pytest.mark.parametrize("pooling", ["attention", "mean"])
def test_an_image_says_something_else_as_another_sequence_and_only_what_is_there_weighs(pooling: str) -> None:
    network, whole = small(pooling), bags()
    together = network(whole)
    torch.testing.assert_close(network(whole[2:3]), together[2:3])
    swapped = torch.cat([whole[2:3, :, 2:], whole[2:3, :, :2]], dim=2)  # the same images as those of the first
    assert not torch.allclose(network(swapped), together[2:3])
    turned = whole[:, :, [0, 1, 3, 2]]
    torch.testing.assert_close(network(turned), together)  # within a sequence the order plays no part
    with weighing(network) as seen:
        network(whole)
    assert (seen[0][[0, 1, 1, 2, 2], [1, 2, 3, 0, 1]] == 0).all()


def test_a_record_of_no_image_is_told_as_such_and_says_what_the_head_says_of_nothing() -> None:
    network = small()
    torch.testing.assert_close(network(bags())[3], network.head.bias)
    pooled = torch.zeros(1, FEATURES + 2, dtype=torch.float64)
    pooled[0, FEATURES:] = 1
    told = network.head(pooled) - network.head(torch.zeros_like(pooled))
    with torch.no_grad():
        network.head.weight[:, :FEATURES] = 0
    torch.testing.assert_close(network(bags())[0] - network(bags())[3], told[0])  # of both there are images


@pytest.mark.parametrize("way", WAYS)
def test_the_gradient_of_a_patient_with_a_sequence_missing_is_that_of_the_record_alone(way: Way) -> None:
    network, whole, labels, counts = small(), bags(), torch.tensor([0, 1, 1, 0]), [2, 1, 1]

    def losses(of: torch.Tensor, to: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(network(of), to, reduction="none")

    alone = []
    for records in ([0, 1], [2], [3]):
        network.zero_grad()
        for record in records:
            losses(whole[record : record + 1], labels[record : record + 1]).sum().backward()
        alone.append([weight.grad.clone() for weight in network.parameters() if weight.grad is not None])
    network.zero_grad()
    norms = torch.stack([torch.stack([one.norm() for one in patient]).norm() for patient in alone])
    clip = float(norms.min()) / 2
    with BookKeeping(network, way) as books:
        found = books.clipped_sum(losses(whole, labels), counts, clip)
    assert len(found) == len(alone[0])
    for place, total in enumerate(found):
        factors = clipping_factors(norms, clip)
        expected = sum(factor * patient[place] for factor, patient in zip(factors, alone, strict=True))
        torch.testing.assert_close(total, expected, rtol=1e-6, atol=1e-12)


@pytest.mark.slow
def test_a_private_study_of_several_sequences_has_a_gradient_of_each_record_of_its_own() -> None:
    study = of(model={"network": "tiny-cnn"}, data={"image_size": 32}, privacy=DP)
    assert rehearse(study).endswith("the gradient of each image is its own")


def test_each_sequence_has_its_places_and_a_withheld_one_has_none() -> None:
    data = of().data
    assert laid_out([1, 0, 1, 1], data) == [(0, 1), (2, 0), (3, 3)]
    kept = KeptBags(np.ones((6, 1, 16, 16), np.float32), np.array([[0, -1, 1, 2], [3, 4, -1, -1]]))
    less, known = without(kept, data, "t1gd")
    assert less.bags.tolist() == [[0, -1, -1, -1], [3, 4, -1, -1]]
    assert known.tolist() == [True, False]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"record": "series"}, "several series are one record with record = 'patient'"),
        ({"series": SERIES[:1]}, "one series alone"),
        ({"bag_size": 1}, "each of 2 series needs a place"),
        ({"variables": [{"name": "flair", "range": [0, 1]}]}, "'flair' is the name of a series, too"),
        ({"record": "image", "bag_size": 32}, "write record = 'patient'"),
    ],
)
def test_sequences_that_mean_nothing_are_refused(data: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        of(data=data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make four patients: FLAIR of three slices, T1 with a contrast agent of some, and T1 without one, of all."""
    found, lines = tmp_path_factory.mktemp("hospital"), ["patient,label"]
    rng = np.random.default_rng(0)
    for patient in range(4):
        name = f"P{patient}"
        series = [("t2_tirm_tra_dark-fluid", "", 3), ("T1 AX", "", 1)]
        series += [("T1 AX", "Gadovist", 2)] if patient != 1 else []
        for number, (description, agent, slices) in enumerate(series):
            for at in range(slices):
                pixels = rng.integers(0, 4000, (16, 16)).astype(np.uint16)
                made = tiny(pixels, PatientID=name, PatientName=name, Modality="DX")
                made.SeriesInstanceUID, made.SeriesDescription = f"1.2.{patient + 1}.{number + 1}", description
                made.ContrastBolusAgent = agent
                made.save_as(found / f"{name}-{number}-{at}.dcm", enforce_file_format=True)
        lines.append(f"{name},{'finding' if patient % 2 else 'none'}")
    (found / "labels.csv").write_text("\n".join(lines) + "\n")
    return found


def test_sequences_are_told_apart_by_what_scanners_write_and_others_are_left_out(folder: Path, tmp_path: Path) -> None:
    source, study = Source(folder, tmp_path), of()
    data = prepare(source, study, *take_in(source, study))
    assert data.intake.left_out == {"other-series": 4}
    readings = {"flair": {"known": 4}, "t1gd": {"known": 3, "missing": 1}}
    assert data.intake.variables == variables_of(source, study) == readings
    asked = {case.name: case.prepare() for case in cases_of(sorted(folder.glob("*.dcm")), study, frozenset())}
    for split in (data.train, data.validation, data.test):
        for place, code in enumerate(split.patients):
            name = data.identifiers[code]
            record = split.images(np.array([place]))
            there = (record.max(axis=(1, 3, 4)) >= 0)[0].tolist()
            assert there == [True, True, name != "P1", name != "P1"]  # two of three slices of FLAIR, both of T1
            assert np.array_equal(asked[name].images, record)  # a model is asked in the form that it was trained in
    assert asked["P1"].about["not_known"] == {"t1gd": "missing"}
    assert (asked["P1"].about["images"], asked["P1"].about["images_refused"]) == (2, 1)
    assert (asked["P0"].places, len(asked["P0"].members)) == ((0, 1, 2, 3), 4)


def test_a_hospitals_table_of_roles_comes_before_what_scanners_write(folder: Path, tmp_path: Path) -> None:
    here = tmp_path / "images"
    here.mkdir()
    for file in folder.iterdir():
        (here / file.name).write_bytes(file.read_bytes())
    (here / "roles.csv").write_text("description,role\nt2_tirm_tra_dark-fluid,\nT1 AX,t1gd\n")
    source, study = Source(here, tmp_path / "state"), of()
    assert variables_of(source, study) == {"flair": {"missing": 4}, "t1gd": {"known": 4}}


def test_a_kind_that_a_hospital_allows_is_no_sequence_that_the_study_did_not_ask_for(tmp_path: Path) -> None:
    here, lines = tmp_path / "images", ["patient,label"]
    here.mkdir()
    for patient in range(4):
        name = f"P{patient}"
        for number, (kind, description) in enumerate(
            ((["ORIGINAL", "PRIMARY"], "flair"), (["DERIVED", "SECONDARY"], "T1"))
        ):
            pixels = np.random.default_rng(2 * patient + number).integers(0, 4000, (16, 16)).astype(np.uint16)
            made = tiny(pixels, PatientID=name, PatientName=name, Modality="DX", ImageType=kind)
            made.SeriesInstanceUID, made.SeriesDescription = f"1.2.{patient + 1}.{number + 1}", description
            made.ContrastBolusAgent = "Gadovist"
            made.save_as(here / f"{name}-{number}.dcm", enforce_file_format=True)
        lines.append(f"{name},{'finding' if patient % 2 else 'none'}")
    (here / "labels.csv").write_text("\n".join(lines))
    source, study = Source(here, tmp_path / "state", allow=frozenset({"derived"})), of()
    index, found = take_in(source, study)
    assert prepare(source, study, index, found).intake.left_out == {"other-series": 4}
    files = [here.resolve() / one.file for one in index.accepted]
    own = [case.prepare() for case in cases_of(files, study, source.allow, source=source, index=index)]
    assert [one.about["not_known"] for one in own] == [{"t1gd": "missing"}] * 4
    strangers = [case.prepare() for case in cases_of(files, study, source.allow)]  # --allow says that it is meant
    assert [one.about["not_known"] for one in strangers] == [{}] * 4


@pytest.mark.parametrize("data", [{}, {"series": [], "variables": [{"name": "age", "range": [0, 1]}]}, {"series": []}])
def test_a_hospital_may_keep_the_head_that_reads_a_record_for_itself(data: dict[str, object]) -> None:
    study = of(data=data, training={"personal": "head"})
    assert tensors(networks.build(study), study) == {"head.weight", "head.bias"}


def test_what_a_record_is_like_is_what_its_images_add_up_to_and_nothing_that_is_known_besides() -> None:
    network = small()
    with watching(network) as seen:
        network(bags())
    features = seen.take()
    assert features.shape == (4, FEATURES)
    assert not features[3].any()
    assert np.abs(features[0] - features[1]).max() > 0


def test_the_gallery_asks_a_model_with_the_tables_that_training_reads(folder: Path, tmp_path: Path) -> None:
    here, model = tmp_path / "images", tmp_path / "model"
    here.mkdir()
    model.mkdir()
    for file in folder.iterdir():
        (here / file.name).write_bytes(file.read_bytes())
    lines = (folder / "labels.csv").read_text().splitlines()[1:]
    (here / "labels.csv").write_text("\n".join(["patient,label,sex", *(f"{line},f" for line in lines)]))
    (here / "clinical.csv").write_text("patient,psa\n" + "".join(f"P{number},{number}\n" for number in range(4)))
    (here / "roles.csv").write_text("description,role\nT1 AX,t1gd\n")
    variables = [{"name": "psa", "range": [0, 10]}, {"name": "sex", "values": ["f", "m"]}]
    study, source = of(data={"variables": variables}), Source(here, tmp_path / "state")
    opened = open_model(model_folder(model, study))
    found = make(source, [], opened, explained=0)
    told = {one.file.split("-")[0]: one.error for one in entries(source.state, "worst", 1)}
    data = prepare(source, study, *take_in(source, study))
    for split in (data.train, data.validation, data.test):
        chances = probabilities_of(opened.network, split)
        for code, target, chance in zip(split.patients, split.targets, chances, strict=True):
            assert told[data.identifiers[code]] == pytest.approx(1 - chance[target], abs=1e-4)
    assert not found.notes
    (here / "roles.csv").write_text("description,role\nT1 AX,other\n")
    assert any("the study does not have this role" in note for note in make(source, [], opened, explained=0).notes)
