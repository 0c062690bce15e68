"""Fetching from and storing in a real archive: Orthanc of Debian, by C-GET, by C-MOVE and by DICOMweb."""

from __future__ import annotations

import csv
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import yaml
from pydicom import FileDataset, dcmread, dcmwrite
from pydicom.uid import JPEG2000Lossless, SecondaryCaptureImageStorage, SegmentationStorage, generate_uid

from archived import NAME, PIXELS, authority, document, files, moving, settings, study, web
from in_process import run
from models_made import model_folder
from orthanc import OURS, Orthanc, behind_tls, free_ports, needs_orthanc, orthanc
from outlined_hospitals import outlining, write_hospital
from tiny_dicom import tiny
from wardround_client.intake.index import scan
from wardround_client.intake.labels import find_labels
from wardround_client.pacs.archive import Archive, Query, checked
from wardround_client.pacs.commitment import commit
from wardround_client.pacs.dimse import DimseArchive
from wardround_client.pacs.doctor import Check, examine
from wardround_client.pacs.fetching import Report, fetch
from wardround_client.pacs.settings import PacsSettings
from wardround_client.pacs.storing import store
from wardround_client.pacs.web import WebArchive
from wardround_client.pacs.worklist import read_worklist
from wardround_common.errors import LabelError, PacsError

