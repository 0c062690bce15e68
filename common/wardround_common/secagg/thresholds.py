"""How many hospitals must open a sum (docs/secagg.md, section 6)."""

from __future__ import annotations

from wardround_common.errors import RoundError
from wardround_common.secagg.expander import CIRCLE_UP_TO, colluders_of

LARGEST_COHORT = 10_000
"""Beyond this the lists that every hospital checks outgrow the model."""


def threshold_of(hospitals: int, *, least: int = 2, stated: int | None = None, colluders: int = 0) -> int:
    """Return how many of the hospitals must open a sum: more than half, so that only one list can be opened.

    ``least`` hospitals are needed for a sum; ``stated`` is the threshold that the study states, if it states one. With
    ``colluders`` it is large enough that these cannot help to open two lists.

    Raises:
        RoundError: the study does not allow a sum over this number of hospitals.
    """
    least, colluders = max(2, least), max(colluders, colluders_of(hospitals))
    if not least <= hospitals <= LARGEST_COHORT:
        raise RoundError(
            f"a secure sum of this study needs {least} to {LARGEST_COHORT:,} hospitals, and there are {hospitals}",
            do="Change min_hospitals or secure in [aggregation].",
        )
    threshold = stated or max(default_threshold(hospitals), (hospitals + colluders) // 2 + 1)
    if not hospitals < 2 * threshold <= 2 * hospitals:
        raise RoundError(
            f"a threshold of {threshold} is not possible with {hospitals} hospitals: it must be above half of them",
            do=f"Write a threshold above {hospitals // 2} and up to {hospitals} in [aggregation], or leave it out.",
        )
    if not hospitals + colluders < 2 * threshold:
        raise RoundError(
            f"a threshold of {threshold} of {hospitals} hospitals would let {colluders} colluders open two lists",
            do=f"Write a threshold of at least {(hospitals + colluders) // 2 + 1}, or leave it out.",
        )
    return threshold


def default_threshold(hospitals: int) -> int:
    """Return the threshold of a study that states none: about two thirds, and one may drop out from three on.

    Of more than 100 hospitals it is five sixths: lists that long need fewer neighbours (``expander``).
    """
    if hospitals > CIRCLE_UP_TO:
        return hospitals - hospitals // 6
    return max(hospitals // 2 + 1, min(hospitals - 1, 2 * hospitals // 3 + 1))
