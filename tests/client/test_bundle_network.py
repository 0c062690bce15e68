"""A MONAI bundle's network: defined in the study, checked as every other one, and none of the bundle's code is run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load, save_file
from torch import nn

from examples import DP, study
from wardround import simulate
from wardround_client import networks
from wardround_client.training.rehearsal import rehearse_here
from wardround_common.errors import PrivacyError, StudyError
from wardround_common.shell.cli import wardround
from wardround_common.study.bundle import read_bundle
from wardround_common.study.file import Study, parse_canonical
from wardround_common.study.template import study_text
from wardround_common.study.words.describe import describe

UNET: dict[str, Any] = {
    "_target_": "UNet",
    "spatial_dims": "@dims",
    "in_channels": 1,
    "out_channels": "@outputs::0",
    "channels": [4, 8],
    "strides": [2],
    "num_res_units": 1,
    "norm": "batch",
}
OUTLINES = {"name": "segmentation", "classes": ["lesion"], "dims": 2}
VOLUMES = {
    "modalities": ["CT"],
    "intensity": "range",
    "spacing_mm": [1.0, 1.0, 1.0],
    "patch_size": [16, 16, 16],
}
DENSENET = {
    "_target_": "monai.networks.nets.DenseNet",
    "spatial_dims": 2,
    "in_channels": 1,
    "out_channels": 2,
    "init_features": 8,
    "growth_rate": 4,
    "block_config": [2, 2],
}


def bundle(folder: Path, definition: object = UNET, dims: int = 2, **config: Any) -> Path:
    """Write a bundle's folder."""
    (folder / "configs").mkdir(parents=True, exist_ok=True)
    tables = {"imports": ["$import os"], "dims": dims, "outputs": [2], "network_def": definition, **config}
    (folder / "configs" / "inference.json").write_text(json.dumps(tables))
    return folder


def outlines(folder: Path, **sections: Any) -> Study:
    """Return the study of outlines in slices that has a bundle's network."""
    return of(folder, task=OUTLINES, **sections)


def of(folder: Path, **sections: Any) -> Study:
    found = read_bundle(folder)
    model = {"network": found.network, "bundle": found.model_dump()} | sections.pop("model", {})
    plain = study(**{key: value for key, value in sections.items() if key == "privacy"})
    tables = plain.tables(nulls=False) | {"model": model}
    for name, table in sections.items():
        tables[name] = table
    tables["training"].pop("class_weights", None)
    return Study.model_validate(tables)


