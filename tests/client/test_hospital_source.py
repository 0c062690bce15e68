"""What options tell a trial run a serving hospital's settings tell: approve shows it, the audit log notes it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydicom import FileDataset
from typer.testing import CliRunner, Result

from examples import DP, STUDY
from tiny_dicom import save, tiny
from wardround_client.commands.hospital_cli import app
from wardround_client.hospital.hospital_source import hospital_source
from wardround_client.hospital.joining import begin
from wardround_client.spending.policy import POLICY_NAME, policy_text
from wardround_client.state.approvals import Approvals
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_common.errors import DataError, LabelError, PrivacyError, StorageError
from wardround_common.keys.identity import Identity
from wardround_common.study.file import Study
from wardround_common.study.roster import Listed

PATIENTS = 24


def image(number: int) -> FileDataset:
    made = tiny(np.random.default_rng(number).integers(0, 4000, (20, 24), dtype=np.uint16), PatientID=f"Secret{number}")
    made.PatientName = made.PatientID
    return made


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "images"
    folder.mkdir()
    return folder


def hospital(images: Path, **switches: object) -> HospitalFolder:
    folder = HospitalFolder(images.parent / "state")
    begin(folder, "a", images, None, datetime.now(UTC), switches)
    rules = policy_text().replace("= true", "= false").replace("smallest_cohort = 20", "smallest_cohort = 5")
    (folder.path / POLICY_NAME).write_text(rules)
    return folder


def label(images: Path) -> None:
    rows = [f"{number}.dcm,{('none', 'finding')[number % 2]}" for number in range(PATIENTS)]
    (images / "labels.csv").write_text("\n".join(["file,label", *rows]) + "\n")


def propose(folder: HospitalFolder, *, private: bool = False, name: str = "test") -> None:
    tables = {key: dict(table) for key, table in STUDY.items()}
    tables["study"]["name"] = name
    tables["data"] |= {"modalities": ["MR"], "image_size": 16}
    if private:
        tables["privacy"] = DP | {"delta": 1e-5}
    other = Listed.of("other", Identity(bytes(32)).public)
    tables["roster"] = [Listed.of("a", folder.identity().public).model_dump(), other.model_dump()]  # type: ignore[assignment]
    Approvals(folder.path / "studies").propose(Study.model_validate(tables))


def approve(folder: HospitalFolder, name: str = "test") -> Result:
    return CliRunner().invoke(app, ["approve", name, "--state", str(folder.path), "--yes"])


def approved_fact(folder: HospitalFolder) -> dict[str, object]:
    lines = [
        json.loads(line) for path in sorted(folder.audit.glob("*.jsonl")) for line in path.read_text().splitlines()
    ]
    found: dict[str, object] = next(line for line in lines if "study approved" in json.dumps(line))
    return found


def test_a_hospital_whose_scanner_writes_private_attributes_takes_part_when_its_settings_say_so(images: Path) -> None:
    for number in range(PATIENTS):
        made = image(number)
        made.private_block(0x0029, "INVENTED SCANNER 1", create=True).add_new(1, "LO", "gain 3")
        save(made, images / f"{number}.dcm")
    label(images)
    closed = hospital(images)
    propose(closed)
    refused = approve(closed).exception
    assert isinstance(refused, DataError)
    assert "all 24 files were refused: 24 private-tags (private attributes, which may say anything)" in refused.what
    assert "hospital.toml" in refused.do
    closed.settings_file.write_text(closed.settings_file.read_text() + '\nallow = ["private-tags"]\n')
    done = approve(closed)
    assert done.exit_code == 0, done.output
    assert "private-tags (allow 'private-tags' in hospital.toml)" in " ".join(done.output.split())
    assert '"allow": "private-tags"' in json.dumps(approved_fact(closed))


def test_labels_may_come_from_an_attribute_at_a_hospital_that_serves(images: Path) -> None:
    for number in range(PATIENTS):
        made = image(number)
        made.StudyDescription = ("none", "finding")[number % 2]
        save(made, images / f"{number}.dcm")
    folder = hospital(images, label_attribute="StudyDescription")
    propose(folder)
    done = approve(folder)
    assert done.exit_code == 0, done.output
    assert "Labels come from the DICOM attribute StudyDescription" in " ".join(done.output.split())
    assert '"label attribute": "StudyDescription"' in json.dumps(approved_fact(folder))


def test_a_guess_is_shown_refused_under_differential_privacy_and_taken_when_confirmed(images: Path) -> None:
    for number in range(PATIENTS):
        made = image(number)
        made.PatientID = made.PatientName = ""
        save(made, images / f"{number}.dcm")
    label(images)
    folder = hospital(images)
    propose(folder, private=True)
    refused = approve(folder).exception
    assert isinstance(refused, PrivacyError)
    assert 'confirm_patients = ["study"]' in refused.do
    folder.settings_file.write_text(folder.settings_file.read_text() + '\nconfirm_patients = ["study"]\n')
    done = approve(folder)
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    assert "Patients are identified so: guessed and confirmed here: 24 by StudyInstanceUID." in said
    assert "This hospital confirms that each study is of one person, and no person has two studies here" in said
    facts = json.dumps(approved_fact(folder))
    assert '"confirm patients": "study"' in facts
    assert '"patients guessed": 24' in facts
    assert str(images) not in facts


def test_patients_who_come_back_under_other_names_are_warned_of(images: Path) -> None:
    for number in range(PATIENTS):
        save(image(number), images / f"{number}.dcm")
    label(images)
    folder = hospital(images)
    propose(folder, private=True)
    assert "the ledger knows none" not in " ".join(approve(folder).output.split())
    propose(folder, private=True, name="second")
    assert "the ledger knows none" not in " ".join(approve(folder, "second").output.split())
    for number in range(PATIENTS):
        made = image(number)
        made.PatientID = made.PatientName = f"Other{number}"
        save(made, images / f"{number}.dcm")
    propose(folder, private=True, name="third")
    assert "Warning: the ledger knows none of these patients, and" in " ".join(approve(folder, "third").output.split())


def test_without_differential_privacy_a_guess_is_warned_of(images: Path) -> None:
    for number in range(PATIENTS):
        made = image(number)
        made.PatientID = made.PatientName = "ANONYMOUS"
        save(made, images / f"{number}.dcm")
    label(images)
    folder = hospital(images)
    propose(folder)
    done = approve(folder)
    assert done.exit_code == 0, done.output
    assert "Warning: 24 patients are guessed" in " ".join(done.output.split())


def test_patients_with_an_identity_are_said_too_and_no_switch_is_noted(images: Path) -> None:
    for number in range(PATIENTS):
        save(image(number), images / f"{number}.dcm")
    label(images)
    folder = hospital(images)
    propose(folder, private=True)
    done = approve(folder)
    assert "Patients are identified so: 24 by PatientID." in " ".join(done.output.split())
    assert "Secret" not in done.output
    assert "allow" not in json.dumps(approved_fact(folder))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('allow = ["everything"]', "no finding 'everything'"),
        ('label_attribute = "NoSuchWord"', "no attribute with the keyword 'NoSuchWord'"),
        ('confirm_patients = ["breast"]', "no guess 'breast'"),
    ],
)
def test_a_misspelt_switch_names_the_settings_file_and_the_words_that_there_are(
    images: Path, line: str, said: str
) -> None:
    folder = hospital(images)
    folder.settings_file.write_text(folder.settings_file.read_text() + f"\n{line}\n")
    with pytest.raises(DataError, match=said) as caught:
        hospital_source(folder)
    assert "hospital.toml" in caught.value.where


def test_labels_come_from_one_place(images: Path) -> None:
    folder = hospital(images)
    more = f'\nlabels = "{images}/labels.csv"\nlabel_attribute = "StudyDescription"\n'
    folder.settings_file.write_text(folder.settings_file.read_text() + more)
    with pytest.raises(StorageError, match="from a table or from an attribute"):
        hospital_source(folder)


def init(images: Path, *more: str) -> Result:
    command = ["init", "a", "--data", str(images), "--state", str(images.parent / "state")]
    return CliRunner().invoke(app, [*command, "--out", str(images.parent / "a.request"), *more])


def test_init_takes_the_switches_and_keeps_them_when_it_is_run_again(images: Path) -> None:
    switches = ("--allow", "private-tags", "--allow", "burnt-in", "--label-attribute", "StudyDescription")
    assert init(images, *switches, "--confirm-patients", "folder").exit_code == 0
    assert init(images, "--new-node-key").exit_code == 0
    source = hospital_source(HospitalFolder(images.parent / "state"))
    assert source.allow == {"private-tags", "burnt-in"}
    assert (source.label_attribute, source.confirmed) == ("StudyDescription", {"folder"})
    other = init(images, "--allow", "identity")
    assert isinstance(other.exception, StorageError)
    assert 'allow ["private-tags", "burnt-in"]' in other.exception.what
    wrong = init(images, "--allow", "everything")
    assert isinstance(wrong.exception, DataError)


def test_advice_names_what_works_for_a_hospital_that_serves(images: Path) -> None:
    save(image(0), images / "0.dcm")
    folder = hospital(images)
    propose(folder)
    without = approve(folder).exception
    assert isinstance(without, LabelError)
    assert "labels and label_attribute in its hospital.toml" in without.do