pytestmark = [
    pytest.mark.slow,
    needs_orthanc,
    # pynetdicom 3.0.4 leaves a socket to the garbage collector when the other side closes it first.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
Secured = tuple[Orthanc, dict[str, str], str]
WAYS = ("get", "move", "web")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with orthanc(tmp_path_factory.mktemp("orthanc")) as archive:
        yield archive


@pytest.fixture
def archive(running: Orthanc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Orthanc:
    running.clear()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return running


def by(way: str, archive: Orthanc) -> Archive:
    if way == "web":
        return WebArchive(web(archive))
    return DimseArchive(moving(archive) if way == "move" else settings(archive))


def fetched(way: Archive, into: Path, *lines: str, label: str = "label") -> Report:
    worklist = into.parent / "worklist.csv"
    worklist.write_text("\n".join(lines) + "\n")
    return fetch(way, *read_worklist(worklist), into, label=label)


@pytest.mark.parametrize("way", WAYS)
def test_a_work_list_comes_whole_with_its_labels_and_is_scanned_as_it_is(
    way: str, archive: Orthanc, tmp_path: Path
) -> None:
    one, two, other = study("A1", 3, series=2), study("A2", 2, patient="P2"), study("A3", 2, patient="P3")
    archive.add(*one, *two, *other, document(one[0]))
    into = tmp_path / "images"
    report = fetched(by(way, archive), into, "accession;label;site", "A1;tumour;x", "A2;none;y")
    assert report.complete
    assert report.counts() == {
        **{"counted": 9, "there": 0, "accepted": 8, "left in the archive": 1, "refused": 0, "missing": 0},
    }
    index = scan(into, state=tmp_path / "state", allow=frozenset({"identity"}))
    assert {each.sop_uid for each in index.accepted} == {each.SOPInstanceUID for each in one + two}
    assert find_labels(into, index, ("tumour", "none")).counts() == {"tumour": 6, "none": 2}
    for path in files(into):
        assert dcmread(path).pixel_array.shape == PIXELS.shape
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("way", WAYS)
def test_nothing_of_a_patient_is_in_a_name_or_a_log(
    way: str, archive: Orthanc, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    one = study("ACC-SECRET", 2, patient="ID-SECRET", StudyDescription="SECRET\x07 text", PatientBirthDate="SECRET")
    archive.add(*one, document(one[0]))
    fetched(by(way, archive), tmp_path / "images", "accession", "ACC-SECRET")
    by(way, archive).find(Query(patient="ID-SECRET"), 10)
    written = [str(path.relative_to(tmp_path)) for path in (tmp_path / "images").rglob("*")]
    captured = capfd.readouterr()
    assert len(written) == 4
    assert "SECRET" not in " ".join([caplog.text, captured.out, captured.err, *written])
    assert not any(uid in " ".join(written) for uid in (one[0].StudyInstanceUID, one[0].SOPInstanceUID))


@pytest.mark.parametrize("way", WAYS)
def test_what_is_there_is_not_sent_again_and_what_is_missing_comes(way: str, archive: Orthanc, tmp_path: Path) -> None:
    one = study("A1", 4, series=2)
    archive.add(*one)
    into = tmp_path / "images"
    fetched(by(way, archive), into, "accession,label", "A1,tumour")
    before = {path: path.stat().st_mtime_ns for path in files(into)}
    gone = list(before)[:3]
    for path in gone:
        path.unlink()
    report = fetched(by(way, archive), into, "accession,label", "A1,tumour")
    assert (report.counts()["there"], report.counts()["accepted"]) == (5, 3)
    assert set(files(into)) == set(before)
    assert all(path.stat().st_mtime_ns == when for path, when in before.items() if path not in gone)


@pytest.mark.parametrize("way", WAYS)
def test_one_bad_line_stops_no_other_and_each_says_why(way: str, archive: Orthanc, tmp_path: Path) -> None:
    good, pdf_only = study("A1", 2), document(study("A2", 1)[0])
    broken = study("A3", 2)
    del broken[0].Rows
    archive.add(*good, pdf_only, *broken)
    report = fetched(by(way, archive), tmp_path / "images", "accession,label", "A9,x", "A2,x", "A3,x", "A1,x")
    assert report.failed == {2: "the archive has no such study"}
    pdf, third, whole = report.studies
    assert pdf.problem == "no image that can be taken in among 1 instance: this is an encapsulated document"
    assert third.problem == "refused: 1 of 2 instances, rows, columns or bits are missing, or are not numbers (1)"
    assert (whole.problem, whole.accepted) == ("", 2)
    assert not report.complete
    with (tmp_path / "images" / "labels.csv").open() as table:
        assert [row["uid"] for row in csv.DictReader(table)] == [third.study, whole.study]


@pytest.mark.parametrize("way", WAYS)
def test_objects_arrive_in_the_transfer_syntax_in_which_the_archive_keeps_them(
    way: str, archive: Orthanc, tmp_path: Path
) -> None:
    one = study("A1", 2)
    one[1].compress(JPEG2000Lossless, generate_instance_uid=False)
    archive.add(*one)
    report = fetched(by(way, archive), tmp_path / "images", "accession,label", "A1,x")
    assert report.complete, report
    kept = {dcmread(path).SOPInstanceUID: dcmread(path) for path in files(tmp_path / "images")}
    if way != "move":  # to a receiver that takes all of them, the archive proposes what it prefers
        assert kept[one[1].SOPInstanceUID].file_meta.TransferSyntaxUID == JPEG2000Lossless
    assert np.array_equal(kept[one[1].SOPInstanceUID].pixel_array, PIXELS + 1)
    assert np.array_equal(kept[one[0].SOPInstanceUID].pixel_array, PIXELS)


@pytest.mark.parametrize("way", WAYS)
def test_studies_are_found_by_each_key_and_what_does_not_match_is_not_listed(way: str, archive: Orthanc) -> None:
    archive.add(*study("A1", 1), *study("A2", 1, patient="P2", Modality="CT"))
    asked = by(way, archive)

    def accessions(**keys: object) -> list[str]:
        query = Query(**keys)  # type: ignore[arg-type]
        return sorted(each.accession for each in checked(asked.find(query, 10), query))

    day = datetime(2024, 1, 5, tzinfo=UTC).date()
    assert accessions(patient="P2") == ["A2"]
    assert accessions(accession="A?") == accessions(accession="*") == ["A1", "A2"]
    assert accessions(modality="CT") == ["A2"]
    assert accessions(description="of the brain") == accessions(dates=(day, day)) == ["A1", "A2"]
    assert accessions(dates=(None, datetime(2024, 1, 4, tzinfo=UTC).date())) == []
    assert accessions(patient="P1", accession="A2") == []


@pytest.mark.parametrize("way", WAYS)
def test_studies_are_found_by_keys_with_letters_beyond_ascii(way: str, archive: Orthanc) -> None:
    said = {"SpecificCharacterSet": "ISO_IR 100", "StudyDescription": "MR Schädel nativ"}
    archive.add(*study("Ä1", 1, **said), *study("A2", 1), *study("U1", 1, StudyDescription="MR Schadel nativ"))
    asked = by(way, archive)

    def accessions(**keys: str) -> list[str]:
        query = Query(**keys)  # type: ignore[arg-type]
        return sorted(each.accession for each in checked(asked.find(query, 10), query))

    assert accessions(accession="Ä1") == accessions(description="Schädel nativ") == ["Ä1"]


@pytest.mark.parametrize("way", ["get", "web"])
def test_studies_are_found_by_keys_in_any_script_where_the_archive_answers_in_unicode(way: str, tmp_path: Path) -> None:
    with orthanc(tmp_path, DefaultEncoding="Utf8") as archive:
        for accession, characters in (("Ä1", "ISO_IR 100"), ("頭1", "ISO_IR 192")):
            archive.add(*study(accession, 1, SpecificCharacterSet=characters))
        asked = by(way, archive)
        for accession in ("Ä1", "頭1"):
            query = Query(accession=accession)
            assert [each.accession for each in checked(asked.find(query, 10), query)] == [accession]


def test_a_fetch_that_is_killed_goes_on(archive: Orthanc, tmp_path: Path) -> None:
    made = [study(f"A{number}", 6) for number in range(6)]
    archive.add(*(each for one in made for each in one))
    into, worklist = tmp_path / "images", tmp_path / "worklist.csv"
    worklist.write_text("accession,label\n" + "".join(f"A{number},x\n" for number in range(6)))
    pacs = pacs_file(tmp_path, moving(archive))
    command = [str(Path(sys.executable).with_name("wardround")), "pacs", "fetch", str(worklist)]
    command += ["--into", str(into), "--pacs", str(pacs), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    until = time.monotonic() + 60
    while len(files(into)) < 5 and time.monotonic() < until:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    before = len([path for path in files(into) if not path.name.startswith(".")])
    assert 0 < before < 36
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)["instances"]
    assert counts["accepted"] + counts["there"] == counts["counted"] == 36
    assert counts["there"] == before
    assert len(files(into)) == 36


def pacs_file(folder: Path, settings: PacsSettings) -> Path:
    path = folder / "pacs.toml"
    said = settings.model_dump(exclude_unset=True)
    path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in said.items()))
    return path


def test_a_label_that_was_corrected_counts_and_a_table_of_somebody_else_is_left_alone(
    archive: Orthanc, tmp_path: Path
) -> None:
    one, two = study("A1", 1), study("A2", 1)
    archive.add(*one, *two)
    into = tmp_path / "images"
    fetched(by("web", archive), into, "accession,label", "A1,tumour")
    fetched(by("web", archive), into, "accession,label", "A1,none", "A2,tumour")
    rows = list(csv.reader((into / "labels.csv").read_text().splitlines()))
    assert rows == [
        ["uid", "label"],
        [one[0].StudyInstanceUID, "none"],
        [two[0].StudyInstanceUID, "tumour"],
    ]
    (into / "labels.csv").write_text("uid,label\n1.2,tumour\n")
    with pytest.raises(LabelError, match="was not written by a fetch"):
        fetched(by("web", archive), into, "accession,label", "A1,none")
    assert (into / "labels.csv").read_text() == "uid,label\n1.2,tumour\n"


def test_a_study_with_two_labels_has_none(archive: Orthanc, tmp_path: Path) -> None:
    archive.add(*study("A1", 1, patient="P1"))
    report = fetched(by("web", archive), tmp_path / "images", "accession,patient,label", "A1,,tumour", ",P1,none")
    assert (report.contradicted, report.complete) == (1, False)


def wrong(settings: PacsSettings) -> Check:
    (found,) = [check for check in examine(settings) if check.fine is False]
    return found


def test_the_doctor_finds_nothing_where_all_is_well(archive: Orthanc) -> None:
    archive.add(*study("A1", 1))
    for each in (settings(archive), moving(archive), web(archive)):
        assert {check.fine for check in examine(each)} == {True}


def test_the_doctor_calls_nothing_wrong_where_the_archive_has_no_image_yet(archive: Orthanc) -> None:
    for each in (settings(archive), moving(archive), web(archive)):
        checks = examine(each)
        assert [check.words for check in checks if check.fine is None] == ["it has no image to try with"]
        assert not [check for check in checks if check.fine is False]


def test_the_doctor_says_which_setting_is_wrong(archive: Orthanc) -> None:
    archive.add(*study("A1", 1))
    (nobody,) = free_ports(1)
    assert "nothing listens at this port" in wrong(settings(archive, port=nobody)).words
    assert "no machine is known by this name" in wrong(settings(archive, host="pacs.invalid")).words
    assert "does not answer to the AE title 'OTHER'" in wrong(settings(archive, title="OTHER")).words
    unknown = wrong(settings(archive, our_title="STRANGER"))
    assert unknown.what == "questions"
    assert "'STRANGER'" in unknown.do
    back = wrong(moving(archive, receiver_port=nobody))
    assert back.what == "the way back (C-MOVE)"
    assert "does not connect back" in back.words
    assert "return rule" in back.do
    assert "nothing listens there" in wrong(web(archive, web=f"http://127.0.0.1:{nobody}/dicom-web")).words
    assert "nothing at this address" in wrong(web(archive, web=archive.web.replace("dicom-web", "other"))).words
    assert "does not speak TLS" in wrong(settings(archive, tls=True)).words


def test_an_archive_that_does_not_know_us_is_not_taken_for_an_empty_one(archive: Orthanc) -> None:
    archive.add(*study("A1", 1))
    with pytest.raises(PacsError, match="gave no answer"):
        DimseArchive(settings(archive, our_title="STRANGER")).find(Query(accession="A1"), 10)


def result(of: FileDataset, kind: str = SegmentationStorage) -> FileDataset:
    made = tiny(
        np.zeros((4, 8), np.uint8),
        SOPClassUID=kind,
        Modality="SEG" if kind == SegmentationStorage else "OT",
        StudyInstanceUID=of.StudyInstanceUID,
        PatientID=of.PatientID,
        PatientName=NAME,
    )
    made.file_meta.MediaStorageSOPClassUID = kind
    return made


def written(made: FileDataset, path: Path) -> Path:
    dcmwrite(path, made, enforce_file_format=True)
    return path


@pytest.mark.parametrize("way", WAYS)
def test_results_are_stored_once_and_come_back_equal(way: str, archive: Orthanc, tmp_path: Path) -> None:
    one = study("A1", 1)
    archive.add(*one)
    made = [result(one[0]), result(one[0], SecondaryCaptureImageStorage)]
    paths = [written(each, tmp_path / f"{number}.dcm") for number, each in enumerate(made)]
    asked = by(way, archive)
    assert [each.outcome for each in store(asked, paths)] == ["stored", "stored"]
    assert [each.outcome for each in store(asked, paths)] == ["there", "there"]
    assert {each.reason for each in store(asked, paths)} == {""}
    changed = dcmread(paths[0])
    changed.PixelData = b"\1" * 32
    again = store(asked, [written(changed, tmp_path / "changed.dcm")])
    assert again[0].outcome == "failed"
    assert "give a correction a new SOPInstanceUID" in again[0].reason


@pytest.mark.parametrize("way", WAYS)
def test_what_is_no_result_or_another_patients_is_not_sent(way: str, archive: Orthanc, tmp_path: Path) -> None:
    one = study("A1", 1)
    archive.add(*one)
    image = written(study("A1", 1)[0], tmp_path / "image.dcm")
    foreign = result(one[0])
    foreign.PatientID = "PSEUDONYM"
    text = tmp_path / "notes.txt"
    text.write_text("no DICOM")
    orphan = written(result(study("A7", 1)[0]), tmp_path / "orphan.dcm")
    outcomes = store(by(way, archive), [image, written(foreign, tmp_path / "foreign.dcm"), text, orphan])
    assert [each.outcome for each in outcomes] == ["refused"] * 4
    assert "another patient's" in outcomes[1].reason
    assert "no such study" in outcomes[3].reason
    assert len(archive.rest("/instances")) == 1
    assert store(by(way, archive), [image, orphan], anything=True)[0].outcome == "stored"


def test_the_archive_commits_itself_to_what_it_stored_and_to_nothing_else(archive: Orthanc, tmp_path: Path) -> None:
    one = study("A1", 1)
    archive.add(*one)
    reached = moving(archive)
    path = written(result(one[0]), tmp_path / "seg.dcm")
    sent = store(DimseArchive(reached), [path], commit=lambda some: commit(reached, some))
    assert [(each.outcome, each.committed) for each in sent] == [("stored", True)]
    (there, *_) = DimseArchive(reached).instances(one[0].StudyInstanceUID)
    never = there.__class__("1.2.3", "1.2.4", str(generate_uid()), SegmentationStorage)
    said = commit(reached, [there, never])
    assert said is not None
    assert said[there.uid] == ""
    assert said[never.uid].startswith("the archive does not commit itself")


def test_the_receiver_takes_nothing_from_elsewhere_and_listens_only_while_it_fetches(
    archive: Orthanc, tmp_path: Path
) -> None:
    archive.add(*study("A1", 2))
    other = moving(archive, our_title="ELSEWHERE")
    with pytest.raises(PacsError):
        DimseArchive(other).instances("1.2")
    refusing = moving(archive, title="ARCHIVE", senders=[], host="localhost")
    report = fetched(DimseArchive(refusing), tmp_path / "images", "accession", "A1")
    assert report.counts()["accepted"] == 2
    import socket

    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", archive.receiver), 1)
    assert OURS == "WARDROUND"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """An archive that speaks TLS only, and wants our certificate; the paths of what it and we know each other by."""
    folder = tmp_path_factory.mktemp("secured")
    trusted, certificate, key = authority(folder)
    (receiver,) = free_ports(1)
    tls = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(certificate),
        "DicomTlsPrivateKey": str(key),
        "DicomTlsTrustedCertificates": str(trusted),
        "DicomTlsRemoteCertificateRequired": True,
        "DicomModalities": {"ours": {"AET": OURS, "Host": "127.0.0.1", "Port": receiver, "UseDicomTls": True}},
    }
    with orthanc(folder, receiver, **tls) as archive, behind_tls(archive.http, certificate, key) as https:
        known = {"authority": str(trusted), "certificate": str(certificate), "key": str(key)}
        yield archive, known, f"https://127.0.0.1:{https}/dicom-web"


