"""A local head: the last layer of each hospital is its own.

Arivazhagan et al., *Federated learning with personalization layers*, 2019 (arXiv 1912.00818): FedPer, with one layer.
"""

from __future__ import annotations

from wardround_common.site_shift.contract import Measure

MEASURE = Measure(
    name="head",
    work=(
        "Each hospital has a last layer of its own (FedPer): it trains it with the other layers, which are shared, "
        "and starts each round from the one that it had."
    ),
    stays="The hospital's own last layer: it is in no update and no secure sum, and lies in its state folder.",
    private=(
        "The last layer that stays is trained by the same private steps as the others, clipped together with them, "
        "and is charged with them."
    ),
    outside=(
        "A hospital that did not train gets the shared layers without a last one: they tell nothing until one is "
        "trained."
    ),
    usable=False,
)
