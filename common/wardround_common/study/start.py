"""``[model.start]``: the released model whose weights the first round begins with, and what its training cost.

Weights and studies are pinned by digest, so that hospitals approve them with the study; the files are given locally.
"""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator, model_validator

from wardround_common.section import Fraction, NotNegative, Section, each_once
from wardround_common.study.roster import HospitalName

WITHOUT_PRIVACY = "without differential privacy"
SIMULATED = "in a simulation, whose noise comes from a seed and protects nobody"
"""How a model was trained where nothing bounds what it tells of its patients."""
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _visible(name: str) -> str:
    """Return a name that people read on a terminal before they approve a study."""
    if not name.isprintable():
        raise ValueError("a name holds no line break and no control character")
    return name


ReleaseName = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_visible)]


class Trained(Section):
    """One of ``[[model.start.trained]]``: a study that trained the model, and what it cost its patients."""

    LATER = ("hospitals", "epsilon", "delta")

    study: Digest
    """Its study digest."""
    name: ReleaseName
    hospitals: Annotated[tuple[HospitalName, ...], Field(max_length=1000, strict=False)] = ()
    """Whose ledgers hold what it cost; none of a simulation."""
    epsilon: NotNegative | None = None
    """The most that one patient spent in it, of a simulation if its noise were secret; None without privacy."""
    delta: Fraction | None = None

    @property
    def unbounded(self) -> str:
        """Why nothing bounds what its patients lose, as the end of a sentence; empty where epsilon does."""
        return WITHOUT_PRIVACY if self.epsilon is None else "" if self.hospitals else SIMULATED

    @field_validator("hospitals")
    @classmethod
    def _hospitals_differ(cls, hospitals: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(each_once(hospitals)))

    @model_validator(mode="after")
    def _both_or_neither(self) -> Trained:
        if (self.epsilon is None) != (self.delta is None):
            raise ValueError("[[model.start.trained]]: epsilon and delta go together; give both, or neither")
        return self


class Start(Section):
    """``[model.start]``: a released model to start from."""

    name: ReleaseName
    """That of the release, for people."""
    model: Digest
    """SHA-256 of its ``model.safetensors``, as its card lists it."""
    weights: Digest
    """``weights_digest`` of its tensors (``messages.parameters``), which every hospital checks in the first round."""
    trained: Annotated[tuple[Trained, ...], Field(min_length=1, max_length=100, strict=False)]
    """The study that trained it, then that of the model which that one started from, and so on."""

    @field_validator("trained")
    @classmethod
    def _studies_differ(cls, trained: tuple[Trained, ...]) -> tuple[Trained, ...]:
        each_once(tuple(one.study for one in trained))
        return trained

    @property
    def cost(self) -> tuple[float, float] | None:
        """The most epsilon that one patient of its training spent, and delta: those of its studies, added up.

        None where one of them had no differential privacy or was simulated, so that nothing bounds it.
        """
        spent = [(one.epsilon, one.delta) for one in self.trained if one.epsilon is not None and one.delta is not None]
        if any(one.unbounded for one in self.trained):
            return None
        return math.fsum(epsilon for epsilon, _ in spent), math.fsum(delta for _, delta in spent)
