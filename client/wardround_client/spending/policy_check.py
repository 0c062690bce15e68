"""Whether a study, or its next round, is within the hospital's policy; and if not, what would be needed."""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from wardround_client.spending.ledger.books import Spent, together
from wardround_client.spending.ledger.entries import Event
from wardround_client.spending.ledger.patients import Cohort
from wardround_client.spending.ledger.spending import Cost, Histories, cost, histories_of
from wardround_client.spending.ledger.store import Ledger
from wardround_client.spending.parts import unit_of
from wardround_client.spending.policy import Policy
from wardround_common.counting import count
from wardround_common.errors import PolicyError
from wardround_common.study.file import Study
from wardround_common.study.privacy import DistributedDpSgd


@dataclass(frozen=True)
class Level:
    """Patients of a study who stand alike, and what all its rounds will do to them."""

    patients: int
    before: float
    """Epsilon at the policy's delta: spent, and reserved for other open studies."""
    after: float
    composed: bool
    """Whether both are composed; else they are the Rényi bound, which is looser."""


def check_kind(policy: Policy, study: Study, patients: int, *, trains: bool = True) -> None:
    """Check what needs no ledger: the task, the network, the protection, and the number of patients to train on.

    Where the hospital only evaluates, ``patients`` are those on whom the model is tried, and no noise is needed: there
    is no update to be noised.

    Raises:
        PolicyError: the policy does not allow it; every reason is named.
    """
    protection, accept = policy.protection, policy.accept
    private = study.privacy.mechanism != "none"
    reasons = []
    if study.task.name not in accept.tasks:
        reasons.append(f"its task is {study.task.name}; needed: one of {', '.join(accept.tasks)}")
    if study.model.network not in accept.networks:
        reasons.append(f"its network is {study.model.network}; needed: one of {', '.join(accept.networks)}")
    if protection.require_dp and not private and trains:
        reasons.append("it has no differential privacy; needed: [privacy] mechanism = 'dp-sgd'")
    if protection.require_local and isinstance(study.privacy, DistributedDpSgd) and trains:
        reasons.append("it relies on other hospitals' noise (trust = 'distributed'); needed: trust = 'local'")
    if protection.require_secure and not study.aggregation.secure:
        what = "updates" if trains else "evaluation sums"
        reasons.append(f"the coordinator would read this hospital's {what}; needed: [aggregation] secure = true")
    if protection.require_noised_evaluation and not study.noised:
        reasons.append("its sums over validation and test patients have no noise; needed: [privacy] evaluation_epsilon")
    if patients < protection.smallest_cohort:
        use = "train on" if trains else "be tried on"
        reasons.append(f"it would {use} {count(patients, 'patient')}; needed: {protection.smallest_cohort}")
    if trains and private and (why := _too_large(policy, patients)):
        reasons.append(why)
    if reasons:
        raise PolicyError(
            "this hospital's policy does not allow the study:\n" + "\n".join(f"  · {reason}" for reason in reasons),
            do="Ask the coordinator for another study, or change the policy.",
        )


def check_delta(policy: Policy, patients: int) -> None:
    """Check that the policy's delta protects somebody among this number of patients.

    Raises:
        PolicyError: it does not.
    """
    if why := _too_large(policy, patients):
        raise PolicyError(why, do="Change the policy.")


def _too_large(policy: Policy, patients: int) -> str:
    if policy.budget.delta * patients < 1:
        return ""
    return (
        f"the policy counts epsilon at delta {policy.budget.delta:g}, which protects nobody among "
        f"{count(patients, 'patient')}; needed: a delta in [budget] well below {1 / patients:.0e}"
    )


