"""A coordinator lets in whom it was asked to, once, under one name and with keys of its own."""

from __future__ import annotations

import json
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key

from strict_readers import is_taken
from wardround_common.documents.enrolment import Invitation, Request
from wardround_common.errors import MessageError, StorageError
from wardround_common.keys.certificates import pem, read_certificate
from wardround_common.keys.identity import Identity
from wardround_server.service.coordinator_audit import coordinator_log
from wardround_server.service.enrolment_desk import Standing, begin, enrol, renew, revoke, standing
from wardround_server.state.coordinator_folder import CoordinatorFolder

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=7)
NODES = [generate_private_key(SECP256R1()) for _ in range(3)]


def request(
    name: str = "St Mary", identity: bytes = b"m", node: EllipticCurvePrivateKey = NODES[0], now: datetime = NOW
) -> Request:
    return Request.make(name, Identity(identity * 32), node, now)


@pytest.fixture
def folder(tmp_path: Path) -> CoordinatorFolder:
    made = CoordinatorFolder(tmp_path / "coordinator")
    begin(made, ["fl.example.org", "127.0.0.1"], 9093, NOW)
    return made


def test_a_folder_has_what_a_server_needs(folder: CoordinatorFolder) -> None:
    assert folder.settings.address == "fl.example.org:9093"
    for host in ("fl.example.org", "127.0.0.1"):
        assert is_taken(folder.certificate(), folder.authority_certificate(), host, NOW)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(folder.server_certificate, folder.server_key)


def test_private_keys_are_for_their_owner_only(folder: CoordinatorFolder) -> None:
    secret = [path for path in folder.path.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]
    assert sorted(path.name for path in secret) == ["authority.key", "identity.pem", "server.pem"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in secret} == {0o600}
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["identity.pem", "authority.key", "server.pem"])
def test_a_private_key_that_others_may_read_is_not_used(folder: CoordinatorFolder, name: str) -> None:
    (folder.path / name).chmod(0o640)
    used = {"identity.pem": folder.identity, "authority.key": folder.authority, "server.pem": folder.certificate}
    with pytest.raises(StorageError, match="other users can read ") as caught:
        used[name]()
    assert "chmod 600" in caught.value.do


def test_an_empty_folder_that_others_may_look_into_is_closed_to_them_and_one_in_use_stays_as_it_is(
    tmp_path: Path,
) -> None:
    """Models lie in it, which without differential privacy may remember patients, as files that others may read."""
    for name, mode in (("empty", 0o700), ("in use", 0o755)):
        made = CoordinatorFolder(tmp_path / name)
        made.path.mkdir(mode=0o755)
        made.path.chmod(0o755)
        if name == "in use":
            (made.path / "notes.txt").write_text("of somebody's")
        begin(made, ["fl.example.org"], 9093, NOW)
        assert stat.S_IMODE(made.path.stat().st_mode) == mode


