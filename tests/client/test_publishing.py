"""A published model answers as the model does: in ONNX Runtime, and in a MONAI bundle that knows no Wardround."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import subprocess
import sys
import zipfile
from importlib import resources
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from monai.transforms.io.array import LoadImage
from PIL import Image as Pillow

from examples import study
from models_made import model_folder
from outlined_hospitals import outlining, outlining_volumes
from tiny_dicom import save, tiny
from wardround_client import networks
from wardround_client.images import Image, read_image
from wardround_client.prediction.model import Model, open_model
from wardround_client.prediction.predicting import Done, ask
from wardround_client.preparation.asking import image_cases, series_cases, slice_by_slice, whole_volume
from wardround_client.preparation.preprocessing import to_network_form
from wardround_client.publishing import around_network, graphs
from wardround_client.publishing.around_network import cases_in
from wardround_client.publishing.bundle import metadata
from wardround_client.publishing.checking import largest_difference
from wardround_client.publishing.forms import bundle_of, write_bundle, write_onnx
from wardround_client.volumes.nifti import nifti_of
from wardround_common.documents.software_release import names_in
from wardround_common.errors import ModelError
from wardround_common.results.model_folder import Card, Judgement
from wardround_common.study.file import Study
from wardround_common.study.networks import known_networks
from wardround_common.tasks.risk import Risk

NOBODY = """import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("wardround"):
            raise ImportError("there is no Wardround here")
sys.meta_path.insert(0, Refuse())
"""


def classifying(**sections: dict[str, Any]) -> Study:
    data = {"modalities": ["OTHER"], "image_size": 24, "intensity": "percentile"}
    return study(data=data, model={"network": "tiny-cnn"}, **sections)


def card_of(of: Study) -> Card:
    return Card(
        name="made",
        wardround="0.1.0",
        engine="in-process",
        task=of.task.name,
        classes=of.groups,
        study_digest=of.digest(),
        rounds=(1,),
        point=None,
        temperature=None,
        validation_images=0,
        privacy=None,
        judgement=Judgement(patients=3, images=3, metrics={"auroc": 0.5, "auprc": None}),
        files={},
    )


def test_what_other_programs_get_names_no_file_of_the_machine_that_made_it() -> None:
    """Torch writes the Python calls that traced a network beside it: whole paths, those of the caller among them."""
    of = classifying()
    network = networks.build(of).eval()
    with zipfile.ZipFile(io.BytesIO(graphs.torchscript(network, of))) as script:
        entries = [script.read(entry) for entry in script.infolist()]
    assert len(entries) > 10
    here = [str(Path(file).parent).encode() for file in (__file__, networks.__file__, torch.__file__)]
    for content in [*entries, graphs.onnx(network, of)]:
        assert not any(folder in content for folder in here)


def run_bundle(folder: Path, images: Path, out: Path) -> None:
    """Run a bundle by MONAI's command in its folder, where no Wardround can be imported."""
    (out.parent / "nobody").mkdir(exist_ok=True)
    (out.parent / "nobody" / "sitecustomize.py").write_text(NOBODY)
    command = [sys.executable, "-B", "-m", "monai.bundle", "run", "--config_file", "configs/inference.json"]
    done = subprocess.run(
        [*command, "--dataset_dir", str(images), "--output_dir", str(out)],
        cwd=folder / "bundle",
        env={"PYTHONPATH": str(out.parent / "nobody"), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def volume(path: Path, seed: int, shape: tuple[int, int, int] = (20, 24, 6)) -> Path:
    """Write a NIfTI volume with a bright body, whose axes are not those of DICOM."""
    rng = np.random.default_rng(seed)
    values = rng.normal(100, 20, shape).astype(np.float32)
    values[4:16, 5:20, 1:5] += 300
    image = nibabel.Nifti1Image(values, np.array([[1.5, 0, 0, -10], [0, 1.25, 0, 5], [0, 0, 4, 7], [0, 0, 0, 1.0]]))
    image.header.set_qform(image.affine, code=1)
    image.header.set_sform(image.affine, code=1)
    nibabel.save(image, path)
    return path


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader")  # MONAI's, where nvImageCodec is not installed
@pytest.mark.parametrize(
    ("code", "apart", "taken"), [(4, 2.0, "sform"), (1, 2.0, "sform"), (0, 2.0, "qform"), (4, 3.0, "qform")]
)
def test_monai_takes_of_a_niftis_two_places_the_one_that_the_bundles_readme_says(
    tmp_path: Path, code: int, apart: float, taken: str
) -> None:
    from monai.transforms import LoadImage

    forms = {"sform": np.diag([-1.0, 2, apart, 1]), "qform": np.diag([1.0, 2, 2, 1])}  # one is the other's mirror
    image = nibabel.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), None)
    image.header.set_qform(forms["qform"], code=2 if code == 1 else 1)  # which states pixdim
    image.header.set_sform(forms["sform"], code=code)
    nibabel.save(image, tmp_path / "a.nii")
    assert np.array_equal(LoadImage(image_only=True)(str(tmp_path / "a.nii")).affine, forms[taken])
    ours = "sform" if code == 1 else "qform"
    assert nifti_of(tmp_path / "a.nii").flips[2] == (forms[ours][0, 0] > 0)  # so that columns run to the left
    readme = resources.files("wardround_client.publishing").joinpath("bundle_readme.md").read_text("utf-8")
    said = "they take its sform (its qform where the sform's code is 0, or its voxels have another size than pixdim"
    assert said in " ".join(readme.split())


