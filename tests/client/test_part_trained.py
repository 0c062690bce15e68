"""Training a part of a network: what travels, what stays, and that the rest is whole again in the model's file."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from examples import DP, dataset, study
from wardround_client import networks
from wardround_client.hospital.answering import build
from wardround_client.networks._part import Adapted, head_of
from wardround_client.training.local_work import LocalRun, plan_privacy, train
from wardround_client.training.network_probe import defects_of
from wardround_common.errors import StudyError
from wardround_common.messages.rounds import Parts, Prepared
from wardround_common.randomness import insecure_stream
from wardround_common.study.file import Study
from wardround_common.study.networks import known_networks

HEAD: dict[str, Any] = {"train": "head"}
ADAPTERS: dict[str, Any] = {"train": "adapters", "rank": 2}


def of(part: dict[str, Any], network: str = "small-cnn", **sections: Any) -> Study:
    return study(model={"network": network} | part, **sections)


@pytest.mark.parametrize("part", [HEAD, ADAPTERS], ids=["head", "adapters"])
def test_a_part_begins_as_the_whole_network_and_fewer_numbers_travel(part: dict[str, Any]) -> None:
    whole, some = networks.build(study()), networks.build(of(part))
    images = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    assert torch.equal(whole(images), some(images))
    layout = networks.layout_of(some)
    assert layout.size < networks.layout_of(whole).size / 4
    assert {"classify.weight", "classify.bias"} <= set(layout.names)
    trained = {name for name, weight in some.named_parameters() if weight.requires_grad}
    assert set(layout.names) == trained


@pytest.mark.parametrize("privacy", [{"mechanism": "none"}, DP], ids=["plain", "private"])
@pytest.mark.parametrize("part", [HEAD, ADAPTERS], ids=["head", "adapters"])
def test_training_changes_what_travels_and_nothing_else(part: dict[str, Any], privacy: dict[str, Any]) -> None:
    which = of(part, privacy=privacy, training={"optimiser": "adamw", "weight_decay": 0.1})
    data, built = dataset().train, build(which)
    before = {name: tensor.clone() for name, tensor in built.network.state_dict().items()}
    start, plan = networks.read_vector(built.network), plan_privacy(which, data.patient_count)
    work = train(LocalRun(which, built.network, built.layout, data, plan, insecure_stream(1, "h")), start, 1)
    assert work.update.shape == (built.layout.size,)
    after = built.network.state_dict()
    moved = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert moved == set(built.layout.names)


def test_an_adapter_adds_a_matrix_of_its_rank_to_the_layer() -> None:
    network = networks.build(of(ADAPTERS))
    (layer, *_) = [module for module in network.modules() if isinstance(module, Adapted)]
    assert not layer.up.weight.any()  # type: ignore[union-attr]
    nn.init.normal_(layer.up.weight)  # type: ignore[arg-type]
    down, up = layer.down.weight.flatten(1), layer.up.weight.flatten(1)  # type: ignore[union-attr, operator]
    added = (up @ down).view_as(layer.layer.weight)  # type: ignore[arg-type]
    assert torch.linalg.matrix_rank(added.detach().flatten(1)) == 2
    merged = nn.Conv2d(1, 16, 5, 2, 2, bias=False)
    merged.weight = nn.Parameter(layer.layer.weight + added)  # type: ignore[operator]
    images = torch.rand(2, 1, 16, 16)
    assert torch.allclose(layer(images), merged(images), atol=1e-5)


@pytest.mark.parametrize("part", [HEAD, ADAPTERS], ids=["head", "adapters"])
@pytest.mark.parametrize("network", ["tiny-cnn", "vit-tiny"])
def test_the_gradient_of_each_image_is_its_own_in_the_part(network: str, part: dict[str, Any]) -> None:
    assert defects_of(networks.build(of(part, network)), 1, 16) == ()


def test_what_is_fixed_travels_once_and_is_told_by_the_first_digest() -> None:
    network = networks.build(of(HEAD))
    fixed = networks.fixed_of(network)
    assert fixed is not None
    layout, vector = networks.layout_of(network), networks.read_vector(network)
    digest = networks.first_digest(network, layout, vector)
    assert digest == fixed.digest_with(layout, vector)
    sent = Prepared("0" * 64, layout, digest, vector, fixed=fixed)
    read = Prepared.parse(Parts(sent.parts().fields, sent.parts().arrays))
    assert read.fixed is not None
    assert read.fixed.digest_with(read.layout, vector) == digest
    with torch.no_grad():
        network.features[0].weight[0, 0, 0, 0] += 1
    assert networks.first_digest(network, layout, vector) != digest


@pytest.mark.parametrize(
    ("part", "why"),
    [
        ({"train": "adapters"}, "rank: this key is missing"),
        ({"train": "head", "rank": 3}, "has no adapters"),
        ({"train": "head", "norm": "batch"}, "running means would change"),
    ],
)
def test_a_part_that_cannot_be_is_refused_by_the_study_file(part: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        of(part)


def test_a_network_without_layers_for_adapters_says_so() -> None:
    with pytest.raises(StudyError, match="wavelets has no layer besides the last one"):
        networks.build(of(ADAPTERS, "wavelets"))


def test_a_study_that_trains_everything_keeps_its_digest() -> None:
    assert "train" not in study().tables()["model"]
    assert "rank" not in study().tables()["model"]


@pytest.mark.slow
@pytest.mark.parametrize("network", [name for name in known_networks() if "vae" not in name])
def test_every_network_has_a_last_layer_that_gives_its_outputs(network: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = networks.construct(network, 1, 3, "group", seed=0)
    head = head_of(made)
    assert head is not None
    layer = made.get_submodule(head)
    assert 3 in (getattr(layer, "out_features", 0), getattr(layer, "out_channels", 0))
    assert np.isfinite(networks.read_vector(made)).all()
