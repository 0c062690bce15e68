"""Before it approves a hospital reads what it brings: images, patients, labels of each class, and what changed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest
from click.testing import Result
from typer.testing import CliRunner

from examples import DP, STUDY
from tiny_dicom import save, tiny
from wardround_client.commands.hospital_cli import app
from wardround_client.hospital.contribution import FILE
from wardround_client.hospital.joining import begin
from wardround_client.service.stages import study_stages
from wardround_client.service.ward import Ward
from wardround_client.spending.ledger.store import open_ledger
from wardround_client.spending.policy import POLICY_NAME, policy_text
from wardround_client.state.approvals import Approvals
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_common.audit.log import lines
from wardround_common.documents.proposal import ProposeRequest
from wardround_common.errors import ApprovalError, MessageError, PolicyError, PrivacyError
from wardround_common.keys.identity import Identity
from wardround_common.messages.rounds import Prepared, PrepareRequest, TrainRequest
from wardround_common.shell.commands import DECLINED
from wardround_common.study.file import Study
from wardround_common.study.roster import Listed

CLASSES = ("none", "finding")
PATIENTS = 30


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HospitalFolder:
    """Set up a hospital of 30 patients with one image each, and one more of the first; every third has a finding."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    images = tmp_path / "images"
    rng = np.random.default_rng(0)
    for number in range(PATIENTS + 1):
        made = tiny(rng.integers(0, 4000, (20, 24), dtype=np.uint16), PatientID=f"Secret{number % PATIENTS}")
        made.PatientName = made.PatientID
        save(made, images / f"{number}.dcm")
    label(images, lambda number: "finding" if number % 3 == 0 else "none")
    made_folder = HospitalFolder(tmp_path / "state")
    begin(made_folder, "a", images, None, datetime.now(UTC))
    rules = policy_text().replace("= true", "= false").replace("smallest_cohort = 20", "smallest_cohort = 5")
    (made_folder.path / POLICY_NAME).write_text(rules)
    return made_folder


def label(images: Path, word_of: object) -> None:
    rows = [f"{number}.dcm,{word_of(number)}" for number in range(PATIENTS + 1)]  # type: ignore[operator]
    (images / "labels.csv").write_text("\n".join(["file,label", *rows]) + "\n")


def propose(folder: HospitalFolder, name: str) -> Study:
    tables = {key: dict(table) for key, table in STUDY.items()}
    tables["study"]["name"] = name
    tables["task"]["classes"] = list(CLASSES)
    tables["data"] |= {"modalities": ["MR"], "image_size": 16}
    other = Listed.of("other", Identity(bytes(32)).public)
    tables["roster"] = [Listed.of("a", folder.identity().public).model_dump(), other.model_dump()]  # type: ignore[assignment]
    study = Study.model_validate(tables)
    Approvals(folder.path / "studies").propose(study)
    return study


def only_judged(folder: HospitalFolder) -> Study:
    """Propose a study, with differential privacy, in which this hospital only evaluates."""
    tables = propose(folder, "first").tables(nulls=False)
    listed = [Listed.of(name, Identity(name.encode() * 32).public).model_dump() for name in "bc"]
    tables["privacy"] = DP
    tables["evaluation"] = tables["evaluation"] | {"external": ["a"]}
    tables["roster"] = [tables["roster"][0], *listed]
    tables["study"] = {"name": "tried"}
    judged = Study.model_validate(tables)
    Approvals(folder.path / "studies").propose(judged)
    return judged


def approve(folder: HospitalFolder, name: str) -> str:
    done = CliRunner().invoke(app, ["approve", name, "--state", str(folder.path), "--yes"], catch_exceptions=False)
    return " ".join(done.output.split())


def test_approve_says_how_many_images_patients_and_labels_of_each_class_are_brought(folder: HospitalFolder) -> None:
    propose(folder, "first")
    said = approve(folder, "first")
    assert "This hospital brings 31 images of 30 patients: none 20 images of 20 patients" in said
    assert "finding 11 images of 10 patients" in said
    assert "Warning" not in said
    assert "Secret" not in said


