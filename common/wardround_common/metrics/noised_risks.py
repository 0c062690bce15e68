"""Risks over time as counts that get noise: in few levels at each time, and nothing that the counts do not tell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from wardround_common.metrics.noised import possible
from wardround_common.metrics.ranking import Floats
from wardround_common.metrics.survival import BINS, RANKS, UNIT, RiskSums

LEVELS = BINS // 2
EFFECT = "The C-index moves to either side, the Brier score is mostly too high, and the loss is a guess from mean risks"
"""What noise does to figures."""
_MIDDLES = (np.arange(LEVELS) + 0.5) / LEVELS
_BINS = 2 * np.arange(LEVELS) + 1
"""The bins that begin at the middles."""
_LEAST = float(1 - _MIDDLES[-1])


def cells_of_risks(times: int) -> int:
    """Return how many cells there are: levels by time and outcome. Who survived all intervals has no event."""
    return times * (2 * times + 1) * LEVELS


def told_of_risks(sums: RiskSums) -> NDArray[np.int64]:
    """Return the counts (cells,) of some records, a block for each time."""
    levels: NDArray[np.int64] = sums.risks.reshape(sums.times, -1, LEVELS, BINS // LEVELS).sum(axis=3)
    return levels[:, :-1].ravel()  # (times, outcomes, levels)


def settled_risks(counts: Floats, times: int) -> RiskSums:
    """Return the possible sums that are nearest to noised counts (cells,).

    How many records have an outcome is the mean of what each time says. Risks and errors are those of the middles of
    levels. The loss is that of somebody with an outcome's mean risk at each time.
    """
    noised = counts.reshape(times, 2 * times + 1, LEVELS)
    outcomes = possible(noised.sum(axis=2).mean(axis=0))
    cells = np.stack([[possible(*pair) for pair in zip(at, map(int, outcomes), strict=True)] for at in noised])
    every = np.concatenate([cells, np.zeros_like(cells[:, :1])], axis=1).reshape(times, times + 1, 2, LEVELS)
    found = RiskSums.empty(times)
    found.ranks[..., (_MIDDLES * RANKS).astype(np.int64)] = every[-1]
    found.risks[..., _BINS] = every
    found.predicted[:, _BINS] = np.rint(every.sum(axis=(1, 2)) * _MIDDLES / UNIT)
    for time in range(times):
        had, free = every[time, : time + 1, 1], every[time, time + 1 :]
        found.errors[time, : time + 1, 1] = np.rint(had @ np.square(1 - _MIDDLES) / UNIT)
        found.errors[time, time + 1 :] = np.rint(free @ np.square(_MIDDLES) / UNIT)
    return replace(found, loss=round(_loss(every) / UNIT))


def _loss(every: NDArray[np.int64]) -> float:
    """Return the negative log-likelihood of outcomes by their mean risks: counts (times, times + 1, 2, levels)."""
    records = every[0].sum(axis=2)  # (times + 1, 2)
    risk = every @ _MIDDLES / np.maximum(records, 1)
    survival = np.minimum.accumulate(np.concatenate([np.ones_like(risk[:1]), 1 - risk])).clip(_LEAST)
    loss = 0.0
    for survived in range(len(every) + 1):
        passed = survival[survived, survived]  # (2,): of those without an event after it, and with one
        loss -= float(records[survived] @ np.log(passed))
        if survived < len(every):
            hazard = 1 - survival[survived + 1, survived, 1] / passed[1]
            loss -= float(records[survived, 1] * np.log(max(hazard, _LEAST)))
    return loss
