"""The state of a run, and of a coordinator with all its runs and hospitals."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Stage = Literal["approval", "preparing", "training", "testing", "done", "incomplete", "failed", "stopped"]
"""done: every hospital that approved was in every round, and every round counted · incomplete: all rounds are done, and
not so."""
OVER: tuple[Stage, ...] = ("done", "incomplete", "failed", "stopped")


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Standings(_Value):
    """How a run stands."""

    name: str
    digest: str
    stage: Stage
    since: datetime
    """Of this stage."""
    round: Annotated[int, Field(ge=0)] = 0
    """The last one that is complete."""
    rounds: int
    hospitals: dict[str, str] = Field(default_factory=dict)
    """The state of each hospital of the roster: away, waiting, approved, refused; in a round asked, answered."""
    said: str = ""
    """What ended the run, or who was missing when."""
    began: datetime
    least: int | None = None
    """How many approvals it begins with; None: those of the whole roster."""
    give_up: bool = False
    """Whether a round of secure sums that was begun and cannot be summed again is left out."""
    finish: bool = False
    """Whether no further round is trained: the run ends with the model that it has."""


class HospitalDoing(_Value):
    """What a hospital does in a run as far as the link knows, or why it does nothing."""

    state: str
    since: datetime | None
    round: int | None = None


class RunSeen(Standings):
    """How a run stands, with what its hospitals do in it."""

    doing: dict[str, HospitalDoing] = Field(default_factory=dict)

    @property
    def standing(self) -> Standings:
        """Its state, without its hospitals."""
        return Standings.model_validate(self.model_dump(exclude={"doing"}))


class HospitalSeen(_Value):
    """An enrolled hospital as the link sees it."""

    name: str
    state: str
    connected: bool
    last_heard: datetime | None
    paused: bool
    images_away: bool
    warnings: tuple[str, ...] = ()


class CoordinatorStatus(_Value):
    """How a coordinator's hospitals and runs stand at one moment."""

    time: float
    """Seconds since 1970."""
    hospitals: tuple[HospitalSeen, ...]
    runs: tuple[RunSeen, ...]
    damaged: tuple[str, ...] = ()
    """What is the matter with files that cannot be used, with the certificate's time, and with clocks."""
