"""What does not go with noise in the sums over validation and test patients (``[privacy] evaluation_epsilon``)."""

from __future__ import annotations

from collections.abc import Iterator

from wardround_common.study.aggregation import Aggregation
from wardround_common.study.evaluation import Evaluation

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


def unfit_noise(epsilon: float, evaluation: Evaluation, aggregation: object) -> Iterator[str]:
    """Yield what keeps a study from having noise in its evaluation sums."""
    given = f"[privacy] evaluation_epsilon = {epsilon:g}"
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
            yield f"[evaluation] {key}: beside [privacy] evaluation_epsilon, {why}; remove one of them"
