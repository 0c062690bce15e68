"""``[privacy]``: whether there is differential privacy, whom its noise protects against, and its bounds."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Discriminator, Field, Tag

from wardround_common.section import Fraction, Positive, Section


class NoPrivacy(Section):
    """``[privacy] mechanism = "none"``: no differential privacy; the model may remember patients."""

    mechanism: Literal["none"]


class DpSgd(Section):
    """``[privacy] mechanism = "dp-sgd"``: each hospital adds enough noise on its own; the unit is the patient."""

    LATER: ClassVar[tuple[str, ...]] = ("trust", "normalisation_epsilon", "evaluation_epsilon")

    mechanism: Literal["dp-sgd"]
    trust: Literal["local", "distributed"] = "local"
    """local: an update may be read by anybody. distributed: only the secure sum may (:class:`DistributedDpSgd`)."""
    epsilon: Positive
    delta: Fraction
    clip_norm: Positive
    """The most that one patient contributes to a step: the L2 norm to which a patient's gradient is clipped."""
    images_per_patient: Annotated[int, Field(ge=1, le=1000)] = 1
    """A sampled patient contributes the mean gradient over up to this many of their images."""
    normalisation_epsilon: Positive | None = None
    """Of ``epsilon``: what the sums of ``[data] normalisation`` cost by themselves, before the first round."""
    evaluation_epsilon: Positive | None = None
    """What the sums over them may cost a validation or a test patient, who pay no ``epsilon``: their counts get noise
    for it. None: they are exact, and nothing bounds what they tell."""


class DistributedDpSgd(DpSgd):
    """``trust = "distributed"``: each hospital adds its share of integer noise, and only the secure sum is ever read.

    See ``docs/distributed-privacy.md``.
    """

    LATER = ("normalisation_epsilon", "evaluation_epsilon")

    trust: Literal["distributed"]
    sampling_rate: Annotated[float, Field(ge=1e-5, le=1)]  # below it takes minutes to plan the noise
    """The chance of a patient to be in a step, the same at every hospital, so that epsilon is too."""
    dropouts: Annotated[int, Field(ge=0, le=98)]
    """How many hospitals of a round may drop out; if more do, no hospital opens its sum."""
    colluders: Annotated[int, Field(ge=0, le=98)]
    """How many hospitals may tell the coordinator their noise; the noise of the others is enough."""


def _mechanism(given: object) -> str | None:
    """Name the model of ``[privacy]`` that fits a table, by its mechanism and its trust."""
    if isinstance(given, Section):
        return {NoPrivacy: "none", DistributedDpSgd: "distributed"}.get(type(given), "dp-sgd")
    if not isinstance(given, dict) or "mechanism" not in given:
        return None
    if given["mechanism"] == "dp-sgd":
        return "distributed" if given.get("trust") == "distributed" else "dp-sgd"
    return "none" if given["mechanism"] == "none" else "unknown"


Privacy = Annotated[
    Annotated[NoPrivacy, Tag("none")]
    | Annotated[DpSgd, Tag("dp-sgd")]
    | Annotated[DistributedDpSgd, Tag("distributed")],
    Discriminator(_mechanism),
]
