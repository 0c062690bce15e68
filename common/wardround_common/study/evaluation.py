"""``[evaluation]``: how patients are split, and at which operating point the model is judged."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from wardround_common.section import Fraction, Section, each_once
from wardround_common.study.maps import Maps
from wardround_common.study.roster import HospitalName
from wardround_common.study.subgroups import Subgroups


class Evaluation(Section):
    """``[evaluation]``: how patients are split, and at which operating point the model is judged."""

    LATER: ClassVar[tuple[str, ...]] = (
        "every",
        "external",
        "keep",
        "average",
        "patience",
        "levels",
        "usual",
        "subgroups",
        "smallest_subgroup",
        "maps",
        "recalibrated",
        "withheld",
    )

    validation: Fraction
    """Fraction of a hospital's patients that choose the operating point."""
    test: Fraction
    """Fraction of a hospital's patients that are never trained on nor chosen by."""
    sensitivity: Fraction = 0.9
    """The operating point: the highest threshold that reaches this sensitivity on the validation patients."""
    every: Annotated[int, Field(ge=1, le=100_000)] = 1
    """Rounds between evaluations of the model on validation patients; it is also evaluated after the last round."""
    external: Annotated[tuple[HospitalName, ...], Field(max_length=1000, strict=False)] = ()
    """Hospitals that only evaluate: none of their patients is trained on or chosen by, and all of them test the model,
    once, after the last round (external validation)."""

    keep: Literal["last", "best", "mean-of-last"] = "last"
    """The model that the run ends with: of the last round, of the best one by the headline metric on the validation
    patients, or the mean of the last ``average`` ones."""
    average: Annotated[int, Field(ge=2, le=1000)] | None = None
    """mean-of-last only: over how many rounds."""
    patience: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """best only: the run ends after this many evaluations without a better one."""
    levels: bool = False
    """Whether scores are counted in few levels (``metrics.score_bins``), or risks in few ranks, which tell less of a
    patient, and figures less exactly."""
    usual: Annotated[float, Field(ge=0.5, lt=1)] | None = None
    """The part of new images that are to count as like those of validation patients; the model flags what is further
    from them (``metrics.unlike``). None: nothing of their features is summed, and it flags nothing."""
    subgroups: Annotated[tuple[Subgroups, ...], Field(max_length=8, strict=False)] = ()
    """By what the test patients are told apart: the model is judged on each subgroup, too."""
    smallest_subgroup: Annotated[int, Field(ge=5, le=10_000)] = 10
    """Patients of one hospital below which a subgroup is merged into "other" before its sums leave; sums over maps of
    fewer do not leave at all."""
    maps: Maps | None = None
    """How the kept model is explained at the hospitals, so that they add up how much of its maps lies in lesions."""
    recalibrated: bool = False
    """Whether hospitals also add up how the model does on their test patients if each recalibrates it on its own
    validation patients. A simulation shows it in any case."""

    withheld: bool = False
    """Whether hospitals also add up how the model does on their test patients with each input withheld: told as
    missing. A simulation shows it in any case."""

    @field_validator("subgroups")
    @classmethod
    def _subgroups_differ(cls, subgroups: tuple[Subgroups, ...]) -> tuple[Subgroups, ...]:
        each_once(tuple(one.name.casefold() for one in subgroups))
        return subgroups

    @model_validator(mode="after")
    def _keeps_fit(self) -> Evaluation:
        faults = [
            f"[evaluation] {key} = {value}: only keep = '{keep}' uses this key; remove it"
            for key, value, keep in (("average", self.average, "mean-of-last"), ("patience", self.patience, "best"))
            if value is not None and self.keep != keep
        ]
        if self.keep == "mean-of-last" and self.average is None:
            faults.append("[evaluation] average: keep = 'mean-of-last' needs this key, such as average = 5")
        if faults:
            raise ValueError(*faults)
        return self

    @field_validator("external")
    @classmethod
    def _external_ones_differ(cls, external: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(each_once(external)))  # their order means nothing, and must not change the digest

    @model_validator(mode="after")
    def _leave_some_to_train(self) -> Evaluation:
        if self.validation + self.test >= 0.9:
            raise ValueError(
                f"[evaluation] validation = {self.validation!r}, test = {self.test!r}: their sum must stay below 0.9, "
                "or too few patients are left to train on; 0.15 and 0.2 are usual"
            )
        return self
