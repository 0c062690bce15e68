"""What a charge did to the patient of a study who has spent most: for the audit log, in numbers that name nobody."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from wardround_client.spending.ledger.books import Books, Spent, together
from wardround_client.spending.ledger.entries import Event
from wardround_client.spending.ledger.patients import Cohort
from wardround_client.spending.ledger.spending import Histories, cost, histories_of
from wardround_client.spending.ledger.store import Ledger
from wardround_client.spending.policy import DEFAULT_DELTA, Policy
from wardround_common.audit.entries import Fact
from wardround_common.audit.recorder import SHORT


@dataclass(frozen=True)
class Charge:
    """A round that is charged; epsilon of the patient of the study who has spent most, over all studies.

    None: nothing bounds it.
    """

    study: str
    round: int
    before: float | None
    after: float | None
    delta: float
    whole: str = ""
    """The digest of the study of which this is the part of those on whom its model is judged; empty: it is whole."""

    def facts(self) -> dict[str, Fact]:
        """Return them as an audit entry states them."""
        facts: dict[str, Fact] = {
            "study": self.study[:SHORT],
            "round": self.round,
            "epsilon before": _said(self.before),
            "epsilon after": _said(self.after),
            "delta": self.delta,
        }
        return facts | {"part of": self.whole[:SHORT]} if self.whole else facts


class _Found(NamedTuple):
    """Epsilon with this round and this number of charges in the ledger."""

    round: tuple[str, int]
    charges: int
    epsilon: float | None


@dataclass(eq=False)
class Spending:
    """Counts what the patients of one study have spent; what it found last, it remembers.

    At the policy's delta, and that of what a rebuilt ledger carries besides.
    """

    ledger: Ledger
    cohort: Cohort
    policy: Policy | None
    whole: str = ""
    """As of a charge."""
    _last: _Found | None = None

    def charging(self, books: Books, study: str, number: int, event: Event) -> Charge:
        """Say what the charge of a round will do to the books as they are."""
        delta = self.policy.budget.delta if self.policy else DEFAULT_DELTA
        spent, count = books.spent(), len(books.charged)
        known = self._last and self._last.round in books.charged and self._last.charges == count
        before = self._last.epsilon if self._last and known else self._most(spent, delta)
        after = self._most(together(spent, {self.cohort.digest: Counter({event: 1})}), delta)
        self._last = _Found((study, number), count + 1, after)
        return Charge(study, number, before, after, delta + books.carried_delta, self.whole)

    def _most(self, spent: Spent, delta: float) -> float | None:
        numbers = {digest: self.ledger.cohort(digest).numbers for digest in spent}
        all_of_them = histories_of(numbers | {self.cohort.digest: self.cohort.numbers})
        ours = all_of_them.within(self.cohort.digest)
        histories = Histories(all_of_them.cohorts, all_of_them.member[ours], all_of_them.patients[ours])
        most = float(cost(histories, spent, delta, carried=self.ledger.books.carried_epsilon).epsilon.max(initial=0.0))
        return most if math.isfinite(most) else None


def _said(epsilon: float | None) -> Fact:
    return "unbounded" if epsilon is None else round(epsilon, 6)
