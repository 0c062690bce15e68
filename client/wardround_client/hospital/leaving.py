"""How a hospital leaves a study: what it spent still counts, and its reserved budget is released."""

from __future__ import annotations

from wardround_client.hospital.hospital_audit import note_closing
from wardround_client.spending.ledger.books import Books
from wardround_client.spending.ledger.store import HEAD_NAME, LEDGER_NAME, Ledger, open_ledger
from wardround_client.spending.parts import parts_of, whole_of
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_common.errors import PrivacyError


def leave(folder: HospitalFolder, ledger: Ledger, study: str) -> str:
    """Close the study of this digest in the ledger, noted in the audit log first; return its name.

    With it what it reserves for those on whom its model is judged with noise; of such a part the whole study is closed.

    Raises:
        PrivacyError: this hospital does not take part in this study.
        StorageError: the ledger or the audit log cannot be written.
    """
    writing = open_ledger(folder.path, folder.identity()) if ledger.reads_only else ledger
    whole = whole_of(study, writing.books.approved)
    name = writing.books.approved[whole].name
    first, *rest = _open_parts(writing.books, whole) or [study]
    writing.close(first, lambda: note_closing(folder, whole, name))
    for part in rest:
        writing.close(part)
    return name


def _open_parts(books: Books, study: str) -> list[str]:
    return [part for part in parts_of(study) if part in books.approved and part not in books.closed]


def release(folder: HospitalFolder, study: str) -> bool:
    """Free what a study reserves here, if the ledger has it and it is open; say whether it was so.

    Raises:
        StorageError: as :func:`leave`.
    """
    if not any((folder.path / name).exists() for name in (LEDGER_NAME, HEAD_NAME)):
        return False
    ledger = open_ledger(folder.path, folder.identity())
    opened = _open_parts(ledger.books, study)
    if not opened:
        return False
    leave(folder, ledger, opened[0])
    return True


def find_open(books: Books, word: str) -> str:
    """Find the open study that a name or the first digits of a digest mean; return its digest.

    Raises:
        PrivacyError: none is meant, or several are.
    """
    meant = {d: one for d, one in books.approved.items() if word and (one.name == word or d.startswith(word))}
    opened = [digest for digest in meant if digest not in books.closed]
    if len(opened) == 1:
        return opened[0]
    if not meant:
        raise PrivacyError(f"no studies of this hospital are called '{word}'", do=_SEE)
    if not opened:
        raise PrivacyError(f"'{word}' reserves nothing: it is already closed", do=_SEE)
    those = ", ".join(digest[:12] for digest in opened)
    raise PrivacyError(f"{len(opened)} open studies are meant by '{word}': {those}", do=f"Name one of these. {_SEE}")


_SEE = "See: wardround hospital budget"
