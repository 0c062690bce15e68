"""The hospital's archive: what is asked, what is believed of the answers, and what is kept; archives that are wrong."""

from __future__ import annotations

import errno
import json
import os
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom import FileDataset, dcmread, dcmwrite
from pydicom.uid import JPEG2000, ExplicitVRLittleEndian, SegmentationStorage
from pynetdicom import AE, build_context, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    MRImageStorage,
    SecondaryCaptureImageStorage,
    Verification,
)

from archived import NAME, authority, document, files, study
from in_process import run
from orthanc import free_ports
from tiny_archive import TITLE, TinyArchive, tiny_archive
from tiny_dicom import save, tiny
from wardround_client.pacs import association, fetching
from wardround_client.pacs.archive import Archive, Instance, Query, Study, checked
from wardround_client.pacs.association import associated, our_context
from wardround_client.pacs.dimse import DimseArchive
from wardround_client.pacs.fetching import Fetched, Report, fetch
from wardround_client.pacs.receiver import Receiver, storage_classes
from wardround_client.pacs.settings import PacsSettings, read_pacs
from wardround_client.pacs.storing import files_in
from wardround_client.pacs.taking import examine, place_of
from wardround_client.pacs.web import WebArchive
from wardround_client.pacs.worklist import Line, read_worklist
from wardround_client.prediction.inputs import files_of
from wardround_common.errors import DataError, FullDiskError, LabelError, PacsError, StorageError

# pynetdicom 3.0.4 leaves a socket to the garbage collector when the other side closes it first.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def one_archive() -> Iterator[TinyArchive]:
    with tiny_archive() as archive:
        yield archive


@pytest.fixture
def archive(one_archive: TinyArchive) -> TinyArchive:
    one_archive.becomes()
    return one_archive


def reached(archive: TinyArchive, **others: Any) -> PacsSettings:
    every = {"host": "127.0.0.1", "port": archive.port, "title": TITLE, "answer_s": 10.0}
    return PacsSettings.model_validate(every | others)


def fetched(settings: PacsSettings, into: Path, *lines: str) -> Report:
    worklist = into.parent / "worklist.csv"
    worklist.write_text("\n".join(lines) + "\n")
    return fetch(DimseArchive(settings), *read_worklist(worklist), into)


# What is asked, and what is believed of the answers.


def test_an_answer_that_is_none_to_the_question_is_not_believed() -> None:
    query = Query(patient="P1", accession="A1", dates=(date(2024, 1, 1), None), exact=True)
    right = Study("1.2", "P1", "A1", "20240105")
    others = [
        Study("1.3", "P2", "A1", "20240105"),
        Study("1.4", "P1", "", "20240105"),
        Study("1.5", "P1", "A1", "20231231"),
        Study("1.6", "P1", "A1", ""),
    ]
    assert checked([right, *others, right], query) == [right]


def test_a_question_for_everything_is_not_asked() -> None:
    with pytest.raises(PacsError, match="list the whole archive"):
        Query()


def test_days_that_end_before_they_begin_are_not_taken_for_days_without_a_study() -> None:
    with pytest.raises(PacsError, match="the last day, 2024-01-01, is before the first, 2024-02-01"):
        Query(dates=(date(2024, 2, 1), date(2024, 1, 1)))
    Query(dates=(date(2024, 2, 1), date(2024, 2, 1)))


@pytest.mark.parametrize("identifier", ["A*", "A?1", "A\\B"])
def test_an_identifier_that_means_several_is_no_identifier(identifier: str) -> None:
    with pytest.raises(PacsError):
        Query(accession=identifier, exact=True)