def test_a_second_study_over_nearly_the_same_hospitals_is_said_to_tell_more_with_the_first(
    folder: HospitalFolder,
) -> None:
    """Of four hospitals and three of them the two secure sums less one another are the fourth's (secagg.md, 10)."""

    def among(name: str, others: str, *, secure: bool = True, least: int = 3) -> str:
        first = propose(folder, name)
        roster = [first.roster[0], *(Listed.of(one, Identity(one.encode() * 32).public) for one in others)]
        study = first.model_copy(
            update={
                "roster": tuple(roster),
                "aggregation": first.aggregation.model_copy(update={"secure": secure, "min_hospitals": least}),
            }
        )
        Approvals(folder.path / "studies").propose(study)
        return approve(folder, study.digest())

    assert "Its hospitals are those of" not in among("first", "bcd")
    said = among("second", "bc")
    assert "Its hospitals are those of 'first', which was approved here, but for d. Where both judge nearly one" in said
    assert "Its hospitals are those of 'second', which was approved here, but for e, f." in among("third", "bcef")
    assert "less one another" not in among("fourth", "ghi")
    assert "which was approved here, but for g, h." in among("fourth-again", "i", least=2)  # three in the other one
    assert "Its hospitals are those of" not in among("fifth", "bcd", secure=False)


def test_a_second_study_with_another_hospital_in_the_place_of_one_is_said_to_tell_of_both(
    folder: HospitalFolder,
) -> None:
    """The difference of secure sums with d and with e had 33 of 40 counts of d's scores, by class, and none wrong."""
    first = propose(folder, "first")

    def among(name: str, others: str) -> str:
        roster = [first.roster[0], *(Listed.of(one, Identity(one.encode() * 32).public) for one in others)]
        aggregation = first.aggregation.model_copy(update={"secure": True, "min_hospitals": 3})
        changed = {
            "roster": tuple(roster),
            "aggregation": aggregation,
            "study": first.study.model_copy(update={"name": name}),
        }
        study = first.model_copy(update=changed)
        Approvals(folder.path / "studies").propose(study)
        return approve(folder, study.digest())

    assert "less one another" not in among("second", "bcd")
    said = among("third", "bce")
    assert "It lists e and not d, whom 'second' lists, which was approved here. Where both judge nearly one" in said
    assert "are mostly those of e, or of d, alone" in said
    said = among("fourth", "fghi")
    assert "less one another" not in said
    said = among("fifth", "fgjklm")
    assert "It lists j, k, l, m and not h, i, whom 'fourth' lists" in said
    assert "are mostly those of h, i, alone" in said
    assert "less one another" not in among("sixth", "qr")
    approvals = Approvals(folder.path / "studies")
    approvals.decide(approvals.find("third").study, "refused")  # its sums have left all the same
    assert "whom 'third' lists, which was approved here" in among("sixth-again", "bcu")
    assert "less one another" not in among("seventh", "st")  # more were exchanged than stayed


def test_three_studies_of_which_no_two_show_few_are_said_to_show_few_together(folder: HospitalFolder) -> None:
    """All seven less two overlapping parts leave g less a: of 40 scores of each 19 were seen, and none wrong."""

    def among(name: str, others: str, **aggregation: object) -> str:
        first = propose(folder, name)
        roster = [first.roster[0], *(Listed.of(one, Identity(one.encode() * 32).public) for one in others)]
        secure = {"secure": True, "min_hospitals": 3} | aggregation
        study = first.model_copy(
            update={"roster": tuple(roster), "aggregation": first.aggregation.model_copy(update=secure)}
        )
        Approvals(folder.path / "studies").propose(study)
        return approve(folder, study.digest())

    assert "are left" not in among("first", "bcdefg")
    assert "are left" not in among("second", "bcd")
    assert "are left" not in among("open", "ef", secure=False)
    said = among("third", "ef")
    assert "less one another" not in said
    assert "Its secure sums and those of 'first', 'second', which were approved here, can be added and" in said
    assert "so that mostly those of a, g are left" in said
    assert "are left" not in among("fourth", "hijklmnop")


