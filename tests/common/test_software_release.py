"""A release is what its makers signed: one changed byte is found and its file named, by ours and by common tools."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from wardround_common.documents.software_release import KEY, SIGNATURE, SUMS, Sums, check_signer, names_in, sign, verify
from wardround_common.errors import MessageError, StorageError
from wardround_common.keys.identity import Identity, fingerprint
from wardround_common.shell.release_cli import app

MAKERS, OTHERS = Identity(bytes(range(32))), Identity(bytes(32))
WHEEL = "wardround-0.1.0-py3-none-any.whl"


def listed(folder: Path) -> None:
    (folder / SUMS).write_bytes(Sums.taken(folder).content())


@pytest.fixture
def release(tmp_path: Path) -> Path:
    folder = tmp_path / "release"
    folder.mkdir()
    (folder / WHEEL).write_bytes(b"PK")
    (folder / "provenance.json").write_text("{}\n")
    listed(folder)
    sign(folder, MAKERS)
    return folder


def test_a_release_that_nobody_changed_is_verified_with_its_makers_fingerprint(release: Path) -> None:
    found = verify(release)
    assert found.names == ("provenance.json", WHEEL)
    assert found.fingerprint == fingerprint(MAKERS.public)
    check_signer(found, found.fingerprint.replace(" ", ""))
    assert verify(release, [WHEEL]).names == (WHEEL,)


def test_every_changed_byte_of_every_file_is_found(release: Path) -> None:
    for name in names_in(release):
        content = (release / name).read_bytes()
        for place in range(len(content)):
            changed = bytearray(content)
            changed[place] ^= 1
            (release / name).write_bytes(changed)
            try:
                found = verify(release)
            except (MessageError, StorageError):
                continue
            # A PEM file has bytes that mean nothing, such as its line ends: it is the same key then.
            assert (name, found.public) == (KEY, MAKERS.public)
        (release / name).write_bytes(content)
    verify(release)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: (folder / WHEEL).write_bytes(b"PX"), f"{WHEEL} was changed"),
        (lambda folder: (folder / WHEEL).unlink(), f"{WHEEL} is missing"),
        (lambda folder: (folder / "more.whl").write_bytes(b""), "more.whl is not part of this release"),
        (lambda folder: (folder / "sub").symlink_to(folder), "Is a directory|is a directory"),
        (lambda folder: (folder / KEY).unlink(), "the public key is missing"),
        (lambda folder: (folder / SUMS).unlink(), "this is not a release"),
    ],
)
def test_the_file_that_is_not_as_signed_is_named(release: Path, change: Callable[[Path], object], said: str) -> None:
    change(release)
    with pytest.raises(StorageError, match=said):
        verify(release)


def test_a_release_without_a_signature_is_refused(release: Path) -> None:
    (release / SIGNATURE).unlink()
    with pytest.raises(MessageError, match="this release is not signed"):
        verify(release)


def test_sums_that_are_written_anew_hold_only_with_another_key_whose_fingerprint_tells(release: Path) -> None:
    (release / WHEEL).write_bytes(b"false")
    listed(release)
    with pytest.raises(MessageError, match="is not valid"):
        verify(release)
    sign(release, OTHERS)
    with pytest.raises(MessageError, match="signed with another key"):
        check_signer(verify(release), fingerprint(MAKERS.public))


def test_a_single_file_is_verified_without_the_others_and_a_foreign_one_is_named(release: Path) -> None:
    (release / "provenance.json").unlink()
    (release / "more.whl").write_bytes(b"")
    verify(release, [WHEEL])
    with pytest.raises(StorageError, match=r"more\.whl is not part of this release"):
        verify(release, [WHEEL, "more.whl"])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        f"{'a' * 64}  ../x\n".encode(),
        f"{'a' * 64}  /x\n".encode(),
        f"{'a' * 64}  a/b\n".encode(),
        f"{'a' * 64}  {SUMS}\n".encode(),
        f"{'A' * 64}  x\n".encode(),
        f"{'a' * 64} *x\n".encode(),
        f"{'a' * 64}  x".encode(),
        f"{'a' * 64}  x\n{'b' * 64}  x\n".encode(),
        f"{'a' * 64}  y\n{'b' * 64}  x\n".encode(),
        f"{'a' * 64}  x\r\n".encode(),
        b"\xff\xfe",
    ],
)
def test_a_list_of_sums_has_one_form_and_names_no_other_place(content: bytes) -> None:
    with pytest.raises(MessageError, match="not a list"):
        Sums.parse(content)


def test_a_models_list_names_folders_below_and_no_other_place() -> None:
    listed = f"{'a' * 64}  bundle/scripts/__init__.py\n".encode()
    assert list(Sums.parse(listed, below=True).of) == ["bundle/scripts/__init__.py"]
    for name in ("a/../x", "/x", "a//x", ".a/x", "a/b/c/d/e", "a/"):
        with pytest.raises(MessageError, match="not a list"):
            Sums.parse(f"{'a' * 64}  {name}\n".encode(), below=True)


def test_nothing_is_signed_that_is_not_as_listed(release: Path) -> None:
    (release / SIGNATURE).unlink()
    (release / WHEEL).write_bytes(b"after the sums were taken")
    with pytest.raises(StorageError, match="was changed"):
        sign(release, MAKERS)
    assert not (release / SIGNATURE).exists()


@pytest.mark.skipif(not (shutil.which("openssl") and shutil.which("sha256sum")), reason="openssl and sha256sum")
def test_a_release_can_be_verified_without_wardround(release: Path) -> None:
    def done(*command: str) -> bool:
        return subprocess.run(command, cwd=release, capture_output=True, check=False).returncode == 0

    signature = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", KEY, "-in", SUMS, "-sigfile", SIGNATURE]
    assert done(*signature)
    assert done("sha256sum", "--check", "--strict", SUMS)
    (release / WHEEL).write_bytes(b"false")
    assert not done("sha256sum", "--check", "--strict", SUMS)
    listed(release)
    assert not done(*signature)


def test_the_commands_make_a_key_sign_and_verify_and_ask_whose_key_it_is(release: Path, tmp_path: Path) -> None:
    run, key = CliRunner(), str(tmp_path / "keys" / "release.pem")
    made = run.invoke(app, ["key", key])
    assert made.exit_code == 0, made.output
    assert (tmp_path / "keys" / "release.pem").stat().st_mode & 0o077 == 0
    known = made.output.splitlines()[0].removeprefix("fingerprint  ")
    assert isinstance(run.invoke(app, ["key", key]).exception, StorageError)
    assert run.invoke(app, ["sign", str(release), "--key", key]).exit_code == 0
    for paths in ([str(release)], [str(release / WHEEL), str(release / "provenance.json")]):
        asked = run.invoke(app, ["verify", *paths], input="y\n")
        assert (asked.exit_code, asked.output.splitlines()[-1]) == (0, "Verified.")
        assert known in asked.output
        assert run.invoke(app, ["verify", *paths], input="n\n").exit_code == 9
        assert run.invoke(app, ["verify", *paths, "--signer", known]).exit_code == 0
        assert isinstance(run.invoke(app, ["verify", *paths, "--signer", "12345"]).exception, MessageError)


def test_a_folder_that_is_not_there_is_said_to_be_not_there(release: Path, tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", tmp_path / "nowhere" / WHEEL):
        said = CliRunner().invoke(app, ["verify", str(path)]).exception
        assert isinstance(said, StorageError)
        assert str(said).startswith(f"{path}: there is no such file or folder")


def test_a_model_is_not_signed_as_a_release_of_wardround_and_is_told_how(release: Path, tmp_path: Path) -> None:
    key = str(tmp_path / "release.pem")
    assert CliRunner().invoke(app, ["key", key]).exit_code == 0
    (release / "model.json").write_text("{}")
    before = (release / SIGNATURE).read_bytes()
    said = CliRunner().invoke(app, ["sign", str(release), "--key", key]).exception
    assert isinstance(said, StorageError)
    assert "wardround export RUN --out DIR --key KEY" in said.do
    assert (release / SIGNATURE).read_bytes() == before
