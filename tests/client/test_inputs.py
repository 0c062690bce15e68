"""What a network is told of a patient besides images: what is missing is told as missing, and gradients are a patient's
own.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from examples import DP, STUDY
from tiny_dicom import tiny
from wardround_client import networks
from wardround_client.networks import FEATURES, Bag, with_padding_of
from wardround_client.prediction.case_by_case import clinical_table
from wardround_client.preparation.asking import cases_of
from wardround_client.preparation.bags import with_page
from wardround_client.preparation.dataset import Dataset, prepare, take_in, variables_of
from wardround_client.preparation.source import Source
from wardround_client.preparation.variables import said_of_readings
from wardround_client.training.augmentation import augment
from wardround_client.training.bookkeeping import BookKeeping, Way, clipping_factors
from wardround_client.training.network_probe import WAYS
from wardround_client.training.rehearsal import rehearse
from wardround_common.errors import LabelError, StudyError
from wardround_common.randomness import insecure_stream
from wardround_common.study.file import Study, parse_study
from wardround_common.study.template import study_text
from wardround_common.study.variables import Variable
from wardround_common.study.words.describe import describe

AGE = {"name": "age", "attribute": "PatientAge", "range": [0.0, 100.0]}
SEX = {"name": "sex", "attribute": "PatientSex", "values": ["F", "M"]}
GRADE = {"name": "grade", "column": "Grade (WHO)", "values": ["2", "3", "4"]}


def of(*variables: dict[str, object], **more: dict[str, object]) -> Study:
    tables = {name: table | more.get(name, {}) for name, table in STUDY.items() if name != "privacy"}
    tables["privacy"] = more.get("privacy", STUDY["privacy"])
    asked = {"record": "patient", "bag_size": 4, "variables": list(variables)}
    tables["data"] = {**tables["data"], **asked} | more.get("data", {})
    return Study.model_validate(tables)


@pytest.mark.parametrize(
    ("variable", "written", "numbers", "how"),
    [
        (AGE, ["045Y"], (1, -0.1), "known"),
        (AGE, ["45"], (1, -0.1), "known"),
        (AGE, ["018M", "045Y"], (1, -0.97), "known"),  # the first examination
        (AGE, ["", "-"], (0, 0), "missing"),
        (AGE, [], (0, 0), "missing"),
        (AGE, ["young"], (0, 0), "unfit"),
        (AGE, ["101"], (0, 0), "unfit"),  # no number is moved to a limit in silence
        (AGE, ["nan"], (0, 0), "unfit"),
        (SEX, ["f"], (1, 1, 0), "known"),
        (SEX, ["M", " m "], (1, 0, 1), "known"),
        (SEX, ["M", "F"], (0, 0, 0), "contradictory"),
        (SEX, ["O"], (0, 0, 0), "unfit"),
        ({"name": "psa", "range": [0, 10]}, ["2,5"], (1, -0.5), "known"),
        ({"name": "psa", "range": [0, 10]}, ["2.5", "3"], (0, 0), "contradictory"),
        ({"name": "psa", "range": [0, 10]}, ["0"], (1, -1), "known"),  # is not what a missing one is
    ],
)
def test_what_is_written_is_read_by_the_study_and_what_is_not_known_is_told_as_such(
    variable: dict[str, object], written: list[str], numbers: tuple[float, ...], how: str
) -> None:
    found, said = Variable.model_validate(variable).read(written)
    assert found == pytest.approx(numbers)
    assert said == how


@pytest.mark.parametrize(
    ("variables", "data", "said"),
    [
        ([{"name": "age"}], {}, "needs either a range"),
        ([AGE | {"values": ["a", "b"]}], {}, "needs either a range"),
        ([AGE | {"range": [5.0, 5.0]}], {}, "the first number of range is the least"),
        ([SEX | {"values": ["F"]}], {}, "needs two values or more"),
        ([SEX | {"values": ["F", "f"]}], {}, "needs two values or more"),
        ([SEX | {"values": ["F", "unknown"]}], {}, "what is missing is told by itself"),
        ([AGE | {"attribute": "PatientName"}], {}, "attribute"),
        ([SEX | {"column": "Patient", "values": ["p-1", "p-2"]}], {}, "which says of whom a line is"),
        ([{"name": "uid", "values": ["1.2", "1.3"]}], {}, "which says of whom a line is"),
        ([AGE, AGE], {}, "age"),
        ([AGE], {"record": "image", "bag_size": 32}, "record of several images"),
    ],
)
def test_variables_that_mean_nothing_are_refused(
    variables: list[dict[str, object]], data: dict[str, object], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        of(*variables, data=data)


@pytest.mark.parametrize(
    ("task", "column"),
    [
        (STUDY["task"], "Label"),
        ({"name": "findings", "classes": ["Mass", "Cyst"]}, "mass"),
        ({"name": "measurement", "quantity": "Age", "unit": "years", "low": 0.0, "high": 100.0}, "age"),
        ({"name": "risk", "times": [1, 2, 4], "unit": "years"}, "time"),
    ],
)
def test_a_model_is_not_told_what_it_is_to_tell(task: dict[str, object], column: str) -> None:
    tables = of().tables(nulls=False)
    tables["task"], told = task, {"name": "told", "range": [0.0, 9.0]}
    other = "time" if task["name"] == "classification" else "label"
    tables["data"]["variables"] = [told | {"column": other}]
    assert Study.model_validate(tables).data.variables[0].written_in == other
    tables["data"]["variables"] = [told | {"column": column}]
    with pytest.raises(ValueError, match="learns to tell: a model that is told it"):
        Study.model_validate(tables)


def test_a_misspelt_key_of_a_variable_is_named_with_the_nearest_one() -> None:
    text = study_text("a").replace("# record =", "record =")
    text = text.replace("# variables = ", 'variables = [{ name = "sex", vaules = ["F"] }]\n# ')
    text = text.replace("# subgroups = ", "subgroups = [{ by = 'age', band = [40.0] }]\n# ")
    with pytest.raises(StudyError) as raised:
        parse_study(text)
    said = str(raised.value)
    assert "[data] variables, entry 1: vaules = " in said
    assert "there is no such key; did you mean 'values'?" in said
    assert "[evaluation] subgroups, entry 1: band = [40.0]: there is no such key; did you mean 'bands'?" in said


def test_a_study_without_variables_has_the_digest_that_it_had_and_one_says_what_it_tells() -> None:
    assert "variables" not in of().model_dump_json()
    words = " ".join(sentence for passage in describe(of(AGE, SEX, privacy=DP)) for sentence in passage.sentences)
    assert "age (the column 'age', else DICOM PatientAge: 0 to 100)" in words
    assert "told as missing; nothing is filled in. They are a part of the patient's record: clipped, noised" in words


def small(numbers: int) -> Bag:
    with networks.seeded(1):
        encoder = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.Tanh(), nn.Flatten(), nn.Linear(36, FEATURES))
        return Bag(encoder, "attention", 2, numbers).double()


def bags(padded: int = 2) -> torch.Tensor:
    """Return three records of four images, of which the second is short of some, without a page."""
    found = torch.rand(3, 1, 4, 8, 8, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    found[1, :, 4 - padded :] = -1.0
    return found


def paged(images: torch.Tensor, numbers: list[list[float]]) -> torch.Tensor:
    return torch.from_numpy(with_page(images.numpy(), np.array(numbers)))


NUMBERS = [[1.0, -0.1, 1.0, 1.0, 0.0], [0.0, 0.0, 1.0, 0.0, 1.0], [1.0, 0.4, 0.0, 0.0, 0.0]]


def test_a_missing_value_is_told_apart_from_every_known_one_and_touches_no_image() -> None:
    network, images = small(5), bags()
    known = network(paged(images, NUMBERS))
    other = network(paged(images, [[*NUMBERS[0][:1], 0.0, *NUMBERS[0][2:]], *NUMBERS[1:]]))
    missing = network(paged(images, [[0.0, 0.0, *NUMBERS[0][2:]], *NUMBERS[1:]]))
    assert not torch.allclose(missing[0], other[0])  # 0 that is known is not 0 that is missing
    torch.testing.assert_close(missing[1:], known[1:])
    head = network.head.weight
    torch.testing.assert_close(known[0] - missing[0], head[:, FEATURES] - 0.1 * head[:, FEATURES + 1])


@pytest.mark.parametrize("way", WAYS)
def test_the_gradient_of_a_patient_with_variables_is_that_of_the_patients_record_alone(way: Way) -> None:
    network, labels, counts = small(5), torch.tensor([0, 1, 1]), [2, 1]
    whole = paged(bags(), NUMBERS)

    def losses(of: torch.Tensor, to: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(network(of), to, reduction="none")

    alone = []
    for records in ([0, 1], [2]):
        network.zero_grad()
        for record in records:  # one at a time, without padding
            images = bags()[record : record + 1, :, : 2 if record == 1 else 4]
            losses(paged(images, [NUMBERS[record]]), labels[record : record + 1]).sum().backward()
        alone.append([weight.grad.clone() for weight in network.parameters() if weight.grad is not None])
    network.zero_grad()
    norms = torch.stack([torch.stack([one.norm() for one in patient]).norm() for patient in alone])
    clip = float(norms.min()) / 2
    with BookKeeping(network, way) as books:
        found = books.clipped_sum(losses(whole, labels), counts, clip)
    for place, total in enumerate(found):
        factors = clipping_factors(norms, clip)
        expected = sum(factor * patient[place] for factor, patient in zip(factors, alone, strict=True))
        torch.testing.assert_close(total, expected, rtol=1e-6, atol=1e-12)


def test_no_view_of_a_record_changes_what_is_told_besides_its_images() -> None:
    whole = paged(bags(), NUMBERS).float()
    seen, _ = augment(whole, torch.zeros(3), ["flip", "shift", "rotate", "scale", "intensity"], insecure_stream(1, "v"))
    kept = with_padding_of(seen, whole, page=True)
    assert torch.equal(kept[:, :, -1], whole[:, :, -1])
    assert (kept[1, :, 2:4] == -1).all()
    assert not torch.equal(kept[0, :, :4], whole[0, :, :4])


@pytest.mark.slow
def test_a_private_study_with_variables_has_a_gradient_of_each_record_of_its_own() -> None:
    study = of(AGE, SEX, model={"network": "tiny-cnn"}, data={"image_size": 32}, privacy=DP)
    assert rehearse(study).endswith("the gradient of each image is its own")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make six patients with two images each, ages in the headers of some, and a table with the rest."""
    found = tmp_path_factory.mktemp("hospital")
    rng = np.random.default_rng(0)
    labels, clinical = [["patient", "label", "Sex"]], [["patient", "grade (who)"]]
    for patient in range(6):
        name = f"P{patient}"
        for number in range(2):
            pixels = rng.integers(0, 4000, (16, 16)).astype(np.uint16)
            made = tiny(pixels, PatientID=name, PatientName=name, SeriesInstanceUID=f"1.2.{patient + 1}", Modality="DX")
            made.PatientAge = f"0{patient + 2}0Y" if patient < 4 else ""
            made.save_as(found / f"{name}-{number}.dcm", enforce_file_format=True)
        labels.append([name, "finding" if patient % 2 else "none", "FM?"[patient % 3]])
        clinical.append([name, ["2", "3", "4", "5", "", "II"][patient]])
    for name, rows in (("labels.csv", labels), ("clinical.csv", clinical)):
        with (found / name).open("w", newline="") as stream:
            csv.writer(stream).writerows(rows)
    return found