@pytest.mark.slow
@pytest.mark.parametrize("name", known_networks())
def test_every_network_answers_alike_as_torchscript_and_in_onnx_runtime(name: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    info = networks.find(name)
    if info.generates:
        pytest.skip("what it says of an image is of no use elsewhere: no form of it is written")
    for dims in info.dims:
        of = (outlining if dims == 2 else outlining_volumes)() if info.dense else study(data={"image_size": 32})
        if dims == 3 and not info.dense:
            continue  # no task takes such images yet
        side = 32 if dims == 2 else 16
        data = {"image_size": side} if dims == 2 else {"patch_size": (side,) * 3}
        of = of.model_copy(
            update={
                "data": of.data.model_copy(update=data),
                "model": of.model.model_copy(update={"network": name, "norm": "group"}),
            }
        )
        network = networks.build(of).eval()
        script = graphs.read_torchscript(graphs.torchscript(network, of))
        assert largest_difference(network, script, of, "TorchScript")[0] < 2e-5
        session = onnxruntime.InferenceSession(graphs.onnx(network, of), providers=["CPUExecutionProvider"])

        def ask_it(images: torch.Tensor, session: Any = session) -> torch.Tensor:
            return torch.from_numpy(session.run(None, {"image": images.numpy()})[0])

        apart, accepted = largest_difference(network, ask_it, of, "ONNX")
        assert apart <= accepted


def test_a_form_that_answers_otherwise_or_takes_no_notice_of_a_broken_image_is_not_published() -> None:
    of = classifying()
    network = networks.build(of).eval()
    with pytest.raises(ModelError, match="answers otherwise than PyTorch: by"):
        largest_difference(network, lambda images: network(images) + 0.01, of, "ONNX")
    with pytest.raises(ModelError, match="a value that is not a number"):
        largest_difference(network, lambda images: network(images.nan_to_num()), of, "ONNX")


class Branching(torch.nn.Module):
    """A network of one's own that no trace can hold: what it does depends on what it is given."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (images, 2)."""
        seen = images.flatten(1).mean(1)
        return torch.stack([seen, seen * (2 if len(images) > 1 else 3)], 1)


class Elsewhere(torch.nn.Module):
    """A network of one's own that leaves torch."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (images, 2)."""
        return torch.tensor([json.loads("no number")])


def test_a_network_of_ones_own_that_is_no_graph_is_left_out_with_the_reason() -> None:
    of = classifying()
    part, files = bundle_of(Model(of, card_of(of), Branching().eval()))
    assert (part.files, files) == ((), {})
    assert part.said.startswith("Its TorchScript answers otherwise than PyTorch: by")
    part, files = bundle_of(Model(of, card_of(of), Elsewhere().eval()))
    assert (part.files, files) == ((), {})
    assert part.said.startswith("Its network cannot be written down as TorchScript: ")


def test_an_image_with_a_value_that_is_not_a_number_has_no_answer_and_others_of_its_batch_have() -> None:
    network = graphs.Guarded(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2), torch.nn.ReLU()))
    images = torch.ones(2, 1, 2, 2)
    images[1, 0, 0, 0] = torch.inf
    found = network(images)
    assert bool(torch.isfinite(found[0]).all())
    assert bool(torch.isnan(found[1]).all())


