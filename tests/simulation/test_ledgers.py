"""Simulated hospitals keep ledgers as real ones do: one each, charged once a round, and their policy is asked."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from test_distributed_run import shared
from test_run import model, phantom_study, run
from test_simulate_command import typed, write

from examples import DP
from wardround_client.spending.account import Account
from wardround_client.spending.ledger.store import Ledger, open_ledger
from wardround_client.spending.policy import policy_text
from wardround_client.training.local_work import plan_privacy
from wardround_common.errors import PrivacyError, StorageError
from wardround_common.randomness import Stream
from wardround_common.study.file import Study
from wardround_simulation.federation import _folder_name, insecure_identity
from wardround_simulation.run.plan import Progress

pytestmark = pytest.mark.usefixtures("undrawn")

NAMES = ("hospital-a", "hospital-b", "hospital-c")


def ledgers(of: Study, out: Path) -> dict[str, Ledger]:
    return {
        name: open_ledger(out / "ledgers" / _folder_name(name), insecure_identity(of, name), durable=False)
        for name in NAMES
    }


def rounds_charged(of: Study, out: Path) -> dict[str, list[int]]:
    return {name: ledger.books.rounds_of(of.digest()) for name, ledger in ledgers(of, out).items()}


def everywhere(*rounds: int) -> dict[str, list[int]]:
    return {name: list(rounds) for name in NAMES}


@pytest.mark.slow
def test_each_hospital_is_charged_once_a_round_also_when_the_run_is_stopped_and_gone_on_with(
    hospitals: Path, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = phantom_study(privacy=DP)

    def interrupt(progress: Progress) -> None:
        if progress.phase == "training" and progress.done == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(
            "wardround_simulation.run.simulate.write_checkpoint", lambda *arguments: None
        )  # round 1 is done again
        with pytest.raises(KeyboardInterrupt):
            run(of, hospitals, state, tmp_path / "run", show=interrupt)
    assert rounds_charged(of, tmp_path / "run") == everywhere(1)
    run(of, hospitals, state, tmp_path / "run", resume=True)
    assert rounds_charged(of, tmp_path / "run") == everywhere(1, 2, 3)
    run(of, hospitals, state, tmp_path / "whole")
    assert model(tmp_path / "run") == model(tmp_path / "whole")


def test_a_run_whose_ledgers_are_lost_is_not_gone_on_with_as_if_nothing_were_spent(
    hospitals: Path, state: Path, tmp_path: Path
) -> None:
    of = phantom_study(privacy=DP)
    run(of, hospitals, state, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "ledgers")
    with pytest.raises(StorageError, match="the ledger of hospital-a is gone, and this run has completed rounds"):
        run(of, hospitals, state, tmp_path / "run", resume=True)


@pytest.mark.slow
def test_secure_sums_are_charged_once_a_round_and_baselines_not_at_all(
    hospitals: Path, state: Path, tmp_path: Path
) -> None:
    of = phantom_study(privacy=DP, aggregation={"secure": True})
    run(of, hospitals, state, tmp_path / "run", baselines=True)
    assert rounds_charged(of, tmp_path / "run") == everywhere(1, 2, 3)


def test_under_shared_noise_a_round_is_charged_with_the_noise_of_the_whole_sum(
    hospitals: Path, state: Path, tmp_path: Path
) -> None:
    of = shared()
    run(of, hospitals, state, tmp_path / "run")
    rounds = list(range(1, of.training.rounds + 1))
    for ledger in ledgers(of, tmp_path / "run").values():
        assert ledger.books.rounds_of(of.digest()) == rounds
        (spent,) = ledger.books.spent().values()
        ((event, times),) = spent.items()
        plan = plan_privacy(of, patients=10)
        assert plan is not None
        assert (event.times(times), len(ledger.books.confirmed)) == (plan.event(times), times)


def test_of_a_refused_round_the_coordinator_hears_one_word(
    hospitals: Path, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = phantom_study(privacy=DP)
    real = Account.charge

    def refuse(account: Account, number: int, parameters: str, stream: Stream, share: str) -> None:
        if number == 2 and _folder_name("hospital-b") in str(account.ledger.folder):
            raise PrivacyError("the next round would bring 412 patients to epsilon 9.3", where="/secret/place")
        real(account, number, parameters, stream, share)

    monkeypatch.setattr(Account, "charge", refuse)
    results = run(of, hospitals, state, tmp_path / "run")
    absences = [(r.number, a.hospital, a.kind) for r in results.rounds for a in r.absent]
    assert absences == [(2, "hospital-b", "privacy")]
    for path in (tmp_path / "run").glob("*.*"):
        assert b"412 patients" not in path.read_bytes()


def test_a_hospital_at_its_cap_refuses_a_simulation_and_says_what_would_be_needed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, hospitals: Path, state: Path
) -> None:
    file = write(tmp_path / "study.toml", phantom_study(privacy=DP))
    rules = tmp_path / "policy.toml"
    text = (
        policy_text().replace("require_secure = true", "require_secure = false").replace("delta = 1e-5", "delta = 1e-3")
    )
    rules.write_text(text.replace("= 20", "= 5").replace("patient_epsilon = 10.0", "patient_epsilon = 4.0"))
    common = ["simulate", file, "--hospitals", hospitals, "--state", state, "--no-baselines", "--workers", "1"]
    assert typed(monkeypatch, *common, "--policy", rules, "--out", tmp_path / "run") == 5
    said = " ".join(capsys.readouterr().err.split())
    assert "hospital hospital-a" in said
    assert "where the policy's cap over all studies is 4" in said
    assert re.search(r"Needed: a cap of (7\.9|8\.0)", said)
    assert not (tmp_path / "run" / "model.safetensors").exists()
    rules.write_text(text.replace("= 20", "= 5"))
    assert typed(monkeypatch, *common, "--policy", rules, "--out", tmp_path / "again") == 0


def test_a_policy_that_cannot_be_read_is_not_passed_over(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, hospitals: Path, state: Path
) -> None:
    file = write(tmp_path / "study.toml", phantom_study(privacy=DP))
    rules = tmp_path / "policy.toml"
    rules.write_text(policy_text().replace("study_epsilon", "study_epsilom"))
    assert typed(monkeypatch, "simulate", file, "--hospitals", hospitals, "--policy", rules, "--workers", "1") == 5
    assert "did you mean 'study_epsilon'?" in capsys.readouterr().err
