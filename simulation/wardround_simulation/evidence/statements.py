"""The hospitals' epsilon statements in an evidence pack: made from the run's ledgers, and checked against the roster.

**In a simulation anybody with the study can make the hospitals' keys**: a signature then shows that the machinery works
and that nothing was mixed up, not that a hospital stands behind it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from wardround_client.spending.ledger.store import LEDGER_NAME, existing_ledger
from wardround_client.spending.policy import DEFAULT_DELTA
from wardround_client.spending.statement import state_epsilon
from wardround_common.documents.epsilon_statement import EpsilonStatement
from wardround_common.documents.exported_run import STATEMENTS, read_statement
from wardround_common.errors import StorageError, WardroundError
from wardround_common.study.file import Study
from wardround_common.study.privacy import DpSgd
from wardround_common.study.roster import Listed, check_name
from wardround_simulation.evidence.finished_run import FinishedRun
from wardround_simulation.evidence.record import Evidence
from wardround_simulation.federation import draft_of, insecure_identity, ledger_folder

LEDGERS = "ledgers"


def make_statements(run: FinishedRun, now: datetime) -> dict[str, EpsilonStatement]:
    """Let each hospital of a run state from its ledger what it spent; give statements by hospital.

    One that only evaluated spent nothing and states nothing.

    A run of a version that kept no ledgers has none. Of a deployed run those that the hospitals sent are read.

    Raises:
        StorageError: a hospital's ledger is gone, or cannot be trusted.
        PrivacyError: a ledger is of another study.
        StudyError: a hospital has a name that none can sign with.
    """
    if run.deployed:
        return read_statements(run.folder / STATEMENTS, run.results.study)
    if not (run.folder / LEDGERS).is_dir():
        return {}
    study = run.results.study
    delta = study.privacy.delta if isinstance(study.privacy, DpSgd) else DEFAULT_DELTA
    made = {}
    for name in run.results.trainers:
        folder = ledger_folder(run.folder / LEDGERS, name)
        if not (folder / LEDGER_NAME).is_file():
            raise StorageError(
                f"the ledger of {name} is gone",
                where=str(folder),
                do="Put the folder back as the run wrote it, or run the study again.",
            )
        check_name(name)
        try:
            ledger = existing_ledger(folder, insecure_identity(study, name))
            made[name] = state_epsilon(ledger, _signing(name), stated_study(study), delta, now)
        except WardroundError as error:
            error.where = f"hospital {name}, {error.where}" if error.where else f"hospital {name}"
            raise
    return made


def read_statements(folder: Path, study: Study) -> dict[str, EpsilonStatement]:
    """Read the statements that hospitals sent of a study, each checked with the key that the study lists.

    Raises:
        StorageError: one cannot be read.
        MessageError: one is not valid, or is of another hospital or study.
    """
    found = [read_statement(study, path) for path in sorted(folder.glob("*.statement"))]
    return {statement.hospital: statement for statement in sorted(found, key=lambda one: one.hospital)}


def roster_of(statements: Mapping[str, EpsilonStatement]) -> tuple[Listed, ...]:
    """List the hospitals that signed."""
    return tuple(Listed.of(name, statement.public) for name, statement in sorted(statements.items()))


def stated_study(study: Study) -> str:
    """Return the digest that simulated hospitals know a study by: without its roster, of whose keys they have none."""
    return draft_of(study).digest()


def check_statements(evidence: Evidence, folder: Path) -> int:
    """Check each statement of a pack: signed, with the roster's key, by that hospital, of this study. Count them.

    Of a deployed run the roster is the study's, which the digest covers, and some hospitals may have sent none.

    Raises:
        MessageError: one is not valid, or is of another hospital or study.
        StorageError: one cannot be read, or pack, roster and statements do not fit each other.
    """
    keys = {one.name: one.public for one in evidence.roster}
    stating = {_signing(hospital.name): hospital.statement for hospital in evidence.hospitals if hospital.statement}
    where = str(folder)
    if evidence.deployed:
        if evidence.roster != evidence.study.roster:
            raise StorageError("the pack's roster is not that of the study", where=where)
    elif len(keys) != len(evidence.roster) or set(keys) != set(stating):
        raise StorageError("the pack's roster does not list the hospitals whose statements it has", where=where)
    elif stating and len(stating) != sum(evidence.study.trains(hospital.name) for hospital in evidence.hospitals):
        raise StorageError("the pack has statements of some hospitals and not of others", where=where)
    if not set(stating.values()) <= {file.path for file in evidence.files}:
        raise StorageError("the pack names a statement that is not among its files", where=where)
    study = evidence.study_digest if evidence.deployed else stated_study(evidence.study)
    if not set(stating) <= set(keys):
        raise StorageError("the pack has the statement of a hospital that its roster does not list", where=where)
    for name, file in stating.items():
        EpsilonStatement.read(folder / file).check(keys[name], hospital=name, study=study, where=str(folder / file))
    return len(stating)


def _signing(name: str) -> str:
    """Return the name that a hospital signs with: a folder's name may have its accents typed in another way."""
    return unicodedata.normalize("NFC", name)
