"""What intervals and epsilon mean in a report, whatever its task: of whom they are, and what they do not hold."""

from __future__ import annotations

from collections.abc import Iterator

from wardround_common.results import DEPLOYED, Results
from wardround_common.study.privacy import DistributedDpSgd


def terms_of_any(results: Results) -> Iterator[tuple[str, str]]:
    """Yield words and what they mean."""
    yield "95 % interval", f"{_interval(results)} It does not hold the chance of training again."
    yield "ε, δ", f"Differential privacy: {_epsilon(results)}"


def _interval(results: Results) -> str:
    if results.engine != DEPLOYED:
        return "From drawing the test patients again and again with replacement."
    if results.study.noised:
        return "From counts of patients over all hospitals, and widened by what the noise in them does."
    return "From sums over hospitals, as if each image were of another patient: too short where patients have several."


def _epsilon(results: Results) -> str:
    shared = isinstance(results.study.privacy, DistributedDpSgd)
    sent = "the sums of the hospitals’ updates" if shared else "the updates that a hospital sends"
    judged = "It does not cover the sums over validation and test patients."
    if results.noised:
        judged = "So it is of the sums over validation and test patients, with an ε of their own."
    return (
        f"with or without any one training patient, the probability of {sent} differs by at most the factor e to the "
        f"power of ε, except for a chance of δ. {judged}"
    )
