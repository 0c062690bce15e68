"""What a charge did to the patient of a study who has spent most: for the audit log, in numbers that name nobody."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

from wardround_client.ledger import entries
from wardround_client.ledger.books import Spent
from wardround_client.ledger.patients import Cohort
from wardround_client.ledger.spending import Histories, cost, histories_of
from wardround_client.ledger.store import Ledger
from wardround_client.policy import DEFAULT_DELTA, Policy
from wardround_common.audit.entries import Fact
from wardround_common.audit.recorder import SHORT


@dataclass(frozen=True)
class Charged:
    """A round that was charged; epsilon of the patient of the study who has spent most, over all studies.

    None: nothing bounds it.
    """

    study: str
    round: int
    before: float | None
    after: float | None
    delta: float

    def facts(self) -> dict[str, Fact]:
        """Give them as an audit entry states them."""
        return {
            "study": self.study[:SHORT],
            "round": self.round,
            "epsilon before": _said(self.before),
            "epsilon after": _said(self.after),
            "delta": self.delta,
        }


@dataclass(eq=False)
class Spending:
    """Counts what the patients of one study have spent, at the policy's delta; what it found last, it remembers."""

    ledger: Ledger
    cohort: Cohort
    policy: Policy | None
    _last: tuple[int, float | None] = field(default=(-1, None))
    """So many charges were in the ledger, and epsilon was this."""

    def charged(self, study: str, number: int) -> Charged:
        """Say what the charge of a round did, which is in the ledger already."""
        delta = self.policy.budget.delta if self.policy else DEFAULT_DELTA
        books = self.ledger.books
        spent, count = books.spent(), len(books.charged)
        charge = books.charged[study, number]
        before = self._last[1] if self._last[0] == count - 1 else self._most(_without(spent, charge), delta)
        after = self._most(spent, delta)
        self._last = count, after
        return Charged(study, number, before, after, delta)

    def _most(self, spent: Spent, delta: float) -> float | None:
        numbers = {digest: self.ledger.cohort(digest).numbers for digest in spent}
        all_of_them = histories_of(numbers | {self.cohort.digest: self.cohort.numbers})
        ours = all_of_them.within(self.cohort.digest)
        histories = Histories(all_of_them.cohorts, all_of_them.member[ours], all_of_them.patients[ours])
        most = float(cost(histories, spent, delta).epsilon.max(initial=0.0))
        return most if math.isfinite(most) else None


def _without(spent: Spent, charge: entries.Charged) -> Spent:
    return spent | {charge.cohort: spent[charge.cohort] - Counter({charge.event: 1})}


def _said(epsilon: float | None) -> Fact:
    return "unbounded" if epsilon is None else round(epsilon, 6)
