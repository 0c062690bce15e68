"""A hospital makes its keys once, keeps them, and follows the one coordinator that it accepted."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, EllipticCurve, generate_private_key
from typer.testing import CliRunner

from wardround_client.commands.hospital_cli import app
from wardround_client.hospital.joining import accept, begin, examine, replace_keys
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_common.documents.enrolment import Invitation, Request, openssh
from wardround_common.errors import DataError, MessageError, StorageError, StudyError
from wardround_common.keys.certificates import make_authority, pem
from wardround_common.keys.identity import Identity
from wardround_common.keys.key_files import private_pem
from wardround_common.storage import alone_in

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=7)
COORDINATOR, OTHER = Identity(b"c" * 32), Identity(b"o" * 32)
AUTHORITY = pem(make_authority(generate_private_key(SECP256R1()), NOW).certificate)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    return folder


@pytest.fixture
def hospital(tmp_path: Path, data: Path) -> HospitalFolder:
    folder = HospitalFolder(tmp_path / "state")
    begin(folder, "St Mary", data, None, NOW)
    return folder


def invited(
    hospital: HospitalFolder,
    by: Identity = COORDINATOR,
    address: str = "fl.example.org:9093",
    now: datetime = NOW,
    authority: bytes = AUTHORITY,
) -> Path:
    path = hospital.path.parent / "st-mary.invitation"
    path.write_bytes(Invitation.make(hospital.request(), address, authority, by, now).content())
    return path


def test_a_hospital_that_was_set_up_has_keys_settings_and_a_request(hospital: HospitalFolder, data: Path) -> None:
    request = hospital.request()
    _, node = hospital.node_keys()
    assert (request.hospital, request.public) == ("St Mary", hospital.identity().public)
    assert (request.node_key, request.made) == (openssh(node), NOW)
    settings = hospital.settings()
    assert (settings.name, settings.data, settings.labels) == ("St Mary", data, None)


def test_what_is_the_hospitals_is_for_its_owner_only(hospital: HospitalFolder) -> None:
    accept(hospital, invited(hospital), now=NOW)
    assert {stat.S_IMODE(path.stat().st_mode) for path in hospital.path.iterdir()} == {0o600}
    assert stat.S_IMODE(hospital.path.stat().st_mode) == 0o700
    secret = [path.name for path in hospital.path.iterdir() if b"PRIVATE KEY" in path.read_bytes()]
    assert sorted(secret) == ["identity.pem", "node.pem"]


@pytest.mark.parametrize("name", ["identity.pem", "node.pem"])
def test_a_private_key_that_others_may_read_is_not_used(hospital: HospitalFolder, data: Path, name: str) -> None:
    (hospital.path / name).chmod(0o604)
    with pytest.raises(StorageError, match="other users can read "):
        begin(hospital, "St Mary", data, None, NOW)


def test_setting_up_again_changes_nothing(hospital: HospitalFolder, data: Path) -> None:
    before = {path: path.read_bytes() for path in hospital.path.iterdir()}
    request, new = begin(hospital, "St Mary", data, None, LATER)
    assert (request, new) == (hospital.request(), False)
    assert {path: path.read_bytes() for path in hospital.path.iterdir()} == before


def test_a_request_that_a_fast_clock_dated_is_written_anew_when_the_clock_is_mended(
    hospital: HospitalFolder, data: Path
) -> None:
    request, new = begin(hospital, "St Mary", data, None, NOW - timedelta(hours=1))
    assert (request.made, new) == (NOW - timedelta(hours=1), True)
    assert hospital.request() == request


def test_an_invitation_that_is_accepted_again_brings_back_the_coordinators_authority(hospital: HospitalFolder) -> None:
    invitation = invited(hospital)
    assert accept(hospital, invitation, now=NOW).new
    hospital.ca_certificate.unlink()  # as a crash between the two files leaves it
    assert not accept(hospital, invitation, now=NOW).new
    assert hospital.ca_certificate.read_bytes() == AUTHORITY


def test_a_folder_of_images_whose_path_is_no_text_is_refused_before_anything_is_kept(tmp_path: Path) -> None:
    folder = HospitalFolder(tmp_path / "state")
    with pytest.raises(DataError, match="bytes that are not UTF-8 text"):
        begin(folder, "St Mary", Path(os.fsdecode(b"/images/\xff")), None, NOW)
    assert not folder.path.exists()


@pytest.mark.parametrize("curve", [SECP384R1(), None])
def test_a_node_key_that_cannot_be_used_says_how_to_make_another(
    hospital: HospitalFolder, curve: EllipticCurve | None
) -> None:
    hospital.node_key.write_bytes(private_pem(generate_private_key(curve)) if curve else b"words")
    with pytest.raises(StorageError, match=r"node key is damaged|not a NIST P-256 key") as caught:
        hospital.node_keys()
    assert "--new-node-key" in caught.value.do


@pytest.mark.parametrize("marked", [True, False])
def test_a_hospital_is_not_set_up_in_a_coordinators_folder_and_leaves_nothing_there(
    tmp_path: Path, data: Path, marked: bool
) -> None:
    place = tmp_path / "C"
    place.mkdir()
    (place / "coordinator.toml").write_text("")
    (place / "identity.pem").write_text("the coordinator's")
    if marked:
        (place / "owner").write_text("coordinator\n")
    before = {path: path.read_bytes() for path in place.iterdir()}
    command = ["init", "mercy", "--data", str(data), "--state", str(place), "--out", str(tmp_path / "m.request")]
    for more in ([], ["--new-keys"]):
        done = CliRunner().invoke(app, [*command, *more])
        assert isinstance(done.exception, StorageError)
        assert "this is the folder of a coordinator" in str(done.exception)
    assert {path: path.read_bytes() for path in place.iterdir()} == before
    assert not (tmp_path / "m.request").exists()


def test_the_request_of_another_hospital_of_this_name_is_not_written_over(tmp_path: Path, data: Path) -> None:
    out = tmp_path / "mercy.request"

    def init(state: str, *more: str) -> object:
        words = ["init", "mercy", "--data", str(data), "--state", str(tmp_path / state), "--out", str(out), *more]
        done = CliRunner().invoke(app, words)
        return done.exception or done.stdout

    assert "earlier request" not in str(init("one"))
    first = out.read_bytes()
    assert "a different file of this name already exists" in str(init("two"))
    assert out.read_bytes() == first
    assert "earlier request" not in str(init("one"))  # the same request again
    assert "over the earlier request" in str(init("one", "--new-node-key"))
    assert "over the earlier request" in str(init("one", "--new-keys"))


def test_keys_are_not_replaced_under_a_service_that_runs_with_them(tmp_path: Path, data: Path) -> None:
    state = tmp_path / "state"
    words = ["init", "mercy", "--data", str(data), "--state", str(state), "--out", str(tmp_path / "mercy.request")]
    assert CliRunner().invoke(app, words).exit_code == 0
    before = {path: path.read_bytes() for path in state.rglob("*") if path.is_file()}
    for more in ("--new-node-key", "--new-keys"):
        with alone_in(state):
            done = CliRunner().invoke(app, [*words, more])
        assert "another process is using this folder" in str(done.exception)
        assert {path: path.read_bytes() for path in before} == before


def test_labels_and_odd_names_of_folders_come_back_as_they_were(tmp_path: Path) -> None:
    data = tmp_path / 'a "quoted" \\ folder\x7f é'
    data.mkdir()
    labels = data / "labels.csv"
    labels.touch()
    folder = HospitalFolder(tmp_path / "state")
    begin(folder, 'Hôpital "St Mary"', data, labels, NOW)
    settings = folder.settings()
    assert (settings.name, settings.data, settings.labels) == ('Hôpital "St Mary"', data, labels)


@pytest.mark.parametrize("existing", [0, 1, 2, 3])
def test_a_beginning_that_a_crash_cut_short_is_completed_with_the_same_keys(
    tmp_path: Path, hospital: HospitalFolder, data: Path, existing: int
) -> None:
    torn = HospitalFolder(tmp_path / "torn")
    torn.path.mkdir()
    for path in [hospital.settings_file, hospital.identity_key, hospital.node_key][:existing]:
        path.rename(torn.path / path.name)
    kept = {path: path.read_bytes() for path in torn.path.iterdir()}
    begin(torn, "St Mary", data, None, NOW)
    assert {path: path.read_bytes() for path in kept} == kept
    assert torn.answers(torn.request())


def test_another_name_or_folder_is_not_written_over_the_first(hospital: HospitalFolder, data: Path) -> None:
    for name, images in (("St Luke", data), ("St Mary", data.parent)):
        with pytest.raises(StorageError, match="already set up differently: name St Mary"):
            begin(hospital, name, images, None, NOW)
    assert hospital.settings().data == data


def test_images_and_labels_must_be_there_and_nothing_is_made_before(tmp_path: Path, data: Path) -> None:
    folder = HospitalFolder(tmp_path / "state")
    with pytest.raises(DataError, match="there is no such folder"):
        begin(folder, "St Mary", tmp_path / "none", None, NOW)
    with pytest.raises(DataError, match="this is a file"):
        begin(folder, "St Mary", Path(__file__), None, NOW)
    with pytest.raises(DataError, match="this is a folder"):
        begin(folder, "St Mary", data, data, NOW)
    with pytest.raises(DataError, match="there is no such table of labels") as missing:
        begin(folder, "St Mary", data, tmp_path / "none.csv", NOW)
    assert missing.value.do.startswith("Check that it is there")
    with pytest.raises(StudyError, match="a hospital cannot be called"):
        begin(folder, "two\nlines", data, None, NOW)
    assert not folder.path.exists()


def test_the_invitation_is_kept_and_its_authority_with_it(hospital: HospitalFolder) -> None:
    path = invited(hospital)
    found = accept(hospital, path, now=NOW)
    assert found.new
    assert found.invitation.public == COORDINATOR.public
    assert hospital.invitation() == found.invitation
    assert hospital.ca_certificate.read_bytes() == AUTHORITY
    assert not accept(hospital, path, now=LATER).new


def test_an_invitation_is_examined_without_being_kept(hospital: HospitalFolder) -> None:
    assert examine(hospital, invited(hospital), now=NOW).new
    with pytest.raises(StorageError, match="has accepted no invitation"):
        hospital.invitation()


def test_an_invitation_for_another_hospital_is_refused(hospital: HospitalFolder) -> None:
    other = Request.make("St Luke", OTHER, generate_private_key(SECP256R1()), NOW)
    path = hospital.path / "wrong"
    path.write_bytes(Invitation.make(other, "a:1", AUTHORITY, COORDINATOR, NOW).content())
    with pytest.raises(MessageError, match="this invitation is for St Luke, and this hospital is St Mary"):
        accept(hospital, path, now=NOW)
    namesake = Request.make("St Mary", OTHER, generate_private_key(SECP256R1()), NOW)
    path.write_bytes(Invitation.make(namesake, "a:1", AUTHORITY, COORDINATOR, NOW).content())
    with pytest.raises(MessageError, match="answers another request"):
        accept(hospital, path, now=NOW)
    assert not hospital.invitation_file.exists()


@pytest.mark.parametrize("key", ["identity.pem", "node.pem"])
def test_an_invitation_for_keys_that_were_replaced_is_refused(
    tmp_path: Path, hospital: HospitalFolder, data: Path, key: str
) -> None:
    path = invited(hospital)
    accept(hospital, path, now=NOW)
    other = HospitalFolder(tmp_path / "other")
    begin(other, "St Mary", data, None, NOW)
    (other.path / key).replace(hospital.path / key)
    for look in (lambda: accept(hospital, path, now=NOW), hospital.invitation):
        with pytest.raises(StorageError, match="the keys here are not those of this hospital's request"):
            look()
    request, new = begin(hospital, "St Mary", data, None, LATER)
    assert new
    assert hospital.answers(request)
    with pytest.raises(MessageError, match="answers another request"):
        hospital.invitation()


@pytest.mark.parametrize("identity", [False, True])
def test_new_keys_make_a_new_request_and_the_old_ones_are_kept_aside(
    hospital: HospitalFolder, data: Path, identity: bool
) -> None:
    accept(hospital, invited(hospital), now=NOW)
    before, old = hospital.request(), hospital.node_key.read_bytes()
    replace_keys(hospital, LATER, identity=identity)
    request, new = begin(hospital, "St Mary", data, None, LATER)
    assert new
    assert request.node_key != before.node_key
    assert (request.public != before.public) is identity
    [aside] = hospital.replaced.iterdir()
    assert (aside / "node.pem").read_bytes() == old
    assert (aside / "identity.pem").exists() is identity
    with pytest.raises(MessageError, match="answers another request"):
        hospital.invitation()
    accept(hospital, invited(hospital, now=LATER), now=LATER)
    assert hospital.invitation().request == request.digest()


def test_another_coordinator_is_not_followed_unasked(hospital: HospitalFolder, data: Path) -> None:
    accept(hospital, invited(hospital), now=NOW)
    for replaced in (False, True):
        if replaced:
            replace_keys(hospital, LATER, identity=True)
            begin(hospital, "St Mary", data, None, LATER)
        with pytest.raises(MessageError, match="from another coordinator"):
            accept(hospital, invited(hospital, by=OTHER, now=LATER), now=LATER)
    assert Invitation.read(hospital.invitation_file).public == COORDINATOR.public


def test_a_coordinator_that_moved_is_followed_and_an_older_invitation_is_not(hospital: HospitalFolder) -> None:
    accept(hospital, invited(hospital), now=NOW)
    other = pem(make_authority(generate_private_key(SECP256R1()), LATER).certificate)
    moved = invited(hospital, address="new.example.org:443", now=LATER, authority=other)
    assert accept(hospital, moved, now=LATER).new
    assert hospital.invitation().address == "new.example.org:443"
    assert hospital.ca_certificate.read_bytes() == other
    with pytest.raises(MessageError, match="older than the one"):
        accept(hospital, invited(hospital), now=LATER)


def test_a_slow_clock_and_an_expired_authority_are_said(hospital: HospitalFolder) -> None:
    path = invited(hospital)
    with pytest.raises(MessageError, match="this machine's clock is slow"):
        accept(hospital, path, now=NOW - timedelta(hours=1))
    with pytest.raises(MessageError, match="the coordinator's authority expired on 2036"):
        accept(hospital, path, now=NOW + timedelta(days=4000))


def test_a_forged_invitation_is_refused(hospital: HospitalFolder) -> None:
    path = invited(hospital)
    path.write_bytes(path.read_bytes().replace(b"fl.example.org", b"ev.example.org"))
    with pytest.raises(MessageError, match="the signature of this invitation is not valid"):
        accept(hospital, path, now=NOW)
    assert not hospital.ca_certificate.exists()


def test_before_it_is_set_up_a_hospital_accepts_nothing(tmp_path: Path, hospital: HospitalFolder) -> None:
    with pytest.raises(StorageError, match="this hospital has not been set up here") as caught:
        accept(HospitalFolder(tmp_path / "nothing"), invited(hospital), now=NOW)
    assert "wardround hospital init" in caught.value.do


def test_a_damaged_request_of_ones_own_says_what_to_do(hospital: HospitalFolder, data: Path) -> None:
    hospital.request_file.write_bytes(b"{}")
    with pytest.raises(StorageError, match="this is no enrolment request") as caught:
        begin(hospital, "St Mary", data, None, NOW)
    assert "remove it, run init again" in caught.value.do


def test_settings_must_name_whole_paths(hospital: HospitalFolder) -> None:
    hospital.settings_file.write_text('name = "St Mary"\ndata = "images"\n')
    with pytest.raises(StorageError, match="a path in quotes that begins at the root"):
        hospital.settings()


def test_the_command_accept_stores_nothing_until_the_fingerprint_was_compared(hospital: HospitalFolder) -> None:
    path = invited(hospital, now=datetime.now(UTC))
    command = ["accept", str(path), "--state", str(hospital.path)]
    refused = CliRunner().invoke(app, command, input="n\n")
    assert Invitation.read(path).fingerprint in refused.stdout
    assert refused.exit_code == 9  # the answer was no
    assert not hospital.invitation_file.exists()
    done = CliRunner().invoke(app, command, input="y\n")
    assert done.exit_code == 0
    assert hospital.invitation() == Invitation.read(path)
    assert CliRunner().invoke(app, [*command, "--yes"]).exit_code == 0
