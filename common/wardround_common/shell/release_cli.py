"""``wardround release``: verify that a release of Wardround is what its makers signed, and sign one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wardround_common.shell.commands import Commands, confirm

if TYPE_CHECKING:  # what a command needs is imported when it runs: help appears immediately
    from wardround_common.documents.software_release import Verified

app = Commands("Verify that a release of Wardround is what its makers signed, or sign one.")


@app.command()
def verify(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR|FILE...",
            help="Release folder, to verify all its files; or single files of a release.",
            show_default=False,
        ),
    ],
    signer: Annotated[
        str | None,
        typer.Option(
            metavar="FINGERPRINT", help="Fingerprint of the release's makers, instead of asking.", show_default=False
        ),
    ] = None,
) -> None:
    """Verify a release, or single files of one: the signature, each file's digest, and whose key signed it."""
    from wardround_common.documents.software_release import check_signer
    from wardround_common.documents.software_release import verify as verified

    asked: dict[Path, list[str] | None] = {path: None for path in paths if path.is_dir()}
    for path in paths:
        names = None if path.is_dir() else asked.setdefault(path.parent, [])
        if names is not None:
            names.append(path.name)
    found = {folder: verified(folder, names) for folder, names in asked.items()}
    for folder, each in found.items():
        if signer is not None:
            check_signer(each, signer, str(folder))
        typer.echo(_said(folder, each))
    if signer is None:
        confirm(
            "Did the makers of this release give you this exact fingerprint through a channel other than the files?",
            "Not verified: the files are whole, but anyone who changed them could have signed them again.",
        )
    typer.echo("Verified.")


def _said(folder: Path, found: Verified) -> str:
    files = "1 file is" if len(found.names) == 1 else f"{len(found.names)} files are"
    return f"{folder}: {files} as signed\nfingerprint  {found.fingerprint}"


@app.command()
def key(
    file: Annotated[Path, typer.Argument(metavar="KEY", help="File to write the private key to.", show_default=False)],
) -> None:
    """Make the key that signs releases; do this once, and keep the key off machines that run services."""
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
    from wardround_common.keys.identity import fingerprint
    from wardround_common.keys.key_files import Words, read_identity_key

    restore = "Restore the key from your copy."
    words = Words("the release key", "there is no such key", f"Make one once: wardround release key {key}", restore)
    identity = read_identity_key(key, words)
    sums = signed(folder, identity)
    count = f"{len(sums.of)} file{'' if len(sums.of) == 1 else 's'}"
    typer.echo(f"Signed {count} of {folder}.\nfingerprint  {fingerprint(identity.public)}")
