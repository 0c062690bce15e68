"""A hospital's identity: made once, kept private, and the only one with which it takes part in a study's sums."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner

from consortium import RUN, secure_study
from wardround_client.commands.hospital_cli import app
from wardround_client.hospital.secure_desk import Desk, open_desk
from wardround_client.state.identity_file import NAME, make_identity, read_identity
from wardround_common.errors import PrivacyError, StorageError, StudyError, WardroundError
from wardround_common.keys.identity import Identity, Roster
from wardround_common.study.file import Study
from wardround_common.study.roster import Listed, in_order, keys_of


def identity(name: str) -> Identity:
    return Identity(name.encode().ljust(32, b"."))


def rostered(*names: str) -> Study:
    roster = in_order([Listed.of(name, identity(name).public) for name in names])
    return secure_study().model_copy(update={"roster": roster})


def hospital(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    if isinstance(result.exception, WardroundError):
        raise result.exception
    assert result.exit_code == 0
    return result.stdout


def test_an_identity_is_made_once_and_never_replaced(tmp_path: Path) -> None:
    first, new = make_identity(tmp_path / "state")
    again, anew = make_identity(tmp_path / "state")
    assert (new, anew) == (True, False)
    assert first.secret == again.secret == read_identity(tmp_path / "state").secret
    assert make_identity(tmp_path / "other")[0].secret != first.secret


def test_only_the_owner_can_read_the_private_half(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_identity(tmp_path)
    finally:
        os.umask(before)
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666])
def test_an_identity_that_others_may_read_is_refused_until_that_is_mended(tmp_path: Path, mode: int) -> None:
    made, _ = make_identity(tmp_path)
    (tmp_path / NAME).chmod(mode)
    with pytest.raises(StorageError, match=r"other users can read this hospital's private key\n.*chmod 600"):
        read_identity(tmp_path)
    (tmp_path / NAME).chmod(0o600)
    assert read_identity(tmp_path).secret == made.secret


def foreign(what: str) -> bytes:
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    whole = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {
        "empty": b"",
        "not PEM": b"\x00\xffgarbage",
        "cut short": whole[:-40],
        "a public key": b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        "with a password": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")),
        "after ten thousand bytes": b" " * 10_000 + whole,
    }[what]


@pytest.mark.parametrize(
    "what", ["empty", "not PEM", "cut short", "a public key", "with a password", "after ten thousand bytes"]
)
def test_a_damaged_identity_is_refused_and_kept_as_it_is(tmp_path: Path, what: str) -> None:
    path = tmp_path / NAME
    content = foreign(what)
    path.write_bytes(content)
    path.chmod(0o600)
    for use in (make_identity, read_identity):
        with pytest.raises(StorageError, match=r"damaged or cannot be read\n.*Restore it from your backup"):
            use(tmp_path)
    assert path.read_bytes() == content


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / NAME).write_bytes(key)
    (tmp_path / NAME).chmod(0o600)
    with pytest.raises(StorageError, match="this is not an Ed25519 key"):
        read_identity(tmp_path)


def test_a_hospital_without_an_identity_is_told_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"no identity yet\n.*wardround hospital init NAME --data DIR"):
        read_identity(tmp_path)


def set_up(folder: Path, name: str) -> Path:
    images = folder / "images"
    images.mkdir(parents=True)
    state = folder / "state"
    hospital("init", name, "--data", str(images), "--state", str(state), "--out", str(folder / "request"))
    return state


def test_the_command_prints_the_same_entry_twice_and_no_secret(tmp_path: Path) -> None:
    state = set_up(tmp_path, "Klinik Süd")
    first, again = (hospital("identity", "--state", str(state)) for _ in range(2))
    made = read_identity(state)
    entry = Listed.of("Klinik Süd", made.public).toml()
    assert first == again
    assert entry in first
    assert made.secret.hex() not in first
    pem = (state / NAME).read_text()
    assert pem.splitlines()[1] not in first


def test_the_command_gives_programs_the_entry_of_a_roster(tmp_path: Path) -> None:
    state = set_up(tmp_path, "Nord")
    printed = json.loads(hospital("identity", "--state", str(state), "--json"))
    assert Listed.model_validate(printed) == Listed.of("Nord", read_identity(state).public)


def test_to_look_at_an_identity_makes_no_other_hospital(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"not been set up here\n.*wardround hospital init NAME --data DIR"):
        hospital("identity", "--state", str(tmp_path / "state"))
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("name", ["", " Nord", "a\nb", "a\x1b[2J", "x" * 101])
def test_a_name_that_no_roster_takes_makes_no_key(tmp_path: Path, name: str) -> None:
    with pytest.raises(StudyError, match="a hospital cannot be called"):
        set_up(tmp_path, name)
    assert not (tmp_path / "state").exists()


def test_a_hospital_takes_part_among_those_that_the_study_lists(tmp_path: Path) -> None:
    study = rostered("a", "b", "c")
    desk = open_desk(study, "b", identity("b"), tmp_path, os.urandom)
    assert desk.roster.digest == keys_of(study.roster).digest
    desk.join(RUN).check(desk.roster, study.digest(), RUN)


def test_a_hospital_that_is_not_listed_takes_no_part(tmp_path: Path) -> None:
    with pytest.raises(PrivacyError, match="does not list 'z'"):
        open_desk(rostered("a", "b", "c"), "z", identity("z"), tmp_path, os.urandom)


def test_a_hospital_that_is_listed_with_anothers_key_takes_no_part(tmp_path: Path) -> None:
    with pytest.raises(
        PrivacyError, match=r"lists 'b' with another key .*\n.*Somebody may be impersonating this hospital"
    ):
        open_desk(rostered("a", "b", "c"), "b", identity("mine"), tmp_path, os.urandom)


def test_a_hospital_takes_no_part_in_a_draft(tmp_path: Path) -> None:
    with pytest.raises(PrivacyError, match="the study is a draft"):
        open_desk(secure_study(), "a", identity("a"), tmp_path, os.urandom)


def test_no_other_roster_stands_in_for_the_studys(tmp_path: Path) -> None:
    study = rostered("a", "b", "c")
    wider = Roster({name: identity(name).public for name in "abcz"})
    with pytest.raises(PrivacyError, match="is not that of the study"):
        Desk(study, "b", identity("b"), wider, tmp_path, os.urandom)
