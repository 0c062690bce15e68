"""``[aggregation]``: how many hospitals must answer, how long they are waited for, and what is bounded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from wardround_common.errors import RoundError
from wardround_common.secagg.thresholds import LARGEST_COHORT, threshold_of
from wardround_common.section import NotNegative, Positive, Section
from wardround_common.study.privacy import DistributedDpSgd
from wardround_common.study.template import toml_value


class Aggregation(Section):
    """``[aggregation]``: how many hospitals must answer before a sum is used, and how long they are waited for."""

    LATER: ClassVar[tuple[str, ...]] = ("deadline_minutes", "patience_minutes", "vote_margin", "clip_statements")

    min_hospitals: Annotated[int, Field(ge=1, le=1000)]
    secure: bool
    """Whether the coordinator reads sums only, never one hospital's numbers (docs/secagg.md)."""
    threshold: Annotated[int, Field(ge=2, le=1000)] | None = None
    """secure only: how many hospitals must open a sum, more than half of them; left out: about two thirds."""
    ring_bits: Literal[16, 32] | None = None
    """secure only: of each number of a masked update; left out: 32."""
    vote_margin: NotNegative | None = None
    """Nats. The hospitals vote on each round's next model: against it, if its mean loss on their validation patients is
    higher than the accepted model's by more than this. Half of the votes refuse it. None: there is no vote."""
    clip_statements: bool = False
    """secure only: each hospital signs, with each upload, to what it clipped; the coordinator keeps it."""
    update_clip: Positive | None = None
    """The largest size of one number of an update; left out: 4 if secure, else no limit."""
    largest_weight: Annotated[int, Field(ge=1, le=2**24)] | None = None
    """The training images with which one hospital weighs at most; left out: 65,536 if secure, else no limit."""
    deadline_minutes: Annotated[float, Field(gt=0, le=43_200)] = 1440.0
    """From when a round was asked: a hospital that works is waited for so long, and what comes later is dropped."""
    patience_minutes: Annotated[float, Field(ge=0.5, le=43_200)] = 10.0
    """A hospital that is not heard is waited for so long, if enough others answered; it says every ten seconds that
    it is there, also while it trains."""

    @property
    def bits(self) -> int:
        """The ring's bits, stated or not."""
        return self.ring_bits or 32

    @property
    def clip(self) -> float:
        """The largest size of one number of an update, stated or not."""
        return self.update_clip or 4.0

    @property
    def heaviest(self) -> int:
        """The largest weight, stated or not."""
        return self.largest_weight or 2**16

    @model_validator(mode="after")
    def _keys_fit(self) -> Aggregation:
        secure_only = ("threshold", "ring_bits", "clip_statements")
        faults = [
            f"[aggregation] {key} = {toml_value(getattr(self, key))}: only secure = true uses this key; remove it"
            for key in secure_only
            if not self.secure and getattr(self, key) not in (None, False)
        ]
        if self.secure and self.min_hospitals < 2:
            faults.append(
                f"[aggregation] min_hospitals = {self.min_hospitals}: a secure sum is over 2 hospitals or more; "
                "a sum over one is that hospital's own"
            )
        if faults:
            raise ValueError(*faults)
        return self


def unfit_sums(privacy: DistributedDpSgd, aggregation: Aggregation) -> Iterator[str]:
    """Name what ``[aggregation]`` lacks for noise that only a sum has enough of."""
    if not aggregation.secure:
        yield (
            "[aggregation] secure = false: under trust = 'distributed' one hospital's noise is not enough by itself, "
            "so that only a secure sum may be read; write secure = true, or trust = 'local'"
        )
        return
    if privacy.colluders >= aggregation.min_hospitals:
        yield (
            f"[privacy] colluders = {privacy.colluders}: with min_hospitals = {aggregation.min_hospitals} a sum could "
            "have no noise but that of colluders; it must be below min_hospitals"
        )
    if aggregation.bits != 32:
        yield "[aggregation] ring_bits = 16: gradients with their noise need trust = 'local' or ring_bits = 32"
    for key in ("update_clip", "largest_weight"):
        if getattr(aggregation, key) is not None:
            yield (
                f"[aggregation] {key} = {getattr(aggregation, key)!r}: trust = 'distributed' does not use this key: "
                "clip_norm bounds a patient, and no weight is sent; remove it"
            )


def colluders_in(privacy: object) -> int:
    """Return how many hospitals may side with the coordinator under shared noise; otherwise none is stated."""
    return privacy.colluders if isinstance(privacy, DistributedDpSgd) else 0


def no_sum(aggregation: Aggregation, colluders: int, hospitals: int) -> str:
    """Say why there is no sum over a number of hospitals that is secure; nothing if there is, or none is asked for."""
    if not aggregation.secure:
        return ""
    try:
        threshold_of(hospitals, least=aggregation.min_hospitals, stated=aggregation.threshold, colluders=colluders)
    except RoundError as error:
        return error.what
    return ""


def unfit_roster(
    aggregation: Aggregation, colluders: int, names: Sequence[str], external: Sequence[str]
) -> Iterator[str]:
    """Say why the hospitals of a roster cannot make the sums that the study wants: those that train, in each round."""
    if unlisted := sorted(set(external) - set(names)):
        yield (
            f"[evaluation] external = {toml_value(external)}: the roster does not list {', '.join(unlisted)}; "
            "list each there too, by its name and key"
        )
        return
    hospitals = len(names) - len(external)
    if hospitals < aggregation.min_hospitals:
        that = " that train" if external else ""
        yield (
            f"[aggregation] min_hospitals = {aggregation.min_hospitals}: the roster lists {hospitals} "
            f"hospital{'s' if hospitals > 1 else ''}{that}; list more of them, or lower it"
        )
        return
    if not aggregation.secure:
        return
    if len(names) > LARGEST_COHORT:
        yield f"[[roster]]: {len(names)} hospitals are listed, and a secure sum is over at most {LARGEST_COHORT:,}"
        return
    together = bool(external) and no_sum(aggregation, colluders, len(external))  # at the end, over all of them
    for count in (hospitals, *([len(names)] if together else [])):
        if fault := no_sum(aggregation, colluders, count):
            yield f"[aggregation] threshold = {aggregation.threshold}: {fault}"
            return