@pytest.mark.parametrize("dims", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_a_bundles_network_has_its_form_and_group_normalisation_and_private_gradients(
    tmp_path: Path, dims: int
) -> None:
    data = {"data": VOLUMES} if dims == 3 else {}
    whole = of(bundle(tmp_path / "My UNet", dims=dims), task=OUTLINES | {"dims": dims}, privacy=DP, **data)
    assert whole.model.network.startswith("bundle:my-unet@")
    network = networks.build(whole)
    assert not any(isinstance(module, networks.BATCH) for module in network.modules())
    assert any(isinstance(module, nn.GroupNorm) for module in network.modules())
    assert network(torch.rand(2, 1, *[16] * dims)).shape == (2, 2, *[16] * dims)
    said = rehearse_here(whole)
    assert "3 batch normalisations are group normalisation here; the gradient of each image is its own" in said


def test_the_study_carries_the_definition_and_hospitals_need_no_folder(tmp_path: Path) -> None:
    whole = outlines(bundle(tmp_path / "one"))
    received = parse_canonical(whole.canonical())
    (tmp_path / "one" / "configs" / "inference.json").unlink()
    assert received.digest() == whole.digest()
    assert torch.equal(*(next(networks.build(each).parameters()) for each in (received, whole)))
    other = outlines(bundle(tmp_path / "one", UNET | {"channels": [4, 16]}))
    assert (other.digest(), other.model.network) != (whole.digest(), whole.model.network)
    words = " ".join(sentence for passage in describe(whole) for sentence in passage.sentences)
    assert "MONAI's UNet as the bundle 'one' defines it" in words
    assert "group normalisation in the place of each batch normalisation" in words


def test_a_study_made_in_python_reads_the_folder_itself_and_another_network_leaves_it(tmp_path: Path) -> None:
    made = Study.new(network=f"bundle:{bundle(tmp_path / 'labels', DENSENET)}", classes=("a", "b"))
    assert made.model.bundle is not None
    assert made.but(rounds=2).model.bundle == made.model.bundle
    assert made.but(network="small-cnn").model.bundle is None


def test_the_bundles_own_weights_begin_its_network(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "spleen")
    theirs = networks.network_of(read_bundle(folder)).build(1, 2, "batch", 2)
    (folder / "models").mkdir()
    save_file({name: tensor.contiguous() for name, tensor in theirs.state_dict().items()}, folder / "models" / "m.st")
    file = tmp_path / "study.toml"
    run = CliRunner()
    table = run.invoke(wardround, ["study", "bundle", str(folder)])
    network = {"network": read_bundle(folder).network}
    assert f'Write below [model]: network = "{network["network"]}"' in table.stderr
    text = study_text("a", task="segmentation", dp=False, own={"task": {"classes": ["lesion"]}, "model": network})
    file.write_text(f"{text}\n{table.stdout}")
    weights = run.invoke(wardround, ["weights", "match", str(file), str(folder / "models" / "m.st")])
    assert "3 batch normalisations in the file: scale and shift" in weights.stderr
    file.write_text(f"{file.read_text()}\n{weights.stdout}")
    begun = networks.build(Study.read(file), (folder / "models" / "m.st").read_bytes())
    first = next(name for name, _ in theirs.named_parameters())
    assert torch.equal(begun.get_parameter(first), theirs.get_parameter(first))


@pytest.mark.parametrize(
    ("definition", "why"),
    [
        (UNET | {"out_channels": "$len(@outputs)"}, r"network_def::out_channels is '\$len.*would run code"),
        ("$torch.jit.load('model.ts')", "network_def is .*would run code"),
        (UNET | {"act": {"_target_": "os.system", "command": "true"}}, "by which another object would be made"),
        (UNET | {"channels": "%other.json::channels"}, "or read another file"),
        (UNET | {"_target_": "subprocess.Popen"}, "is none of the networks of MONAI's"),
        (UNET | {"_target_": "scripts.nets.UNet"}, "is none of the networks of MONAI's"),
        (UNET | {"_target_": "UNETR"}, "is none of the networks of MONAI's"),  # needs a package that is none of ours
        (UNET | {"_requires_": "@init"}, "which MONAI's own program follows"),
        (UNET | {"strides": "@nothing"}, "refers to '@nothing', which is not there"),
        (UNET | {"strides": "@network_def"}, "in a circle"),
        (UNET | {"channels": [10**9, 8]}, "numbers are from"),
        (UNET | {"channels": [10**400, 8]}, "numbers are from"),  # which no float holds
        (UNET | {"out_channels": 0}, "out_channels must be whole numbers from 1 on"),
        (UNET | {"deep_supervision": True}, "several outputs"),
        ([1], "names no class"),
    ],
)
def test_what_is_no_plain_network_of_monai_is_refused_and_nothing_is_run(
    tmp_path: Path, definition: object, why: str
) -> None:
    with pytest.raises(StudyError, match=why):
        read_bundle(bundle(tmp_path, definition))


def test_a_few_lines_that_refer_to_one_another_do_not_fill_the_memory(tmp_path: Path) -> None:
    lists = {f"a{number}": [f"@a{number + 1}"] * 50 for number in range(2)} | {"a2": [1] * 50}
    with pytest.raises(StudyError, match="is too much for a network"):
        read_bundle(bundle(tmp_path, UNET | {"channels": "@a0"}, **lists))


def test_a_network_that_no_message_carries_is_refused_before_it_takes_memory(tmp_path: Path) -> None:
    whole = outlines(bundle(tmp_path, UNET | {"channels": [60_000, 60_000], "kernel_size": 9}))
    with pytest.raises(StudyError, match="a message carries 1,073,741,824"):
        networks.build(whole)


def test_a_study_from_elsewhere_is_held_to_the_same_rules(tmp_path: Path) -> None:
    whole = outlines(bundle(tmp_path))
    for arguments, why in (
        ({"act": "$exit()"}, "no plain word"),
        ({"act": {"_target_": "x"}}, "another object"),
        ({"norm": 1e9}, "numbers are from"),
        ({"norm": 10**400}, "numbers are from"),
    ):
        tables = whole.tables()
        tables["model"]["bundle"]["arguments"] = json.dumps(whole.model.bundle.values | arguments, sort_keys=True)  # type: ignore[union-attr]
        with pytest.raises(StudyError, match=why):
            Study.of_tables(tables, where="study")
    tables = whole.tables()
    tables["model"]["bundle"]["target"] = "SegResNet"
    with pytest.raises(StudyError, match="defines 'bundle:"):
        Study.of_tables(tables, where="study")


def test_outputs_channels_dimensions_and_task_must_be_the_studys(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="out_channels is 3, and the study needs 2"):
        Study.of_tables(
            outlines(bundle(tmp_path)).tables() | _with(bundle(tmp_path, UNET | {"out_channels": 3})), where=""
        )
    with pytest.raises(StudyError, match="in_channels is 3, and the study needs 1"):
        Study.of_tables(
            outlines(bundle(tmp_path)).tables() | _with(bundle(tmp_path, UNET | {"in_channels": 3})), where=""
        )
    with pytest.raises(StudyError, match="for images of 3 dimensions, and the study's have 2"):
        networks.build(outlines(bundle(tmp_path, dims=3)))
    with pytest.raises(StudyError, match="says something of each place of an image"):
        networks.build(of(bundle(tmp_path)))


def _with(folder: Path) -> dict[str, Any]:
    found = read_bundle(folder)
    return {"model": {"network": found.network, "bundle": found.model_dump()}}


def test_arguments_that_monai_does_not_take_are_told_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"MONAI's UNet cannot be built with the arguments of the bundle.*strides"):
        networks.build(outlines(bundle(tmp_path, UNET | {"strides": [2, 2, 2]})))