def test_a_work_list_is_read_by_what_its_columns_are_called(tmp_path: Path) -> None:
    path = tmp_path / "worklist.csv"
    path.write_text("\ufeffAccession Number;Patient_ID;Label;Site\nA1;;tumour;x\n;P2;none;y\n", encoding="utf-8")
    (first, second), columns = read_worklist(path)
    assert (first.query.accession, second.query.patient, columns) == ("A1", "P2", ("label", "site"))
    assert second.rest == {"label": "none", "site": "y"}
    assert (first.number, second.number) == (2, 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,label\nSECRET,1\n", "names none of the columns"),
        ("accession,label\n,1\n", "line 2 names no study"),
        ("accession,label\nSECRET*,1\n", "line 2: an identifier holds"),
        ("accession,label\nA1,1,2\n", "line 2 has 3 cells"),
        ("accession,date\nA1,SECRET\n", "line 2 has no date"),
        ("accession,label\n", "has no lines"),
        ("patient,PatientID\nA,B\n", "two columns have the same meaning"),
    ],
)
def test_a_work_list_that_would_fetch_the_wrong_is_refused_by_line_without_its_cells(
    text: str, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "worklist.csv"
    path.write_text(text)
    with pytest.raises(LabelError, match=said) as refused:
        read_worklist(path)
    assert "SECRET" not in str(refused.value)


# The settings.


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('host = "a"', "name the archive's AE title"),
        ("port = 104", "name an archive"),
        ('host = "a"\ntitle = "A TITLE THAT IS TOO LONG"', "1 to 16 characters"),
        ('host = "a"\ntitle = "A"\nretrieve = "move"', "name this machine's address"),
        ('host = "a"\ntitle = "A"\ntitel = "B"', 'there is no key "titel"'),
        ('web = "ftp://a/b"', "write an address such as"),
        ('web = "https://me:secret@a/b"', "an address may not hold a password"),
    ],
)
def test_wrong_settings_say_what_to_write(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "pacs.toml"
    path.write_text(text)
    with pytest.raises(StorageError, match=said) as refused:
        read_pacs(path)
    assert "secret" not in str(refused.value).lower()


def test_the_settings_are_those_beside_hospital_toml_or_those_that_it_names(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no archive is set up here"):
        read_pacs(None, tmp_path)
    (tmp_path / "pacs.toml").write_text('web = "http://beside/"')
    assert read_pacs(None, tmp_path).web == "http://beside"
    (tmp_path / "other.toml").write_text('web = "http://named"')
    (tmp_path / "hospital.toml").write_text(f'name = "a"\ndata = "/data"\npacs = "{tmp_path}/other.toml"\n')
    assert read_pacs(None, tmp_path).web == "http://named"


# What is kept of what arrives.


def as_file(made: FileDataset) -> bytes:
    written = BytesIO()
    dcmwrite(written, made, enforce_file_format=True)
    return written.getvalue()


def listed(made: FileDataset, syntax: str = "") -> Instance:
    return Instance(made.StudyInstanceUID, made.SeriesInstanceUID, made.SOPInstanceUID, str(made.SOPClassUID), syntax)


def test_whole_images_and_outlines_are_kept_and_nothing_else() -> None:
    image, other = study("A1", 2)
    outline = tiny(np.zeros((4, 8), np.uint8), SOPClassUID=SegmentationStorage, Modality="SEG")
    cut, short = as_file(image)[:-100], tiny()
    short.PixelData = short.PixelData[:-4]
    assert examine(as_file(image), listed(image)) is None
    assert examine(as_file(outline), listed(outline)) is None
    reasons = [
        examine(as_file(other), listed(image)),
        examine(cut, listed(image)),
        examine(as_file(short), listed(short)),
        examine(as_file(document(image)), listed(document(image))),
        examine(b"", listed(image)),
    ]
    assert [reason.reason if reason else "" for reason in reasons][:3] == ["another", "truncated", "truncated"]
    assert all(reasons)


def test_an_image_that_lost_something_on_the_way_is_refused() -> None:
    (image,) = study("A1", 1)
    image.compress(JPEG2000, j2k_cr=[4], generate_instance_uid=False)
    assert examine(as_file(image), listed(image, JPEG2000)) is None
    refused = examine(as_file(image), listed(image, ExplicitVRLittleEndian))
    assert refused is not None
    assert refused.reason == "made-lossy"


def test_names_follow_from_uids_and_do_not_say_them(tmp_path: Path) -> None:
    (image,) = study("A1", 1)
    place = place_of(listed(image), tmp_path)
    assert place == place_of(listed(image), tmp_path)
    assert not any(uid in str(place) for uid in (image.StudyInstanceUID, image.SOPInstanceUID))


def test_every_class_that_an_archive_may_send_is_received() -> None:
    known = storage_classes()
    assert {"1.2.840.10008.5.1.4.1.1.66.7", "1.2.840.10008.5.1.4.1.1.104.1", SegmentationStorage} <= set(known)
    assert known[0] == MRImageStorage


# Archives that are wrong.


@pytest.mark.slow
def test_a_retrieval_that_breaks_off_keeps_what_came_and_goes_on(archive: TinyArchive, tmp_path: Path) -> None:
    archive.becomes(*study("A1", 4), drops_after=0)
    archive.drops_after = 2
    settings = reached(archive)
    first = fetched(settings, tmp_path / "in", "accession", "A1")
    # Lists of instances break off after two; each by itself comes.
    assert (first.counts()["accepted"], first.counts()["missing"]) == (4, 0)
    for path in files(tmp_path / "in")[:3]:
        path.unlink()
    archive.drops_after = 0
    second = fetched(settings, tmp_path / "in", "accession", "A1")
    assert (second.counts()["there"], second.counts()["missing"]) == (1, 3)
    assert "broke the connection off" in second.studies[0].problem
    archive.drops_after = None
    third = fetched(settings, tmp_path / "in", "accession", "A1")
    assert (third.complete, third.counts()["accepted"]) == (True, 3)


def test_a_study_that_is_listed_and_empty_is_no_success(archive: TinyArchive, tmp_path: Path) -> None:
    archive.becomes(*study("A1", 2), hides=True)
    report = fetched(reached(archive), tmp_path / "in", "accession", "A1")
    assert (report.complete, report.studies[0].problem) == (
        False,
        "the archive lists it, and has no instance of it",
    )
    archive.counts = 2
    report = fetched(reached(archive), tmp_path / "in", "accession", "A1")
    assert report.studies[0].missing == {"the archive counts it, and does not list it": 2}


@pytest.mark.slow
def test_an_archive_that_says_success_and_sends_nothing_is_not_believed(archive: TinyArchive, tmp_path: Path) -> None:
    archive.becomes(*study("A1", 2), says_only=True)
    report = fetched(reached(archive), tmp_path / "in", "accession", "A1")
    assert report.studies[0].missing == {"the archive said that it sent it, and it did not come": 2}
    assert files(tmp_path / "in") == []


@pytest.mark.slow
def test_an_archive_that_ignores_keys_brings_no_strangers_study(archive: TinyArchive, tmp_path: Path) -> None:
    archive.becomes(*study("A1", 1), *study("A2", 2, patient="P2"), ignores_keys=True)
    report = fetched(reached(archive), tmp_path / "in", "accession", "A1")
    assert [each.accepted for each in report.studies] == [1]


def test_what_was_not_asked_for_is_not_kept(archive: TinyArchive, tmp_path: Path) -> None:
    stranger = study("A2", 1)[0]
    archive.becomes(*study("A1", 1), sends_instead=stranger)
    report = fetched(reached(archive), tmp_path / "in", "accession", "A1")
    assert (report.counts()["accepted"], report.counts()["missing"], files(tmp_path / "in")) == (0, 1, [])


def test_an_archive_that_is_away_is_not_asked_for_every_line(archive: TinyArchive, tmp_path: Path) -> None:
    (nobody,) = free_ports(1)
    lines = [f"A{number}" for number in range(10)]
    report = fetched(reached(archive, port=nobody), tmp_path / "in", "accession", *lines)
    assert (len(report.failed), report.not_tried) == (3, 7)
    assert "nothing listens at this port. Correct 'port' in pacs.toml" in report.failed[2]


def test_studies_that_are_damaged_in_the_archive_keep_no_other_one_from_coming(
    archive: TinyArchive, tmp_path: Path
) -> None:
    archive.becomes(*study("A9", 1), damaged=("A1", "A2", "A3", "A4"))
    report = fetched(reached(archive), tmp_path / "in", "accession", "A1", "A2", "A3", "A4", "A9")
    assert (report.counts()["accepted"], report.not_tried, sorted(report.failed)) == (1, 0, [2, 3, 4, 5])
    assert report.failed[2] == "the archive refuses a question (status 0xC000). Ask those who run it."


@pytest.mark.parametrize("way", ["get", "find"])
def test_a_uid_that_breaks_the_rules_is_quoted_in_no_warning(archive: TinyArchive, tmp_path: Path, way: str) -> None:
    """A pseudonym as some archives have it; warnings are errors here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.becomes(*study("A1", 1, StudyInstanceUID="05fa52f0e599", SeriesInstanceUID="05fa52f0e59a"))
    query = Query(study="05fa52f0e599", exact=True)
    if way == "find":
        assert [each.uid for each in DimseArchive(reached(archive)).find(query, 5)] == ["05fa52f0e599"]
        return
    report = fetched(reached(archive), tmp_path / "in", "study", "05fa52f0e599")
    assert report.counts()["accepted"] == 1


@pytest.mark.parametrize(("accession", "stated"), [("A1", ""), ("Ä1", "ISO_IR 100"), ("頭1", "ISO_IR 192")])
def test_a_question_states_the_character_set_of_its_keys(archive: TinyArchive, accession: str, stated: str) -> None:
    DimseArchive(reached(archive)).find(Query(accession=accession), 5)
    assert (archive.asked[-1].AccessionNumber, archive.asked[-1].get("SpecificCharacterSet", "")) == (accession, stated)


def test_what_is_no_dicom_over_dicomweb_is_said_and_the_others_are_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DICOMwebClient, "retrieve_instance", lambda *_, **__: dcmread(BytesIO(b"no DICOM" * 100)))
    web = WebArchive(PacsSettings(web="http://127.0.0.1:9/dicom-web"))
    monkeypatch.setattr(WebArchive, "_answered", True)
    assert web.send([Instance("1.2", "1.3", "1.4")], lambda data: True).startswith(
        "the archive's answer cannot be read"
    )


def test_a_person_who_stops_a_fetch_need_not_wait_for_the_archive_and_reads_how_to_continue(
    archive: TinyArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.becomes(*study("A1", 1), *study("A2", 1))
    settings = reached(archive)
    with pytest.raises(KeyboardInterrupt), associated(settings, [build_context(Verification)]) as asked:
        raise KeyboardInterrupt
    assert (asked.is_aborted, asked.is_released) == (True, False)  # which would wait for what is still sent
    (tmp_path / "pacs.toml").write_text(f'host = "127.0.0.1"\nport = {archive.port}\ntitle = "{TITLE}"\n')
    (tmp_path / "list.csv").write_text("accession,label\nA1,none\nA2,none\n")
    fetched_before = fetching.fetch_study
    lines: list[int] = []

    def stopped(archive: Archive, line: int, study: Study, into: Path) -> Fetched:
        lines.append(line)
        if len(lines) == 2:
            raise KeyboardInterrupt
        return fetched_before(archive, line, study, into)

    command = ["pacs", "fetch", tmp_path / "list.csv", "--into", tmp_path / "in", "--pacs", tmp_path / "pacs.toml"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fetching, "fetch_study", stopped)
        done = run(*command)
    assert done.returncode == 130
    assert f"Stopped. 1 of 2 lines are done, and what came is in {tmp_path / 'in'}. Run the same" in done.stderr
    again = run(*command)
    assert (again.returncode, "1 accepted, 1 there before" in again.stdout) == (0, True)


@pytest.mark.slow
def test_a_full_disk_ends_the_fetch_and_nothing_is_half_there(
    archive: TinyArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, done = Path.replace, []

    def full(self: Path, target: Path) -> Path:
        if self.name.endswith(".dcm") or ".dcm." in self.name:
            done.append(target)
            if len(done) == 2:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full)
    archive.becomes(*study("A1", 3))
    with pytest.raises(FullDiskError):
        fetched(reached(archive), tmp_path / "in", "accession", "A1")
    assert len(files(tmp_path / "in")) == 1


def test_a_busy_archive_is_asked_again_and_one_that_stays_busy_is_said(
    archive: TinyArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(association, "WAIT_S", 0.01)
    monkeypatch.setattr(association, "TRIES", 3)
    entity = AE("OTHER")
    entity.add_requested_context(Verification)
    others = []
    for _ in range(10):  # as many as pynetdicom accepts
        others.append(entity.associate("127.0.0.1", archive.port, ae_title=TITLE))
    with pytest.raises(PacsError, match="busy"):
        DimseArchive(reached(archive)).echo()
    for each in others:
        each.release()
    DimseArchive(reached(archive)).echo()


def test_a_refusal_that_comes_before_the_connection_is_looked_at_is_read(archive: TinyArchive) -> None:
    # pynetdicom calls this in the thread that asks, before it looks whether there is a connection.
    slow = [(evt.EVT_REQUESTED, lambda event: time.sleep(0.5))]
    settings = reached(archive, title="OTHER")
    with (
        pytest.raises(PacsError, match="does not answer to the AE title 'OTHER'"),
        associated(settings, [build_context(Verification)], handlers=slow),
    ):
        pass


def test_a_refused_echo_says_so(archive: TinyArchive) -> None:
    archive.becomes(echo_status=0x0122)
    with pytest.raises(PacsError, match="0x0122"):
        DimseArchive(reached(archive)).echo()


@pytest.mark.slow
def test_a_machine_that_never_answers_is_given_up_in_time() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        settings = PacsSettings(host="127.0.0.1", port=silent.getsockname()[1], title="X", connect_s=0.3, answer_s=0.3)
        before = datetime.now(UTC)
        with pytest.raises(PacsError, match="did not answer"):
            DimseArchive(settings).echo()
        assert (datetime.now(UTC) - before).total_seconds() < 10


# The receiver.


MOVED = study("A1", 2)


@pytest.fixture
def receiving() -> Iterator[tuple[Receiver, PacsSettings, list[bytes]]]:
    kept: list[bytes] = []
    (port,) = free_ports(1)
    settings = PacsSettings(
        host="127.0.0.1",
        title="ARCHIVE",
        retrieve="move",
        receiver_address="127.0.0.1",
        receiver_port=port,
        associations=2,
        connect_s=2.0,
    )
    lock = threading.Lock()

    def take(uid: str, data: bytes) -> bool:
        with lock:
            kept.append(data)
        return True

    with Receiver(settings) as receiver:
        receiver.expect([image.SOPInstanceUID for image in MOVED], take)
        yield receiver, settings, kept


def offer(settings: PacsSettings, image: FileDataset, calling: str, called: str, source: str = "127.0.0.1") -> bool:
    entity, sockets = AE(calling), association.Sockets()
    entity.acse_timeout = 2
    entity.add_requested_context(MRImageStorage)
    noting: list[Any] = [(evt.EVT_CONN_OPEN, sockets.opened)]
    made = entity.associate(
        "127.0.0.1", settings.receiver_port, ae_title=called, bind_address=(source, 0), evt_handlers=noting
    )
    try:
        if not made.is_established:
            return False
        status = made.send_c_store(image).get("Status")
        made.release()
        return status == 0
    finally:
        if made.is_alive():
            made.join(60)
        sockets.close()


@pytest.mark.slow
def test_only_the_archive_may_send_and_only_to_us(
    receiving: tuple[Receiver, PacsSettings, list[bytes]],
) -> None:
    receiver, settings, kept = receiving
    image, other = MOVED
    assert not offer(settings, image, "STRANGER", "WARDROUND")
    assert "another AE title than the one that is called" in str(receiver.problem(""))
    assert not offer(settings, image, "ARCHIVE", "SOMEBODY")
    assert "calls another AE title than ours" in str(receiver.problem(""))
    assert not offer(settings, image, "ARCHIVE", "WARDROUND", source="127.0.0.2")
    assert "another address than the archive's" in str(receiver.problem(""))
    assert kept == []
    assert offer(settings, image, "ARCHIVE", "WARDROUND")
    assert len(kept) == 1
    assert not offer(settings, study("A1", 1)[0], "ARCHIVE", "WARDROUND")  # nobody asked for it
    receiver.expect(["1.2.3"], lambda uid, data: False)  # the next study
    assert offer(settings, other, "ARCHIVE", "WARDROUND")  # an image of the one before comes late
    assert len(kept) == 2


@pytest.mark.slow
def test_one_receiver_listens_for_all_studies_that_are_moved(archive: TinyArchive, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    archive.becomes(*study("A1", 2), *study("A2", 2), sends_to=port)
    moving = reached(archive, retrieve="move", receiver_address="127.0.0.1", receiver_port=port, answer_s=5.0)
    lines = [Line(number, Query(accession=each), {}) for number, each in enumerate(("A1", "A2"), 2)]
    listened: list[bool] = []

    def told(report: Report) -> None:
        with socket.socket() as other:  # between two studies, and after the last
            listened.append(other.connect_ex(("127.0.0.1", port)) == 0)

    report = fetch(DimseArchive(moving), lines, ["accession"], tmp_path / "in", told=told)
    assert (report.complete, report.counts()["accepted"], listened) == (True, 4, [True, True])
    with socket.socket() as other:
        assert other.connect_ex(("127.0.0.1", port)) != 0


# Results that an archive does not take.


def captures_for(image: FileDataset, folder: Path, count: int = 3) -> list[Path]:
    made = []
    for number in range(count):
        one = tiny(
            SOPClassUID=SecondaryCaptureImageStorage, StudyInstanceUID=image.StudyInstanceUID, PatientID=image.PatientID
        )
        one.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
        one.PatientName = NAME
        made.append(save(one, folder / f"{number}.dcm"))
    return made


@pytest.mark.slow
@pytest.mark.parametrize("breaks", [False, True], ids=["refuses", "breaks-off"])
def test_what_an_archive_does_not_take_is_said_and_taken_the_next_time(
    breaks: bool, archive: TinyArchive, tmp_path: Path
) -> None:
    (image,) = study("A1", 1)
    (tmp_path / "results").mkdir()
    paths = captures_for(image, tmp_path / "results")
    archive.becomes(image, takes=1, breaks=breaks)
    pacs = tmp_path / "pacs.toml"
    pacs.write_text(f'host = "127.0.0.1"\nport = {archive.port}\ntitle = "{TITLE}"\nanswer_s = 5.0\n')
    first = run("pacs", "store", tmp_path / "results", "--pacs", pacs, "--json")
    told = json.loads(first.stdout)
    assert first.returncode == 4
    assert [each["outcome"] for each in told] == ["stored", "failed", "failed"]
    assert ("broke the connection off" if breaks else "the archive refused it (status 0xA700)") in told[1]["reason"]
    archive.takes = None
    second = run("pacs", "store", tmp_path / "results", "--pacs", pacs, "--json")
    assert [each["outcome"] for each in json.loads(second.stdout)] == ["there", "stored", "stored"]
    assert second.returncode == 0
    assert len(archive.objects) == 1 + len(paths)
    for done in (first, second):
        assert NAME not in done.stdout + done.stderr


# The commands.


@pytest.mark.slow
def test_commands_say_what_is_wrong_and_end_with_its_code(
    archive: TinyArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    pacs, worklist, into = tmp_path / "pacs.toml", tmp_path / "worklist.csv", tmp_path / "in"
    pacs.write_text(f'host = "127.0.0.1"\nport = {archive.port}\ntitle = "{TITLE}"\n')
    worklist.write_text("accession,label\nA1,x\nSECRET,x\n")
    archive.becomes(*study("A1", 2))

    none = run("pacs", "echo", "--state", tmp_path)
    assert (none.returncode, run("pacs", "echo", "--pacs", tmp_path / "none").returncode) == (0, 7)
    assert "answers" in run("pacs", "echo", "--pacs", pacs).stdout
    found = json.loads(run("pacs", "find", "--accession", "A*", "--pacs", pacs, "--json").stdout)
    assert found == {"studies": [], "more": False}  # this archive knows no wildcards
    assert run("pacs", "find", "--pacs", pacs).returncode == 8
    assert run("pacs", "find", "--date", "yesterday", "--pacs", pacs).returncode == 2
    assert "A1" in run("pacs", "find", "--accession", "A1", "--pacs", pacs).stdout

    partly = run("pacs", "fetch", worklist, "--into", into, "--pacs", pacs)
    assert (partly.returncode, len(files(into))) == (4, 2)
    assert "line 3: the archive has no such study" in partly.stdout
    assert "SECRET" not in partly.stdout + partly.stderr
    assert run("pacs", "fetch", worklist, "--into", into, "--label", "no", "--pacs", pacs).returncode == 4
    in_the_way = run("pacs", "fetch", worklist, "--into", worklist, "--pacs", pacs)
    assert in_the_way.returncode == 7
    assert "this is a file, and a folder is to be there" in in_the_way.stderr
    absent = run("pacs", "fetch", tmp_path / "none.csv", "--into", into, "--pacs", pacs)
    assert "none.csv: the table of studies to fetch cannot be read" in absent.stderr
    assert "not in the archive: 1 of 1 file\n" in run("pacs", "store", worklist, "--pacs", pacs).stderr
    assert run("pacs", "store", tmp_path / "nothing", "--pacs", pacs).returncode == 4
    refused = run("pacs", "store", into, "--pacs", pacs)
    assert refused.returncode == 4
    assert "--any sends it" in refused.stdout


def test_files_to_store_are_listed_once_without_hidden_ones_as_those_to_predict(tmp_path: Path) -> None:
    for name in ("b/two.dcm", "a.dcm", ".hidden/three.dcm", "b/.four.dcm"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "link.dcm").symlink_to(tmp_path / "a.dcm")
    expected = [tmp_path / "a.dcm", tmp_path / "b" / "two.dcm"]
    assert files_in([tmp_path, tmp_path / "a.dcm"]) == (expected, 0)
    assert [each.path for each in files_of([tmp_path])] == expected
    with pytest.raises(DataError, match="no such file"):
        files_in([tmp_path / "none"])


def test_what_accompanies_results_in_a_folder_is_passed_over_and_not_called_missing_in_the_archive(
    tmp_path: Path,
) -> None:
    """A folder of predictions has tables and pictures: storing it ended with an error each time."""
    for name in ("predictions.csv", "predict.json", "one.png", "lock"):
        (tmp_path / name).write_bytes(b"" if name == "lock" else b"x" * 200)
    (tmp_path / "damaged.dcm").write_bytes(b"x")
    (tmp_path / "unnamed").write_bytes(bytes(128) + b"DICM")
    assert files_in([tmp_path]) == ([tmp_path / "damaged.dcm", tmp_path / "unnamed"], 4)
    assert files_in([tmp_path / "one.png"]) == ([tmp_path / "one.png"], 0)  # which was named itself
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "table.csv").touch()
    with pytest.raises(DataError, match="no files to store"):
        files_in([tmp_path / "only"])


def test_a_certificate_of_an_older_form_is_enough_for_any_python(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    newer = ssl.create_default_context

    def strict(*given: Any, **named: Any) -> ssl.SSLContext:  # as Python 3.13 makes it
        context = newer(*given, **named)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)
    trusted, certificate, key = authority(tmp_path)  # it names no key of who signed it
    context = our_context(
        PacsSettings.model_validate({"host": "127.0.0.1", "title": TITLE, "tls": True, "authority": str(trusted)})
    )
    archives = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    archives.load_cert_chain(certificate, key)
    to_archive, to_us = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = context.wrap_bio(to_us, to_archive, server_hostname="127.0.0.1")
    theirs = archives.wrap_bio(to_archive, to_us, server_side=True)
    for side in (ours, theirs, ours):
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
    assert ours.version() == "TLSv1.3"
    assert ours.getpeercert()
