"""Checking an evidence pack: every file it names is there and unchanged, and every statement is signed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wardround_common.documents.exported_run import APPROVALS, read_approvals
from wardround_common.errors import CHECK_FILE, StorageError
from wardround_simulation.evidence.finished_run import digest_of
from wardround_simulation.evidence.record import Evidence
from wardround_simulation.evidence.statements import check_statements

NAME = "evidence.json"


@dataclass(frozen=True)
class Verified:
    """A pack whose files are what they were when it was made."""

    evidence: Evidence
    files: int
    statements: int
    """Of hospitals, each signed with its key in the pack's roster; 0 for a run without ledgers."""
    approvals: int = 0
    """Of a deployed run: signatures under the study, each with the hospital's key in the study's roster."""


def verify(place: Path) -> Verified:
    """Check a pack, named by its folder, its run's folder or its ``evidence.json``.

    The pack is not signed: this finds a file that was changed or mixed up, not a pack that was made up. The hospitals'
    statements are signed; whether the roster's keys are the hospitals' own is for people to compare.

    Raises:
        StorageError: there is no pack, a file is missing, or one has changed.
        MessageError: a statement's signature is not valid, or it is of another hospital or study.
    """
    path = _find(place)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise StorageError("the file cannot be read", where=str(path), do=CHECK_FILE) from None
    evidence = Evidence.from_json(text, where=str(path))
    if evidence.study.digest() != evidence.study_digest:
        raise StorageError("the study in the pack does not have the digest that the pack states", where=str(path))
    for file in evidence.files:
        named = path.parent / file.path
        if not named.is_file():
            raise StorageError(
                "a file that the pack names is missing",
                where=str(named),
                do="Keep the folder 'evidence' within the folder of its run.",
            )
        if named.stat().st_size != file.bytes or digest_of(named) != file.sha256:
            raise StorageError(
                "the file is not the one that the pack names: its SHA-256 differs",
                where=str(named),
                do="Restore the original file, or make the pack again with 'wardround evidence RUN'.",
            )
    approvals = 0
    if evidence.deployed:
        approved = read_approvals(path.parent.parent / APPROVALS, evidence.study)
        if not {hospital.name for hospital in evidence.hospitals} <= {one.hospital for one in approved}:
            raise StorageError("a hospital took part whose approval is not here", where=str(path.parent.parent))
        approvals = len(approved)
    return Verified(evidence, len(evidence.files), check_statements(evidence, path.parent), approvals)


def _find(place: Path) -> Path:
    for path in (place, place / NAME, place / "evidence" / NAME):
        if path.is_file():
            return path
    raise StorageError(
        "there is no evidence pack here",
        where=str(place),
        do="Name the folder that 'wardround evidence RUN' wrote, or its evidence.json.",
    )
