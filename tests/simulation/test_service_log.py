"""What services say while they serve: one form for everything, and nothing that is private."""

from __future__ import annotations

import io
import json
import logging
import socket
import ssl
import warnings
from datetime import UTC, datetime
from pathlib import Path

import pytest

from asking import status_of
from link import until
from services import NAMES, Federation
from wardround_client.hospital.joining import begin
from wardround_client.link.supernode import State, Status
from wardround_client.page.hospital_page import hospital_pages
from wardround_client.service.asking import asking
from wardround_client.service.attendance import last_failure
from wardround_client.service.hospital_service import HospitalService, open_log
from wardround_client.service.stages import study_stages
from wardround_client.state.approvals import Approvals
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_client.state.run_outcomes import keep_outcomes, outcomes
from wardround_common.control import health
from wardround_common.errors import LabelError, StorageError
from wardround_common.shell.service_log import FIELDS, MOST_REPEATED, ServiceLog, _Heard

MARK = "MRN-4711"


@pytest.mark.slow
def test_no_log_names_a_folder_a_patient_or_a_key(federation: Federation) -> None:
    private = {"radiology-archive", str(federation.folder), "state of", "BEGIN", "PRIVATE"} | federation.patients()
    for own in federation.hospitals.values():
        private |= {own.identity().secret.hex(), *own.node_key.read_text().split("\n")[1:3]}
    assert len(private) > 50
    for who, log in federation.logs.items():
        lines = log.getvalue().splitlines()
        assert len(lines) > 3
        if who[0] == "C":  # what a hospital of another test said, which is in another process where it is no test
            lines = [line for line in lines if "wardround_client" not in line]
        assert [line for line in lines if any(word in line for word in private)] == [], who


@pytest.mark.slow
def test_a_hospital_learns_with_a_sign_of_life_how_a_run_ended(federation: Federation) -> None:
    (digest,) = (run["digest"] for run in status_of(federation.place.path)["runs"])
    for name, own in federation.hospitals.items():
        keep_outcomes(own.path, federation.service._hear(name, {}))
        assert outcomes(own.path) == {digest: "done"}
        assert [one.stage for one in study_stages(own.path)] == ["done"]


@pytest.mark.slow
def test_each_line_of_json_has_the_same_fields_and_the_rounds_are_there(federation: Federation) -> None:
    assert "lung: training · round 2 of 2 is complete" in federation.logs["C", "text"].getvalue()
    for who in ("C", *NAMES):
        lines = [json.loads(line) for line in federation.logs[who, "json"].getvalue().splitlines()]
        assert all(tuple(line) == FIELDS for line in lines)
        trained = {(line["study"], line["round"]) for line in lines if line["event"] in ("train", "training")}
        assert {("lung", 1), ("lung", 2)} <= trained
        assert {line["hospital"] for line in lines} == ({None} if who == "C" else {who})


@pytest.mark.slow
def test_what_uvicorn_says_of_garbage_is_a_line_of_the_log_like_any_other(federation: Federation) -> None:
    port = federation.service._link.port
    assert port is not None
    context = ssl.create_default_context(cafile=federation.place.ca_certificate)
    line = socket.create_connection(("127.0.0.1", port.number))
    with context.wrap_socket(line, server_hostname="127.0.0.1") as talk:
        talk.sendall(b"\x00 no HTTP \r\n\r\n")
        talk.recv(100)
    until(lambda: "uvicorn" in federation.logs["C", "json"].getvalue())
    (said,) = (each for each in federation.logs["C", "json"].getvalue().splitlines() if "uvicorn" in each)
    facts = json.loads(said)
    assert (facts["level"], facts["event"]) == ("warning", "log")
    assert "Invalid HTTP request received" in facts["text"]


def test_a_folder_with_a_short_name_is_hidden_and_its_letter_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stream = io.StringIO()
    log = ServiceLog(hidden=[Path("A")], stream=stream)
    log.say(f"AUROC at hospital A: {Path('A').absolute() / 'link' / 'x.json'} cannot be written")
    assert stream.getvalue().endswith("AUROC at hospital A: [path] cannot be written\n")


def test_what_a_service_says_of_its_files_is_hidden_also_if_its_folder_was_named_shortly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("images").mkdir()
    folder = HospitalFolder(Path("A"))
    begin(folder, "A", Path("images"), None, datetime.now(UTC))
    stream = io.StringIO()
    service = HospitalService(folder, open_log(folder, stream=stream).say)
    service._report(Status(State.CONNECTING, 0.0, StorageError("it is damaged", where=str(service._folder.node_key))))
    assert "connecting: [path]: it is damaged" in stream.getvalue()


class FullDisk(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_log_that_cannot_be_written_ends_no_service() -> None:
    with ServiceLog(stream=FullDisk()).hearing():
        heard()


def heard() -> None:
    """Let Python's logging tell of what quotes a patient, in each way that it can."""
    ours, other = logging.getLogger("wardround_client.hospital.app"), logging.getLogger("decoder")
    ours.error("%s", LabelError(f"patient {MARK} has two labels", where=f"/archive/{MARK}.dcm"))
    other.warning("Invalid value for VR LO: %s", MARK)
    try:
        raise ValueError(f"no pixel data in {MARK}")
    except ValueError:
        ours.exception("the answer to %s failed", "train")
        other.exception("decoding failed for %s", MARK)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"value {MARK} is odd", UserWarning, stacklevel=1)


