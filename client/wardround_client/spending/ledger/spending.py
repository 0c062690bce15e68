"""What each patient has spent: all events of all the cohorts that they are in, composed.

Patients of the same cohorts have the same history, and a history is computed once. Epsilon of a history is composed
exactly as long as there are few; where there are very many, the rest gets the Rényi bound, which is never too low.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wardround_client.spending.ledger.books import Spent
from wardround_client.spending.ledger.renyi import Numbers, upper_bounds
from wardround_client.training.accounting import SampledGaussian, epsilon_of

EXACT_WORK = 60
"""So many different mechanisms are composed exactly for one question, over all histories: a second or two."""

FEW_HISTORIES = 4096
"""Up to this many histories are checked for equal ones; with more, most keep the quick bound anyway."""


@dataclass(frozen=True, eq=False)
class Histories:
    """The patients of some cohorts, those together who are in the same ones."""

    cohorts: tuple[str, ...]
    member: NDArray[np.bool_] = field(repr=False)
    """(histories, cohorts) which cohorts the patients of a history are in."""
    patients: NDArray[np.int64] = field(repr=False)
    """(histories,) how many patients."""

    def within(self, cohort: str) -> NDArray[np.bool_]:
        """Tell of each history whether its patients are in a cohort: (histories,)."""
        return self.member[:, self.cohorts.index(cohort)]


class Cost(NamedTuple):
    """What histories cost, each an upper bound."""

    epsilon: Numbers
    """(histories,)."""
    composed: NDArray[np.bool_]
    """(histories,) whether by composing privacy losses; else it is the Rényi bound, which is looser."""


def histories_of(numbers: Mapping[str, NDArray[np.uint64]]) -> Histories:
    """Find the histories of cohorts, given their patients' numbers."""
    names = tuple(sorted(numbers))
    if not names:
        return Histories((), np.zeros((0, 0), np.bool_), np.zeros(0, np.int64))
    everybody = np.unique(np.concatenate([numbers[name] for name in names]))
    member = np.zeros((len(everybody), len(names)), np.bool_)
    for place, name in enumerate(names):
        member[np.searchsorted(everybody, numbers[name]), place] = True
    packed = np.packbits(member, axis=1)
    whole = np.ascontiguousarray(packed).view(np.dtype((np.void, packed.shape[1])))[:, 0]
    _, first, counts = np.unique(whole, return_index=True, return_counts=True)
    return Histories(names, member[first], counts.astype(np.int64))


def cost(
    histories: Histories, spent: Spent, delta: float, *, enough: float | None = None, carried: float = 0.0
) -> Cost:
    """Bound the epsilon that each history cost at ``delta``; ``spent`` speaks of cohorts that the histories know.

    With ``enough``, histories whose quick bound stays below it keep that bound: it answers the question. ``carried`` is
    what every patient has spent besides, of which only a bound is known: it is added.
    """
    if carried:
        found = cost(histories, spent, delta, enough=None if enough is None else enough - carried)
        return Cost(found.epsilon + carried, found.composed)
    groups, steps = _steps(histories, spent)
    rows, inverse = steps, np.arange(len(steps))
    if len(steps) <= FEW_HISTORIES:
        rows, inverse = np.unique(steps, axis=0, return_inverse=True)
        inverse = inverse.reshape(-1)
    weight = np.bincount(inverse, histories.patients, len(rows)) if len(rows) else np.zeros(0)
    noiseless = np.array([noise == 0.0 for noise, _ in groups], np.bool_)
    unbounded = (rows[:, noiseless] > 0).any(axis=1) if len(groups) else np.zeros(len(rows), np.bool_)
    noisy = [group for group in groups if group[0] > 0.0]
    epsilon = upper_bounds(noisy, rows[:, ~noiseless] if len(groups) else rows, delta)
    epsilon[unbounded] = math.inf
    composed: NDArray[np.bool_] = np.logical_or(unbounded, ~rows.any(axis=1))
    left = EXACT_WORK
    for row in np.argsort(-weight, kind="stable"):
        kinds = int((rows[row] > 0).sum())
        if composed[row] or kinds > left or (enough is not None and epsilon[row] <= enough):
            continue
        events = tuple(
            SampledGaussian(noise, rate, int(count))
            for (noise, rate), count in zip(groups, rows[row], strict=True)
            if count
        )
        epsilon[row] = min(epsilon[row], epsilon_of(events, delta))
        composed[row] = True
        left -= kinds
    return Cost(epsilon[inverse], composed[inverse])


def _steps(histories: Histories, spent: Spent) -> tuple[list[tuple[float, float]], NDArray[np.int64]]:
    """Count the steps of each mechanism in each history: (histories, mechanisms)."""
    of_cohort: dict[tuple[float, float], NDArray[np.int64]] = {}
    for cohort, events in spent.items():
        place = histories.cohorts.index(cohort)
        for event, times in events.items():
            if event.sampling_rate > 0.0 and event.steps * times > 0:
                key = (event.noise_multiplier, event.sampling_rate)
                of_cohort.setdefault(key, np.zeros(len(histories.cohorts), np.int64))[place] += event.steps * times
    groups = sorted(of_cohort)
    if not groups:
        return [], np.zeros((len(histories.patients), 0), np.int64)
    return groups, histories.member.astype(np.int64) @ np.stack([of_cohort[group] for group in groups], axis=1)