@pytest.mark.parametrize("intensity", ["percentile", "range"])
@pytest.mark.parametrize(("channels", "colours"), [(1, 1), (1, 3), (3, 1)])
def test_a_bundle_prepares_an_image_as_training_does(intensity: str, channels: int, colours: int) -> None:
    of = study(data={"image_size": 24, "intensity": intensity, "channels": channels})
    pixels = np.random.default_rng(1).normal(50, 30, (colours, 31, 47)).astype(np.float32)
    ours = to_network_form(Image(pixels, None), of.data)
    theirs = around_network.PrepareImage(24, channels, intensity)({"image": pixels.swapaxes(1, 2), "path": "x.png"})
    np.testing.assert_allclose(theirs["image"][0].numpy(), ours, atol=1e-6)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")  # of MONAI's readers
@pytest.mark.parametrize("apart", [(0.5, 0.2), (0.2, 0.5), (0.2, 0.2)])
@pytest.mark.parametrize("stated", ["PixelSpacing", "ImagerPixelSpacing", "affine"])
def test_a_bundle_makes_pixels_square_as_training_does(tmp_path: Path, apart: tuple[float, float], stated: str) -> None:
    of = study(data={"image_size": 24, "intensity": "range"})
    pixels = np.random.default_rng(1).integers(0, 900, (31, 47)).astype(np.uint16)
    if stated == "affine":
        path = tmp_path / "x.nii.gz"
        lying = nibabel.Nifti1Image(pixels.astype(np.int16).T[..., None], np.diag([-apart[1], -apart[0], 1.0, 1.0]))
        nibabel.save(lying, path)
    else:
        path = tmp_path / "x.dcm"
        save(tiny(pixels, **{stated: list(apart)}), path)
    ours = to_network_form(read_image(path), of.data)
    image = LoadImage(image_only=True, ensure_channel_first=True)(path)
    theirs = around_network.PrepareImage(24, 1, "range")({"image": image, "path": str(path)})
    np.testing.assert_allclose(theirs["image"][0].numpy(), ours, atol=1e-6)


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
@pytest.mark.parametrize("orientation", range(1, 10))
def test_a_bundle_turns_a_picture_as_its_reader_does_not_and_ours_does(
    tmp_path: Path, name: str, orientation: int
) -> None:
    remarks = Pillow.Exif()
    remarks[0x0112] = orientation
    values = np.random.default_rng(3).integers(0, 256, (15, 22), np.uint8)
    Pillow.fromarray(values).save(tmp_path / name, exif=remarks)
    with Pillow.open(tmp_path / name) as picture:
        data = {"image": np.asarray(picture, np.float32).T[None], "path": str(tmp_path / name)}
    found = around_network.TurnPicture()(data)["image"]
    assert np.array_equal(np.asarray(found).swapaxes(1, 2), read_image(tmp_path / name).pixels)


def test_a_bundle_refuses_pixels_whose_window_was_not_applied() -> None:
    prepare = around_network.PrepareImage(24, 1, "window")
    with pytest.raises(ValueError, match="to which their own window had been applied"):
        prepare({"image": np.full((1, 8, 8), 300, np.float32), "path": "x.dcm"})