@pytest.mark.parametrize("as_json", [False, True])
def test_a_hospitals_log_tells_of_errors_and_warnings_and_quotes_none(as_json: bool) -> None:
    stream = io.StringIO()
    log = ServiceLog(as_json=as_json, hospital="mercy", discreet=True, stream=stream)
    with log.hearing():
        heard()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 5
    assert MARK not in stream.getvalue()
    for line, word in zip(
        lines, ["data", "decoder: warning at", "ValueError at", "decoder: error at", "UserWarning"], strict=True
    ):
        assert word in line
    logging.getLogger("wardround_client.hospital.app").error("nobody listens any more, %s", MARK)
    assert len(stream.getvalue().splitlines()) == 5


def test_what_is_said_again_and_again_buries_nothing_and_is_counted() -> None:
    """A coordinator whose disk is full is asked by every hospital, many times a second."""
    stream, now, own = io.StringIO(), [0.0], logging.getLogger("wardround_server.link.fleet")
    own.propagate = False
    heard = _Heard(ServiceLog(stream=stream), lambda: now[0])
    own.addHandler(heard)
    try:
        for second in range(61):
            now[0] = float(second)
            for _ in range(10):
                own.error("%s", "the disk is full")
            if second == 30:
                own.error("%s", "something else")
        for number in range(3 * MOST_REPEATED):
            own.error("another text, %d", number)
    finally:
        own.removeHandler(heard)
        own.propagate = True
    full = [line for line in stream.getvalue().splitlines() if "the disk is full" in line]
    assert len(full) == 2
    assert "(and 599 more times since it was last said)" in full[1]
    assert stream.getvalue().count("something else") == 1
    assert stream.getvalue().count("another text") == 3 * MOST_REPEATED
    assert len(heard._last) <= MOST_REPEATED


def test_what_other_packages_print_comes_by_the_log_alone_while_it_hears(capfd: pytest.CaptureFixture[str]) -> None:
    own, stream = logging.getLogger("talkative"), io.StringIO()
    printer = logging.StreamHandler()
    own.addHandler(printer)
    own.propagate = False
    with ServiceLog(discreet=True, stream=stream).hearing():
        own.error("patient %s", MARK)
    assert MARK not in capfd.readouterr().err
    assert "talkative: error at" in stream.getvalue()
    own.error("patient %s", MARK)
    assert MARK in capfd.readouterr().err
    own.removeHandler(printer)


def test_a_coordinators_log_gives_the_text_so_that_this_test_can_fail() -> None:
    stream = io.StringIO()
    log = ServiceLog(stream=stream)
    with log.hearing():
        heard()
    assert stream.getvalue().count(MARK) >= 5
    assert "Traceback" in stream.getvalue()


def test_a_hidden_path_is_not_written_nor_what_lies_below_it(tmp_path: Path) -> None:
    stream = io.StringIO()
    ServiceLog(hidden=[tmp_path], stream=stream).say(f"{tmp_path}/{MARK}/1.dcm: the disk is full; {tmp_path} is")
    assert stream.getvalue().endswith("[path]: the disk is full; [path] is\n")
    assert ServiceLog(stream=stream).say("nothing is hidden") is None
    assert "nothing is hidden" in stream.getvalue()


@pytest.mark.parametrize("name", ["ward", "ward two", "o'brien", 'the "old" ward'])
def test_a_command_in_a_log_names_its_folder_as_documents_do(tmp_path: Path, name: str) -> None:
    stream = io.StringIO()
    folder = HospitalFolder(tmp_path / name)
    (tmp_path / "images").mkdir()
    begin(folder, "A", tmp_path / "images", None, datetime.now(UTC))
    with hospital_pages(folder, 0, open_log(folder, stream=stream).say):
        pass
    assert stream.getvalue().endswith("for an address, run: wardround hospital page --state DIR\n")


@pytest.mark.slow
def test_what_failed_is_said_in_full_to_the_hospitals_own_people_and_not_in_its_log(federation: Federation) -> None:
    own = federation.hospitals["hospital-b"]
    before = own.settings_file.read_text()
    own.settings_file.write_text(before.replace("radiology-archive", "radiology-elsewhere"))
    study = federation.study(study={"name": "second"})
    federation.service._runs.begin(study)
    for place in federation.hospitals.values():
        until(lambda place=place: len(Approvals(place.path / "studies").all()) == 2)  # type: ignore[misc]
        Approvals(place.path / "studies").decide(study, "approved")
    federation.service._runs.wait(60)
    own.settings_file.write_text(before)
    assert "radiology-elsewhere" in last_failure(own.path)
    assert (own.path / "failure.txt").stat().st_mode & 0o077 == 0
    log = federation.logs["hospital-b", "text"].getvalue()
    assert "radiology-elsewhere" not in log
    assert "wardround hospital status" in log


@pytest.mark.slow
def test_status_says_at_both_ends_that_a_disk_is_full(federation: Federation, monkeypatch: pytest.MonkeyPatch) -> None:
    coordinator, hospital = federation.place.path, federation.hospitals[NAMES[0]]

    def said() -> tuple[bool, bool]:
        with asking(hospital.path) as service:
            here = str(service.status())
        return "the disk is full" in str(status_of(coordinator)["damaged"]), "the disk is full" in here

    assert said() == (False, False)
    with monkeypatch.context() as full:
        full.setattr(health, "LEAST_FREE_BYTES", 2**62)
        until(lambda: said() == (True, True))
    until(lambda: said() == (False, False))
    assert federation.logs["C", "text"].getvalue().count("the disk is full") == 1
