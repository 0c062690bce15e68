"""Local normalisation: the normalisation layers of each hospital are its own.

Li et al., *FedBN: federated learning on non-IID features via local batch normalization*, ICLR 2021, for whichever
normalisation a study has.
"""

from __future__ import annotations

from wardround_common.site_shift.contract import Measure

MEASURE = Measure(
    name="norm",
    work=(
        "Each hospital has normalisation layers of its own (FedBN): it trains them with the other layers, which are "
        "shared, and starts each round from those that it had."
    ),
    stays=(
        "The numbers of the hospital's own normalisation layers: they are in no update and no secure sum, and lie in "
        "its state folder."
    ),
    private=(
        "The normalisation layers that stay are trained by the same private steps as the others, clipped together "
        "with them, and are charged with them."
    ),
    outside=(
        "A hospital that did not train gets the shared layers with normalisation layers as they were before the "
        "first round."
    ),
)