def test_one_class_only_is_warned_of_before_approval(folder: HospitalFolder) -> None:
    label(folder.settings().data, lambda number: "none")
    propose(folder, "first")
    assert "Warning: every label is 'none'" in approve(folder, "first")


def test_one_picture_under_two_labels_is_warned_of_before_approval(folder: HospitalFolder) -> None:
    images = folder.settings().data
    again = pydicom.dcmread(images / "1.dcm")
    again.PatientID = again.PatientName = "Secret99"
    again.StudyInstanceUID, again.SeriesInstanceUID = pydicom.uid.generate_uid(), pydicom.uid.generate_uid()
    again.SOPInstanceUID = again.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    again.save_as(images / "again.dcm")
    with (images / "labels.csv").open("a") as table:
        table.write("again.dcm,finding\n")
    propose(folder, "first")
    said = approve(folder, "first")
    assert "Warning: labels disagree in 1 pair of near-identical images" in said
    assert "Warning: 2 patients share near-identical images with another patient" in said


def test_a_change_of_labels_since_the_time_before_is_said_with_both_numbers(folder: HospitalFolder) -> None:
    propose(folder, "first")
    approve(folder, "first")
    label(folder.settings().data, lambda number: "finding" if number % 2 else "none")
    said = approve(folder, "first")
    assert "Warning: changed since first was approved on" in said
    assert "'finding' now 15 images of 15 patients, before 11 images of 10 patients" in said
    assert "changed since" not in approve(folder, "first")


def test_labels_that_are_exchanged_are_a_change_although_the_numbers_are_the_same(folder: HospitalFolder) -> None:
    propose(folder, "first")
    approve(folder, "first")
    exchanged = {3: "none", 4: "finding"}
    label(folder.settings().data, lambda number: exchanged.get(number, "none" if number % 3 else "finding"))
    assert "the numbers are the same, but the images or their labels differ" in approve(folder, "first")


def test_another_study_with_these_classes_is_compared_with_the_last_one(folder: HospitalFolder) -> None:
    propose(folder, "first")
    approve(folder, "first")
    propose(folder, "second")
    assert "changed since" not in approve(folder, "second")
    (folder.settings().data / "7.dcm").unlink()
    propose(folder, "third")
    assert "all now 30 images of 29 patients, before 31 images of 30 patients" in approve(folder, "third")


def test_nothing_of_what_is_brought_leaves_the_hospital(folder: HospitalFolder) -> None:
    study = propose(folder, "first")
    approve(folder, "first")
    answer = Ward(folder).answer("propose", ProposeRequest(study).parts()).parts()
    assert set(answer.fields) <= {"kind", "study", "decision", "signature"}
    assert (folder.path / FILE).stat().st_mode & 0o777 == 0o600
    noted = "".join(path.read_text() for path in folder.audit.glob("*.jsonl"))
    assert "labelled" not in noted
    assert "finding" not in noted


def test_a_damaged_record_of_earlier_studies_is_said_and_never_taken_for_none(folder: HospitalFolder) -> None:
    propose(folder, "first")
    (folder.path / FILE).write_text("{")
    done = CliRunner().invoke(app, ["approve", "first", "--state", str(folder.path), "--yes"])
    assert "contributed to earlier studies cannot be read" in str(done.exception)


