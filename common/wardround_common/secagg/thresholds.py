"""How many hospitals must open a sum (docs/secagg.md, section 6)."""

from __future__ import annotations

from wardround_common.errors import RoundError
from wardround_common.study import Aggregation, DistributedDpSgd, Study

LARGEST_COHORT = 100
"""Beyond this the shares outgrow the model, and sums of counts could wrap."""


def threshold_of(aggregation: Aggregation, hospitals: int) -> int:
    """Give how many of so many hospitals must open a sum: more than half, so that only one list can be opened.

    Raises:
        RoundError: the study does not allow a sum over so many hospitals.
    """
    least = max(2, aggregation.min_hospitals)
    if not least <= hospitals <= LARGEST_COHORT:
        raise RoundError(
            f"a secure sum of this study needs {least} to {LARGEST_COHORT} hospitals, and there are {hospitals}",
            do="Change min_hospitals or secure in [aggregation].",
        )
    threshold = aggregation.threshold or default_threshold(hospitals)
    if not hospitals < 2 * threshold <= 2 * hospitals:
        raise RoundError(
            f"a threshold of {threshold} is not possible with {hospitals} hospitals: it must be above half of them",
            do=f"Write a threshold above {hospitals // 2} and up to {hospitals} in [aggregation], or leave it out.",
        )
    return threshold


def threshold_for(study: Study, hospitals: int) -> int:
    """Give how many of so many hospitals must open a sum of the study, so that its colluders cannot open two lists.

    Raises:
        RoundError: the study does not allow a sum over so many hospitals.
    """
    threshold = threshold_of(study.aggregation, hospitals)
    if not isinstance(study.privacy, DistributedDpSgd):
        return threshold
    least = (hospitals + study.privacy.colluders) // 2 + 1  # section 6: 2t > n + c
    if study.aggregation.threshold is None:
        threshold = max(threshold, least)
    if not least <= threshold <= hospitals:
        raise RoundError(
            f"with {study.privacy.colluders} colluders among {hospitals} hospitals the threshold must be at least "
            f"{least}",
            do="State fewer colluders in [privacy] or a higher threshold in [aggregation], or ask more hospitals.",
        )
    return threshold


def default_threshold(hospitals: int) -> int:
    """Give the threshold of a study that states none: about two thirds, and one may drop out from three on."""
    return max(hospitals // 2 + 1, min(hospitals - 1, 2 * hospitals // 3 + 1))
