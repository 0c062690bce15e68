"""Before a round: wait for hospitals that are briefly away, so that a round does not start with too few."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from threading import Event

from wardround_common.errors import RoundError
from wardround_common.study.file import Study
from wardround_server.rounds.exchange import Exchange
from wardround_server.rounds.limits import Limits, can_begin

LOOK_S = 0.2


def muster(
    study: Study,
    exchange: Exchange,
    expected: Collection[str],
    missed: Collection[str],
    tell: Callable[[Sequence[str]], None],
    stop: Event,
) -> None:
    """Wait until the hospitals of a run are there.

    One that is away is waited for as long as the study's patience lasts; one that was missing in the last round
    already (``missed``) is not, but is welcome. With too few for a round the study's deadline is waited for: nobody
    has trained yet, so that nothing is lost by it. ``tell`` is told who is waited for whenever that changed.

    Raises:
        RoundError: too few hospitals came, or ``stop`` was set while they were waited for.
    """
    limits, began, told = Limits.of(study), time.monotonic(), None
    while True:
        here = set(exchange.hospitals())
        away = sorted(set(expected) - here)
        waited, possible = time.monotonic() - began, can_begin(study, len(expected) - len(away))
        if possible and (set(away) <= set(missed) or waited > limits.patience_s):
            return
        if waited > limits.deadline_s:
            there = f"{len(expected) - len(away)} of {len(expected)}"
            raise RoundError(
                f"too few hospitals for a round: {there}; away: {', '.join(away)}",
                do="Ask their staff whether the service is running and can reach this coordinator.",
            )
        if away != told:
            told = away
            tell(away)
        if stop.wait(LOOK_S):
            raise RoundError("the run was stopped while it waited for hospitals")
