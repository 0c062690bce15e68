"""What is to be simulated, and what is said of it while it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wardround_client.spending.policy import Policy
from wardround_client.training.devices import CPU
from wardround_common.counting import count
from wardround_common.errors import StudyError
from wardround_common.results import RoundRecord
from wardround_common.study.file import Study
from wardround_simulation.federation import Site


@dataclass(frozen=True)
class Progress:
    """How far a phase of the run is."""

    phase: str
    done: int
    total: int
    round: RoundRecord | None = None


Show = Callable[[Progress], None]
Engine = Literal["in-process", "flower"]


@dataclass(frozen=True)
class Plan:
    """What is to be simulated, and where it is kept."""

    study: Study
    sites: tuple[Site, ...]
    folder: Path
    resume: bool
    baselines: bool
    engine: Engine = "in-process"
    give_up: bool = False
    """Whether a round of secure sums that was begun and cannot be summed again is left out."""
    policy: Policy | None = None
    """Of every hospital, if there is one."""
    leave_one_out: bool = False
    """Whether a model is also trained without each hospital in turn, and judged there."""
    device: str = CPU
    """What trains: a word that ``devices.choose`` knows."""
    start: Path | None = None
    """The folder of the released model that the study starts from; not needed to resume."""
    ledgers: Path | None = None
    """The folder of an earlier run whose ledgers the hospitals continue: that which trained the model to start from."""
    weights: Path | None = None
    """The file of weights that the network begins with; not needed to resume."""

    @property
    def trainers(self) -> tuple[Site, ...]:
        """The hospitals that train; the others only evaluate."""
        return tuple(site for site in self.sites if self.study.trains(site.name))


def check_hospitals(study: Study, sites: Sequence[Site]) -> None:
    """Check that the hospitals that only evaluate are there, and enough that train.

    Raises:
        StudyError: one is not, or too few would train.
    """
    names = {site.name for site in sites}
    if missing := sorted(set(study.evaluation.external) - names):
        raise StudyError(
            f"[evaluation] external names {', '.join(missing)}, and the hospitals are {', '.join(sorted(names))}",
            do="Name the hospitals by their sub-folders; those of --pool are hospital-1, hospital-2 and so on.",
        )
    least, trainers = study.aggregation.min_hospitals, sum(study.trains(name) for name in names)
    if study.evaluation.external and not trainers:
        raise StudyError("[evaluation] external names every hospital: nobody would train", do="Leave some to train.")
    if trainers < least:
        raise StudyError(
            f"[aggregation] min_hospitals = {least}, and here {trainers} of {count(len(names), 'hospital')} can train",
            do="Lower it, or let more hospitals train.",
        )