def numbers_of(data: Dataset) -> dict[str, list[float]]:
    found = {}
    for split in (data.train, data.validation, data.test):
        pages = split.images(slice(None))[:, 0, -1].reshape(len(split), -1)
        found |= {data.identifiers[code]: page.tolist() for code, page in zip(split.patients, pages, strict=True)}
    return found


def test_variables_are_read_from_the_clinical_table_the_labels_or_the_files(folder: Path, tmp_path: Path) -> None:
    study, source = of(AGE, SEX, GRADE), Source(folder, tmp_path)
    data = prepare(source, study, *take_in(source, study))
    pages = numbers_of(data)
    assert pages["P0"][:9] == pytest.approx([1, -0.6, 1, 1, 0, 1, 1, 0, 0])
    assert pages["P3"][:9] == pytest.approx([1, 0.0, 1, 1, 0, 0, 0, 0, 0])  # grade 5 is none of the study's
    assert pages["P5"][:9] == pytest.approx([0, 0, 0, 0, 0, 0, 0, 0, 0])
    assert not any(any(page[9:]) for page in pages.values())
    readings = {
        "age": {"known": 4, "missing": 2},
        "sex": {"known": 4, "missing": 2},
        "grade": {"known": 3, "missing": 1, "unfit": 2},
    }
    assert data.intake.variables == variables_of(source, study) == readings
    said = said_of_readings(readings, "patients")
    assert said[2] == "grade: known of 3 of 6 patients, 1 missing, 2 written otherwise than the study says"
    assert "clinical.csv" not in "".join(data.intake.refused)
    plain = prepare(source, of(), *take_in(source, of()))
    assert plain.fingerprint != data.fingerprint


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (b"age,sex\n40,F\n", "no column says of whom a line is"),
        (b"", r"the table of clinical variables is empty\n.*patient,age"),
        (b"patient,age\nP0\n", "line 2 has 1 of 2 columns"),
        (b"patient,age,Age\nP0,1,1\n", "'age' appears twice"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (None, "the table of clinical variables cannot be read"),
    ],
)
def test_a_clinical_table_that_cannot_be_read_stops_the_hospital(
    folder: Path, tmp_path: Path, table: bytes | None, said: str
) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_bytes((folder / "labels.csv").read_bytes())
    clinical = tmp_path / "clinical.csv"
    clinical.mkdir() if table is None else clinical.write_bytes(table)
    source = Source(folder, tmp_path / "state", labels)
    with pytest.raises(LabelError, match=said):
        variables_of(source, of(AGE))


