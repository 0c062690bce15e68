"""A device is chosen by a word: what is not here is refused, and the way of a batch changes no byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from examples import dataset, study
from wardround_client import networks
from wardround_client.hospital.answering import build
from wardround_client.hospital.hospital_source import hospital_device
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_client.training import supply
from wardround_client.training.devices import choose, describe
from wardround_client.training.supply import Supply, fits, supply_of
from wardround_common.errors import DeviceError, StorageError

CPU = torch.device("cpu")
HAS_CUDA = torch.cuda.is_available()


@pytest.mark.parametrize("word", ["gpu", "cuda:", "cuda:1000", "CPU", "", "cpu:0", "cuda:١"])
def test_a_word_that_names_no_device_is_refused_with_the_words_that_do(word: str) -> None:
    with pytest.raises(DeviceError, match="there is no device") as caught:
        choose(word)
    assert "auto, cpu, cuda" in caught.value.do


@pytest.mark.skipif(HAS_CUDA, reason="there is a card")
@pytest.mark.parametrize("word", ["cuda", "cuda:0", "cuda:7"])
def test_a_card_that_is_not_here_is_refused_and_never_replaced_by_the_cpu(word: str) -> None:
    with pytest.raises(DeviceError, match=f"{word} cannot be used: ") as caught:
        choose(word)
    assert "cpu" in caught.value.do


@pytest.mark.skipif(HAS_CUDA, reason="there is a card")
def test_auto_without_a_card_is_the_cpu() -> None:
    assert choose("auto") == choose("cpu") == describe("cpu") == "cpu"


@pytest.mark.skipif(not HAS_CUDA, reason="there is no card")
def test_auto_with_a_card_is_the_first_one_and_names_it() -> None:
    assert choose("auto") == choose("cuda") == "cuda:0"
    assert torch.cuda.get_device_name(0) in describe("cuda:0")


@pytest.mark.parametrize(("line", "error"), [('device = "gpu"', StorageError), ('device = "cuda:63"', DeviceError)])
def test_a_hospitals_wrong_device_is_said_with_its_settings_file(
    tmp_path: Path, line: str, error: type[Exception]
) -> None:
    folder = HospitalFolder(tmp_path)
    folder.settings_file.write_text(f'name = "a"\ndata = "/images"\n{line}\n')
    with pytest.raises(error, match=r"hospital\.toml"):
        hospital_device(folder)


def test_a_hospital_may_keep_its_training_off_the_card(tmp_path: Path) -> None:
    folder = HospitalFolder(tmp_path)
    folder.settings_file.write_text('name = "a"\ndata = "/images"\ndevice = "cpu"\n')
    assert hospital_device(folder) == "cpu"
    assert folder.settings().switches == {"device": "cpu"}


def test_batches_of_a_split_that_is_kept_whole_are_the_same_bytes_as_those_that_are_gathered() -> None:
    examples = dataset(patients=10).train
    whole = torch.from_numpy(examples.images(slice(None))), torch.from_numpy(np.array(examples.targets))
    orders = [np.array([3, 0, 2]), np.array([1]), np.array([5, 5, 4])]
    gathered, kept = supply_of(examples, CPU), Supply(examples, CPU, whole)
    for one, other in zip(gathered.batches(orders), kept.batches(orders), strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])


def test_a_split_is_kept_on_a_card_only_if_it_takes_no_more_than_its_share() -> None:
    examples = dataset(patients=10).train
    need = len(examples) * 16 * 16 * 4 + examples.targets.nbytes
    assert fits(examples, int(need / supply.SHARE) + 1)
    assert not fits(examples, int(need / supply.SHARE) - 1)


def test_wavelets_of_a_batch_are_those_of_each_image() -> None:
    from wardround_client.networks.wavelets import WaveletFeatures

    features = WaveletFeatures(2)
    images = torch.rand(3, 2, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(features._features(images), features(images), atol=1e-5)


def test_a_network_is_built_on_the_cpu_unless_a_device_was_chosen() -> None:
    built = build(study())
    assert {weight.device for weight in built.network.parameters()} == {CPU}
    assert np.array_equal(networks.read_vector(built.network), networks.read_vector(networks.build(study())))
