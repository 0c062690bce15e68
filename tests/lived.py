"""A hospital that took part in studies, on disk: its ledger, audit log, secrets and decisions."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from click.testing import Result
from typer.testing import CliRunner

from consortium import secure_study
from ledgers import EVENT, opened, policy
from wardround_client.commands.hospital_cli import app
from wardround_client.hospital.hospital_audit import hospital_log, note_approval
from wardround_client.hospital.joining import begin
from wardround_client.service.ward import Ward
from wardround_client.spending.account import Account, Ask
from wardround_client.spending.charge_note import Charge
from wardround_client.spending.ledger.entries import Event
from wardround_client.spending.ledger.store import Ledger
from wardround_client.spending.policy import DEFAULT_DELTA
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_common.audit.passage import COORDINATOR, Passage
from wardround_common.audit.recorder import Recorder
from wardround_common.documents.proposal import ProposeRequest
from wardround_common.randomness import insecure_stream
from wardround_common.study.file import Study

NOW = datetime.now(UTC)
PATIENTS = ("p", "q", "r")
GENEROUS = policy(patient_epsilon=1000, study_epsilon=1000)


class Lived:
    """A hospital that takes part in studies as one that serves does: ledger, audit log, secrets and decisions."""

    def __init__(self, place: Path) -> None:
        (place / "images").mkdir(parents=True)
        self.place = place
        self.folder = HospitalFolder(place / "state")
        begin(self.folder, "mercy", place / "images", None, NOW)

    @property
    def state(self) -> Path:
        return self.folder.path

    def ledger(self) -> Ledger:
        return opened(self.state, self.folder.identity())

    def approve(
        self,
        study: Study,
        patients: tuple[str, ...] = PATIENTS,
        event: Event = EVENT,
        before: Event | None = None,
    ) -> None:
        ledger, ward = self.ledger(), Ward(self.folder, note=hospital_log(self.folder).note)
        ward.answer("propose", ProposeRequest(study).parts())
        cohort = ledger.key.cohort(patients)
        rounds = study.training.rounds
        ledger.approve(study.digest(), study.study.name, rounds, event, cohort, "data", lambda books: None, before)
        note_approval(self.folder, study, ward.approvals.deciding(study, "approved"))
        secrets = self.state / "studies" / study.digest()
        secrets.mkdir()
        (secrets / "stream.key").write_bytes(os.urandom(32))

    def train(
        self,
        study: Study,
        *rounds: int,
        patients: tuple[str, ...] = PATIENTS,
        event: Event = EVENT,
        before: Event | None = None,
    ) -> None:
        """Charge rounds and answer them; 0 is what is added up ``before`` the first."""
        ledger = self.ledger()
        log = hospital_log(self.folder)
        asked = Ask(study, event, ledger.key.cohort(patients), "data", len(patients), before)
        note: Callable[[Charge], None] = lambda charge: log.note("round charged", charge.facts())  # noqa: E731
        account = Account(ledger, GENEROUS, asked, note)
        for number in rounds:
            account.charge(number, "parameters", insecure_stream(number, "a test"))
            name = f"{study.digest()[:32]}{number:032x}"
            kind = "train" if number else "evaluate"
            Recorder(log)(Passage("out", COORDINATOR, kind, name, 9, name, study.digest(), number))
            account.confirm(number)

    def copy(self, name: str) -> Path:
        return Path(shutil.copytree(self.state, self.place / name))

    def run(self, *arguments: str | Path) -> Result:
        return CliRunner().invoke(app, [*map(str, arguments), "--state", str(self.state)])

    def well(self, *arguments: str | Path) -> str:
        done = self.run(*arguments)
        if done.exception:
            raise done.exception
        return done.stdout

    def spent(self) -> float:
        """Return epsilon of the patient who has spent most."""
        return float(json.loads(self.well("budget", "--json", "--delta", str(DEFAULT_DELTA)))["highest_spent"])


def named(name: str) -> Study:
    study = secure_study()
    return study.model_copy(
        update={
            "study": study.study.model_copy(update={"name": name}),
            "training": study.training.model_copy(update={"rounds": 20}),
        }
    )
