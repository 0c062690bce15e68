"""A researcher's own network, strategy and loss: simulated without patching, checked as what is installed is."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_arrays import arrays, study
from torch import nn
from torch.nn import functional

import wardround
from wardround_client import networks
from wardround_client.training.rehearsal import rehearse
from wardround_common.errors import PrivacyError, StudyError
from wardround_common.registry import is_own
from wardround_common.results.comparison import read_results
from wardround_common.study.file import parse_canonical
from wardround_common.study.words.describe import describe
from wardround_simulation.own_code import check_sent, name_of, with_own

pytestmark = pytest.mark.usefixtures("undrawn")


class Linear(nn.Module):
    """One layer on each image by itself."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(channels * 16 * 16, outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layer(images.flatten(1))


class Mixing(Linear):
    """Mixes the images of a batch, which no clipping by patient bounds."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layer((images - images.mean(0)).flatten(1))


class Wrong(Linear):
    """Gives too much."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([super().forward(images)] * 2, 1)


class Broken(Linear):
    """Names something that it has not."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.lair(images.flatten(1))


def half(parameters: Any, mean_update: Any) -> Any:
    return parameters + 0.5 * mean_update


def focal(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    loss = functional.cross_entropy(outputs, targets, reduction="none")
    return (1 - (-loss).exp()) ** 2 * loss


def needy(channels: int, width: int) -> nn.Module:
    return nn.Conv2d(channels, width, 1)


def test_an_own_network_is_built_by_the_seed_and_named_by_the_digest_of_its_source() -> None:
    of, _ = with_own(study(), network=Linear)
    assert of.model.network.startswith("own:linear@")
    assert is_own(of.model.network)
    one, other = (networks.read_vector(networks.build(each)) for each in (of, of.but(seed=1)))
    assert len(one) == 16 * 16 * 2 + 2
    assert not np.array_equal(one, other)
    assert of.digest() != with_own(study(), network=Mixing)[0].digest()
    assert with_own(study(), network=Linear)[0].digest() == of.digest()


def test_the_study_says_that_own_code_is_not_in_the_registry() -> None:
    of, _ = with_own(study(), network=Linear, strategy=half, loss=focal)
    said = " ".join(sentence for passage in describe(of) for sentence in passage.sentences)
    assert len(of.own_code) == 3
    assert all(name in said for name in of.own_code)
    assert "not in the registry" in said
    assert describe(study()) != describe(of)


def test_own_code_that_is_not_here_is_read_and_not_run() -> None:
    name = "own:theirs@0123456789ab"
    of = study().but(network=name)
    assert parse_canonical(of.canonical()) == of
    with pytest.raises(StudyError, match="a researcher's own code, which is not here"):
        rehearse(of)
    theirs = study().but({"training.strategy": name, "training.own_loss": name})
    assert name in theirs.training.how.words
    for key in ("training.strategy", "training.own_loss"):
        with pytest.raises(StudyError, match="a researcher's own code, which is not here"):
            rehearse(study().but({key: name}))
    with pytest.raises(StudyError, match="not here"):
        theirs.training.how.step({}, None, np.zeros(1, np.float32), np.zeros(1))


def test_code_without_a_source_file_has_the_digest_of_all_its_functions() -> None:
    """As in a notebook, where Python does not find the source of a class."""
    code = "class Net:\n    def __init__(self): pass\n    def forward(self, images): return images.{}()\n"
    made: list[Any] = []
    for word in ("mean", "sum", "mean"):
        space: dict[str, Any] = {"__name__": "nowhere"}
        exec(code.format(word), space)  # noqa: S102  # our own text
        made.append(space["Net"])
    names = [name_of(one) for one in made]
    assert names[0] == names[2] != names[1]


class Focal:
    def __init__(self, gamma: float) -> None:
        self.gamma, self.weights = gamma, np.ones(2)

    def __call__(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return focal(outputs, targets) * self.gamma


def test_code_of_one_source_that_holds_other_values_is_other_code() -> None:
    """As where widths are tried in a loop: by one name, the network of the first would train in the place of all."""

    def of_width(width: int) -> Any:
        def net(channels: int, outputs: int) -> nn.Module:
            return nn.Conv2d(channels, width, outputs)

        return net

    def with_default(width: int) -> Any:
        def net(channels: int, outputs: int, norm: int = width) -> nn.Module:
            return nn.Conv2d(channels, norm, outputs)

        return net

    def in_class(width: int) -> Any:
        class Net(Linear):
            def __init__(self, channels: int, outputs: int) -> None:
                super().__init__(channels, outputs + width)

        return Net

    def with_attribute(width: int) -> Any:
        class Net(Linear):
            wide = width

        return Net

    def called(width: int) -> Any:
        return Focal(width).__call__

    for make in (of_width, with_default, in_class, with_attribute, Focal, called, lambda width: partial(focal, width)):
        names = [name_of(make(width)) for width in (8, 32, 8)]
        assert names[0] == names[2] != names[1]
        assert is_own(names[0])
    weighted = Focal(8)
    weighted.weights[0] = 2
    assert name_of(weighted) != name_of(Focal(8))
    assert name_of(focal) == name_of(focal)


@pytest.mark.parametrize("word", ["own:", "own:x", "own:X@0123456789ab", "own:x@0123456789AB", "own:x@0123456789ab\n"])
def test_a_name_that_is_nearly_of_own_code_is_refused(word: str) -> None:
    with pytest.raises(StudyError):
        study().but(network=word)


def test_an_own_network_is_probed_before_a_patient_is_charged() -> None:
    private: dict[str, Any] = {"privacy": "dp-sgd"}
    assert "the gradient of each image is its own" in rehearse(with_own(study(**private), network=Linear)[0])
    with pytest.raises(PrivacyError, match="cannot be trained with privacy by patient"):
        rehearse(with_own(study(**private), network=Mixing)[0])


@pytest.mark.parametrize(
    ("network", "says"),
    [
        (Wrong, r"it gives \(2, 4\) in place of \(2, 2\)"),
        (Broken, "AttributeError"),
        (lambda channels, outputs: nn.Linear(channels, outputs, bias="no", device="x"), "cannot be built"),
        (lambda: 7, "no torch.nn.Module but an int"),
        (needy, "needs width"),
        (Linear(1, 2), "already made"),
        ("resnet18", "Study.new"),
    ],
)
def test_a_network_that_does_not_work_is_reported_as_itself(network: Any, says: str) -> None:
    with pytest.raises(StudyError, match=says):
        rehearse(with_own(study(), network=network)[0])


@pytest.mark.parametrize(
    ("strategy", "says"),
    [
        (lambda parameters, mean: parameters[:-1], "returns float32 of the shape"),
        (lambda parameters, mean: parameters * np.nan, "finite"),
        (lambda parameters, mean: parameters + np.random.default_rng().random(5), "another model"),
        (lambda parameters: parameters, "your strategy fails: TypeError"),
        (lambda parameters, mean: "x", "your strategy returns a str, and a model is 5 finite numbers"),
        ("fedavg", "Study.new"),
    ],
)
def test_a_strategy_that_does_not_work_is_refused_before_anything_is_trained(strategy: Any, says: str) -> None:
    with pytest.raises(StudyError, match=says):
        with_own(study(), strategy=strategy)


@pytest.mark.parametrize(
    ("loss", "says"),
    [
        (lambda outputs, targets: functional.cross_entropy(outputs, targets), r"gives \(\) for 3 records"),
        (lambda outputs, targets: focal(outputs, targets) / focal(outputs, targets).sum(), "clipped by patient"),
        (lambda outputs, targets: focal(outputs, targets).detach(), "no gradient"),
        (lambda outputs: outputs, "your loss fails: TypeError"),
        (lambda outputs, targets: 3, "your loss gives an int"),
    ],
)
def test_a_loss_that_does_not_work_is_refused_before_anything_is_trained(loss: Any, says: str) -> None:
    with pytest.raises(StudyError, match=says):
        rehearse(with_own(study(), loss=loss)[0])


def test_code_that_workers_cannot_import_is_not_sent_to_them() -> None:
    _, brought = with_own(study(), network=Linear, strategy=half)
    check_sent(brought, "in-process")
    for engine, code in (("in-process", lambda channels, outputs: Linear(channels, outputs)), ("flower", Linear)):
        with pytest.raises(StudyError, match=r"cannot be sent|does not run"):
            check_sent(with_own(study(), network=code)[1], engine)


def test_batch_normalisation_of_an_own_network_stays_where_nothing_is_private() -> None:
    of, _ = with_own(study(), network=lambda channels, outputs: nn.Sequential(nn.BatchNorm2d(channels), Linear(1, 2)))
    assert isinstance(networks.build(of)[0], nn.BatchNorm2d)


@pytest.mark.slow
def test_own_code_trains_the_same_by_one_worker_and_two_and_its_results_are_read_again(tmp_path: Path) -> None:
    hospitals = {name: arrays(seed) for seed, name in enumerate("ab")}
    usual: dict[str, Any] = {"network": Linear, "strategy": half, "loss": focal, "baselines": False, "progress": False}
    one = wardround.simulate(study(), hospitals, out=tmp_path / "one", **usual)
    two = wardround.simulate(study(), hospitals, out=tmp_path / "two", workers=2, **usual)
    assert one.model.read_bytes() == two.model.read_bytes()
    assert any("not in the registry" in note for note in one.notes)
    assert read_results(tmp_path / "one").study.own_code == one.study.own_code
    exported = wardround.export(one.folder, tmp_path / "model")  # here, where its code is
    assert "model.safetensors" in exported.files
    other = wardround.simulate(study(learning_rate=0.001), hospitals, out=tmp_path / "three", **usual)
    assert [*wardround.compare([one.folder, other.folder]).differ] == ["training.learning_rate"]
