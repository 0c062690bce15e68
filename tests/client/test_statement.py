"""A hospital's epsilon statement says what its ledger says, is signed, and passes for no other."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from examples import study
from ledgers import EVENT, IDENTITY, a_study, approve, charge, opened, verified
from wardround_client.hospital.joining import begin
from wardround_client.spending.ledger.chain import Head
from wardround_client.spending.ledger.entries import Event
from wardround_client.spending.ledger.store import Ledger
from wardround_client.spending.parts import part_of
from wardround_client.spending.statement import find_study, state_epsilon
from wardround_client.state.approvals import Approvals
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_client.training.accounting import epsilon_of
from wardround_common.documents.epsilon_statement import EpsilonStatement
from wardround_common.documents.signed_document import canonical
from wardround_common.errors import MessageError, PrivacyError
from wardround_common.keys.identity import Identity
from wardround_common.shell import cli

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
OTHER = Identity(b"o" * 32)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Return a ledger with two studies: q is in both, and the third round of a was not confirmed."""
    ledger = opened(tmp_path / "ledger")
    first, second = approve(ledger, "a", ["p", "q"]), approve(ledger, "b", ["q", "r"])
    for number in (1, 2, 3):
        charge(ledger, "a", number, first)
    for number in (1, 2):
        ledger.confirm(a_study("a"), number)
    charge(ledger, "b", 1, second)
    return ledger


def stated(ledger: Ledger, letter: str = "a") -> EpsilonStatement:
    return state_epsilon(ledger, "St Mary", a_study(letter), 1e-5, NOW)


def changed(statement: EpsilonStatement, signer: Identity | None = None, **fields: Any) -> bytes:
    """Write a statement with other fields, signed anew when a signer is given."""
    new = json.loads(statement.content()) | fields
    if signer is not None:
        new.pop("signature")
        new["signature"] = signer.sign(b"epsilon statement", canonical(new)).hex()
    return canonical(new)


def test_a_statement_says_what_the_accountant_says_of_the_rounds_that_were_charged(ledger: Ledger) -> None:
    statement = stated(ledger)
    assert statement.epsilon == epsilon_of(EVENT.times(3), 1e-5)
    assert (statement.rounds_charged, statement.rounds_confirmed) == (3, 2)
    assert stated(ledger, "b").epsilon == epsilon_of(EVENT.times(1), 1e-5)
    approve(ledger, "c")
    assert (stated(ledger, "c").epsilon, stated(ledger, "c").rounds_charged) == (0.0, 0)
    ledger.close(a_study("a"))
    assert stated(ledger).epsilon == statement.epsilon


def test_a_patient_who_was_in_two_cohorts_of_a_study_decides_its_epsilon(ledger: Ledger) -> None:
    anew = approve(ledger, "a", ["q", "s"], rounds=6)
    for number in (4, 5):
        charge(ledger, "a", number, anew)
    assert stated(ledger).epsilon == epsilon_of(EVENT.times(5), 1e-5)


def test_a_study_without_noise_is_stated_as_without_bound(ledger: Ledger) -> None:
    noiseless = Event(noise_multiplier=0.0, sampling_rate=1.0, steps=1)
    charge(ledger, "c", 1, approve(ledger, "c", event=noiseless), noiseless)
    assert stated(ledger, "c").epsilon is None


def test_a_study_that_the_ledger_does_not_know_is_not_stated(ledger: Ledger) -> None:
    with pytest.raises(PrivacyError, match="never taken part"):
        stated(ledger, "d")
    assert find_study(ledger.books, "study-a") == find_study(ledger.books, "aa") == a_study("a")
    for word in ("", "study-", "d"):
        with pytest.raises(PrivacyError, match="no studies of this hospital"):
            find_study(ledger.books, word)


def test_of_two_studies_of_one_name_the_one_that_charged_rounds_is_stated(ledger: Ledger) -> None:
    for letter in ("c", "d"):
        cohort = ledger.key.cohort(["p"])
        ledger.approve(a_study(letter), "put right", 5, EVENT, cohort, "the data", lambda books: None)
    with pytest.raises(PrivacyError, match="2 studies"):
        find_study(ledger.books, "put right")
    charge(ledger, "d", 1, cohort.digest)
    assert find_study(ledger.books, "put right") == a_study("d")


def test_the_head_in_a_statement_shows_that_a_ledger_was_cut_short(ledger: Ledger, tmp_path: Path) -> None:
    statement = stated(ledger)
    head = Head.parse(statement.ledger_head)
    head.check(IDENTITY.public)
    assert (statement.ledger_entries, statement.ledger_link) == (head.number, head.link.hex())
    charge(ledger, "b", 2, ledger.books.approved[a_study("b")].cohort)
    assert verified(ledger.folder, heads=[head]).faults == ()
    shorter = opened(tmp_path / "another")
    charge(shorter, "a", 1, approve(shorter, "a"))
    assert any("cut off" in fault for fault in verified(shorter.folder, heads=[head]).faults)


def test_a_statement_names_no_patient_and_no_number_of_patients(ledger: Ledger) -> None:
    fields = json.loads(stated(ledger).content())
    common = {"document", "format", "wardround", "made", "identity", "signature"}
    own = {"hospital", "study", "delta", "rounds_charged", "rounds_confirmed", "epsilon", "accountant", "ledger_head"}
    assert set(fields) == common | own


