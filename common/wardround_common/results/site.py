"""How one model does on the test patients of one site, as numbers that can be kept and drawn."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from wardround_common.metrics.shapes import Amount as Amount
from wardround_common.metrics.shapes import Count as Count
from wardround_common.metrics.shapes import Curve as Curve
from wardround_common.metrics.shapes import Estimate as Estimate
from wardround_common.metrics.shapes import GroupFigures as GroupFigures
from wardround_common.metrics.shapes import HorizonFigures as HorizonFigures
from wardround_common.metrics.shapes import Name as Name
from wardround_common.metrics.shapes import Point as Point
from wardround_common.metrics.shapes import Points as Points
from wardround_common.metrics.shapes import Rate as Rate
from wardround_common.metrics.shapes import Record as Record
from wardround_common.metrics.shapes import ReliabilityBins as ReliabilityBins


class SiteMetrics(Record):
    """Every metric of one model on the test patients of one site.

    ``metrics`` has each metric of the study's task, by name. What a task has beside them is here too: ``confusion``
    (rows are true classes, columns decided ones at ``threshold``, or the most probable class where it is None), curves
    (of more than two classes means over the classes, each against the rest), the reliability diagram. What does not
    exist (one class only, another task) or was not kept is empty.
    """

    patients: Count | None
    """None where only sums over images are known. Of counts with noise, about how many there are; ``images`` too."""
    images: Count
    threshold: float | Points | None
    """The operating point, or one for each finding, chosen on validation patients; None where the task has none."""
    metrics: dict[Name, Estimate]
    confusion: tuple[tuple[Count, ...], ...] = ()
    roc: Curve | None = None
    precision_recall: Curve | None = None
    reliability: ReliabilityBins | None = None
    by_group: tuple[GroupFigures, ...] = ()
    """The figures of each group (class, structure), in the study's order."""
    horizons: tuple[HorizonFigures, ...] = ()
    """The figures of each time at which a risk is told, in the study's order."""
    margin: Rate | None = None
    """By how much the headline can be off at most since scores in one bin are ties; None where it cannot be seen."""

    @property
    def enough(self) -> bool:
        """Whether there are enough test patients on either side of some group for a figure to say something."""
        return not self.by_group or any(group.enough for group in self.by_group)

    @property
    def fewest(self) -> int | None:
        """The fewest records on one side of a group (class) where there are any; None where none is known."""
        sides = (side for group in self.by_group for side in (group.records, group.rest or 0) if side)
        return min(sides, default=None)

    @model_validator(mode="after")
    def _confusion_is_square(self) -> Self:
        if any(len(row) != len(self.confusion) for row in self.confusion):
            raise ValueError("the confusion matrix is not square")
        return self

    def value(self, metric: str) -> float | None:
        """Return a metric's value, None where it is not defined."""
        return self.metrics[metric].value


class SubgroupFigures(Record):
    """Every metric of one model on one subgroup of the test patients, such as the women."""

    value: Name
    """Which subgroup, in the study's words: 'female'; 'other' and 'unknown' are subgroups too."""
    patients: Annotated[int, Field(ge=1)]
    images: Annotated[int, Field(ge=1)]
    enough: bool
    """Whether there are enough records on either side of some group (class) for a figure to say something."""
    fewest: Count | None = None
    """As of a site; None also in results of versions that did not count it."""
    metrics: dict[Name, Estimate]


class Recalibrated(Record):
    """How the federated model would do on a site's test patients by each hospital's own recalibration.

    What it does without is in the site's metrics.
    """

    fitted: bool | None
    """Whether the hospital has enough validation patients to fit one; None over several hospitals."""
    metrics: dict[Name, float | None]
    """Calibration error and Brier score, and whatever else does not hang on the operating point."""


class Withheld(Record):
    """How the federated model would do on a site's test patients if one input were told as missing of all of them."""

    name: Name
    known: Count
    """Of how many records it is known; of small numbers at a hospital, see ``[evaluation] smallest_subgroup``."""
    records: Count
    value: float | None
    """The study's headline metric without the input."""
    gain: float | None
    """By how much the headline is higher with it: what the input is worth to this model."""
    low: float | None = None
    """Of the gain's 95 % interval over patients; None where only sums are known."""
    high: float | None = None


class MapsOf(Record):
    """How much of the model's maps lies in lesions that somebody outlined; means over images."""

    patients: Annotated[int, Field(ge=1)]
    images: Annotated[int, Field(ge=1)]
    """Test images with an outlined lesion; of a hospital with many, those that were drawn."""
    pointing_game: Estimate
    """The part of them in which the place that speaks most for the class lies in the lesion."""
    mass_in_lesion: Rate
    """The part of all that speaks for the class which lies in the lesion."""
    random: Rate
    """The part that the lesion covers of what the network sees of the image: the mass of a random map."""
    untrained: Rate
    """The mass of the map of a network with random weights."""


class MapFigures(Record):
    """What hospitals added up of the federated model's maps. Those with fewer patients than ``smallest`` sent none."""

    method: Name
    smallest: Count
    everybody: MapsOf
    """Over all hospitals that sent sums."""
    hospitals: dict[Name, MapsOf] = Field(default_factory=dict)
    """Of each, where that is known: in a simulation."""


class Subgrouping(Record):
    """How the federated model does on the subgroups of all test patients, told apart in one way.

    Each hospital merged its subgroups of fewer than ``smallest`` patients into "other" before their sums left it, and
    may have sent none: ``patients`` are those of whom there are sums.
    """

    name: Name
    """By what: 'age', 'sex', 'manufacturer', 'model', or the column's name."""
    patients: Count
    smallest: Count
    cells: tuple[SubgroupFigures, ...]
    """In the study's order; without those that have no patient."""

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        names = [cell.value for cell in self.cells]
        if len(set(names)) != len(names) or self.patients != sum(cell.patients for cell in self.cells):
            raise ValueError(f"the subgroups by {self.name} are not each there once, or not of its patients")
        return self
