"""What the training of the model that a study starts from cost this hospital's patients, and what the study adds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from wardround_client.spending.account import Ask
from wardround_client.spending.ledger.books import ENDED, Books, together
from wardround_client.spending.ledger.spending import cost, histories_of
from wardround_client.spending.ledger.store import Ledger
from wardround_common.counting import count
from wardround_common.errors import PrivacyError
from wardround_common.study.start import Start


@dataclass(frozen=True)
class Lineage:
    """What a study's patients spent in the training of the model that it starts from, patient by patient."""

    model: str
    """Its name."""
    patients: int
    """Of the study's training patients: whom that training charged."""
    new: int
    """Who were not in it."""
    charged: int
    """Of these, whom other studies charged."""
    before: float
    """The most that one of them spent in that training."""
    after: float
    """The most that one of them will have spent in that training and in all rounds of the study, composed."""
    delta: float
    carried: float
    """The most of what a rebuilt ledger carries over, where that training is part of it; else 0."""

    def sentences(self) -> Iterator[str]:
        """Say it for the hospital's people."""
        at = f"(delta {self.delta:g})"
        if not self.patients and not self.carried:
            yield (
                f"It starts from the model '{self.model}'. The studies that it names as that model's training cost "
                f"none of this hospital's {count(self.new, 'training patient')} anything, by the ledger{self._others}."
            )
            return
        if self.carried:
            yield (
                f"It starts from the model '{self.model}'. What its training cost is part of the epsilon "
                f"{_number(self.carried)} that the rebuilt ledger carries over for every patient."
            )
        if self.patients:
            others = f" {count(self.new, 'patient was', 'patients were')} not in it{self._others}." if self.new else ""
            yield (
                f"It starts from the model '{self.model}', whose training cost {self.patients} of these patients "
                f"epsilon {_number(self.before)} at most {at}; with all rounds of this study it will be "
                f"{_number(self.after)}.{others}"
            )

    @property
    def _others(self) -> str:
        return f"; other studies charged {self.charged} of them" if self.charged else ""


def _number(epsilon: float) -> str:
    return f"{epsilon:.2f}" if math.isfinite(epsilon) else "without bound"


def lineage(asked: Ask, ledger: Ledger, delta: float) -> Lineage | None:
    """Compose what the model's training charged with what a study asks for; None if the study starts from no model.

    Raises:
        StorageError: a cohort cannot be read.
    """
    start = asked.study.model.start
    if start is None:
        return None
    books, digest = ledger.books, asked.cohort.digest
    spent = together(*(books.spent(one.study) for one in start.trained))
    spent_in_all = books.spent()
    numbers = {cohort: ledger.cohort(cohort).numbers for cohort in spent.keys() | spent_in_all.keys()}
    histories = histories_of(numbers | {digest: asked.cohort.numbers})
    ours = histories.within(digest)
    paid, ever = (
        ours & histories.member[:, [cohort in some for cohort in histories.cohorts]].any(axis=1)
        for some in (spent, spent_in_all)
    )
    rounds = asked.study.training.rounds
    planned = together(spent, {digest: Counter({asked.event: rounds})})  # such a study adds nothing up before them
    before, after = (cost(histories, part, delta).epsilon for part in (spent, planned))
    ended = any(one.study[:ENDED] in books.ended for one in start.trained)
    return Lineage(
        model=start.name,
        patients=int(histories.patients[paid].sum()),
        new=int(histories.patients[ours & ~paid].sum()),
        charged=int(histories.patients[ever & ~paid].sum()),
        before=float(before[paid].max(initial=0.0)),
        after=float(after[paid].max(initial=0.0)),
        delta=delta,
        carried=books.carried_epsilon if ended else 0.0,
    )


def check_paid(start: Start | None, hospital: str, books: Books) -> None:
    """Check that the ledger of a hospital that trained the model knows what that cost.

    Raises:
        PrivacyError: it does not, so that its patients would look as if they had spent nothing.
    """
    if start is None:
        return
    for one in start.trained:
        known = one.study in books.approved or one.study[:ENDED] in books.ended
        if hospital in one.hospitals and not known:
            raise PrivacyError(
                f"this hospital trained the model '{start.name}' in the study {one.name} {one.study[:12]}, and its "
                "ledger does not know what that cost its patients",
                do="Restore the ledger: wardround hospital ledger restore COPY. If another hospital had this name "
                "then, ask the coordinator to list this one under another name.",
            )
