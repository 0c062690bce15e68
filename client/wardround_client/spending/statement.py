"""A hospital's epsilon statement for one study, made from its ledger: for the coordinator, or a committee."""

from __future__ import annotations

import math
from datetime import datetime

from wardround_client.spending.ledger.books import ENDED, Books
from wardround_client.spending.ledger.spending import cost, histories_of
from wardround_client.spending.ledger.store import Ledger
from wardround_client.spending.parts import whole_of
from wardround_client.spending.policy import DEFAULT_DELTA, POLICY_NAME, read_policy
from wardround_client.state.approvals import Approvals
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_common.documents.epsilon_statement import BOUNDED, COMPOSED, Accountant, EpsilonStatement, Spent
from wardround_common.errors import ApprovalError, PrivacyError, StorageError
from wardround_common.study.privacy import DpSgd


def find_study(books: Books, word: str) -> str:
    """Find a study of the ledger, also one that is closed, by its name or by how its digest begins; return the digest.

    Where several have the name, the only one that charged a round is meant: of the others there is nothing to state.

    Raises:
        PrivacyError: none is meant, or several are.
    """
    meant = [d for d, approval in books.approved.items() if word and (approval.name == word or d.startswith(word))]
    if len(meant) > 1:
        meant = [digest for digest in meant if books.rounds_of(digest)] or meant
    if len(meant) != 1:
        raise PrivacyError(
            f"{len(meant) or 'no'} studies of this hospital are called '{word}' or have a digest that begins so",
            do="'wardround hospital budget --json' lists them. A study at which this hospital only evaluates is not "
            "among them: it spends nothing.",
        )
    return meant[0]


def delta_for(folder: HospitalFolder, books: Books, study: str) -> float:
    """Return the delta that a study states, or the study of which this is a part; the policy's, else 1e-5, if it states
    none or is no longer kept here.

    Raises:
        StorageError: what is kept of the study is damaged.
        PrivacyError: the policy is wrong.
    """
    try:
        privacy = Approvals(folder.path / "studies").get(whole_of(study, books.approved)).study.privacy
    except ApprovalError:
        privacy = None
    if isinstance(privacy, DpSgd):
        return privacy.delta
    rules = folder.path / POLICY_NAME
    return read_policy(rules).budget.delta if rules.exists() else DEFAULT_DELTA


def state_epsilon(ledger: Ledger, hospital: str, study: str, delta: float, now: datetime) -> EpsilonStatement:
    """State, signed, what a study has cost the hospital's patients so far, at most, at ``delta``.

    Raises:
        PrivacyError: this hospital never approved the study, or no account can be kept at ``delta``.
        StorageError: the ledger cannot be read or trusted.
    """
    ledger.refresh()
    books, head = ledger.books, ledger.head
    if study[:ENDED] in books.ended:
        raise PrivacyError(
            f"rounds of the study {study[:12]} were lost from the ledger before it was rebuilt: it states no epsilon",
            do="The audit log tells what its charges did to the patient who had spent most: wardround hospital audit.",
        )
    if study not in books.approved:
        raise PrivacyError(f"this hospital has never taken part in the study {study[:12]}")
    if head is None:
        raise StorageError("the ledger has no head", where=str(ledger.folder))
    rounds = books.rounds_of(study)
    epsilon, accountant = _most(ledger, study, delta)
    spent = Spent(
        study=study,
        delta=delta,
        rounds_charged=len(rounds),
        rounds_confirmed=sum((study, number) in books.confirmed for number in rounds),
        epsilon=epsilon if math.isfinite(epsilon) else None,
        accountant=accountant,
        ledger_head=head.text(),
    )
    return EpsilonStatement.make(hospital, spent, ledger.identity, now)


def _most(ledger: Ledger, study: str, delta: float) -> tuple[float, Accountant]:
    """Return the epsilon of the patient who spent most in a study, and how it was computed."""
    spent = ledger.books.spent(study)
    if not spent:
        return 0.0, COMPOSED
    found = cost(histories_of({digest: ledger.cohort(digest).numbers for digest in spent}), spent, delta)
    place = int(found.epsilon.argmax())
    return float(found.epsilon[place]), COMPOSED if found.composed[place] else BOUNDED
