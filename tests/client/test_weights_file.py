"""Weights from a file that a study pins: what of a network it gives, what it cannot give, and what is refused."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import torch
from click.testing import CliRunner
from safetensors.torch import load, save

from examples import STUDY, study
from wardround_client import networks
from wardround_client.hospital.answering import build
from wardround_client.prior.images import generated
from wardround_client.prior.learning import FORMAT, Lesson, learn, size_of
from wardround_client.state.weights_files import keep_weights, kept_weights, read_weights_file
from wardround_common.errors import ModelError, StorageError, StudyError
from wardround_common.shell.cli import wardround
from wardround_common.study.file import Study
from wardround_common.study.weights import Weights


def others(norm: str = "group", seed: int = 7, classes: int = 2) -> dict[str, torch.Tensor]:
    """Return the weights of somebody's small network."""
    network = networks.construct("small-cnn", 1, classes, norm, seed=seed)  # type: ignore[arg-type]
    return dict(network.state_dict())


def file_of(tensors: dict[str, torch.Tensor]) -> bytes:
    return save({name: tensor.contiguous() for name, tensor in tensors.items()})


def beginning(
    content: bytes, *, rename: tuple[tuple[str, str], ...] = (), new: tuple[str, ...] = (), **model: Any
) -> Study:
    """Return the study whose network begins with a file, as 'weights match' would write it."""
    plain = study(model=model)
    whole = study(model={key: value for key, value in model.items() if key not in ("train", "rank")})
    tensors = networks.read_tensors_of(content, where="file")
    match = networks.matched(networks.build(whole), tensors, rename, new, where="file")
    weights = Weights(
        name="theirs",
        file=hashlib.sha256(content).hexdigest(),
        tensors=match.digest,
        rename=rename,
        seeded=match.seeded,
        unused=match.unused,
        converted=match.converted,
    )
    return plain.model_copy(update={"model": plain.model.model_copy(update={"weights": weights})})


def test_a_network_begins_with_the_file_and_hospitals_compare_that_by_digest() -> None:
    content = file_of(others())
    of = beginning(content)
    network = networks.build(of, content)
    assert all(torch.equal(tensor, others()[name]) for name, tensor in network.state_dict().items())
    assert build(of, weights=content).first_parameters != build(study()).first_parameters
    assert Study.model_validate(of.tables()).digest() == of.digest() != study().digest()


def test_names_are_renamed_by_their_beginning_and_a_new_head_is_left_to_the_seed() -> None:
    theirs = {f"backbone.{name}": tensor for name, tensor in others(classes=5).items()} | {"extra.a": torch.ones(3)}
    content, rename = file_of(theirs), (("backbone.", ""),)
    of = beginning(content, rename=rename, new=("classify.",))
    weights = of.model.weights
    assert weights is not None
    assert weights.seeded == ("classify.bias", "classify.weight")
    assert set(weights.unused) == {"backbone.classify.bias", "backbone.classify.weight", "extra.a"}
    network, seeded = networks.build(of, content), networks.build(study())
    assert torch.equal(network.classify.weight, seeded.classify.weight)  # type: ignore[union-attr, arg-type]
    assert torch.equal(network.features[0].weight, theirs["backbone.features.0.weight"])  # type: ignore[index, union-attr]


def test_batch_normalisation_gives_scale_and_shift_and_says_that_its_statistics_are_lost() -> None:
    theirs = others("batch")
    theirs["features.1.weight"] += 0.5
    content = file_of({name: tensor for name, tensor in theirs.items() if tensor.is_floating_point()})
    of = beginning(content)
    assert of.model.weights is not None
    assert (of.model.weights.converted, of.model.weights.unused) == (4, ())
    assert torch.equal(networks.build(of, content).features[1].weight, theirs["features.1.weight"])  # type: ignore[index, union-attr]


@pytest.mark.parametrize("part", [{"train": "head"}, {"train": "adapters", "rank": 2}], ids=["head", "adapters"])
def test_a_part_is_trained_over_the_layers_of_the_file(part: dict[str, Any]) -> None:
    content = file_of(others())
    of = beginning(content, **part)
    images = torch.rand(2, 1, 16, 16)
    whole = networks.build(beginning(content), content)
    assert torch.equal(networks.build(of, content)(images), whole(images))
    assert networks.layout_of(networks.build(of)).size < 6000


