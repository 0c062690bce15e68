"""What does not go with noise in the sums over validation and test patients (``[evaluation] epsilon``)."""

from __future__ import annotations

from collections.abc import Iterator

from wardround_common.study.aggregation import Aggregation
from wardround_common.study.evaluation import Evaluation
from wardround_common.study.privacy import DpSgd

_BESIDE = {
    "levels": "scores are counted in still fewer levels then",
    "usual": "sums of features have no noise",
    "subgroups": "sums by subgroup have no noise",
    "maps": "sums over maps have no noise",
    "recalibrated": "the second sums over the same patients have no noise",
    "withheld": "the further sums over the same patients have no noise",
    "external": "a hospital that only evaluates keeps no account of its patients",
}
"""By key: why noise in the other sums would promise more than holds."""


def unfit_noise(evaluation: Evaluation, privacy: object, aggregation: object) -> Iterator[str]:
    """Yield what keeps a study from having noise in its evaluation sums; sections with faults of their own are none."""
    given = f"[evaluation] epsilon = {evaluation.epsilon:g}"
    if privacy is not None and not isinstance(privacy, DpSgd):
        yield (
            f"{given}: it is counted at the delta of [privacy], and the ledger, as that of training; write mechanism = "
            "'dp-sgd' there, or remove the key"
        )
    if isinstance(aggregation, Aggregation):
        if not aggregation.secure:
            yield (
                f"{given}: noise is for secure sums, of which nobody reads one hospital's; write secure = true in "
                "[aggregation], or remove the key"
            )
        if aggregation.vote_margin is not None:
            yield (
                f"{given}: votes on validation patients ([aggregation] vote_margin) have no noise; remove one of them"
            )
    for key, why in _BESIDE.items():
        if getattr(evaluation, key):
            yield f"[evaluation] {key}: beside epsilon, {why}; remove one of them"