def check_spending(
    policy: Policy,
    ledger: Ledger,
    study: str,
    name: str,
    rounds: int,
    event: Event,
    cohort: Cohort,
    ended: Mapping[str, str] = MappingProxyType({}),
    before: Event | None = None,
) -> tuple[Level, ...]:
    """Check that all rounds of a study stay within the caps, beside all that open studies may still take.

    ``name``: what the ledger calls it, or the part of it that is asked about.
    ``before``: what is added up with noise before the first of them.
    ``ended``: in words how the runs of studies ended that are over, by digest, for the message.

    Raises:
        PolicyError: they do not; the message says for how many patients, and what would be needed.
    """
    books = ledger.books
    left = rounds - len(books.rounds_of(study))
    spent, others = books.spent(), books.planned(without=study)

    def asked(count: int) -> Spent:
        return books.asked(study, rounds - left + count, event, before, cohort.digest)

    weigh = _Weigh(policy, ledger, cohort, (spent, others), unit_of(name), "this study")
    caps = policy.budget
    own = books.spent(study)
    weigh.alone().check("one study", caps.study_epsilon, lambda count: together(own, asked(count)), left)
    reserved = [
        _Reserved(
            one.name,
            one.study[:12],
            books.left(one.study),
            len(books.rounds_of(one.study)),
            one.rounds,
            ended.get(one.study, ""),
        )
        for one in books.open_studies()
        if one.study != study
    ]
    weigh.check(
        "all studies", caps.patient_epsilon, lambda count: together(spent, others, asked(count)), left, reserved
    )
    return weigh.levels(together(spent, others), together(spent, others, asked(left)))


def check_next_round(policy: Policy, ledger: Ledger, study: str, name: str, event: Event, cohort: Cohort) -> bool:
    """Check that one more round of a study stays within the caps.

    Gives whether all that is planned does, so that no later round needs a check until something else is approved.

    Raises:
        PolicyError: it does not.
    """
    books, caps = ledger.books, policy.budget
    spent, planned = books.spent(), books.planned()
    weigh = _Weigh(policy, ledger, cohort, (spent, planned), unit_of(name), f"the next {unit_of(name)}")
    own = together(books.spent(study), books.left(study))
    if weigh.within(caps.patient_epsilon, together(spent, planned)) and weigh.alone().within(caps.study_epsilon, own):
        return True

    def asked(count: int) -> Spent:
        return {cohort.digest: Counter({event: count})} if count else {}

    weigh.alone().check("one study", caps.study_epsilon, lambda count: together(books.spent(study), asked(count)), 1)
    weigh.check("all studies", caps.patient_epsilon, lambda count: together(spent, asked(count)), 1)
    return False


@dataclass(frozen=True)
class _Reserved:
    """What an open study may still charge, and how far it has come."""

    name: str
    digest: str
    """The first digits: a study that was put right has the name of the one before, so that a name may mean both."""
    left: Spent
    charged: int
    rounds: int
    ended: str

    def said(self, epsilon: float) -> str:
        how = f", and {self.ended}" if self.ended else ""
        rounds = f"{self.charged} of {count(self.rounds, unit_of(self.name))} charged"
        return f"{epsilon:.2f} is reserved by '{self.name}' {self.digest} ({rounds}{how})"


