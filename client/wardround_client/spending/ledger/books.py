"""What a ledger's entries add up to: which studies are open, what was charged, and to whom."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from wardround_client.spending.ledger.entries import Approved, Carried, Charged, Closed, Confirmed, Entry, Event, Opened
from wardround_common.errors import StorageError

ENDED = 12
"""The number of digits of a study digest in an audit log, and so in what was carried from it."""
Spent = dict[str, Counter[Event]]
"""By cohort: how often each event was charged to its patients."""


@dataclass(eq=False)
class Books:
    """The entries so far, added up; ``add`` is the only way to change them."""

    opened: Opened | None = None
    approved: dict[str, Approved] = field(default_factory=dict)
    """By study digest, the last approval; also of studies that are closed."""
    closed: set[str] = field(default_factory=set)
    charged: dict[tuple[str, int], Charged] = field(default_factory=dict)
    """By study digest and round."""
    confirmed: set[tuple[str, int]] = field(default_factory=set)
    carried: Carried | None = None
    """What was brought over when the ledger was rebuilt last: every patient has spent it."""
    within: set[tuple[str, int]] = field(default_factory=set)
    """Charges that are within what was carried: known of their studies, and not added to it."""
    ended: set[str] = field(default_factory=set)
    """Studies that ended when the ledger was rebuilt, by the first twelve digits of their digests."""
    terms: int = 0
    """Counts approvals and closings: while it stays, what is planned stays."""

    def add(self, entry: Entry) -> None:
        """Take in one more entry.

        Raises:
            StorageError: it cannot follow those that are there, so that somebody else wrote it.
        """
        match entry:
            case Opened():
                self.opened = entry
            case Approved():
                self.approved[entry.study] = entry
                self.closed.discard(entry.study)
                self.terms += 1
            case Closed():
                self.closed.add(entry.study)
                self.terms += 1
            case Charged():
                if (entry.study, entry.round) in self.charged:
                    raise StorageError(f"round {entry.round} of a study was charged twice")
                self.charged[entry.study, entry.round] = entry
            case Confirmed():
                self.confirmed.add((entry.study, entry.round))
            case Carried():
                self.carried = entry
                self.within = set(self.charged)
                self.ended |= set(entry.studies)
                self.closed |= {study for study in self.approved if study[:ENDED] in self.ended}
                self.terms += 1

    def open_studies(self) -> list[Approved]:
        """Return the studies that may still ask for rounds, in the order of their approval."""
        return [approval for study, approval in self.approved.items() if study not in self.closed]

    @property
    def carried_epsilon(self) -> float:
        """What every patient has spent besides the charges, infinite if nothing bounds it; deltas add up as well."""
        if self.carried is None:
            return 0.0
        return math.inf if self.carried.epsilon is None else self.carried.epsilon

    @property
    def carried_delta(self) -> float:
        """The delta of that epsilon: what it and the charges come to together has the sum of both deltas."""
        return 0.0 if self.carried is None else self.carried.delta

    def rounds_of(self, study: str) -> list[int]:
        """Name the rounds of a study that were charged; what was added up before the first one is none of them."""
        return sorted(number for digest, number in self.charged if digest == study and number)

    def spent(self, study: str | None = None) -> Spent:
        """Return what was charged to each cohort, by one study or by all since what was carried."""
        spent: Spent = defaultdict(Counter)
        for (digest, number), charge in self.charged.items():
            if digest == study or (study is None and (digest, number) not in self.within):
                spent[charge.cohort][charge.event] += 1
        return dict(spent)

    def left(self, study: str) -> Spent:
        """Return what a study may still charge: nothing if it is not open."""
        approval = self.approved.get(study)
        if approval is None or study in self.closed:
            return {}
        return self.asked(study, approval.rounds, approval.event, approval.before, approval.cohort)

    def asked(self, study: str, rounds: int, event: Event, before: Event | None, cohort: str) -> Spent:
        """Return what a study of these terms may still charge; ``before`` only until its first round was charged."""
        charged = self.rounds_of(study)
        left = Counter({event: max(0, rounds - len(charged))})
        if before and not charged and (study, 0) not in self.charged:
            left[before] += 1
        return {cohort: +left} if left.total() else {}

    def planned(self, *, without: str | None = None) -> Spent:
        """Return what the open studies, but for one, may still charge to each cohort."""
        return together(*(self.left(study) for study in self.approved if study != without))


def together(*parts: Spent) -> Spent:
    """Add up what was charged, planned or asked for."""
    total: Spent = defaultdict(Counter)
    for part in parts:
        for cohort, events in part.items():
            total[cohort] += events
    return dict(total)
