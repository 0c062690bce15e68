"""Maps of what a model's answers hang on: right where the answer is known, repeatable, and kept at the hospital."""

from __future__ import annotations

import csv
import json
import math
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image as Pillow
from pydicom import dcmread
from torch import nn

from asked_images import images
from examples import study
from models_made import model_folder
from outlined_hospitals import HOSPITALS, outlining, outlining_volumes, write_hospital
from wardround_client import networks
from wardround_client.maps import sanity
from wardround_client.maps.contract import Question
from wardround_client.maps.known import known_methods
from wardround_client.maps.lesions import lesions_in, measure, peak
from wardround_client.maps.methods.grad_cam import last_map
from wardround_client.maps.methods.integrated_gradients import even
from wardround_client.maps.methods.views import entropy, mirrors
from wardround_client.maps.registry import find
from wardround_client.prediction.model import open_model
from wardround_common.errors import DataError, MessageError, ModelError, StorageError, StudyError
from wardround_common.metrics.maps import InLesion, MapSums
from wardround_common.shell.cli import wardround
from wardround_common.study.steps import Area
from wardround_common.tasks import classification, segmentation

EMPTY = dict.fromkeys(("StudyID", "AccessionNumber", "StudyDate", "StudyTime", "PatientBirthDate", "PatientSex"), "")
CPU = torch.device("cpu")
DRAWN = ("lime", "shap")
"""Which ask about 512 images, and take as long."""
OF_IMAGES = [name for name in known_methods() if name != "views"]


def explain(*words: str | Path) -> tuple[int, list[dict[str, Any]], str]:
    found = CliRunner().invoke(wardround, ["explain", *map(str, words), "--json"])
    if found.exception and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found.exit_code, [json.loads(line) for line in found.stdout.splitlines()], found.stderr


