"""``wardround hospital budget``, ``ledger`` and ``policy`` as a person meets them."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ledgers import EVENT, a_study, approve, charge, tamper
from wardround_client.spending.ledger.entries import Event
from wardround_client.spending.ledger.store import open_ledger
from wardround_client.spending.policy import Policy, parse_policy, policy_text, read_policy
from wardround_client.state.identity_file import make_identity
from wardround_client.training.accounting import epsilon_of
from wardround_common.errors import PrivacyError
from wardround_common.shell import cli
from wardround_common.tasks.registry import TASKS


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Return a hospital with two studies: q is in both, and study b had a crash."""
    folder = tmp_path / "state"
    ledger = open_ledger(folder, make_identity(folder)[0], durable=False)
    first = approve(ledger, "a", ["SECRET-p", "SECRET-q"], rounds=4)
    second = approve(ledger, "b", ["SECRET-q", "SECRET-r", "SECRET-s"], rounds=2)
    for number in (1, 2):
        charge(ledger, "a", number, first)
        ledger.confirm(a_study("a"), number)
    charge(ledger, "b", 1, second)
    return folder


def typed(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["wardround", "hospital", *map(str, arguments)])
    monkeypatch.setenv("COLUMNS", "120")
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_the_budget_says_what_is_spent_and_what_open_studies_will_take(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], state: Path
) -> None:
    assert typed(monkeypatch, "budget", "--state", state, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["patients"] == 4
    assert said["highest_spent"] == pytest.approx(epsilon_of(EVENT.times(3), 1e-5))
    assert said["highest_planned"] == pytest.approx(epsilon_of(EVENT.times(6), 1e-5))
    assert sum(level["patients"] for level in said["levels"]) == 4
    a, b = said["studies"]
    assert (a["charged"], a["rounds"], a["unconfirmed"], a["patients"], a["open"]) == (2, 4, 0, 2, True)
    assert (b["charged"], b["rounds"], b["unconfirmed"], b["patients"], b["open"]) == (1, 2, 1, 3, True)
    assert a["epsilon_spent"] == pytest.approx(epsilon_of(EVENT.times(2), 1e-5))
    assert b["epsilon_planned"] == pytest.approx(epsilon_of(EVENT.times(2), 1e-5))
    assert typed(monkeypatch, "close", "bbb", "--state", state) == 0
    capsys.readouterr()
    assert typed(monkeypatch, "budget", "--state", state, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["highest_planned"] == pytest.approx(epsilon_of(EVENT.times(5), 1e-5))


def test_neither_table_nor_json_nor_picture_names_a_patient(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], state: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "budget.html"
    assert typed(monkeypatch, "budget", "--state", state, "--picture", picture) == 0
    said = capsys.readouterr().out
    assert "study-a" in said
    assert "2 of 4" in said
    drawn = picture.read_text()
    svg = drawn[drawn.index("<svg") : drawn.index("</svg>") + 6]
    assert len(ElementTree.fromstring(svg).findall("rect")) >= 4  # noqa: S314  # our own file
    typed(monkeypatch, "budget", "--state", state, "--json")
    everything = said + drawn + capsys.readouterr().out
    ledger = open_ledger(state, make_identity(state)[0])
    for name in ("p", "q", "r", "s"):
        assert f"SECRET-{name}" not in everything
        assert ledger.key.cohort([f"SECRET-{name}"]).tags.hex() not in everything
    assert "http" not in drawn.replace("http-equiv", "")


def test_a_study_without_dp_is_shown_as_without_bound(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], state: Path
) -> None:
    ledger = open_ledger(state, make_identity(state)[0], durable=False)
    noiseless = Event(noise_multiplier=0.0, sampling_rate=1.0, steps=1)
    charge(ledger, "c", 1, approve(ledger, "c", ["SECRET-p"], event=noiseless), noiseless)
    assert typed(monkeypatch, "budget", "--state", state) == 0
    assert "without bound" in capsys.readouterr().out
    assert typed(monkeypatch, "budget", "--state", state, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["highest_spent"] is None
    assert said["levels"][-1]["up_to"] is None
    assert said["levels"][-1]["patients"] == 1


def test_a_cap_below_what_is_planned_says_what_follows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], state: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "budget.html"
    planned = epsilon_of(EVENT.times(6), 1e-5)
    for cap, said in ((planned * 1.01, False), (planned * 0.99, True)):
        policy = re.sub(r"patient_epsilon = .*", f"patient_epsilon = {cap}", policy_text())
        (state / "policy.toml").write_text(policy)
        assert typed(monkeypatch, "budget", "--state", state, "--picture", picture) == 0
        for shown in (capsys.readouterr().out, picture.read_text()):
            assert ("an open study is refused here from the round on" in " ".join(shown.split())) is said
    for each in "ab":
        assert typed(monkeypatch, "close", each * 3, "--state", state) == 0
    capsys.readouterr()
    assert typed(monkeypatch, "budget", "--state", state) == 0
    assert "refused here" not in capsys.readouterr().out


def test_verify_is_quiet_about_a_whole_ledger_and_names_what_was_changed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], state: Path
) -> None:
    assert typed(monkeypatch, "ledger", "verify", "--state", state) == 0
    assert "The ledger is intact: 8 entries, 2 cohorts" in capsys.readouterr().out
    assert typed(monkeypatch, "ledger", "head", "--state", state) == 0
    head = capsys.readouterr().out.strip()
    assert typed(monkeypatch, "ledger", "verify", "--state", state, "--head", head) == 0
    tamper(state, ("DELETE FROM entries WHERE number = 4", ()))
    capsys.readouterr()
    assert typed(monkeypatch, "ledger", "verify", "--state", state) == 7
    assert "entry 4 was removed" in capsys.readouterr().err
    assert typed(monkeypatch, "ledger", "verify", "--state", state, "--json") == 7
    answer = json.loads(capsys.readouterr().out)
    assert not answer["whole"]
    assert any("entry 4 was removed" in fault for fault in answer["faults"])