def test_no_byte_of_a_statement_can_be_changed(ledger: Ledger) -> None:
    content = stated(ledger).content()
    assert EpsilonStatement.parse(content) == stated(ledger)
    for place in range(len(content)):
        with pytest.raises(MessageError):
            EpsilonStatement.parse(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])


@pytest.mark.parametrize(
    "fields",
    [
        {"epsilon": -1.0},
        {"epsilon": float("nan")},
        {"epsilon": float("inf")},
        {"epsilon": 1},
        {"epsilon": 10**400},
        {"epsilon": True},
        {"epsilon": "1.0"},
        {"delta": 0.0},
        {"delta": 1.0},
        {"rounds_charged": 1},
        {"rounds_charged": 3.0},
        {"rounds_charged": 100_001},
        {"rounds_charged": "3"},
        {"rounds_confirmed": -1},
        {"accountant": "another"},
        {"ledger_head": "8"},
        {"study": "a"},
        {"hospital": "two\nlines"},
        {"hospital": "x" * 20_000},
        {"patients": 12},
        {"document": "invitation"},
        {"format": 2},
    ],
    ids=lambda fields: "-".join(f"{key}={str(value)[:8]!r}" for key, value in fields.items()),
)
def test_a_signed_statement_that_says_something_else_than_it_can_is_refused(
    ledger: Ledger, fields: dict[str, Any]
) -> None:
    assert EpsilonStatement.parse(changed(stated(ledger), IDENTITY)) == stated(ledger)
    with pytest.raises(MessageError):
        EpsilonStatement.parse(changed(stated(ledger), IDENTITY, **fields))


def test_a_statement_of_another_hospital_key_or_study_is_refused(ledger: Ledger) -> None:
    statement = stated(ledger)
    statement.check(IDENTITY.public, hospital="St Mary", study=a_study("a"))
    with pytest.raises(MessageError, match="statement of St Mary, not of St Luke"):
        statement.check(IDENTITY.public, hospital="St Luke", study=a_study("a"))
    with pytest.raises(MessageError, match="another key than that of St Mary"):
        statement.check(OTHER.public, hospital="St Mary", study=a_study("a"))
    with pytest.raises(MessageError, match="not of bbbb"):
        statement.check(IDENTITY.public, hospital="St Mary", study=a_study("b"))
    forged = EpsilonStatement.parse(changed(statement, OTHER, identity=OTHER.public.hex(), epsilon=0.1))
    with pytest.raises(MessageError, match="another key"):
        forged.check(IDENTITY.public, hospital="St Mary", study=a_study("a"))


def typed(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["wardround", "hospital", "statement", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_a_hospital_writes_its_statement_at_the_studys_delta_and_over_nothing_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "images").mkdir()
    folder = HospitalFolder(tmp_path / "state")
    begin(folder, "St Mary", tmp_path / "images", None, NOW)
    proposed = study(privacy={"mechanism": "dp-sgd", "epsilon": 8.0, "delta": 1e-3, "clip_norm": 1.0})
    Approvals(folder.path / "studies").propose(proposed)
    ledger, digest = opened(folder.path, folder.identity()), proposed.digest()
    cohort = ledger.key.cohort(["SECRET-p"])
    ledger.approve(digest, proposed.study.name, 5, EVENT, cohort, "the data", lambda books: None)
    ledger.charge(digest, 1, cohort.digest, EVENT, "d" * 64, lambda books: None)
    approve(ledger, "a", rounds=2)
    monkeypatch.chdir(tmp_path)

    assert typed(monkeypatch, proposed.study.name, "--state", folder.path) == 0
    said = capsys.readouterr().out
    written = tmp_path / f"st-mary-{digest[:12]}.statement"
    assert written.name in said
    statement = EpsilonStatement.read(written)
    statement.check(folder.identity().public, hospital="St Mary", study=digest)
    assert (statement.delta, statement.epsilon) == (1e-3, epsilon_of(EVENT.times(1), 1e-3))
    assert statement.fingerprint in said
    assert "SECRET" not in said

    ledger.charge(digest, 2, cohort.digest, EVENT, "d" * 64, lambda books: None)
    assert typed(monkeypatch, digest[:8], "--state", folder.path, "--json") == 0
    assert json.loads(capsys.readouterr().out)["rounds_charged"] == EpsilonStatement.read(written).rounds_charged == 2
    tested = part_of(digest, "test")
    ledger.approve(tested, f"{proposed.study.name} (test)", 1, EVENT, cohort, "the data", lambda books: None)
    ledger.charge(tested, 9, cohort.digest, EVENT, "d" * 64, lambda books: None)
    assert typed(monkeypatch, f"{proposed.study.name} (test)", "--state", folder.path) == 0
    assert "(delta 0.001), 1 evaluation charged, 0 confirmed" in capsys.readouterr().out
    assert typed(monkeypatch, "study-a", "--state", folder.path, "--out", written) == 7
    assert "a different file of this name" in capsys.readouterr().err
    assert typed(monkeypatch, "study-a", "--state", folder.path, "--out", "a.statement") == 0
    assert EpsilonStatement.read(tmp_path / "a.statement").delta == 1e-5  # the study is not kept here: the policy's
    assert typed(monkeypatch, "study-z", "--state", folder.path) == 5