def test_init_says_that_no_table_of_labels_lies_where_one_is_looked_for(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    arguments = ["init", "a", "--data", str(tmp_path / "images"), "--state", str(tmp_path / "state")]
    arguments += ["--out", str(tmp_path / "a.request")]
    assert "There is no labels.csv or boxes.csv in" in CliRunner().invoke(app, arguments, catch_exceptions=False).output
    (tmp_path / "images" / "labels.csv").write_text("file,label\n")
    assert "labels.csv" not in CliRunner().invoke(app, arguments, catch_exceptions=False).output


def decision(folder: HospitalFolder, study: Study) -> object:
    return Ward(folder).answer("propose", ProposeRequest(study).parts()).parts().fields["decision"]


def test_a_refusal_by_the_policy_reaches_the_coordinator_and_ends_when_the_policy_allows_it(
    folder: HospitalFolder,
) -> None:
    study, rules = propose(folder, "first"), folder.path / POLICY_NAME
    allowed = rules.read_text()
    rules.write_text(allowed.replace("require_secure = false", "require_secure = true"))
    done = CliRunner().invoke(app, ["approve", "first", "--state", str(folder.path), "--yes"])
    assert isinstance(done.exception, PolicyError)
    assert decision(folder, study) == "against-policy"
    status = list(study_stages(folder.path))
    assert [one.stage for one in status] == ["not allowed by the policy"]
    rules.write_text(allowed)
    assert "Approved." in approve(folder, "first")
    assert decision(folder, study) == "approved"
    rules.write_text(allowed.replace("require_secure = false", "require_secure = true"))
    CliRunner().invoke(app, ["approve", "first", "--state", str(folder.path), "--yes"])
    assert decision(folder, study) == "approved"  # nobody took that back


def test_a_refusal_frees_what_the_approval_reserved(folder: HospitalFolder) -> None:
    study = propose(folder, "first")
    approve(folder, "first")
    books = open_ledger(folder.path, folder.identity()).books
    assert [one.study for one in books.open_studies()] == [study.digest()]
    done = CliRunner().invoke(app, ["refuse", "first", "--state", str(folder.path)])
    assert "Its reserved budget is released." in done.output
    assert open_ledger(folder.path, folder.identity()).books.open_studies() == []
    assert "Approved." in approve(folder, "first")  # the last word counts
    assert len(open_ledger(folder.path, folder.identity()).books.open_studies()) == 1


def test_the_answer_no_is_no_interruption_and_changes_nothing(folder: HospitalFolder) -> None:
    study = propose(folder, "first")
    done = CliRunner().invoke(app, ["approve", "first", "--state", str(folder.path)], input="n\n")
    assert done.exit_code == DECLINED
    assert "Not approved: nothing was changed" in done.output
    assert decision(folder, study) == "waiting"


def test_a_hospital_that_only_evaluates_reads_that_nobody_is_trained_on_and_reserves_nothing(
    folder: HospitalFolder,
) -> None:
    judged = only_judged(folder)
    said = approve(folder, "tried")
    assert "This hospital's patients are never trained on: the model is tried on all 30 of them, once" in said
    assert "No epsilon is reserved or spent here." in said
    assert "epsilon does not cover them" in said
    assert "would train on" not in said
    assert "Approved." in said
    assert not open_ledger(folder.path, folder.identity()).books.approved
    assert any(b"evaluation approved" in line for line in lines(folder.audit))
    assert "never trained on" in approve(folder, "tried")  # a later study finds a ledger that is whole
    propose(folder, "later")
    assert "Here it would train on" in approve(folder, "later")
    given = Ward(folder).answer("prepare", PrepareRequest(judged.digest(), True).parts())
    assert isinstance(given, Prepared)
    question = TrainRequest(judged.digest(), 1, given.parameters)  # type: ignore[arg-type]
    with pytest.raises(MessageError, match="only evaluates"):
        Ward(folder).answer("train", question.parts())


def asked_to_prepare(folder: HospitalFolder, study: Study, ward: Ward | None = None) -> None:
    """Ask a service that runs, or one that was started anew."""
    (ward or Ward(folder)).answer("prepare", PrepareRequest(study.digest(), False).parts())


@pytest.mark.parametrize("trains", [True, False], ids=["trains", "only evaluates"])
def test_a_policy_that_became_stricter_holds_for_a_study_that_was_approved_before(
    folder: HospitalFolder, trains: bool
) -> None:
    study, rules = propose(folder, "first") if trains else only_judged(folder), folder.path / POLICY_NAME
    assert "Approved." in approve(folder, study.study.name)
    allowed, running = rules.read_text(), Ward(folder)
    asked_to_prepare(folder, study, running)
    for before, now, said in (
        ("require_secure = false", "require_secure = true", "needed: [aggregation] secure = true"),
        ("smallest_cohort = 5", "smallest_cohort = 500", "needed: 500"),
        ('tasks = ["classification"', 'tasks = ["detection"', "its task is classification"),
    ):
        assert before in allowed
        changed = allowed.replace('"detection", ', "").replace(', "detection"', "") if "tasks" in before else allowed
        rules.write_text(changed.replace(before, now))
        for ward in (running, None):
            with pytest.raises(PolicyError, match="does not allow the study") as refused:
                asked_to_prepare(folder, study, ward)
            assert said in str(refused.value)
        rules.write_text(allowed)
        asked_to_prepare(folder, study, running)
    rules.unlink()
    with pytest.raises(PrivacyError, match="policy"):
        asked_to_prepare(folder, study, running)
    rules.write_text(allowed)
    asked_to_prepare(folder, study)


def test_a_hospital_that_only_evaluates_answers_with_the_data_that_it_approved_and_no_others(
    folder: HospitalFolder,
) -> None:
    """Sums over test patients are exact: with one patient more, the difference of two answers is that patient's."""
    study = only_judged(folder)
    approve(folder, study.study.name)
    asked_to_prepare(folder, study)
    images = folder.settings().data
    rows = (images / "labels.csv").read_text()
    (images / "labels.csv").write_text(rows.replace("4.dcm,none", "4.dcm,finding"))
    with pytest.raises(PrivacyError, match="not those with which this hospital approved"):
        asked_to_prepare(folder, study)
    (images / "labels.csv").write_text(rows)
    asked_to_prepare(folder, study)
    (folder.path / FILE).unlink()
    with pytest.raises(PrivacyError, match="no record of the images and labels"):
        asked_to_prepare(folder, study)
    approve(folder, study.study.name)
    asked_to_prepare(folder, study)


def test_a_record_of_an_earlier_version_holds_a_hospital_that_only_evaluates_to_its_images_and_labels(
    folder: HospitalFolder,
) -> None:
    study = only_judged(folder)
    approve(folder, study.study.name)
    kept = json.loads((folder.path / FILE).read_text())
    for one in kept["earlier"]:
        assert one["brought"].pop("data")
    (folder.path / FILE).write_text(json.dumps(kept))
    asked_to_prepare(folder, study)
    images = folder.settings().data
    (images / "labels.csv").write_text((images / "labels.csv").read_text().replace("4.dcm,none", "4.dcm,finding"))
    with pytest.raises(PrivacyError, match="not those with which this hospital approved"):
        asked_to_prepare(folder, study)


@pytest.mark.slow  # the images are read four times
def test_only_what_was_read_is_approved_by_its_digest(folder: HospitalFolder) -> None:
    study = propose(folder, "first")

    def run(*words: str) -> Result:
        return CliRunner().invoke(app, ["approve", study.digest(), "--state", str(folder.path), *words])

    first = json.loads(run("--json").stdout)
    assert "Here it would train on" in first["uses"][0]
    assert first["passages"][0]["heading"] == "What it will do"
    assert Approvals(folder.path / "studies").get(study.digest()).decision == "waiting", "JSON decides nothing"
    label(folder.settings().data, lambda number: "finding" if number % 2 == 0 else "none")
    refused = run("--as-read", first["read"])
    assert isinstance(refused.exception, ApprovalError)
    assert "has changed since" in refused.exception.what
    assert Approvals(folder.path / "studies").get(study.digest()).decision == "waiting"
    second = json.loads(run("--json").stdout)
    assert second["read"] != first["read"]
    assert run("--as-read", second["read"]).exit_code == 0
    assert Approvals(folder.path / "studies").get(study.digest()).decision == "approved"
    assert run("--json", "--yes").exit_code == 2