@pytest.mark.parametrize("of", [classifying(), outlining(), outlining_volumes()])
def test_metadata_has_what_monais_specification_asks_for(of: Study) -> None:
    """The mandatory keys of the bundle specification (MONAI 1.6, mb_specification.rst), and their kinds."""
    jsonschema = pytest.importorskip("jsonschema")
    text, number = {"type": "string", "minLength": 1}, {"type": "integer", "minimum": 1}
    tensor = {
        "type": "object",
        "properties": {
            "type": {"enum": ["image", "series", "tuples", "probabilities"]},
            "format": text,
            "modality": text,
            "num_channels": number,
            "spatial_shape": {"type": "array", "items": {"anyOf": [number, text]}},
            "dtype": {"enum": ["float32"]},
            "value_range": {"type": "array", "items": {"type": "number"}},
            "is_patch_data": {"type": "boolean"},
            "channel_def": {"type": "object", "patternProperties": {"^[0-9]+$": text}, "additionalProperties": False},
        },
    }
    tensor["required"] = list(tensor["properties"])  # type: ignore[call-overload]
    named = {"type": "object", "additionalProperties": tensor, "minProperties": 1}
    versions = {"type": "object", "additionalProperties": {"type": "string"}}
    strings = ("version", "monai_version", "pytorch_version", "numpy_version", "task", "description", "authors")
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            **dict.fromkeys((*strings, "copyright", "schema"), text),
            "required_packages_version": versions,
            "optional_packages_version": versions,
            "changelog": versions,
            "eval_metrics": {"type": "object", "additionalProperties": {"type": "number"}},
            "network_data_format": {
                "type": "object",
                "properties": {"inputs": named, "outputs": named},
                "required": ["inputs", "outputs"],
            },
        },
    }
    schema["required"] = list(schema["properties"])
    found = metadata(of, card_of(of))
    jsonschema.validate(json.loads(json.dumps(found)), schema)
    channels = found["network_data_format"]["outputs"]["pred"]["channel_def"]
    assert list(channels.values())[-1] == of.groups[-1]


def test_what_is_not_installed_is_said_and_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    there = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "onnxruntime" else there(name, *more)
    )
    part = write_onnx(model_folder(tmp_path, classifying()))
    assert part.files == ()
    assert "onnxruntime, which" in part.said
    assert "pip install 'wardround[export]'" in part.said
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.slow
def test_a_bundle_of_a_classification_runs_by_monai_alone_and_says_what_the_model_says(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "model", classifying(), point=0.49, temperature=1.7)
    part = write_bundle(folder)
    assert part.largest_difference is not None
    assert part.largest_difference < 1e-6
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(2)
    for number in range(3):
        shape = (30 + 7 * number, 41) if number < 2 else (30, 30, 3)
        remarks = Pillow.Exif()
        remarks[0x0112] = (1, 6, 3)[number]
        picture = Pillow.fromarray(rng.integers(0, 256, shape, np.uint8))
        picture.save(tmp_path / "images" / f"{number}.png", exif=remarks)
    before = names_in(folder)
    run_bundle(folder, tmp_path / "images", tmp_path / "out")
    assert names_in(folder) == before  # else it would no longer be as it was listed
    with (tmp_path / "out" / "predictions.csv").open() as file:
        found = list(csv.DictReader(file))
    model = open_model(folder)
    files = sorted((tmp_path / "images").iterdir())
    answers = [one for one in ask(model, image_cases(files, model.study, frozenset())) if isinstance(one, Done)]
    assert [row["class"] for row in found] == [one.answer.facts["class"] for one in answers]
    for row, one in zip(found, answers, strict=True):
        for word, probability in one.answer.facts["probabilities"].items():
            assert float(row[f"p {word}"]) == pytest.approx(probability, abs=2e-6)


