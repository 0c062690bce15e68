"""The largest an opened sum can be if every hospital follows the study; beyond that, one of them did not.

Masks hide one hospital's numbers, so nothing is checked before a sum is opened, and the excess has no name: a sum that
is too large says that *one of* its hospitals sent what the study does not allow (docs/secagg.md, section 10). Each
function returns what was seen against which bound, or nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from wardround_common.errors import MessageError, PrivacyError
from wardround_common.messages.rounds import MOST_EXAMPLES, Update
from wardround_common.metrics.sums import LOSS_LIMIT, UNIT
from wardround_common.privacy.noisy_sum import NoisySum
from wardround_common.secagg.encoding import Encoding, decode_counts
from wardround_common.study.aggregation import Aggregation
from wardround_server.rounds.heard import Form
from wardround_server.rounds.secure_sum import Total

MOST_NAMED = 8


def mean_excess(encoding: Encoding, total: Total, survivors: int, *, private: bool) -> str:
    """Check the sum of a round's updates, weights, losses and clipped numbers.

    The mean update of hospitals that clip is at most ``update_clip``, whatever they weigh; the check is on integers.
    ``private``: under dp-sgd no loss is sent.
    """
    weight, loss, clipped = (int(count) for count in total.counts)
    heaviest = survivors * encoding.largest_weight
    if not survivors <= weight <= heaviest:
        return (
            f"the weights add up to {_signed(weight)} where those of {survivors} hospitals are {survivors} to "
            f"{heaviest} (largest_weight)"
        )
    largest = encoding.largest(total.update)
    if largest > encoding.most(weight, survivors):
        mean = largest * encoding.level / weight
        return f"the mean update reaches {mean:.6g} where update_clip allows {encoding.clip:g}"
    most = 0 if private else int(LOSS_LIMIT / UNIT) * weight + survivors
    if loss > most:
        return f"the training loss adds up to {_signed(loss) * UNIT:.6g} where it can be at most {most * UNIT:.6g}"
    if clipped > survivors * len(total.update):
        return f"{_signed(clipped)} numbers are said to be clipped where the updates have {len(total.update)} each"
    return ""


def noisy_excess(form: NoisySum, noise_multiplier: float, total: Total, survivors: int) -> str:
    """Check the L2 norm of a round's sum of clipped gradients with the hospitals' noise."""
    try:
        most = form.most(noise_multiplier, survivors, len(total.update))
    except PrivacyError as error:  # no hospital could have taken part
        return error.what
    whole = total.update.view("<i4").astype(np.float64)
    norm = math.sqrt(float(np.dot(whole, whole)))
    if norm <= most:
        return ""
    unit = form.clip_norm / form.levels
    return (
        f"the sum of clipped gradients has a norm of {norm * unit:.6g} where {form.most_patients} patients, clipped to "
        f"{form.clip_norm:g}, and the noise have at most {most * unit:.6g}"
    )


def readable_sums(total: Total, survivors: int, form: Form) -> tuple[Any, str]:
    """Read the sums of an evaluation; if they are impossible, they are empty and it is said why."""
    try:
        sums = form.read(decode_counts(total.counts, survivors))
    except MessageError as error:
        return form.empty(), error.what
    most = survivors * MOST_EXAMPLES
    if sums.records > most:
        said = f"{sums.records} images are said to be scored where {survivors} hospitals have at most {most}"
        return form.empty(), said
    return sums, ""


def check_bounds(update: Update, aggregation: Aggregation) -> None:
    """Check an update that came in the clear against the limits that the study states, if it states any.

    Raises:
        MessageError: it is beyond one of them; its hospital is left out of the round, by name.
    """
    clip, heaviest = aggregation.update_clip, aggregation.largest_weight
    if clip is not None and np.abs(update.vector).max(initial=0) > np.float32(clip):
        raise MessageError("an update has numbers beyond update_clip")
    if heaviest is not None and update.examples > heaviest:
        raise MessageError("an update weighs more than largest_weight")


def refusal(what: str, excess: str, hospitals: Sequence[str]) -> str:
    """Say that a sum is refused, in one sentence: which, what was seen against which bound, and whose it can be."""
    who = ", ".join(hospitals) if len(hospitals) <= MOST_NAMED else f"its {len(hospitals)} hospitals"
    return f"{what} is refused: {excess}; one of {who} sent what the study does not allow"


def _signed(count: int) -> int:
    """Read a number of the ring 2^64 as the one nearest to zero: a hospital may have sent a negative one."""
    return count - (1 << 64) if count >= 1 << 63 else count