def test_a_coordinator_is_not_made_over_another(folder: CoordinatorFolder) -> None:
    before = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    with pytest.raises(StorageError, match="this folder already holds a coordinator"):
        begin(folder, ["other.example.org"], 9093, LATER)
    assert {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("files", range(6))
def test_a_beginning_that_a_crash_cut_short_is_completed_with_the_same_keys(
    tmp_path: Path, folder: CoordinatorFolder, files: int
) -> None:
    order = [
        folder.identity_file,
        folder.ca_key,
        folder.ca_certificate,
        folder.server_certificate,
        folder.settings_file,
    ]
    torn = CoordinatorFolder(tmp_path / "torn")
    torn.path.mkdir()
    for path in order[: min(files, 4)]:
        path.rename(torn.path / path.name)
    kept = {path.name: path.read_bytes() for path in torn.path.iterdir()}
    begin(torn, ["fl.example.org"], 9093, NOW)
    assert {name: (torn.path / name).read_bytes() for name in kept if name != "server.pem"} == {
        name: content for name, content in kept.items() if name != "server.pem"
    }
    assert is_taken(torn.certificate(), torn.authority_certificate(), "fl.example.org", NOW)
    assert enrol(torn, request(), NOW).address == "fl.example.org:9093"


def test_the_key_of_another_authority_is_not_used(tmp_path: Path, folder: CoordinatorFolder) -> None:
    other = CoordinatorFolder(tmp_path / "other")
    begin(other, ["fl.example.org"], 9093, NOW)
    other.ca_key.replace(folder.ca_key)
    with pytest.raises(StorageError, match="not the key of the authority's certificate"):
        renew(folder, [], None, LATER)


def test_an_authority_kept_elsewhere_is_asked_for_only_where_it_is_needed(folder: CoordinatorFolder) -> None:
    folder.ca_key.unlink()
    enrol(folder, request(), NOW)
    with pytest.raises(StorageError, match="the authority's private key is not here"):
        renew(folder, [], None, LATER)


def test_an_enrolled_hospital_is_listed_with_its_keys(folder: CoordinatorFolder) -> None:
    invitation = enrol(folder, request(), NOW)
    [one] = folder.enrolled()
    assert (one.name, one.request, one.since) == ("St Mary", request().model_copy(update=dict(one.request)), NOW)
    assert invitation.address == "fl.example.org:9093"
    assert invitation.authority.encode() == pem(folder.authority_certificate())
    assert invitation.public == folder.identity().public
    assert invitation.request == one.request.digest()


def test_the_same_hospital_again_gets_the_same_invitation(folder: CoordinatorFolder) -> None:
    asked = request()
    first = enrol(folder, asked, NOW)
    assert standing(folder, asked, LATER) is Standing.SAME
    assert enrol(folder, asked, LATER).content() == first.content()
    assert len(folder.enrolled()) == 1


def test_another_key_under_the_same_name_is_refused_until_the_first_is_revoked(folder: CoordinatorFolder) -> None:
    enrol(folder, request(), NOW)
    other = request(identity=b"x", node=NODES[1], now=LATER)
    with pytest.raises(MessageError, match="another key is enrolled as St Mary"):
        enrol(folder, other, LATER)
    revoke(folder, "St Mary", LATER)
    enrol(folder, other, LATER)
    assert [one.request for one in folder.enrolled()] == [other]


def test_a_revoked_key_is_never_enrolled_again(folder: CoordinatorFolder) -> None:
    enrol(folder, request(), NOW)
    gone = revoke(folder, "St Mary", LATER)
    assert (gone.hospital, gone.enrolled, gone.revoked) == ("St Mary", NOW, LATER)
    assert folder.enrolled() == []
    assert folder.revocations() == [gone]
    for again in (
        request(),
        request(name="St Luke"),
        request(identity=b"x", now=LATER),
        request(node=NODES[1], now=LATER),
    ):
        with pytest.raises(MessageError, match="a key of this request was revoked on 2026-11-28 as that of St Mary"):
            enrol(folder, again, LATER)


def test_a_revocation_that_a_crash_cut_short_holds(folder: CoordinatorFolder) -> None:
    asked = request()
    invitation = enrol(folder, asked, NOW)
    revoke(folder, "St Mary", LATER)
    folder.request_of("St Mary").write_bytes(asked.content())  # as if the last two steps had not come
    folder.invitation_of("St Mary").write_bytes(invitation.content())
    assert folder.enrolled() == []
    with pytest.raises(MessageError, match="was revoked"):
        enrol(folder, asked, LATER)


@pytest.mark.parametrize("taken", [{"identity": b"m", "node": NODES[1]}, {"identity": b"x", "node": NODES[0]}])
def test_a_key_of_one_hospital_is_not_enrolled_for_another(folder: CoordinatorFolder, taken: dict[str, bytes]) -> None:
    enrol(folder, request(), NOW)
    with pytest.raises(MessageError, match="this is the key of St Mary"):
        enrol(folder, request(name="St Luke", **taken), LATER)  # type: ignore[arg-type]


def test_an_identity_vouches_for_another_node_key_and_the_old_one_cannot_come_back(folder: CoordinatorFolder) -> None:
    old = request()
    enrol(folder, old, NOW)
    new = request(node=NODES[1], now=LATER)
    assert standing(folder, new, LATER) is Standing.NEW_NODE_KEY
    assert enrol(folder, new, LATER).since == NOW
    assert [one.request for one in folder.enrolled()] == [new]
    with pytest.raises(MessageError, match="a newer request of St Mary was granted"):
        enrol(folder, old, LATER)


def test_a_node_key_is_replaced_also_when_a_crash_fell_between_the_two_files(folder: CoordinatorFolder) -> None:
    old, new = request(), request(node=NODES[1], now=LATER)
    enrol(folder, old, NOW)
    enrol(folder, new, LATER)
    folder.request_of("St Mary").write_bytes(old.content())
    enrol(folder, new, LATER)
    assert [one.request for one in folder.enrolled()] == [new]


def test_a_request_from_the_future_is_not_granted(folder: CoordinatorFolder) -> None:
    with pytest.raises(MessageError, match="written 7 days in the future"):
        enrol(folder, request(now=LATER), NOW)
    assert folder.enrolled() == []


def test_renewal_keeps_authority_hospitals_and_invitations(folder: CoordinatorFolder) -> None:
    asked = request()
    invitation, before = enrol(folder, asked, NOW), folder.certificate()
    assert renew(folder, [], None, LATER) == []
    after = folder.certificate()
    assert after.public_key() != before.public_key()
    assert after.not_valid_after_utc > before.not_valid_after_utc
    assert is_taken(after, folder.authority_certificate(), "fl.example.org", LATER)
    assert enrol(folder, asked, LATER) == invitation
    assert stat.S_IMODE(folder.server_key.stat().st_mode) == 0o600


def test_a_server_that_moved_keeps_its_old_name_and_gives_invitations_with_the_new_one(
    folder: CoordinatorFolder,
) -> None:
    enrol(folder, request(), NOW)
    [moved] = renew(folder, ["new.example.org"], 443, LATER)
    assert folder.settings.address == "new.example.org:443"
    for host in ("new.example.org", "fl.example.org"):
        assert is_taken(folder.certificate(), folder.authority_certificate(), host, LATER)
    invitation = Invitation.read(folder.invitation_of(moved.name))
    assert (invitation.address, invitation.made, invitation.since) == ("new.example.org:443", LATER, NOW)


def test_a_stolen_server_key_is_worth_nothing_below_a_new_authority(folder: CoordinatorFolder) -> None:
    enrol(folder, request(), NOW)
    stolen, identity = folder.certificate(), folder.identity()
    [invited] = renew(folder, [], None, LATER, new_authority=True)
    invitation = Invitation.read(folder.invitation_of(invited.name))
    assert invitation.public == identity.public
    trusted = read_certificate(invitation.authority.encode())
    assert is_taken(folder.certificate(), trusted, "fl.example.org", LATER)
    assert not is_taken(stolen, trusted, "fl.example.org", LATER)
    assert [path.name for path in sorted(folder.replaced.rglob("*.*")) if path.is_file()] == [
        "authority.key",
        "authority.pem",
    ]


def test_a_new_authority_that_a_crash_cut_short_is_made_again(folder: CoordinatorFolder) -> None:
    enrol(folder, request(), NOW)
    folder.ca_certificate.unlink()
    assert len(renew(folder, [], None, LATER, new_authority=True)) == 1
    assert is_taken(folder.certificate(), folder.authority_certificate(), "fl.example.org", LATER)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", ".", "St Mary/..", "-rf", "a" * 100, "𝒜" * 100])
def test_a_hospitals_name_leads_out_of_no_folder(folder: CoordinatorFolder, name: str) -> None:
    coordinator_log(folder).note("paused")  # its files are there before
    outside = {path for path in folder.path.parent.rglob("*") if folder.hospitals not in path.parents}
    enrol(folder, request(name=name), NOW)
    new = {path for path in folder.path.parent.rglob("*") if folder.hospitals not in path.parents} - outside
    assert new == {folder.invitation_of(name)}
    assert [one.name for one in folder.enrolled()] == [name]


def test_names_that_look_alike_as_files_are_two_hospitals(folder: CoordinatorFolder) -> None:
    enrol(folder, request(name="St. Mary"), NOW)
    enrol(folder, request(name="St Mary", identity=b"x", node=NODES[1]), NOW)
    assert [one.name for one in folder.enrolled()] == ["St Mary", "St. Mary"]


@pytest.mark.parametrize(
    ("enrolled", "name", "said"),
    [
        ("Mercy", "Μercy", "letters of Greek and Latin are mixed"),
        ("Mercy", "Mеrcy", "letters of Cyrillic and Latin are mixed"),
        ("COCO", "СОСО", "looks like that of COCO, which is enrolled"),
        ("St Mary", "st mary", "looks like that of St Mary"),
        ("St Mary", "St Mаry", "letters of Cyrillic and Latin are mixed"),
        ("Hospital 1", "Hospital I", "looks like that of Hospital 1"),
        ("Hospital 10", "Hospital lO", "looks like that of Hospital 10"),
        ("Mercy", "Ｍercy", "looks like that of Mercy"),
    ],
)
def test_a_name_that_people_take_for_anothers_is_not_enrolled(
    folder: CoordinatorFolder, enrolled: str, name: str, said: str
) -> None:
    enrol(folder, request(name=enrolled), NOW)
    other = request(name=name, identity=b"x", node=NODES[1])
    with pytest.raises(MessageError, match=said):
        enrol(folder, other, NOW)
    assert [one.name for one in folder.enrolled()] == [enrolled]


def test_names_of_one_script_each_are_enrolled_side_by_side(folder: CoordinatorFolder) -> None:
    names = ["Hôpital Sainte-Marie", "Больница №1", "Ευαγγελισμός", "聖路加 Hospital", "St Mary", "St Mary 2"]
    for number, name in enumerate(names):
        node = generate_private_key(SECP256R1())
        asked = Request.make(name, Identity(bytes([number + 1] * 32)), node, NOW)
        enrol(folder, asked, NOW)
    assert sorted(names) == [one.name for one in folder.enrolled()]


def test_a_coordinator_is_not_made_in_a_hospitals_folder_and_leaves_nothing_there(tmp_path: Path) -> None:
    (tmp_path / "node.pem").write_bytes(b"of an earlier version, without a mark")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StorageError, match="this is the folder of a hospital"):
        begin(CoordinatorFolder(tmp_path), ["fl.example.org"], 9093, NOW)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_damaged_file_leaves_no_hospital_out_silently(folder: CoordinatorFolder) -> None:
    enrol(folder, request(), NOW)
    place = folder.request_of("St Mary")
    place.write_bytes(place.read_bytes()[:-9])
    with pytest.raises(MessageError, match="this is no enrolment request"):
        folder.enrolled()