def test_a_file_of_torch_is_read_as_tensors_and_code_in_it_is_not_run(tmp_path: Path) -> None:
    inside = io.BytesIO()
    torch.save({"epoch": 3, "state_dict": others()}, inside)
    assert set(networks.read_tensors_of(inside.getvalue(), where="file")) == set(others())

    class Harmful:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "ran",)

    outside = io.BytesIO()
    torch.save({"state_dict": others(), "other": Harmful()}, outside)
    with pytest.raises(ModelError, match="holds more than tensors, or is damaged, and nothing of it is run"):
        networks.read_tensors_of(outside.getvalue(), where="file")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            lambda t: t | {"classify.weight": torch.ones(3, 256)},
            "its classify.weight is 3 × 256, and the network's classify.weight is 2 × 256",
        ),
        (
            lambda t: t | {"classify.bias": torch.tensor([1.0, torch.nan])},
            "classify.bias has numbers that are not finite",
        ),
        (
            lambda t: {f"net.{name}": tensor for name, tensor in t.items()},
            "no tensor of the file has a name of the network",
        ),
    ],
)
def test_what_does_not_fit_is_named(change: Any, why: str) -> None:
    with pytest.raises(ModelError, match=why):
        beginning(file_of(change(others())))


def test_another_file_than_the_studys_is_refused_and_so_is_none() -> None:
    of = beginning(file_of(others()))
    with pytest.raises(StudyError, match="its SHA-256 is not that of the study"):
        networks.build(of, file_of(others(seed=8)))
    with pytest.raises(StudyError, match="begins with the file of weights 'theirs', which is not here"):
        build(of)


def test_neither_a_model_of_a_study_nor_any_other_file_counts_as_a_file_of_weights() -> None:
    trained = save(others(), metadata={"wardround": "{}"})
    with pytest.raises(ModelError, match="what its training cost patients counts"):
        networks.read_tensors_of(trained, where="file")
    for content in (b"", b"PK damaged", b"text" * 9):
        with pytest.raises(ModelError):
            networks.read_tensors_of(content, where="file")


def test_the_same_lesson_gives_the_same_file_and_it_names_the_network() -> None:
    lesson = Lesson("tiny-cnn", size=16, steps=2, batch=4)
    one, two = (learn(lesson, lambda step, steps, loss: None) for _ in range(2))
    assert one.content == two.content
    assert set(load(one.content)) == set(networks.construct("tiny-cnn", 1, 2, "group", seed=0).state_dict())
    assert beginning(one.content, network="tiny-cnn").model.weights is not None


def test_half_of_the_made_images_hold_a_spot_and_differ_from_the_others_by_it_alone() -> None:
    images, planted = generated(64, 24, torch.Generator().manual_seed(3))
    assert images.shape == (64, 1, 24, 24)
    assert torch.isfinite(images).all()
    assert 0 <= float(images.min()) <= float(images.max()) <= 1
    assert 20 < int(planted.sum()) < 44
    assert all(float(image.std()) > 0.05 for image in images)


def test_the_command_prints_a_table_that_a_study_takes(tmp_path: Path) -> None:
    (tmp_path / "theirs.safetensors").write_bytes(file_of(others(classes=5)))
    (tmp_path / "study.toml").write_text(tomli_w.dumps(STUDY))
    words = ["weights", "match", str(tmp_path / "study.toml"), str(tmp_path / "theirs.safetensors")]
    wrong = CliRunner().invoke(wardround, words)
    assert wrong.exit_code != 0
    found = CliRunner().invoke(wardround, [*words, "--new", "classify."], catch_exceptions=False)
    assert "2 are what the seed gives: classify.bias, classify.weight" in found.stderr
    (tmp_path / "study.toml").write_text(tomli_w.dumps(STUDY) + "\n" + found.stdout)
    of = Study.read(tmp_path / "study.toml")
    networks.build(of, (tmp_path / "theirs.safetensors").read_bytes())


def test_a_file_of_a_network_for_images_goes_into_one_for_slices_whole(tmp_path: Path) -> None:
    tensors = networks.construct("halves", 1, 2, "group", seed=5).state_dict()
    network = networks.build(study(data={"record": "slice"}, model={"network": "halves"}))
    match = networks.matched(network, tensors, (), (), where="made")
    assert match.seeded == ("place.weight",)
    assert set(match.given) == {f"encoder.{name}" for name in tensors}
    assert networks.matched(network, tensors, (("", "encoder."),), (), where="made").given.keys() == match.given.keys()


