"""In which form the records of a state folder are: an older program leaves alone what a newer one has written.

A hospital's or coordinator's folder holds a ledger, an audit log, approvals, secure sums, questions and answers. To a
program that is older than what wrote them they look damaged, and what helps a damaged record would lose data here. So
a service states in the folder, before it writes anything else, in which form it writes; a program that knows only
earlier ones uses nothing of the folder, and says why.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from wardround_common.errors import CHECK_FILE, OtherVersionError, StorageError
from wardround_common.storage import write_atomically

FORM = 2
"""Raised whenever a program that is older than the change could not read, or would misread, a record of a state folder
(``tests/test_record_form.py`` pins what belongs to it)."""
NAME = "form.json"


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)  # a later version may say more

    form: int
    version: str


def check_form(folder: Path) -> int:
    """Return the form that a state folder states, 0 if none; check that no newer version than this one has written it.

    Raises:
        OtherVersionError: a newer one has.
        StorageError: what states the form cannot be read.
    """
    found = _read(folder)
    if found and found.form > FORM:
        raise OtherVersionError(
            f"the records here were written by a newer version of Wardround, {found.version}; this is "
            f"{version('wardround')}, which does not read them (form {found.form}; known up to {FORM})",
            where=str(folder),
            do="Install that version again. Nothing is damaged: delete, restore and close nothing.",
        )
    return found.form if found else 0


def state_form(folder: Path) -> None:
    """State in a folder that records are written in this version's form from now on.

    Raises:
        StorageError: a newer version has written there, or the statement cannot be read or written.
    """
    if check_form(folder) < FORM:
        stated = _Form(form=FORM, version=version("wardround"))
        write_atomically(folder / NAME, stated.model_dump_json().encode(), private=True)


def _read(folder: Path) -> _Form | None:
    try:
        return _Form.model_validate_json((folder / NAME).read_bytes())
    except (FileNotFoundError, NotADirectoryError, PermissionError):  # who may not read it may read no record either
        return None
    except (OSError, ValidationError):
        raise StorageError(
            "what states in which form the records here are cannot be read", where=str(folder / NAME), do=CHECK_FILE
        ) from None