def test_a_network_whose_gradients_are_not_each_records_own_is_refused_under_privacy(tmp_path: Path) -> None:
    running = UNET | {"norm": ["instance", {"track_running_stats": True}]}
    with pytest.raises(PrivacyError, match="a training pass changes what layer"):
        rehearse_here(outlines(bundle(tmp_path, running), privacy=DP))


def test_folders_without_a_bundle_are_told_apart(tmp_path: Path) -> None:
    for folder, why in (
        (tmp_path / "none", "there is no such folder"),
        (tmp_path, "there is neither inference.json nor train.json in configs"),
    ):
        with pytest.raises(StudyError, match=why):
            read_bundle(folder)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "inference.yaml").write_text("network_def: {}")
    with pytest.raises(StudyError, match=r"it has inference\.yaml, and only JSON is read"):
        read_bundle(tmp_path)
    (tmp_path / "configs" / "train.json").write_text("{")
    with pytest.raises(StudyError, match="it is no JSON object"):
        read_bundle(tmp_path)
    with pytest.raises(StudyError, match=r"cannot be read: no such file"):
        read_bundle(tmp_path, "other.json")
    with pytest.raises(StudyError, match=r"append what this prints.*wardround study bundle some/folder"):
        Study.of_tables(study().tables() | {"model": {"network": "bundle:some/folder"}}, where="")


@pytest.mark.slow
def test_a_federation_trains_a_bundles_network_under_privacy_and_secure_sums_to_a_model(tmp_path: Path) -> None:
    whole = Study.new(
        network=f"bundle:{bundle(tmp_path / 'labels', DENSENET)}", classes=("a", "b"), image_size=32, rounds=1
    )
    images = torch.rand(12, 1, 32, 32).numpy()
    one = (images, [number % 2 for number in range(12)], [f"patient {number}" for number in range(12)])
    settings = {"out": tmp_path / "run", "workers": 1, "progress": False, "baselines": False}
    simulate(whole, {"north": one, "south": one, "west": one}, **settings)
    assert "DenseNet of MONAI with" in (tmp_path / "run" / "report.html").read_text()
    names = load((tmp_path / "run" / "model.safetensors").read_bytes())
    assert "features.norm0.weight" in names
    assert not any("running_mean" in name for name in names)
