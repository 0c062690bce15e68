"""Every network of the registry trains under every normalisation that it offers, and privately where it says so."""

from __future__ import annotations

import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from examples import study
from wardround_client import networks
from wardround_common.errors import StudyError
from wardround_common.study import networks as known
from wardround_common.study.networks import known_networks

LARGE = ["resnet18", "resnet50", "densenet121", "efficientnet-b0"]


def of(network: str, norm: str) -> torch.nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI's import speaks of its optional parts
        return networks.build(study(model={"network": network, "norm": norm}, data={"image_size": 64}))


@pytest.mark.parametrize("network", ["small-cnn", *LARGE])
@pytest.mark.parametrize("norm", ["group", "instance"])
def test_a_private_network_has_no_layer_that_mixes_patients(network: str, norm: str) -> None:
    kinds = {type(module).__name__ for module in of(network, norm).modules()}
    assert not {kind for kind in kinds if "BatchNorm" in kind}


def test_the_seed_alone_decides_the_first_parameters() -> None:
    torch.manual_seed(5)
    one = networks.read_vector(of("small-cnn", "group"))
    before = torch.get_rng_state()
    two = networks.read_vector(of("small-cnn", "group"))
    assert one.tobytes() == two.tobytes()
    assert torch.equal(before, torch.get_rng_state())


def test_threads_that_build_at_a_time_get_the_same_first_parameters() -> None:
    with ThreadPoolExecutor(4) as threads:
        built = list(threads.map(lambda _: networks.read_vector(of("small-cnn", "group")).tobytes(), range(16)))
    assert len(set(built)) == 1


def test_a_vector_put_into_a_network_comes_out_the_same() -> None:
    network = of("small-cnn", "batch")
    layout = networks.layout_of(network)
    vector = np.random.default_rng(0).normal(size=layout.size).astype(np.float32)
    networks.write_vector(network, layout, vector)
    assert networks.read_vector(network).tobytes() == vector.tobytes()


def test_wavelets_send_a_linear_classifier_and_nothing_that_is_fixed() -> None:
    network = of("wavelets", "group")
    layout = networks.layout_of(network)
    assert layout.names == ("classify.weight", "classify.bias")
    assert layout.shapes == ((2, 157), (2,))
    assert not networks.read_vector(network).any()


def test_features_of_an_image_depend_on_no_other_image() -> None:
    features = of("wavelets", "group").features
    images = torch.rand(3, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    together = features(images)[1]
    again = of("wavelets", "group").features(images[1:2])[0]  # a new one, which has kept nothing
    assert torch.equal(together, again)
    assert torch.equal(features(images)[1], together)


def test_a_wavelet_answers_to_its_own_direction_and_not_to_a_flat_image() -> None:
    from wardround_client.networks.wavelets import ORIENTATIONS, _morlets

    kernels = _morlets()
    assert torch.allclose(kernels.sum((1, 2, 3)), torch.zeros(2 * ORIENTATIONS), atol=1e-5)
    x = torch.arange(64.0)
    stripes = torch.cos(2.3 * x).expand(1, 1, 64, 64)  # vertical: they change along x, the first wavelet's direction
    parts = torch.nn.functional.conv2d(stripes, kernels)
    strength = (parts[:, :ORIENTATIONS].square() + parts[:, ORIENTATIONS:].square()).mean((0, 2, 3))
    assert int(strength.argmax()) == 0
    assert float(strength[0]) > 20 * float(strength[ORIENTATIONS // 2])


@pytest.mark.parametrize("size", [16, 17, 100])
@pytest.mark.parametrize("channels", [1, 3])
def test_features_are_finite_for_every_size_and_a_black_image(size: int, channels: int) -> None:
    from wardround_client.networks.wavelets import WaveletFeatures

    features = WaveletFeatures(channels)
    images = torch.rand(2, channels, size, size, generator=torch.Generator().manual_seed(2))
    images[1] = 0
    found = features(images)
    assert found.shape == (2, features.count)
    assert torch.isfinite(found).all()
    assert float(found.norm(dim=1).max()) <= (4 * channels) ** 0.5 + 1e-3


def test_each_file_of_a_network_is_one_that_a_study_can_name_and_says_what_it_is() -> None:
    assert {"tiny-cnn", "efficientnet-b0", "wavelets", "unet", "tiny-unet"} <= set(known_networks())
    assert not any("_" in name or name.startswith("-") for name in known_networks())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in known_networks():
            network = networks.find(name)
            assert network.caption
            assert set(network.dims) <= {2, 3}


def test_a_new_network_is_one_file_that_nothing_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one_line.py").write_text(
        "from torch import nn\n"
        "from wardround_client.networks import Network\n"
        "NETWORK = Network(lambda channels, outputs, norm, dims: nn.Conv2d(channels, outputs, 1), 'one layer')\n"
    )
    monkeypatch.setattr(networks, "__path__", [*networks.__path__, str(tmp_path)])
    files = [path.stem for folder in networks.__path__ for path in Path(folder).glob("[a-z]*.py")]
    monkeypatch.setattr(known, "files_in", lambda package, room: tuple(sorted(files)))
    known.known_networks.cache_clear()
    try:
        assert "one-line" in known.known_networks()
        assert TypeAdapter(known.NetworkName).validate_python("one-line") == "one-line"
        assert networks.construct("one-line", 1, 2, "group", seed=0)(torch.zeros(1, 1, 4, 4)).shape == (1, 2, 4, 4)
    finally:
        known.known_networks.cache_clear()
        sys.modules.pop("wardround_client.networks.one_line", None)


def test_a_coordinator_without_networks_takes_any_well_formed_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "PACKAGE", "nothing_of_this_name_is_installed")
    known.known_networks.cache_clear()
    try:
        name = TypeAdapter(known.NetworkName)
        assert name.validate_python("theirs-2") == "theirs-2"
        with pytest.raises(ValidationError, match="small letters"):
            name.validate_python("../theirs")
    finally:
        known.known_networks.cache_clear()


def test_an_unknown_network_is_answered_with_those_that_are_known() -> None:
    with pytest.raises(ValidationError, match="'vgg11', 'vit-tiny' or 'wavelets'"):
        TypeAdapter(known.NetworkName).validate_python("vgg")
    with pytest.raises(StudyError, match="no network 'vgg' is installed"):
        networks.find("vgg")


@pytest.mark.parametrize(
    ("name", "dense", "dims", "why"),
    [
        ("tiny-cnn", True, 2, "says something of the image as a whole, and the study's task reads something of each"),
        ("unet", False, 2, "says something of each place of an image, and the study's task reads something of the im"),
        ("wavelets", False, 3, "is for images of 2 dimensions, and the study's have 3"),
    ],
)
def test_a_network_for_another_task_or_for_flat_images_is_refused_with_those_that_fit(
    name: str, dense: bool, dims: int, why: str
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(StudyError, match=why) as refused:
            networks.check(name, dims, dense=dense)
    fits = "unet" if dense else "tiny-cnn"
    assert fits in str(refused.value.do)


@pytest.mark.parametrize("dims", [2, 3])
def test_a_network_for_outlines_says_something_of_every_place(dims: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = networks.construct("tiny-unet", 3, 4, "group", seed=0, dims=dims)
    assert network(torch.rand(2, 3, *[16] * dims)).shape == (2, 4, *[16] * dims)
