"""``wardround release``: verify that a release of Wardround or of a model is what was signed, and sign one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wardround_common.shell.commands import Commands, confirm

if TYPE_CHECKING:  # what a command needs is imported when it runs: help appears immediately
    from wardround_common.documents.model_release import VerifiedModel
    from wardround_common.documents.software_release import Verified

app = Commands("Verify that a release of Wardround or of a model is what was signed, or sign one.")


@app.command()
def verify(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR|FILE...",
            help="Folder of a release or a model, to verify all its files; or single files of a release.",
            show_default=False,
        ),
    ],
    signer: Annotated[
        str | None,
        typer.Option(
            "--signer",
            "--coordinator",
            metavar="FINGERPRINT|KEY",
            help="Fingerprint or public key (64 digits or a PEM file) of who must have signed it, instead of asking.",
            show_default=False,
        ),
    ] = None,
    unsigned: Annotated[
        bool, typer.Option("--unsigned", help="Accept a model that nobody signed, if all its files are as listed.")
    ] = False,
) -> None:
    """Verify a release of Wardround, single files of one, or a model: signature, each file's digest, and whose key."""
    from wardround_common.documents.model_release import expected_signer, not_signed, verify_model
    from wardround_common.documents.software_release import SUMS, check_signer
    from wardround_common.documents.software_release import verify as verified
    from wardround_common.errors import StorageError
    from wardround_common.results.model_folder import CARD, read_model_folder

    if signer is not None and unsigned:
        raise typer.BadParameter("who must have signed it, or that nobody need have: give one", param_hint="--unsigned")
    for path in paths:
        if not path.exists() and not (path.parent / SUMS).exists():
            raise StorageError("there is no such file or folder", where=str(path), do="Check the path.")
    expected = None if signer is None else expected_signer(signer)
    asked: dict[Path, list[str] | None] = {path: None for path in paths if path.is_dir()}
    for path in paths:
        names = None if path.is_dir() else asked.setdefault(path.parent, [])
        if names is not None:
            names.append(path.name)
    found: dict[Path, Verified | VerifiedModel] = {}
    for folder, single in asked.items():
        if not (folder / CARD).exists():
            found[folder] = verified(folder, single)
        elif single is None:
            found[folder] = verify_model(folder)
            read_model_folder(folder)  # its parts fit each other, and this version reads it
        else:
            raise typer.BadParameter(f"{folder} is a model: name the folder, not its files", param_hint="DIR|FILE")
    nobodys = [folder for folder, each in found.items() if not each.fingerprint]
    for folder, each in found.items():
        if folder in nobodys and not unsigned:
            raise not_signed(folder)
        if expected is not None:
            check_signer(each, expected, str(folder))
        typer.echo(_said(folder, each))
    if expected is None and len(nobodys) < len(found):
        confirm(
            "Did whoever made it give you this exact fingerprint through a channel other than the files?",
            "Not verified: the files are whole, but anyone who changed them could have signed them again.",
        )
    typer.echo("Every file is as listed; nobody signed that." if nobodys else "Verified.")


def _said(folder: Path, found: Verified | VerifiedModel) -> str:
    files = "1 file is" if len(found.names) == 1 else f"{len(found.names)} files are"
    if not found.fingerprint:
        return f"{folder}: {files} as listed\nfingerprint  none: nobody signed"
    return f"{folder}: {files} as signed\nfingerprint  {found.fingerprint}"


@app.command()
def key(
    file: Annotated[Path, typer.Argument(metavar="KEY", help="File to write the private key to.", show_default=False)],
) -> None:
    """Make the key that signs releases and models; do this once, and keep it off machines that run services."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from wardround_common.errors import StorageError
    from wardround_common.keys.identity import fingerprint
    from wardround_common.keys.key_files import write_key

    if file.exists() or file.is_symlink():
        raise StorageError("this file already exists", where=str(file), do="Name another: a key is never replaced.")
    made = Ed25519PrivateKey.generate()
    write_key(file, made)
    typer.echo(f"fingerprint  {fingerprint(made.public_key().public_bytes_raw())}")
    typer.echo("Publish it where people find it without the release itself.")


@app.command()
def sign(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder that 'make release' wrote.", show_default=False)
    ],
    key: Annotated[Path, typer.Option(metavar="KEY", help="Private key of the makers.", show_default=False)],
) -> None:
    """Sign a release, after checking its files against its list of digests."""
    from wardround_common.documents.software_release import sign as signed
    from wardround_common.errors import StorageError
    from wardround_common.keys.identity import fingerprint
    from wardround_common.keys.release_key import read_release_key
    from wardround_common.results.model_folder import CARD

    if (folder / CARD).exists():
        raise StorageError(
            "this is a model, which is signed when it is exported",
            where=str(folder),
            do="Run: wardround export RUN --out DIR --key KEY",
        )
    identity = read_release_key(key)
    sums = signed(folder, identity)
    count = f"{len(sums.of)} file{'' if len(sums.of) == 1 else 's'}"
    typer.echo(f"Signed {count} of {folder}.\nfingerprint  {fingerprint(identity.public)}")