class _Weigh:
    """The patients of a study, and what histories that hold them would cost at the policy's delta."""

    def __init__(
        self, policy: Policy, ledger: Ledger, cohort: Cohort, known: tuple[Spent, ...], unit: str, asks: str
    ) -> None:
        numbers = {digest: ledger.cohort(digest).numbers for digest in {digest for part in known for digest in part}}
        self._histories: Histories = histories_of(numbers | {cohort.digest: cohort.numbers})
        self._within: NDArray[np.bool_] = self._histories.within(cohort.digest)
        self._policy = policy
        self._unit, self._asks = unit, asks
        self._carried = ledger.books.carried_epsilon
        self._delta = policy.budget.delta + ledger.books.carried_delta

    def alone(self) -> _Weigh:
        """Weigh one study by itself: what was carried from before counts over all studies only."""
        one = copy.copy(self)
        one._carried, one._delta = 0.0, self._policy.budget.delta
        return one

    def _cost(self, spent: Spent, enough: float | None = None) -> Cost:
        if not self._policy.protection.require_dp:  # the hospital allows studies that no cap can bound
            spent = {
                cohort: Counter({event: times for event, times in events.items() if event.noise_multiplier > 0})
                for cohort, events in spent.items()
            }
        found = cost(self._histories, spent, self._policy.budget.delta, enough=enough, carried=self._carried)
        return Cost(found.epsilon[self._within], found.composed[self._within])

    def within(self, cap: float, spent: Spent) -> bool:
        return bool((self._cost(spent, cap).epsilon <= cap).all())

    def check(
        self,
        what: str,
        cap: float,
        spent_after: Callable[[int], Spent],
        rounds: int,
        reserved: Sequence[_Reserved] = (),
    ) -> None:
        """Check that ``spent_after(rounds)`` stays within the cap for every patient of the study.

        ``reserved``: by other studies; if it does not, the message says how much and how to free it.
        """
        after = self._cost(spent_after(rounds), cap)
        over = after.epsilon > cap
        if not over.any():
            return
        who = count(int(self._histories.patients[self._within][over].sum()), "patient")
        worst = float(after.epsilon.max())
        if math.isinf(self._carried):
            raise PolicyError(
                "the ledger was rebuilt, and nothing bounds what the audit log records from before",
                do="Needed: to restore a copy of the ledger.",
            )
        if math.isinf(worst):
            raise PolicyError(
                f"{who} took part in a study without differential privacy, so no cap holds for them",
                do="Needed: to leave these patients out, or require_dp = false in the policy, with which the caps "
                "count only studies with differential privacy.",
            )
        bound = "" if after.composed[over].all() else ", by an upper bound"
        bound += f", {self._carried:.2f} of it carried over when the ledger was rebuilt" if self._carried else ""
        needed = [f"a cap of {math.ceil(worst * 100) / 100:.2f}"]
        if rounds > 1 and (most := self._most_rounds(cap, spent_after, rounds)):
            needed.append(f"at most {count(most, self._unit)} with this noise instead of {rounds}")
        needed += ["to leave these patients out", "a study with more noise"]
        holding = [(one, float(self._cost(one.left).epsilon[over].max())) for one in reserved if one.left]
        holding = sorted(((one, held) for one, held in holding if held > 0), key=lambda pair: -pair[1])
        held = "".join(f"; {one.said(epsilon)}" for one, epsilon in holding)
        free = [f"wardround hospital close {one.digest}" for one, _ in holding]
        freeing = f"To free what is reserved: {', or '.join(free)}. Otherwise needed" if free else "Needed"
        raise PolicyError(
            f"{self._asks} would bring {who} to epsilon {worst:.2f}{bound} (at delta {self._delta:g}), "
            f"where the policy's cap over {what} is {cap:g}{held}",
            do=f"{freeing}: {', or '.join(needed)}.",
        )

    def _most_rounds(self, cap: float, spent_after: Callable[[int], Spent], rounds: int) -> int:
        fits, fails = 0, rounds
        if not self.within(cap, spent_after(0)):
            return 0
        while fails - fits > 1:
            middle = (fits + fails) // 2
            fits, fails = (middle, fails) if self.within(cap, spent_after(middle)) else (fits, middle)
        return fits

    def levels(self, before: Spent, after: Spent) -> tuple[Level, ...]:
        """Say for the patients who stand alike what they had spent and will have."""
        first, then = self._cost(before), self._cost(after)
        counts: Counter[tuple[float, float, bool]] = Counter()
        patients = self._histories.patients[self._within]
        for place, alike in enumerate(patients.tolist()):
            composed = bool(first.composed[place] and then.composed[place])
            counts[float(first.epsilon[place]), float(then.epsilon[place]), composed] += alike
        found = [Level(alike, low, high, composed) for (low, high, composed), alike in counts.items()]
        return tuple(sorted(found, key=lambda level: (level.after, level.before)))