def test_a_head_that_was_removed_or_is_none_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], state: Path
) -> None:
    assert typed(monkeypatch, "ledger", "verify", "--state", state, "--head", "8:nonsense") == 7
    assert "this is not a head of a ledger" in capsys.readouterr().err
    (state / "ledger.head").unlink()
    assert typed(monkeypatch, "ledger", "verify", "--state", state) == 7
    assert "the head next to the ledger was removed" in capsys.readouterr().err
    assert typed(monkeypatch, "budget", "--state", state) == 7


@pytest.mark.parametrize("command", [["budget"], ["ledger", "verify"], ["ledger", "head"], ["close", "abc"]])
def test_a_hospital_without_identity_or_ledger_is_told_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, command: list[str]
) -> None:
    assert typed(monkeypatch, *command, "--state", tmp_path / "new") == 7
    assert "no identity yet" in capsys.readouterr().err
    make_identity(tmp_path / "new")
    assert typed(monkeypatch, *command, "--state", tmp_path / "new") == 7
    assert "no ledger yet" in capsys.readouterr().err
    assert not (tmp_path / "new" / "ledger.sqlite").exists()


def test_a_study_is_closed_by_its_name_and_then_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], state: Path
) -> None:
    assert typed(monkeypatch, "close", "study-b", "--state", state) == 0
    assert "Closed study-b bbbbbbbbbbbb." in capsys.readouterr().out
    assert typed(monkeypatch, "budget", "--state", state, "--json") == 0
    studies = json.loads(capsys.readouterr().out)["studies"]
    assert [(study["name"], study["state"]) for study in studies] == [("study-a", "open"), ("study-b", "closed")]
    assert typed(monkeypatch, "close", "study-b", "--state", state) == 5
    assert "it is already closed" in capsys.readouterr().err


def test_a_study_whose_rounds_are_all_charged_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], state: Path
) -> None:
    ledger = open_ledger(state, make_identity(state)[0], durable=False)
    charge(ledger, "b", 2, ledger.books.approved[a_study("b")].cohort)
    assert typed(monkeypatch, "budget", "--state", state, "--json") == 0
    assert [study["state"] for study in json.loads(capsys.readouterr().out)["studies"]] == ["open", "done"]


@pytest.mark.parametrize("begins", ["", "x", "c"])
def test_close_wants_one_study(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], state: Path, begins: str
) -> None:
    assert typed(monkeypatch, "close", begins, "--state", state) == 5
    assert "no studies of this hospital" in capsys.readouterr().err


def test_a_new_policy_is_valid_strict_and_not_written_over(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert typed(monkeypatch, "policy", "new", "--state", tmp_path) == 0
    rules = read_policy(tmp_path / "policy.toml")
    assert rules.protection.require_dp
    assert rules.protection.require_secure
    assert rules == parse_policy(policy_text())
    assert typed(monkeypatch, "policy", "new", "--state", tmp_path) == 7
    assert "this file already exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("patient_epsilon", "patient_epsilom", "did you mean 'patient_epsilon'?"),
        ("require_dp = true", "", "require_dp: this key is missing"),
        ("require_dp = true", "require_dp = 1", "it must be true or false"),
        ("10.0", "-1.0", "it must be greater than 0"),
        ("10.0", "inf", "it must be a finite number"),
        ("1e-5", "0.0", "it must be at least 1e-10"),
        ('"tiny-cnn"', '"tiny-cn"', "did you mean 'tiny-cnn'?"),
        (json.dumps(sorted(TASKS)), "[]", "at least 1 entries"),
        ('"segmentation"', '"segmentaton"', "did you mean 'segmentation'?"),
        ("[accept]", "[accepts]", "did you mean [accept]?"),
        ("[budget]", "[budget", "this is not TOML"),
    ],
)
def test_a_wrong_policy_is_refused_and_the_fault_named(old: str, new: str, says: str) -> None:
    with pytest.raises(PrivacyError) as refusal:
        parse_policy(policy_text().replace(old, new, 1))
    assert says in str(refusal.value)


def test_every_key_of_the_policy_is_explained_in_a_new_one() -> None:
    lines = policy_text().splitlines()
    for section in Policy.model_fields.values():
        for key in section.annotation.model_fields:  # type: ignore[union-attr]
            place = next(number for number, line in enumerate(lines) if line.startswith(f"{key} ="))
            assert lines[place - 1].startswith("# "), key
