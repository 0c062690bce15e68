"""Hospitals that serve, each with its own folder, images, policy and ledger, asked in this process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from wardround_client.hospital.joining import begin
from wardround_client.service.ward import Planned, Ward, plan
from wardround_client.spending.policy import POLICY_NAME, policy_text
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_common.errors import WardroundError
from wardround_common.messages.rounds import Failure, Parts
from wardround_common.study.file import Study
from wardround_common.study.roster import Listed

RULES = (
    policy_text()
    .replace("= true", "= false")
    .replace("smallest_cohort = 20", "smallest_cohort = 2")
    .replace("patient_epsilon = 10.0", "patient_epsilon = 100.0")
    .replace("study_epsilon = 8.0", "study_epsilon = 100.0")
)


def set_up(state: Path, name: str, images: Path, rules: str = RULES) -> Ward:
    """Set up a hospital with its own keys and a policy."""
    folder = HospitalFolder(state)
    begin(folder, name, images, None, datetime.now(UTC))
    (folder.path / POLICY_NAME).write_text(rules)
    return Ward(folder)


def listing(draft: Study, wards: Mapping[str, Ward]) -> Study:
    """Return a draft with these hospitals in its roster."""
    listed = [Listed.of(name, ward.folder.identity().public).model_dump() for name, ward in wards.items()]
    return Study.model_validate(draft.tables(nulls=False) | {"roster": listed})


def approve(ward: Ward, of: Study) -> Planned:
    """Let a hospital's people approve a study; return what they are told before."""
    ward.approvals.propose(of)
    planned = plan(ward.folder, of)
    planned.approve()
    ward.approvals.decide(of, "approved")
    return planned


class Served:
    """An exchange with wards."""

    def __init__(self, wards: Mapping[str, Ward]) -> None:
        self._wards = wards

    def hospitals(self) -> Sequence[str]:
        """Name the hospitals."""
        return list(self._wards)

    def ask(self, kind: str, questions: Mapping[str, Parts]) -> Iterator[tuple[str, Parts | Failure]]:
        """Ask each its question."""
        for name, question in questions.items():
            try:
                yield name, self._wards[name].answer(kind, question).parts()
            except WardroundError as error:
                yield name, Failure(error.kind)