def test_a_file_of_an_auto_encoder_goes_into_the_generator_that_draws_by_diffusion_and_nothing_else_of_it() -> None:
    of = study(
        task={"name": "generation", "latent": 4, "beta": 1.0, "sampler": "diffusion", "classes": ["none", "finding"]},
        model={"network": "tiny-vae"},
    )
    tensors = networks.construct("tiny-vae", 1, 9, "group", seed=5).state_dict()
    match = networks.matched(networks.build(of), tensors, (), (), where="made")
    assert set(match.given) == {f"autoencoder.{name}" for name in tensors}
    assert match.seeded
    assert all(name.startswith("denoiser.") for name in match.seeded)


def test_a_file_of_a_network_for_images_goes_into_one_for_records_of_several_without_renaming(tmp_path: Path) -> None:
    tensors = networks.construct("halves", 1, 2, "group", seed=5).state_dict()
    (tmp_path / "made").write_bytes(save(dict(tensors), metadata={"prior": json.dumps({"format": FORMAT, "size": 32})}))
    bags = {**STUDY, "data": {**STUDY["data"], "record": "patient"}, "model": {**STUDY["model"], "network": "halves"}}
    (tmp_path / "study.toml").write_text(tomli_w.dumps(bags))
    match = ["weights", "match", str(tmp_path / "study.toml"), str(tmp_path / "made")]
    with pytest.raises(ModelError, match=r"encoder\.classify\.weight is 32 × 16") as told:  # not what it has no name of
        CliRunner().invoke(wardround, match, catch_exceptions=False, standalone_mode=False)
    assert "--new BEGINNING" in str(told.value.do)
    found = CliRunner().invoke(wardround, [*match, "--new", "classify"])
    assert found.exit_code == 0, found.output
    assert "images of 32 pixels, and the study's have 16" in found.stderr
    (tmp_path / "study.toml").write_text(tomli_w.dumps(bags) + "\n" + found.stdout)
    network = networks.build(Study.read(tmp_path / "study.toml"), (tmp_path / "made").read_bytes())
    state = network.state_dict()
    for name, values in tensors.items():
        if name.startswith("classify"):
            continue
        assert torch.equal(state[f"encoder.{name}"], values)
    assert "head.weight" in found.stderr  # of the record's own layers nothing is in the file, whatever they are called


def test_directions_that_were_computed_from_images_of_another_size_are_told(tmp_path: Path) -> None:
    tensors = networks.construct("halves", 1, 2, "group", seed=0).state_dict()
    for size, told in ((16, False), (32, True)):
        about = json.dumps({"format": FORMAT, "size": size})
        (tmp_path / "made").write_bytes(save(dict(tensors), metadata={"prior": about}))
        (tmp_path / "study.toml").write_text(tomli_w.dumps({**STUDY, "model": {**STUDY["model"], "network": "halves"}}))
        assert size_of((tmp_path / "made").read_bytes()) == size
        found = CliRunner().invoke(
            wardround, ["weights", "match", str(tmp_path / "study.toml"), str(tmp_path / "made")]
        )
        assert ("images of 32 pixels, and the study's have 16" in found.stderr) is told
    assert size_of(file_of(others())) is size_of(b"PK") is None


def test_a_hospital_keeps_the_studys_file_and_no_other(tmp_path: Path) -> None:
    content = file_of(others())
    of = beginning(content)
    (tmp_path / "theirs").write_bytes(content)
    (tmp_path / "other").write_bytes(file_of(others(seed=8)))
    with pytest.raises(StudyError, match="which is not here") as missing:
        kept_weights(tmp_path, of)
    assert "--weights FILE" in str(missing.value.do)
    with pytest.raises(StudyError, match="its SHA-256 is not that of the study"):
        keep_weights(tmp_path, of, tmp_path / "other")
    assert "is the one that the study names" in keep_weights(tmp_path, of, tmp_path / "theirs")
    assert kept_weights(tmp_path, of) == content
    with pytest.raises(StudyError, match="names no file of weights"):
        keep_weights(tmp_path, study(), tmp_path / "theirs")
    for wrong in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(StorageError):
            read_weights_file(wrong)