def test_a_model_that_is_asked_is_told_the_variables_of_the_table_and_of_the_files(folder: Path) -> None:
    study, files = of(AGE, SEX, GRADE), sorted(folder.glob("*.dcm"))
    told = {case.name: case.prepare() for case in cases_of(files, study, frozenset(), folder / "clinical.csv")}
    page = told["P0"].images[0, 0, -1].reshape(-1)
    assert page[:9].tolist() == pytest.approx([1, -0.6, 0, 0, 0, 1, 1, 0, 0])
    assert told["P0"].images.shape == (1, 1, 3, 16, 16)
    assert told["P0"].about["not_known"] == {"sex": "missing"}
    assert told["P5"].about["not_known"] == {"age": "missing", "sex": "missing", "grade": "unfit"}
    without = {case.name: case.prepare() for case in cases_of(files, study, frozenset())}
    assert without["P0"].about["not_known"] == {"sex": "missing", "grade": "missing"}
    assert not without["P4"].images[0, 0, -1].any()


def test_a_table_that_is_named_and_says_nothing_of_the_study_is_an_error(folder: Path) -> None:
    assert clinical_table(of(SEX), [folder], folder / "labels.csv") == folder / "labels.csv"
    with pytest.raises(LabelError, match="none of its columns is a variable of the study") as error:
        clinical_table(of(AGE, GRADE), [folder], folder / "labels.csv")
    assert error.value.do == "The study's: age, Grade (WHO)."
    assert clinical_table(of(AGE), [folder], None) == folder.resolve() / "clinical.csv"  # which is there for others
