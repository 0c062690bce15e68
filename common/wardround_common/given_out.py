"""Documents that are for somebody else, written where a person finds them; nothing of that person's is overwritten."""

from __future__ import annotations

from pathlib import Path

from wardround_common.enrolment import Invitation, Request
from wardround_common.errors import MessageError, StorageError
from wardround_common.storage import write_atomically


def give_out(path: Path, document: Request | Invitation) -> None:
    """Write a document; in the place of an earlier one of the same kind for the same hospital, and of nothing else.

    Raises:
        StorageError: another file is there, or it cannot be written.
    """
    if path.exists() or path.is_symlink():
        try:
            replaced = type(document).read(path).hospital == document.hospital
        except MessageError:
            replaced = False
        if not replaced:
            raise StorageError(
                "there is another file of this name", where=str(path), do="Move it away, or name another with --out."
            )
    write_atomically(path, document.content())
