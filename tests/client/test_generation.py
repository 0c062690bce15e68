"""Images are made from a bound on each record's own likelihood; what means nothing to such a study is refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from PIL import Image as Pillow

from examples import DP, STUDY
from in_process import run
from tiny_dicom import with_a_table
from wardround_client import networks
from wardround_client.generation.drawing import cost_of, drawn, network_of
from wardround_client.generation.writing import HOSPITAL, Wanted, _short, new_folder, statement, write
from wardround_client.intake.index import scan
from wardround_client.networks import VariationalAutoEncoder
from wardround_client.networks._vae import APART
from wardround_client.prediction.model import Model
from wardround_client.preparation.source import Source
from wardround_client.tasks import generation
from wardround_client.tasks.generation import DEVIATION, means_of, parts_of
from wardround_client.training.rehearsal import rehearse
from wardround_common.errors import MessageError, ModelError, StorageError, StudyError
from wardround_common.metrics.reconstructions import UNIT, ReconstructionSums
from wardround_common.results.model_folder import MODEL, Card, PrivacyClaim
from wardround_common.storage import LOCK
from wardround_common.study.file import Study, parse_study
from wardround_common.study.start import Start
from wardround_common.study.template import study_text
from wardround_common.study.words.describe import describe
from wardround_common.tasks.generation import TASK, Generation

SECTION = Generation(name="generation", classes=("none", "mass"), latent=3, beta=2.0)


def of(**more: object) -> Study:
    return Study.model_validate(STUDY | {"task": SECTION.model_dump(), "model": {"network": "tiny-vae"}} | more)


def test_the_divergence_is_that_of_two_normal_distributions_around_the_mean_of_the_class() -> None:
    rng = np.random.default_rng(1)
    means, spreads = torch.from_numpy(rng.normal(size=(2, 5, 3)))
    outputs = torch.cat([torch.full((5, 1), 0.01), means, spreads], dim=1)
    targets = torch.tensor([(row % 2, 64) for row in range(5)])
    _, far, divergence = parts_of(SECTION, outputs, targets)
    around = torch.distributions.Normal(means_of(SECTION)[targets[:, 0]].double(), 1.0)
    expected = torch.distributions.kl_divergence(torch.distributions.Normal(means, (spreads / 2).exp()), around)
    torch.testing.assert_close(divergence, expected.sum(1))
    torch.testing.assert_close(far, torch.full((5,), 64 * 0.01 / (2 * DEVIATION**2)).double())
    loss = generation.TASK.loss(SECTION, of().training, torch.device("cpu"))
    torch.testing.assert_close(loss(outputs, targets), far + 2 * divergence)
    sums = generation.TASK.sums(SECTION, outputs, targets, np.arange(5), None)
    assert sums.figures()["reconstruction"] == pytest.approx(0.1, abs=1e-4)
    assert sums.figures()["divergence"] == pytest.approx(float(divergence.mean()), abs=1e-4)


def test_a_model_that_tells_nothing_of_an_image_has_no_divergence_below_0() -> None:
    outputs = torch.zeros(200, 1 + 2 * SECTION.latent).double()
    outputs[:, 1:] = torch.cat([means_of(SECTION)[0], torch.zeros(SECTION.latent)])
    outputs[:, 1 + SECTION.latent :] = torch.linspace(1e-9, 1e-7, 200, dtype=torch.float64)[:, None]
    targets = torch.tensor([(0, 64)] * 200)
    assert generation.TASK.sums(SECTION, outputs, targets, np.arange(200), None).figures()["divergence"] == 0


def test_a_purpose_stands_within_a_sentence() -> None:
    said = TASK.words(SECTION).purpose
    assert said == "make new images of 'none', 'mass' like those of its training patients"


def test_classes_have_means_of_their_own_and_without_classes_there_is_one() -> None:
    assert float((means_of(SECTION)[0] - means_of(SECTION)[1]).norm()) == pytest.approx(APART * 2**0.5)
    assert means_of(Generation(name="generation", latent=4, beta=1)).tolist() == [[0.0] * 4]


def test_a_record_is_encoded_and_made_again_by_itself_and_a_pass_draws_what_the_seed_says() -> None:
    network = networks.build(of())
    images = torch.rand(4, 1, 24, 24, generator=torch.Generator().manual_seed(1))
    network.eval()
    torch.testing.assert_close(network(images)[2:3], network(images[2:3]))
    network.train()
    with networks.seeded(5):
        first = network(images).detach()
        other = network(images).detach()
    with networks.seeded(5):
        again = network(images).detach()
    assert torch.equal(first, again)
    assert not torch.equal(first[:, 0], other[:, 0])  # the latent numbers are drawn anew
    assert torch.equal(first[:, 1:], other[:, 1:])


@pytest.mark.parametrize("size", [(16, 16), (17, 31)])
def test_images_of_any_size_are_made_from_latent_numbers(size: tuple[int, int]) -> None:
    network = networks.construct("tiny-vae", 3, 9, "group", seed=0).eval()
    assert isinstance(network, VariationalAutoEncoder)
    with torch.no_grad():
        made = network.decode(torch.randn(2, 4, generator=torch.Generator().manual_seed(2)), size)
        assert network(torch.rand(2, 3, *size)).shape == (2, 9)
    assert made.shape == (2, 3, *size)
    assert 0 <= float(made.min()) <= float(made.max()) <= 1


def test_sums_that_no_records_can_have_are_refused_and_a_model_that_diverged_is_told() -> None:
    sums = ReconstructionSums.of(np.full(3, 0.25), np.ones(3), np.ones(3))
    assert sums.figures() == {"reconstruction": 0.5, "divergence": 1.0}
    for place, forged in ((0, 2**50), (1, round(3.5 / UNIT)), (3, 2**61)):
        vector = sums.to_vector()
        vector[place] = forged
        with pytest.raises(MessageError, match="cannot have these sums"):
            TASK.read(vector, SECTION)
    with pytest.raises(ModelError, match="not a number"):
        ReconstructionSums.of(np.array([np.nan]), np.ones(1), np.ones(1))


def test_without_classes_every_image_is_taken_and_with_them_those_that_have_a_label(tmp_path: Path) -> None:
    source = Source(with_a_table(tmp_path / "images", "Patient,label\nP0,mass\nP2,none\n"), tmp_path / "state")
    index = scan(source.folder, state=source.state)
    labelled = generation.TASK.find(source, index, of())
    assert sorted(labelled.words.values()) == ["mass", "none"]
    files = [one for one in index.accepted if one.file in labelled.words]
    assert generation.TASK.targets is not None
    targets = generation.TASK.targets(source, of().data, SECTION, files, labelled)
    assert targets[:, 1].tolist() == [of().data.square ** 2] * 2
    assert generation.TASK.members(SECTION, targets).sum(axis=0).tolist() == [1, 1]
    everything = of(task={"name": "generation", "latent": 2, "beta": 1.0})
    assert len(generation.TASK.find(source, index, everything).words) == len(index.accepted) > 2


@pytest.mark.parametrize(
    ("section", "key", "value", "said"),
    [
        ("data", "record", "patient", "made by itself"),
        ("data", "normalisation", "federation", "brightness from 0 to 1"),
        ("model", "train", "head", "makes no image"),
        ("training", "personal", "norm", "one model that all hospitals share"),
        ("training", "focal_gamma", 2.0, "does not use this key"),
        ("training", "class_weights", (1.0, 2.0), "does not use this key"),
        ("evaluation", "usual", 0.95, "asked about no image"),
        ("evaluation", "maps", {"method": "occlusion"}, "no answer that a map could explain"),
        ("evaluation", "recalibrated", True, "no probability"),
    ],
)
def test_what_means_nothing_to_made_images_is_refused_with_its_reason(
    section: str, key: str, value: object, said: str
) -> None:
    tables = of().tables()
    with pytest.raises(ValueError, match=said):
        Study.model_validate(tables | {section: tables.get(section, {}) | {key: value}})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"classes": ("a",)}, "one class is no choice"), ({"latent": 2, "classes": ("a", "b", "c")}, "write 3 or more")],
)
def test_classes_that_cannot_be_told_apart_are_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        of(task=SECTION.model_dump() | wrong)


@pytest.mark.slow
def test_only_a_network_that_makes_images_is_taken_and_only_for_that() -> None:
    with pytest.raises(StudyError, match=r"something of an image that it makes again.*\n.*tiny-vae, vae"):
        networks.build(of(model={"network": "tiny-cnn"}))
    with pytest.raises(StudyError, match="the study's task reads something of the image as a whole"):
        networks.build(Study.model_validate(STUDY | {"model": {"network": "vae"}}))


@pytest.mark.parametrize("way", ["--no-dp", "", "--distributed"])
def test_a_new_study_has_no_key_that_is_refused_and_says_what_drawing_costs(way: str) -> None:
    text = study_text("made", task="generation", dp=way != "--no-dp", distributed=way == "--distributed")
    assert "usual =" not in text
    said = " ".join(sentence for passage in describe(parse_study(text)) for sentence in passage.sentences)
    assert ("(post-processing)" in said) == (way != "--no-dp")
    assert ("not anonymous because it is made" in said) == (way == "--no-dp")


@pytest.mark.slow
def test_each_patients_gradient_is_its_own() -> None:
    assert rehearse(of(privacy=DP)).endswith("the gradient of each image is its own")


@pytest.fixture(scope="module")
def made() -> Model:
    study = of(data=STUDY["data"] | {"image_size": 16})
    card = Card(
        name="made",
        wardround="0.1.0",
        engine="deployment",
        task="generation",
        classes=study.groups,
        study_digest=study.digest(),
        rounds=(1,),
        point=None,
        temperature=None,
        validation_images=0,
        privacy=PrivacyClaim(epsilon=8.0, delta=1e-3, trust="local", statement="No patient spent more."),
        judgement=None,
        files={MODEL: "ab" * 32},
    )
    return Model(study, card, networks.build(study).eval())


def test_a_seed_and_a_number_say_what_an_image_is_however_many_are_drawn(made: Model) -> None:
    five, more = list(drawn(made, 5, 7)), list(drawn(made, 70, 7))
    for one, same in zip(five, more, strict=False):
        assert np.array_equal(one.pixels, same.pixels)
    assert [one.word for one in five] == ["none", "mass", "none", "mass", "none"]
    assert not np.array_equal(five[0].pixels, next(drawn(made, 1, 8)).pixels)
    assert {one.word for one in drawn(made, 4, 7, ["mass"])} == {"mass"}
    with pytest.raises(StudyError, match="no images of 'cyst'"):
        next(drawn(made, 1, 7, ["cyst"]))


def test_a_folder_of_made_images_reads_as_a_hospitals_and_says_what_they_are(made: Model, tmp_path: Path) -> None:
    said = write(made, Wanted(6, 1), tmp_path / "png")
    assert said == json.loads((tmp_path / "png" / "statement.json").read_text())
    assert (said["epsilon"], said["counts"]) == (8.0, {"none": 3, "mass": 3})
    assert "costs nothing more" in (tmp_path / "png" / "statement.txt").read_text()
    index = scan(tmp_path / "png" / HOSPITAL, state=tmp_path / "state")
    assert (len(index.accepted), len(index.refused)) == (6, 0)
    found = generation.TASK.find(Source(tmp_path / "png" / HOSPITAL, tmp_path / "state"), index, made.study)
    assert sorted(found.words.values()) == ["mass"] * 3 + ["none"] * 3
    assert len(set(found.patients.values())) == 6
    with pytest.raises(StorageError, match="something is there already"):
        write(made, Wanted(1, 1), tmp_path / "png")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_what_is_made_has_its_lock_until_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill just before would leave what no later run removes: it may show what is close to a patient's image."""
    locked: list[bool] = []
    real = Path.rename

    def rename(self: Path, target: Path) -> Path:
        locked.append((self / LOCK).is_file())
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with new_folder(tmp_path / "made", private=True) as folder:
        (folder / "000001.png").touch()
    assert locked == [True]
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["000001.png"]