@pytest.mark.slow
def test_a_bundle_of_a_risk_runs_by_monai_alone_and_says_by_ours_what_is_laid_out_wrongly(tmp_path: Path) -> None:
    of = classifying().model_copy(update={"task": Risk(name="risk", times=(1.0, 2.5, 5.0), unit="years")})
    folder = model_folder(tmp_path / "model", of)
    assert write_bundle(folder).files
    files = [tmp_path / "images" / f"{number}.png" for number in range(2)]
    files[0].parent.mkdir()
    for number, path in enumerate(files):
        Pillow.fromarray(np.random.default_rng(number).integers(0, 256, (30, 41), np.uint8)).save(path)
    run_bundle(folder, tmp_path / "images", tmp_path / "out")
    with (tmp_path / "out" / "predictions.csv").open() as file:
        found = list(csv.DictReader(file))
    answers = [one for one in ask(open_model(folder), image_cases(files, of, frozenset())) if isinstance(one, Done)]
    assert len(found) == len(answers) == 2
    for row, one in zip(found, answers, strict=True):
        for by, risk in one.answer.facts["risk"].items():
            assert float(row[f"risk by {by}"]) == pytest.approx(risk, abs=2e-6)
    (tmp_path / "images" / "more").mkdir()
    with pytest.raises(AssertionError) as failed:
        run_bundle(folder, tmp_path / "images", tmp_path / "again")
    assert "more is a folder. This network sees single images" in str(failed.value)
    assert "Traceback" not in str(failed.value)


def test_a_bundle_says_how_its_images_must_lie(tmp_path: Path) -> None:
    def laid(*paths: str) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        for path in paths:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).touch()
        return str(folder)

    assert [Path(one).name for one in cases_in(laid("b.png", "a.png", ".hidden"), [], series=False)] == [
        "a.png",
        "b.png",
    ]
    assert len(cases_in(laid("one/1.dcm", "two.nii.gz"), ["ct"], series=True)) == 2
    assert len(cases_in(laid("one/ct.nii.gz", "one/pet.nii.gz"), ["ct", "pet"], series=True)) == 1
    wrong = [
        ("no folder with images", laid(), [], False),
        ("is a folder. This network", laid("a.png", "more/b.png"), [], False),
        ("holds folders", laid("one/two/1.dcm"), ["ct"], True),
        ("has no pet.nii.gz", laid("one/ct.nii.gz"), ["ct", "pet"], True),
    ]
    for words, folder, roles, series in wrong:
        with pytest.raises(SystemExit, match=words):
            cases_in(folder, roles, series=series)


@pytest.mark.slow
@pytest.mark.parametrize("dims", [2, 3])
def test_a_bundle_of_outlines_runs_by_monai_alone_and_draws_what_the_model_draws(dims: int, tmp_path: Path) -> None:
    of = outlining() if dims == 2 else outlining_volumes()
    of = of.model_copy(update={"data": of.data.model_copy(update={"series": (), "modalities": ("OTHER",)})})
    folder = model_folder(tmp_path / "model", of)
    assert write_bundle(folder).files
    (tmp_path / "images").mkdir()
    path = volume(tmp_path / "images" / "one.nii.gz", 3)
    run_bundle(folder, tmp_path / "images", tmp_path / "out")
    model = open_model(folder)
    prepare = slice_by_slice if dims == 2 else whole_volume
    (case,) = series_cases([path], model.study, frozenset(), prepare)
    (one,) = ask(model, [case])
    assert isinstance(one, Done)
    mask = nibabel.load(tmp_path / "out" / "one_seg.nii.gz")
    np.testing.assert_allclose(mask.affine, nibabel.load(path).affine, atol=1e-4)
    with (tmp_path / "out" / "volumes.csv").open() as file:
        (row,) = csv.DictReader(file)
    (structure,) = one.answer.facts["structures"]
    drawn = np.asarray(mask.dataobj)
    assert 0 < drawn.mean() < 1
    assert float(row["mL tumour"]) == pytest.approx(structure["volume_ml"], rel=0.002)