def test_a_damaged_revocation_lets_nobody_in(folder: CoordinatorFolder) -> None:
    enrol(folder, request(), NOW)
    revoke(folder, "St Mary", LATER)
    [record] = folder.revoked.iterdir()
    fields = json.loads(record.read_bytes())
    record.write_text(json.dumps(fields | {"identity": "0"}))
    with pytest.raises(StorageError, match="the record of a revoked hospital is damaged"):
        enrol(folder, request(), LATER)


def test_who_is_not_enrolled_cannot_be_revoked(folder: CoordinatorFolder) -> None:
    enrol(folder, request(), NOW)
    with pytest.raises(MessageError, match="no hospital is enrolled as 'St Luke'") as caught:
        revoke(folder, "St Luke", NOW)
    assert "St Mary" in caught.value.do


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('hosts = ["a"]\nport = 9093\nhost = "b"', r'there is no key "host"; did you mean .hosts.\?'),
        ('hots = ["a"]', r'used: the key "port" is missing; there is no key "hots"; did you mean .hosts.\?\n'),
        ('hosts = ["a"]\nport = 9093\ncolour = "b"', 'there is no key "colour"; the keys are hosts, port'),
        ('hosts = ["a"]', 'the key "port" is missing'),
        ('hosts = ["a b"]\nport = 9093', "is not a name or address of a server"),
        ('hosts = []\nport = "x"', '"port": input should be a valid integer'),
        ("hosts = [", "this is not TOML text"),
    ],
)
def test_settings_that_somebody_mistyped_are_said_by_name(folder: CoordinatorFolder, text: str, said: str) -> None:
    folder.settings_file.write_text(text)
    with pytest.raises(StorageError, match=said):
        _ = folder.settings
