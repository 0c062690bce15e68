"""Ditto: each hospital trains a model of its own beside the shared one, and holds it to that.

Li et al., *Ditto: fair and robust federated learning through personalization*, ICML 2021, algorithm 1.
"""

from __future__ import annotations

from wardround_common.site_shift.contract import Measure

MEASURE = Measure(
    name="ditto",
    work=(
        "Beside the shared model each hospital trains one of its own, by as many steps again, which is held to the "
        "shared one that the round began with (Ditto)."
    ),
    stays="The hospital's own model: it is in no update and no secure sum, and lies in its state folder.",
    private=(
        "The hospital's own model is trained without noise and clipping. It never leaves, no update depends on it, and "
        "what is sent of how well a model does is of the shared one: epsilon does not cover the own model, and "
        "whoever gives it away gives away what it remembers of patients."
    ),
    outside="A hospital that did not train gets the shared model.",
    beside=True,
)
