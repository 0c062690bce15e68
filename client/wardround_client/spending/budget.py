"""What the ledger says about a hospital's patients, in numbers that name nobody: shown by the command and its page."""

from __future__ import annotations

import math
from collections import Counter
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from wardround_client.spending.ledger.books import Spent, together
from wardround_client.spending.ledger.spending import Histories, cost, histories_of
from wardround_client.spending.ledger.store import Ledger
from wardround_client.spending.policy import Policy

LEVELS = 8


class _Shown(BaseModel):
    model_config = ConfigDict(frozen=True)


class StudySpending(_Shown):
    """One study's part."""

    study: str
    """The study digest."""
    name: str
    open: bool
    state: Literal["open", "done", "closed"]
    """open: it may still ask for rounds · done: all of them are charged · closed: this hospital left it."""
    patients: int
    """Who train in it, as it was last approved."""
    rounds: int
    charged: int
    unconfirmed: int
    """Rounds that were charged and not completed here, such as for a crash: they count as spent."""
    epsilon_spent: float | None
    """Of the patient who spent most in it; None where nothing bounds it: a study without differential privacy."""
    epsilon_planned: float | None
    """The same when all its rounds are done."""


class SpendingLevel(_Shown):
    """Patients whose epsilon over all studies lies above ``above`` and at most at ``up_to``."""

    above: float
    up_to: float | None
    """None: without bound."""
    patients: int
    patients_planned: int
    """How many will be there when all open studies have taken what they may."""


class Brought(_Shown):
    """What every patient has spent before the ledger was rebuilt, at most; it adds up, and so do deltas."""

    epsilon: float | None
    """None: nothing bounds it."""
    delta: float


class BudgetStatement(_Shown):
    """What this hospital's patients have spent, and what open studies may still take."""

    delta: float
    patient_cap: float | None
    """The policy's; None without a policy."""
    study_cap: float | None
    patients: int
    highest_spent: float | None
    highest_planned: float | None
    """Epsilon of the patient who spent, will have spent, most; None where nothing bounds it."""
    carried: Brought | None
    """None unless the ledger was rebuilt; it is in the figures over all studies, and in no study's own."""
    composed: bool
    """Whether all of it is composed; else some of it is the Rényi bound, which is looser."""
    levels: tuple[SpendingLevel, ...]
    studies: tuple[StudySpending, ...]


def state_budget(ledger: Ledger, delta: float, policy: Policy | None) -> BudgetStatement:
    """Add up the ledger at ``delta``.

    Raises:
        StorageError: a cohort cannot be read.
    """
    books = ledger.books
    spent, planned = books.spent(), books.planned()
    histories = _histories(ledger, spent, planned)
    carried = books.carried_epsilon
    now, now_composed = cost(histories, spent, delta, carried=carried)
    then, then_composed = cost(histories, together(spent, planned), delta, carried=carried)
    studies = []
    for digest, approval in books.approved.items():
        own, left = books.spent(digest), books.left(digest)
        alone = _histories(ledger, own, left)
        rounds = books.rounds_of(digest)
        studies.append(
            StudySpending(
                study=digest,
                name=approval.name,
                open=digest not in books.closed and len(rounds) < approval.rounds,
                state="closed" if digest in books.closed else "open" if len(rounds) < approval.rounds else "done",
                patients=ledger.cohort(approval.cohort).size,
                rounds=approval.rounds,
                charged=len(rounds),
                unconfirmed=sum((digest, number) not in books.confirmed for number in rounds),
                epsilon_spent=_most(cost(alone, own, delta).epsilon),
                epsilon_planned=_most(cost(alone, together(own, left), delta).epsilon),
            )
        )
    return BudgetStatement(
        delta=delta,
        patient_cap=policy.budget.patient_epsilon if policy else None,
        study_cap=policy.budget.study_epsilon if policy else None,
        patients=int(histories.patients.sum()),
        highest_spent=_most(now, carried),
        highest_planned=_most(then, carried),
        carried=None if books.carried is None else Brought(epsilon=books.carried.epsilon, delta=books.carried.delta),
        composed=bool(now_composed.all() and then_composed.all()),
        levels=_levels(histories, now, then, policy),
        studies=tuple(studies),
    )


def _histories(ledger: Ledger, *parts: Spent) -> Histories:
    return histories_of({digest: ledger.cohort(digest).numbers for part in parts for digest in part})


def _most(epsilon: np.ndarray, least: float = 0.0) -> float | None:
    most = float(epsilon.max(initial=least))
    return most if math.isfinite(most) else None


def _levels(
    histories: Histories, now: np.ndarray, then: np.ndarray, policy: Policy | None
) -> tuple[SpendingLevel, ...]:
    """Cut the range into equal levels, up to the cap or to what is spent beyond it; 0 is a level of its own."""
    finite = [float(value) for values in (now, then) for value in values if math.isfinite(value)]
    top = max([*finite, policy.budget.patient_epsilon if policy else 0.0])
    if top == 0.0 and not len(now):
        return ()
    step = _round_step(top / LEVELS) if top else 1.0
    edges = [0.0]
    while edges[-1] < top:
        edges.append(round(edges[-1] + step, 6))
    counts_now, counts_then = (_count(edges, values, histories.patients) for values in (now, then))
    levels = []
    for place in range(len(edges) + 1):
        up_to = edges[place] if place < len(edges) else None
        here, later = counts_now[place], counts_then[place]
        if up_to is None and not here and not later:
            continue
        above = edges[place - 1] if place else 0.0
        levels.append(SpendingLevel(above=above, up_to=up_to, patients=here, patients_planned=later))
    return tuple(levels)


def _round_step(least: float) -> float:
    """Return the next larger of 1, 2, 2.5 and 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * power >= least * (1 - 1e-9))


def _count(edges: list[float], epsilon: np.ndarray, patients: np.ndarray) -> Counter[int]:
    counts: Counter[int] = Counter()
    for place, count in zip(np.searchsorted(edges, epsilon, side="left").tolist(), patients.tolist(), strict=True):
        counts[place] += count
    return counts
