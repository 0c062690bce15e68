"""What goes with a deployed run's model so that others can check it: the study, and who approved it, signed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wardround_common.documents.epsilon_statement import EpsilonStatement
from wardround_common.documents.proposal import Proposed
from wardround_common.errors import MessageError, StorageError
from wardround_common.study.file import Study
from wardround_common.study.plugins import Plugin
from wardround_common.study.roster import HospitalName, Listed, keys_of
from wardround_common.study.template import toml_value

STUDY, RUN, APPROVALS, STATEMENTS = "study.toml", "run.json", "approvals.json", "statements"


class Approval(BaseModel):
    """A hospital's signature under its approval of a study."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    hospital: HospitalName
    signature: Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]

    def check(self, study: Study, keys: Mapping[str, bytes], *, where: str = APPROVALS) -> None:
        """Check that this is the approval of that study by a hospital that it lists.

        Raises:
            MessageError: it is not.
        """
        public = keys.get(self.hospital)
        if public is None:
            raise MessageError(f"the study does not list {self.hospital}", where=where)
        try:
            given = Proposed(study.digest(), "approved", bytes.fromhex(self.signature))
            given.check(study, self.hospital, public)
        except MessageError:
            raise MessageError(
                f"the approval of {self.hospital} is not signed with its key, or is of another study", where=where
            ) from None


def write_approvals(study: Study, approvals: Sequence[Approval]) -> bytes:
    """Write the approvals of a study as a file."""
    facts = {"study": study.digest(), "approvals": [approval.model_dump() for approval in approvals]}
    return (json.dumps(facts, indent=1, ensure_ascii=False) + "\n").encode()


def read_approvals(path: Path, study: Study) -> tuple[Approval, ...]:
    """Read the approvals of a study and check each with the key that the study's roster lists.

    Raises:
        StorageError: the file cannot be read, or is no such file.
        MessageError: one is not valid.
    """
    try:
        facts: Any = json.loads(path.read_bytes())
        digest, approvals = facts["study"], tuple(Approval.model_validate(given) for given in facts["approvals"])
    except (OSError, ValueError, TypeError, KeyError, ValidationError):
        raise StorageError("this is not a file of approvals", where=str(path)) from None
    if digest != study.digest():
        raise MessageError("these approvals are of another study", where=str(path))
    keys = keys_of(study.roster).keys
    for approval in approvals:
        approval.check(study, keys, where=str(path))
    return approvals


def read_statement(study: Study, path: Path) -> EpsilonStatement:
    """Read a hospital's epsilon statement of a study, checked with the key that the study lists.

    Raises:
        StorageError: it cannot be read.
        MessageError: it is not a valid one, or is of another hospital or study.
    """
    statement = EpsilonStatement.read(path)
    keys = keys_of(study.roster).keys
    if statement.hospital not in keys:
        raise MessageError(f"the study does not list {statement.hospital}", where=str(path))
    statement.check(keys[statement.hospital], hospital=statement.hospital, study=study.digest(), where=str(path))
    return statement


def study_toml(study: Study) -> str:
    """Write a study as a file that reads back as the same study."""
    blocks = []
    for section, table in study.tables(nulls=False).items():
        if section == "roster":
            blocks += [Listed(**listed).toml() for listed in table]
        elif section == "plugin":
            blocks += [Plugin(**pinned).toml() for pinned in table]
        else:
            lines = [f"{key} = {toml_value(value)}" for key, value in table.items()]
            blocks.append("\n".join([f"[{section}]", *lines]) + "\n")
    return "\n".join(blocks)