@pytest.mark.parametrize("way", WAYS)
def test_with_tls_both_ways_a_work_list_comes_whole(
    way: str,
    secured: Secured,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    archive, known, https = secured
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    archive.clear()
    archive.add(*study("A1", 2))
    if way == "web":
        asked: Archive = WebArchive(web(archive, web=https, authority=known["authority"]))
    else:
        asked = DimseArchive((moving if way == "move" else settings)(archive, tls=True, **known))
    assert fetched(asked, tmp_path / "images", "accession,label", "A1,x").complete


def test_the_doctor_says_what_is_wrong_with_tls(secured: Secured, tmp_path: Path) -> None:
    archive, known, https = secured
    stranger, certificate, key = map(str, authority(tmp_path, "stranger"))
    assert "speaks TLS" in wrong(settings(archive)).words
    assert "not signed by what 'authority' names" in wrong(settings(archive, tls=True)).words
    other = known | {"authority": stranger}
    assert "not signed by what 'authority' names" in wrong(settings(archive, tls=True, **other)).words
    named = wrong(settings(archive, tls=True, host="localhost", **known))
    assert "the name or address in 'host' is not in its certificate" in named.words
    no_certificate = wrong(settings(archive, tls=True, authority=known["authority"]))
    assert "wants a certificate of ours" in no_certificate.words
    theirs = {"authority": known["authority"], "certificate": certificate, "key": key}
    assert "wants a certificate of ours" in wrong(settings(archive, tls=True, **theirs)).words
    assert "TLS cannot be trusted" in wrong(web(archive, web=https)).words
    missing = known | {"key": str(tmp_path / "none")}
    assert "cannot be read as PEM" in wrong(settings(archive, tls=True, **missing)).words


@pytest.mark.parametrize("way", WAYS)
def test_what_is_fetched_is_predicted_and_its_outlines_come_back_from_the_archive_voxel_for_voxel(
    way: str, archive: Orthanc, tmp_path: Path
) -> None:
    model = model_folder(tmp_path / "model", outlining())
    write_hospital(tmp_path / "south", "south", 1)
    images = [each for each in map(dcmread, sorted((tmp_path / "south").rglob("*.dcm"))) if each.Modality != "SEG"]
    archive.add(*images)
    reached = {"get": settings, "move": moving, "web": web}[way](archive)
    pacs, into, out = pacs_file(tmp_path, reached), tmp_path / "images", tmp_path / "out"
    assert fetched(by(way, archive), into, "study", images[0].StudyInstanceUID).complete
    for _ in range(2):
        done = run("predict", model, into, "-o", out, "--dicom", "--store", "--pacs", pacs)
        assert done.returncode == 0, done.stderr
    assert "there before" in done.stderr
    (made,) = map(dcmread, out.rglob("*.seg.dcm"))
    back: list[bytes] = []
    kept = [each for each in by(way, archive).instances(made.StudyInstanceUID) if each.uid == made.SOPInstanceUID]
    by(way, archive).send(kept, lambda data: back.append(data) is None)
    assert np.array_equal(dcmread(BytesIO(back[0])).pixel_array, made.pixel_array)
    objects = list(out.rglob("*.dcm"))
    assert len(objects) > 2  # with pictures
    assert archive.rest("/statistics")["CountInstances"] == len(images) + len(objects)


ROOT = Path(__file__).parents[2]


def test_the_lines_of_the_page_run_against_the_archive_of_the_compose_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs/pacs.md").read_text()
    compose = yaml.safe_load((ROOT / "docker/compose.pacs.yaml").read_text())
    tried = json.loads((ROOT / "docker" / compose["configs"]["archive"]["file"]).read_text())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "worklist.csv").write_text(between(page, "```csv\n", "```"))
    own = {key: tried[key] for key in ("DicomAet", "DicomCheckCalledAet", "DicomModalities", "DicomWeb", "Plugins")}
    with orthanc(tmp_path / "orthanc", **own) as archive:
        one, two = study("A1001", 3), study("A1002", 2, patient="P2")
        archive.add(*one, *two, document(two[0]))
        (tmp_path / "results").mkdir()
        written(result(one[0]), tmp_path / "results" / "seg.dcm")
        pacs = between(page, "```toml\n", "```").replace("4242", str(archive.port)).replace("8042", str(archive.http))
        (tmp_path / "pacs.toml").write_text(pacs)
        steps = page.split("```console\n")[1:]
        lines = [line for step in steps for line in step.partition("```")[0].splitlines()]
        printed = ""
        for line in lines:
            if line.startswith("$ wardround "):
                options = ["--pacs", "pacs.toml"] if " pacs " in line else []
                done = run(*line.removeprefix("$ wardround ").split(), *options)
                assert done.returncode == 0, (line, done)
                printed = " ".join(done.stdout.split())
            else:
                assert " ".join(line.partition(" …")[0].split()) in printed, (line, printed)


def between(text: str, start: str, end: str) -> str:
    return text.partition(start)[2].partition(end)[0]
