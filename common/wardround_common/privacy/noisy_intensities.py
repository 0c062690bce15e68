"""How much noise each hospital adds to its sums of intensities (docs/preparation.md): all of it, or its share.

The sums are integers. The noise is a discrete Gaussian's, and is accounted as a Gaussian's by the argument of
docs/distributed-privacy.md, section 3.
"""

from __future__ import annotations

from fractions import Fraction

from wardround_common.errors import PrivacyError
from wardround_common.metrics.intensities import patient_square
from wardround_common.privacy.accounting import before_rounds
from wardround_common.privacy.noisy_sum import share_of_noise
from wardround_common.study.file import Study
from wardround_common.study.privacy import DpSgd

MOST_VARIANCE = 1 << 62
"""Of one hospital's noise: what its sampler draws."""


def noise_in_intensities(study: Study, hospitals: int, threshold: int) -> int:
    """Return the variance of the integers that each hospital adds to its sums.

    Under ``trust = "distributed"``: of a cohort of ``hospitals`` whose sums ``threshold`` of them open, any survivors
    less any colluders have enough together. Else each hospital has enough by itself.

    Raises:
        PrivacyError: the study adds no noise to such sums, or so much that no hospital could draw it.
    """
    privacy = study.privacy
    event = before_rounds(privacy) if isinstance(privacy, DpSgd) else None
    if event is None:
        raise PrivacyError("the study's sums before the first round have no noise")
    whole = Fraction(event.noise_multiplier) ** 2 * patient_square(study.data.inputs)
    variance = share_of_noise(study, whole, hospitals, threshold)
    if variance > MOST_VARIANCE:
        raise PrivacyError(
            "the noise that the sums of intensities need is more than a hospital can draw",
            do="Ask for a larger normalisation_epsilon in [privacy].",
        )
    return variance
