"""Documents for somebody else, written where a person finds them; no file of that person is overwritten."""

from __future__ import annotations

from pathlib import Path

from wardround_common.documents.enrolment import Invitation, Request
from wardround_common.documents.epsilon_statement import EpsilonStatement
from wardround_common.errors import MessageError, StorageError
from wardround_common.storage import write_atomically

Document = Request | Invitation | EpsilonStatement


def give_out(path: Path, document: Document, *, replaces: Document | None = None) -> bool:
    """Write a document; in the place of an earlier one with the same keys for the same hospital, and of nothing else.

    A statement takes the place of one of the same study only. ``replaces`` is an earlier document of the same folder,
    which may have had other keys. Says whether another document was replaced.

    Raises:
        StorageError: another file is there, or it cannot be written.
    """
    earlier: Document | None = None
    if path.exists() or path.is_symlink():
        try:
            earlier = type(document).read(path)
        except MessageError:
            earlier = None
        if earlier is None or (_about(earlier) != _about(document) and earlier != replaces):
            raise StorageError(
                "a different file of this name already exists",
                where=str(path),
                do="Move it away, or name another with --out.",
            )
    write_atomically(path, document.content())
    return earlier not in (None, document)


def _about(document: Document) -> tuple[str, str, bytes]:
    return document.hospital, document.study if isinstance(document, EpsilonStatement) else "", document.public