class MeanGrey(nn.Module):
    """Says 'finding' the more, the brighter an image is."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 1, 3, padding=1, bias=False)
        nn.init.constant_(self.convolution.weight, 1 / 9)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        grey = self.convolution(images).mean((2, 3))
        return torch.cat([torch.zeros_like(grey), 100 * grey], 1)


def spot() -> tuple[torch.Tensor, np.ndarray]:
    image = torch.zeros(1, 1, 32, 32)
    image[..., 8:12, 16:20] = 1
    return image, image[0, 0].numpy() > 0


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in DRAWN else name for name in OF_IMAGES]
)
def test_every_method_points_at_what_the_answer_hangs_on(name: str) -> None:
    image, lesion = spot()
    heat = find(name, classification.TASK)[1].explain(Question(MeanGrey(), 1), image)
    assert heat.shape == (1, 32, 32)
    assert heat.dtype == torch.float32
    found = measure(heat[0].numpy(), heat[0].numpy(), lesion, Area.whole(32, 32))
    assert found.hit
    assert found.mass > 0.25 > 10 * found.area
    against = find(name, classification.TASK)[1].explain(Question(MeanGrey(), 0), image)[0].numpy()
    assert peak(against) is None or not lesion[peak(against)]  # the same place speaks against the other class


@pytest.mark.parametrize("name", ["integrated-gradients", "shap"])
def test_what_adds_up_adds_up_to_the_difference_also_where_a_network_normalises_each_image(name: str) -> None:
    network = networks.build(study()).eval()  # small-cnn, with group normalisation
    image = 0.3 * torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(3))
    image[..., 4:9, 4:9] += 0.5
    question = Question(network, 1)
    heat = find(name, classification.TASK)[1].explain(question, image)
    pixels = 4 if name == "shap" else 1  # a block of 2 x 2 has its value at each of its pixels
    without = torch.zeros_like(image) if name == "shap" else even(image)
    with torch.no_grad():
        whole = float(question.score(image) - question.score(without))
    assert abs(whole) > 0.1
    assert float(heat.sum()) / pixels == pytest.approx(whole, rel=0.05)


def test_what_is_explained_are_the_log_odds_of_a_class_against_all_others() -> None:
    logits = torch.tensor([[0.3, -1.0, 2.0]])
    p = logits.softmax(1)[0]
    found = [float(Question(lambda images: logits, of).score(logits)) for of in range(3)]  # type: ignore[arg-type]
    assert found == pytest.approx([math.log(float(one / (1 - one))) for one in p], abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAWN)
def test_drawn_methods_repeat_themselves_and_leave_the_generator_alone(name: str) -> None:
    image, _ = spot()
    explained, question = find(name, classification.TASK)[1].explain, Question(MeanGrey(), 1)
    first = explained(question, image)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    assert torch.equal(explained(question, image), first)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.slow
def test_grad_cam_is_monais_turned_the_right_way_round() -> None:
    from monai.visualize import GradCAM

    network = networks.build(study(model={"network": "small-cnn"})).eval()
    image = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    ours = find("grad-cam", classification.TASK)[1].explain(Question(network, 1), image)[0].numpy()

    class Odds(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return Question(self.network, 1).score(images)[:, None]

    layer = next(name for name, each in network.named_modules() if each is last_map(network, image))
    theirs = GradCAM(Odds(), f"network.{layer}")(image, class_idx=0)[0, 0].numpy()
    scaled = (ours - ours.min()) / (ours.max() - ours.min())
    assert np.allclose(1 - theirs, scaled, atol=1e-4)


def test_a_network_that_passes_no_gradient_or_has_no_map_is_refused_by_those_methods_alone() -> None:
    network = networks.build(study(model={"network": "wavelets"})).eval()
    image, _ = spot()
    for name in ("grad-cam", "hires-cam", "integrated-gradients"):
        with pytest.raises(StudyError, match="Choose occlusion, lime or shap"):
            find(name, classification.TASK)[1].explain(Question(network, 1), image)
    assert find("occlusion", classification.TASK)[1].explain(Question(network, 1), image).shape == (1, 32, 32)


def test_a_method_that_shows_the_images_own_edges_fails_the_sanity_check() -> None:
    rng = np.random.default_rng(0)
    edges = rng.random((20, 20)).astype(np.float32)
    assert sanity.similarity(edges, 3 * edges) == pytest.approx(1)
    assert sanity.similarity(edges, -edges) == pytest.approx(1)  # what is marked is marked, whatever its sign
    assert abs(sanity.similarity(edges, rng.random((20, 20)).astype(np.float32)) or 1) < 0.2
    assert sanity.similarity(edges, np.zeros_like(edges)) is None
    assert "do not read them as its reasons" in sanity.said(0.7)
    assert "depend on what the network learnt" in sanity.said(0.1)


def test_the_random_network_of_an_image_is_the_same_each_time_and_never_the_trained_one(tmp_path: Path) -> None:
    model = open_model(model_folder(tmp_path, study()))
    images = [np.full((1, 1, 16, 16), value, np.float32) for value in np.linspace(0, 1, 12)]
    found = [sanity.untrained(model.study, image, CPU) for image in images]
    assert len(set(map(id, found))) == sanity.RANDOM_NETWORKS
    assert all(sanity.untrained(model.study, image, CPU) is one for image, one in zip(images, found, strict=True))
    assert not any(np.array_equal(networks.read_vector(one), networks.read_vector(model.network)) for one in found)


def test_mass_and_pointing_are_those_of_a_naive_count() -> None:
    lesion = np.zeros((4, 5), bool)
    lesion[1:3, 1:3] = True
    heat = np.array([[0, 0, 0, 0, -9], [0, 3, 1, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 2, 0]], np.float32)
    flat = np.ones((4, 5), np.float32)
    whole = Area.whole(4, 5)
    found = measure(heat, flat, lesion, whole)
    assert (found.hit, found.mass, found.area, found.untrained) == (True, 6 / 8, 4 / 20, 4 / 20)
    assert measure(flat * 0, flat, lesion, whole).mass == 0
    assert measure(heat, flat, lesion, Area(0, 0, 2, 4)).area == 2 / 8  # of what is left of a cut image
    assert peak(flat * -1) is None
    block = np.zeros((6, 6), np.float32)
    block[1:4, 2:5] = 2
    assert peak(block) == (2, 3)  # the middle of a block, and not its corner


def test_sums_over_maps_may_be_added_and_travel_as_whole_numbers() -> None:
    ones = [InLesion(True, 0.5, 0.25, 0.125), InLesion(False, 0.0, 0.5, 0.25), InLesion(True, 1.0, 0.25, 0.0)]
    a, b, c = (MapSums.of(one) for one in ones)
    assert MapSums.from_vector((a + b + c).to_vector()) == (c + a) + b
    figures = (a + b + c).figures()
    assert figures == {"pointing_game": 2 / 3, "mass_in_lesion": 0.5, "random": 1 / 3, "untrained": 0.125} | {
        "random": pytest.approx(1 / 3)
    }
    for wrong in ([1, 2, 0, 0, 0], [1, 0, 2**21, 0, 0], [1, 0, -1, 0, 0], [1.5, 0, 0, 0, 0], [1, 0, 0]):
        with pytest.raises(MessageError):
            MapSums.from_vector(np.array(wrong))
    with pytest.raises(ModelError):
        MapSums.of(InLesion(False, math.nan, 0, 0))
    with pytest.raises(ModelError):
        MapSums().figures()


class Brightest(nn.Module):
    """Says 'finding' by the brightest place of a channel, and 'none' by its mean."""

    def __init__(self) -> None:
        super().__init__()
        self.same = nn.Identity()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        seen = self.same(images)
        return torch.cat([40 * seen.mean((2, 3)), 5 * seen.amax((2, 3))], 1)


def test_where_a_network_pools_by_the_maximum_hires_cam_finds_the_place_that_grad_cam_averages_away() -> None:
    image, _ = spot()
    image[..., 9, 17] = 2
    maps = {
        name: find(name, classification.TASK)[1].explain(Question(Brightest(), 1), image)[0].numpy()
        for name in ("grad-cam", "hires-cam")
    }
    assert peak(maps["hires-cam"]) == (9, 17)
    assert peak(maps["grad-cam"]) is None  # the mean gradient is below 0: nothing is left


def test_entropy_is_one_where_a_model_knows_nothing_and_views_mirror_each_axis() -> None:
    same, sure = torch.full((1, 4, 2, 2), 0.25), torch.tensor([1.0, 0.0]).view(1, 2, 1, 1)
    assert torch.allclose(entropy(same), torch.ones(1, 2, 2))
    assert float(entropy(sure)) == 0
    assert [*mirrors(2)] == [(), (2,), (3,), (2, 3)]
    assert [*mirrors(3)] == [(), (2,), (3,), (4,)]


@pytest.fixture(scope="module")
def of_slices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tmp_path_factory.mktemp("of_slices"), study(data={"modalities": ["MR"]}), point=0.5)


def test_a_run_that_was_cut_off_goes_on_and_its_page_names_nobody(classifier: Path, tmp_path: Path) -> None:
    folder, out = images(tmp_path / "Zyx^Quv", PatientName="Zyx^Quv"), tmp_path / "out"
    (folder / "broken.dcm").write_bytes((folder / "0.dcm").read_bytes()[:-100])
    code, lines, said = explain(classifier, folder, "-o", out, "--method", "integrated-gradients")
    assert code == 4
    assert [line.get("refused", "") for line in lines] == ["", "", "", "truncated"]
    assert {line.get("explained", "finding") for line in lines} == {"finding"}
    assert "3 explained, 1 refused" in said
    whole = (out / "explanations.jsonl").read_bytes().splitlines(keepends=True)
    (out / "explanations.jsonl").write_bytes(b"".join(whole[:2]) + whole[2][:20])  # killed in the middle of a line
    before = (out / lines[0]["files"][0]).stat().st_mtime_ns
    assert (
        explain(classifier, folder, "-o", out, "--method", "integrated-gradients")[1][0]["input"] == lines[2]["input"]
    )
    assert (out / "explanations.jsonl").read_bytes() == b"".join(whole)
    assert (out / lines[0]["files"][0]).stat().st_mtime_ns == before
    assert {path.stat().st_mode & 0o077 for path in out.iterdir()} == {0}
    with (out / "explanations.csv").open(newline="") as table:
        rows = [*csv.DictReader(table)]
    assert [row["method"] for row in rows] == ["integrated-gradients"] * 3 + [""]
    peaks = [line["peak"] for line in lines if line.get("peak")]
    assert [(row["row"], row["column"]) for row in rows if row["row"]] == [
        (str(peak["row"]), str(peak["column"])) for peak in peaks
    ]
    page = (out / "explanations.html").read_text()
    assert page.count("<figure>") == 3
    assert "Not a medical device: a map is no finding." in page
    assert (
        len(re.findall(r"<figcaption>\d · probability of finding 0\.\d\d \(threshold 0\.\d\d\), decided: ", page)) == 3
    )
    assert len(re.findall(r"decided: \w+ · (no map|similarity to that of an untrained network -?\d\.\d\d)<", page)) == 3
    assert not re.search(r"zyx|quv|0\.dcm|https?:|<script|P0", re.sub(r'base64,[^"]+', "", page), re.IGNORECASE)
    assert "default-src 'none'" in page
    with Pillow.open(out / lines[0]["files"][0]) as picture:
        assert (picture.height % 20, picture.width % 24, picture.height // 20) == (0, 0, picture.width // 24)


def test_a_probability_that_nobody_calibrated_is_called_so_on_the_page(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    model = model_folder(tmp_path / "model", study())
    explain(model, images(tmp_path / "images"), "-o", tmp_path / "out", "--method", "integrated-gradients")
    page = (tmp_path / "out" / "explanations.html").read_text()
    assert len(re.findall(r"<figcaption>\d · uncalibrated probability of finding 0\.", page)) == 3


def test_another_method_does_not_write_into_the_same_folder_and_nothing_among_the_images(
    classifier: Path, tmp_path: Path
) -> None:
    folder, out = images(tmp_path / "images", 1), tmp_path / "out"
    assert explain(classifier, folder / "0.dcm", "-o", out)[0] == 0
    with pytest.raises(StorageError, match="of another model, or with other settings"):
        explain(classifier, folder / "0.dcm", "-o", out, "--method", "occlusion")
    with pytest.raises(DataError, match="would lie among the images"):
        explain(classifier, folder, "-o", folder / "maps")
    _, _, said = explain(classifier, folder, "--lesion", "nonsense", "--method", "hires-cam")
    assert "lies in 'nonsense' is not known: there are no masks" in said
    assert [path.name for path in folder.iterdir()] == ["0.dcm"]


def test_what_cannot_be_explained_is_refused_with_what_to_do(classifier: Path, tmp_path: Path) -> None:
    folder = images(tmp_path / "images", 1)
    outliner = model_folder(_made(tmp_path / "outliner"), outlining())
    wrong: list[tuple[type[Exception], str, list[str | Path]]] = [
        (StudyError, "Did you mean grad-cam", [classifier, folder, "--method", "gradcam"]),
        (StudyError, "not for a model of classes", [classifier, folder, "--method", "views"]),
        (StudyError, "Choose views", [outliner, folder, "--method", "shap"]),
        (StudyError, "Its classes: none, finding", [classifier, folder, "--of", "tumour"]),
        (StudyError, "Leave out --of", [outliner, folder, "--of", "tumour"]),
        (StudyError, "Leave out --lesion", [outliner, folder, "--lesion", "tumour"]),
        (DataError, "no such file", [classifier, tmp_path / "missing"]),
    ]
    for kind, words, asked in wrong:
        with pytest.raises(kind, match=words):
            explain(*asked)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "notes.txt").write_text("hello")
    with pytest.raises(DataError, match="none of 1 file is an image"):
        explain(classifier, tmp_path / "notes")


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.mark.parametrize("hospital", HOSPITALS)
def test_lesions_are_those_of_the_hospitals_own_masks_wherever_their_axes_run(hospital: str, tmp_path: Path) -> None:
    patients = write_hospital(tmp_path, hospital, 1)
    found = lesions_in([tmp_path])
    of_slice = {stored.SOPInstanceUID: patients[0].mask[at] for at, stored in enumerate(patients[0].series["flair"])}
    seen = {dcmread(path).SOPInstanceUID: found.of(path) for path in found.places}
    assert of_slice.keys() <= seen.keys()
    for uid, plane in of_slice.items():
        lesion = seen[uid]
        assert (lesion is None) == (not plane.any())
        assert lesion is None or np.array_equal(lesion, plane > 0)
    assert not any(
        mask.annotated[at] and mask.slice(at).any() for mask, at in lesions_in([tmp_path], ["other"]).places.values()
    )


def test_a_folder_with_masks_says_how_much_of_the_maps_lies_in_lesions(of_slices: Path, tmp_path: Path) -> None:
    write_hospital(tmp_path / "south", "south", 1)
    out = tmp_path / "out"
    code, lines, said = explain(of_slices, tmp_path / "south", "-o", out)
    assert code == 0
    measured = [line["lesion"] for line in lines if "lesion" in line]
    assert len(measured) == 2  # the slices of one series in which something is outlined
    summary = json.loads((out / "summary.json").read_text())
    assert MapSums.from_vector(np.array(summary["sums"])).images == 2
    assert summary["lesions"]["random"] == pytest.approx(30 / 256, abs=1e-4)
    mean = sum(each["mass_in_lesion"] for each in measured) / 2
    assert summary["lesions"]["mass_in_lesion"] == pytest.approx(mean, abs=1e-5)
    assert "In 2 images with an outlined lesion" in said


@pytest.mark.parametrize("dims", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_uncertainty_of_outlines_lies_on_the_grid_of_their_series(dims: int, tmp_path: Path) -> None:
    model = model_folder(_made(tmp_path / "model"), outlining() if dims == 2 else outlining_volumes())
    write_hospital(tmp_path / "north", "north", 1)
    code, (line,), _ = explain(model, tmp_path / "north", "-o", tmp_path / "out")
    assert (code, line["method"]) == (0, "views")
    (name,) = (file for file in line["files"] if file.endswith(".nii.gz"))
    image: Any = nibabel.load(tmp_path / "out" / name)
    percent = np.asarray(image.dataobj)
    assert percent.shape == (16, 16, 4)
    assert percent.max() <= 100
    undecided = np.count_nonzero(percent >= 50) * abs(np.linalg.det(image.affine[:3, :3])) / 1000
    assert line["undecided_ml"] == pytest.approx(undecided, rel=0.05, abs=0.1)
    assert percent[..., line["undecided_slice"] - 1].sum() == percent.sum((0, 1)).max()


def test_a_map_for_the_archive_is_of_the_patients_study_and_names_its_image_and_no_patient(
    classifier: Path, tmp_path: Path
) -> None:
    folder = images(tmp_path / "images", 1, PatientName="Zyx^Quv", PixelSpacing=[2.0, 1.0], **EMPTY)
    source = dcmread(folder / "0.dcm")
    pacs = tmp_path / "pacs.toml"
    pacs.write_text('host = "127.0.0.1"\ntitle = "ARCHIVE"\ninstitution = "North"\nstation = "READ1"\n')
    code, (line,), _ = explain(classifier, folder, "-o", tmp_path / "out", "--dicom", "--pacs", pacs)
    assert code == 0
    (name,) = (file for file in line["files"] if file.endswith(".dcm"))
    made = dcmread(tmp_path / "out" / name)
    assert (made.SOPClassUID.name, made.BurnedInAnnotation) == ("Secondary Capture Image Storage", "NO")
    assert (made.StudyInstanceUID, made.PatientID) == (source.StudyInstanceUID, "P0")
    assert (made.InstitutionName, made.StationName) == ("North", "READ1")
    assert made.SeriesInstanceUID != source.SeriesInstanceUID
    (reference,) = made.SourceImageSequence
    assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
    with Pillow.open(tmp_path / "out" / line["files"][0]) as picture:
        assert picture.height / picture.width == pytest.approx(2 * 20 / 24, abs=0.01)  # rows lie twice as far apart
    Pillow.fromarray(np.zeros((20, 20), np.uint8)).save(tmp_path / "one.png")
    of_pictures = model_folder(_made(tmp_path / "model"), study(data={"modalities": ["OTHER"]}))
    code, (line,), _ = explain(of_pictures, tmp_path / "one.png", "-o", tmp_path / "others", "--dicom")
    assert (code, line["refused"]) == (4, "not-dicom")


def test_explaining_opens_no_connection_and_writes_nowhere_but_its_own_folder(
    classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = images(tmp_path / "images", 1)
    before = {path: path.read_bytes() for path in folder.rglob("*")}

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert explain(classifier, folder, "-o", tmp_path / "out")[0] == 0
    assert {path: path.read_bytes() for path in folder.rglob("*")} == before
    assert {path.name for path in tmp_path.iterdir()} == {"images", "out"}


@pytest.mark.slow
def test_what_a_hospital_sends_is_made_without_the_room_of_explanations() -> None:
    code = (
        "import sys, wardround_client.hospital.app, wardround_client.service.hospital_service;"
        "print(*[name for name in sys.modules if 'explanation' in name or name == 'captum'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_method_that_the_page_adds_is_one_file_that_works() -> None:
    page = Path(__file__).parents[2] / "docs" / "explanation.md"
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102  # our own page
    image, lesion = spot()
    heat = names["METHOD"].explain(Question(MeanGrey(), 1), image)
    assert heat.shape == (1, 32, 32)
    assert (heat[0].numpy()[lesion] > 0).all()


def test_each_method_is_of_images_or_of_outlines_and_says_how_its_map_is_read() -> None:
    assert find(None, classification.TASK)[0] == "integrated-gradients"
    assert find(None, segmentation.TASK)[0] == "views"
    assert all(find(name, classification.TASK)[1].reading for name in OF_IMAGES)