def test_what_a_killed_run_left_is_removed_and_that_of_another_that_runs_is_not(made: Model, tmp_path: Path) -> None:
    killed = tmp_path / ".made-abcdefgh"
    with new_folder(tmp_path / "made", private=True) as running:
        shutil.copytree(running, killed)  # with its lock, which nobody holds
        (killed / "000001.png").touch()
        (tmp_path / ".made-of-a-person").mkdir()
        with new_folder(tmp_path / "made", private=True) as other:
            assert (running.exists(), killed.exists()) == (True, False)
            other.joinpath("mine").touch()
        shutil.rmtree(tmp_path / "made")
    assert {path.name for path in tmp_path.iterdir()} == {"made", ".made-of-a-person"}
    assert list((tmp_path / "made").iterdir()) == []


def test_a_person_who_stops_a_drawing_reads_that_nothing_was_written(
    made: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr("wardround_client.prediction.model.open_model", lambda folder, device: made)
    monkeypatch.setattr("wardround_client.generation.writing.picture_of", stopped)
    done = run("generate", "MODEL", "--out", tmp_path / "made")
    assert (done.returncode, list(tmp_path.iterdir())) == (130, [])
    assert "Stopped. Nothing was written. Run the same command again: it draws the same images." in done.stderr


def test_a_made_image_says_so_in_dicom_and_no_scan_takes_it_for_a_patients(made: Model, tmp_path: Path) -> None:
    write(made, Wanted(2, 1, dicom=True), tmp_path / "made")
    image = pydicom.dcmread(tmp_path / "made" / HOSPITAL / "000002.dcm")
    assert (image.SyntheticData, image.PatientIdentityRemoved, image.BurnedInAnnotation) == ("YES", "YES", "NO")
    assert image.PatientID.startswith("SYNTHETIC-")
    assert image.Laterality == ""
    assert "SYNTHETIC" in image.SeriesDescription
    again = tmp_path / "again"
    write(made, Wanted(2, 1, dicom=True), again)
    assert pydicom.dcmread(again / HOSPITAL / "000002.dcm").SOPInstanceUID == image.SOPInstanceUID
    refused = scan(tmp_path / "made" / HOSPITAL, state=tmp_path / "state").refused
    assert [one.reason for one in refused if one.file.endswith(".dcm")] == ["synthetic"] * 2
    taken = scan(again / HOSPITAL, state=tmp_path / "other", allow=frozenset({"synthetic"}))
    assert len(taken.accepted) == 2


def test_a_statement_says_that_there_is_no_epsilon_where_any_training_had_none(made: Model) -> None:
    plain = dataclasses.replace(made, card=made.card.model_copy(update={"privacy": None}))
    assert statement(plain, Wanted(1, 1), {})["epsilon"] is None
    assert "there is no epsilon" in cost_of(plain.card)[0]
    trained = {"name": "first", "study": "0" * 64, "hospitals": ()}
    start = Start.model_validate({"name": "first", "model": "1" * 64, "weights": "2" * 64, "trained": (trained,)})
    begun = made.card.model_copy(update={"start": start})
    assert statement(dataclasses.replace(made, card=begun), Wanted(1, 1), {})["epsilon"] is None
    assert "started from was trained without differential privacy" in cost_of(begun)[0]
    assert _short(begun) == "without differential privacy: an image may be close to a patient's"


def test_noise_that_came_from_a_seed_is_no_epsilon_of_what_is_drawn(made: Model, tmp_path: Path) -> None:
    simulated = dataclasses.replace(made, card=made.card.model_copy(update={"engine": "in-process"}))
    said = write(simulated, Wanted(1, 1), tmp_path / "made")
    assert (said["epsilon"], said["delta"]) == (None, None)
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o700
    assert cost_of(simulated.card)[0].startswith("The model was trained in a simulation, whose noise comes from a seed")
    assert _short(simulated.card).endswith("protects nobody: an image may be close to a patient's")
    trained = {"name": "first", "study": "0" * 64, "hospitals": (), "epsilon": 3.0, "delta": 1e-6}
    start = Start.model_validate({"name": "first", "model": "1" * 64, "weights": "2" * 64, "trained": (trained,)})
    begun = made.card.model_copy(update={"start": start})
    assert statement(dataclasses.replace(made, card=begun), Wanted(1, 1), {})["epsilon"] is None
    assert cost_of(begun)[0].startswith("The model that its training started from was trained in a simulation")


def test_two_classes_of_one_number_are_two_images_to_an_archive(made: Model, tmp_path: Path) -> None:
    for word in ("none", "mass"):
        write(made, Wanted(1, 1, (word,), dicom=True), tmp_path / word)
    found = [pydicom.dcmread(tmp_path / word / HOSPITAL / "000001.dcm") for word in ("none", "mass")]
    assert found[0].PixelData != found[1].PixelData
    assert found[0].SOPInstanceUID != found[1].SOPInstanceUID


def test_each_file_says_what_its_model_cost_the_patients_since_it_may_come_without_the_statement(
    made: Model, tmp_path: Path
) -> None:
    plain = dataclasses.replace(made, card=made.card.model_copy(update={"privacy": None}))
    for model, said in ((made, "epsilon 8, delta 0.001"), (plain, "an image may be close to a patient's")):
        for dicom in (False, True):
            folder = tmp_path / f"{said}, {dicom}"
            write(model, Wanted(1, 1, dicom=dicom), folder)
            if dicom:
                found = str(pydicom.dcmread(folder / HOSPITAL / "000001.dcm").ImageComments)
            else:
                found = Pillow.open(folder / HOSPITAL / "000001.png").text["Description"]  # type: ignore[attr-defined]
            assert said in found


def test_what_may_be_close_to_a_patient_is_for_its_owner_only(made: Model, tmp_path: Path) -> None:
    plain = dataclasses.replace(made, card=made.card.model_copy(update={"privacy": None}))
    for model, rights in ((made, 0o755), (plain, 0o700)):
        write(model, Wanted(1, 1), tmp_path / oct(rights))
        assert (tmp_path / oct(rights)).stat().st_mode & 0o777 == rights


def test_the_cost_of_both_trainings_is_stated_where_a_model_started_from_another(made: Model) -> None:
    trained = {"name": "first", "study": "0" * 64, "hospitals": ("A",), "epsilon": 3.0, "delta": 1e-6}
    start = Start.model_validate({"name": "first", "model": "1" * 64, "weights": "2" * 64, "trained": (trained,)})
    begun = made.card.model_copy(update={"start": start})
    said = statement(dataclasses.replace(made, card=begun), Wanted(1, 1), {})
    assert made.card.privacy is not None
    assert (said["epsilon"], said["delta"]) == (11.0, made.card.privacy.delta + 1e-6)
    assert _short(begun).startswith("epsilon 11, delta ")


def test_a_model_that_answers_something_makes_no_images() -> None:
    study = Study.model_validate(STUDY)
    other = Model(study, None, networks.build(study))  # type: ignore[arg-type]  # the card is not looked at
    with pytest.raises(StudyError, match="this model makes no images"):
        network_of(other)
