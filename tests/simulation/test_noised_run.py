"""A simulated federation whose evaluation sums have noise: what its figures are of, and what the ledgers hold."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from test_run import model, phantom_study, run
from typer.testing import CliRunner

from consortium import RUN
from examples import DP, study
from served import RULES, approve, listing, set_up
from wardround_client.commands.hospital_cli import app
from wardround_client.spending.ledger.store import existing_ledger, open_ledger
from wardround_client.spending.parts import parts_of
from wardround_client.spending.policy import POLICY_NAME
from wardround_common.errors import PolicyError
from wardround_common.messages.rounds import PrepareRequest
from wardround_common.metrics.measurements import MeasurementSums
from wardround_common.metrics.patients import PatientSums
from wardround_common.metrics.score_bins import NOISED_EDGES
from wardround_common.metrics.shapes import Estimate
from wardround_common.results import ALL, FEDERATED, evaluate
from wardround_common.results.evaluation import NO_INTERVAL_IN_NOISE, NORMAL, Moved, with_noise
from wardround_common.study.file import Study
from wardround_server.rounds.checkpoint import read_checkpoint
from wardround_simulation.federation import insecure_identity, ledger_folder
from wardround_simulation.run.judging import said_of_noised_test
from wardround_simulation.run.plan import Progress

pytestmark = pytest.mark.usefixtures("undrawn")


def test_a_run_is_judged_by_what_its_noised_sums_say_and_charges_those_who_judge(
    hospitals: Path, state: Path, tmp_path: Path
) -> None:
    of = phantom_study(privacy=DP | {"evaluation_epsilon": 50.0}, aggregation={"secure": True}, evaluation={"every": 2})
    found = run(of, hospitals, state, tmp_path / "run")
    (said,) = [note for note in found.notes if "Test figures are of the patients as they are" in note]
    assert "it moves AUROC by" in said
    assert "other models' operating points have none" in said  # of baselines, which nobody else reads
    together = found.evaluation[FEDERATED][ALL]
    assert together.threshold in NOISED_EDGES
    assert together.images == sum(one.test.images for one in found.hospitals)  # a simulation knows them
    validation = read_checkpoint(tmp_path / "run" / "checkpoint", of).validation
    assert validation is not None
    (judged,) = [one.headline for one in found.rounds if one.number == 3]
    assert judged.value == pytest.approx(validation.figures(None)["auroc"])
    identity = insecure_identity(of, "hospital-a")
    books = existing_ledger(ledger_folder(tmp_path / "run" / "ledgers", "hospital-a"), identity).books
    trained, chosen, _ = parts_of(of.digest())
    assert (books.rounds_of(trained), books.rounds_of(chosen)) == ([1, 2, 3], [2, 3])


def test_a_hospital_is_told_who_is_judged_on_and_what_they_spend_and_leaves_with_them(
    hospitals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    names = ("hospital-a", "hospital-b", "hospital-c")
    wards = {name: set_up(tmp_path / name, name, hospitals / name) for name in names}
    of = listing(phantom_study(privacy=DP | {"evaluation_epsilon": 4.0}, aggregation={"secure": True}), wards)
    ward = wards["hospital-a"]
    planned = approve(ward, of)
    said = "\n".join(planned.uses())
    parts = {one.split: one.patients for one, _ in planned.judged}
    assert f"Here the model would be judged on {parts['validation']} validation patients." in said
    assert f"{parts['test']} patients: epsilon 0.00 so far, 5.48 after 1 evaluation." in said  # at the policy's delta
    ward.answer("prepare", PrepareRequest(of.digest(), send_parameters=False, run=RUN).parts())
    ledger = open_ledger(ward.folder.path, ward.folder.identity())
    assert {one.study for one in ledger.books.open_studies()} == set(parts_of(of.digest()))
    done = CliRunner().invoke(app, ["refuse", "test", "--state", str(ward.folder.path)])
    assert "Its reserved budget is released" in done.stdout
    ledger.refresh()
    assert ledger.books.open_studies() == []
    (ward.folder.path / POLICY_NAME).write_text(RULES.replace("patient_epsilon = 100.0", "patient_epsilon = 5.0"))
    second = of.but({"privacy.epsilon": 1.0, "study.name": "second"})
    with pytest.raises(PolicyError, match=r"would bring \d+ patients to epsilon 5\.4"):
        approve(ward, second)


def test_what_noise_would_do_is_said_in_the_unit_of_the_study() -> None:
    age = {"name": "measurement", "quantity": "age", "unit": "years", "low": 0.0, "high": 100.0}
    plain = study(privacy=DP | {"evaluation_epsilon": 50.0}, aggregation={"secure": True}).tables(nulls=False)
    of = Study.of_tables(plain | {"task": age}, where="a")
    rng = np.random.default_rng(0)
    ages = rng.uniform(0, 100, (200, 1))
    each = [MeasurementSums.of(one, one + rng.normal(0, 4, 1), np.zeros(1), 0.0, 100.0) for one in ages]
    test = PatientSums.of([one.to_vector() for one in each], len(each[0].to_vector()))
    judged: Any = {name: [SimpleNamespace(test=test)] for name in "abc"}
    (said,) = said_of_noised_test(of, "abc", judged, {ALL: evaluate(of.task, test, None)})
    assert re.search(r"it moves mean absolute error by [+-]0\.\d{3} years on the mean, .* of 0\.\d{3} years\.", said)


@pytest.mark.slow
def test_an_interrupted_run_goes_on_with_the_same_noise(hospitals: Path, state: Path, tmp_path: Path) -> None:
    of = phantom_study(
        privacy=DP | {"evaluation_epsilon": 50.0}, aggregation={"secure": True}, evaluation={"keep": "best"}
    )

    def interrupt(progress: Progress) -> None:
        if progress.phase == "training" and progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(of, hospitals, state, tmp_path / "broken", show=interrupt)
    resumed = run(of, hospitals, state, tmp_path / "broken", resume=True)
    whole = run(of, hospitals, state, tmp_path / "whole")
    assert model(tmp_path / "broken") == model(tmp_path / "whole")
    assert resumed.evaluation == whole.evaluation
    assert resumed.rounds[-1].headline == whole.rounds[-1].headline


def test_intervals_hold_what_noise_does_and_the_side_to_which_it_moves() -> None:
    found = with_noise(
        {
            "auroc": Estimate(0.8, 0.7, 0.9),
            "f1": Estimate(0.5, 0.4, 0.6),
            "ppv": Estimate(0.5, 0.4, 0.6),
            "brier": Estimate(0.2, reason="none"),
            "bias": Estimate(-0.1, -0.4, 0.2),
        },
        {"auroc": Moved(-0.05, 0.1), "f1": Moved(0.0, 0.0), "brier": Moved(0.0, 1.0), "bias": Moved(0.0, 0.0)},
        {"bias": (-3.0, 3.0)},
    )
    assert (found["bias"].low, found["bias"].high) == (pytest.approx(-0.4), pytest.approx(0.2))
    half = float(np.hypot(0.1, NORMAL * 0.1))
    assert (found["auroc"].low, found["auroc"].high) == (pytest.approx(0.8 - half), pytest.approx(1.0))
    assert (found["f1"].low, found["f1"].high) == (pytest.approx(0.4), pytest.approx(0.6))
    assert found["ppv"] == Estimate(0.5, reason=NO_INTERVAL_IN_NOISE)
    assert found["brier"] == Estimate(0.2, reason="none")
