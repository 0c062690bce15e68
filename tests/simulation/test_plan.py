"""The plan of a study: its arithmetic against simple oracles, and the command that shows it."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from examples import DP, study
from wardround_client import networks
from wardround_client.training.accounting import SampledGaussian, epsilon_of
from wardround_client.training.local_work import plan_privacy
from wardround_common.errors import PrivacyError, StudyError
from wardround_common.privacy.noisy_evaluation import noise_in_sum
from wardround_common.study.file import read_study
from wardround_common.study.template import study_text
from wardround_simulation.plan import curve, plan_study
from wardround_simulation.plan_cli import plan
from wardround_simulation.plan_page import epsilons_around, notes, said_of_start

app = typer.Typer(add_completion=False)
app.command()(plan)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "lung.toml"
    path.write_text(study_text("lung"), encoding="utf-8")
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "80"})


def test_a_hospital_of_the_plan_is_what_that_hospital_will_plan() -> None:
    of = study(privacy=DP)
    made = plan_study(of, [40, 20], 1000, 0, 0)
    for number, spend in zip((40, 20), made.local, strict=True):
        theirs = plan_privacy(of, number)
        assert theirs is not None
        assert (spend.noise_multiplier, spend.sampling_rate) == (theirs.noise_multiplier, theirs.sampling_rate)
        assert spend.steps == of.training.rounds * theirs.steps_a_round
        assert spend.epsilon == theirs.epsilon_after(of.training.rounds) <= of.privacy.epsilon  # type: ignore[union-attr]


def test_signal_to_noise_is_the_length_of_the_largest_sum_over_that_of_drawn_noise() -> None:
    parameters, clip = 4000, 0.7
    spend = plan_study(study(privacy=DP), [40], parameters, 0, 0).local[0]
    rng = np.random.default_rng(0)
    signal, noise = np.zeros(parameters), np.zeros(parameters)
    for _ in range(spend.steps):
        signal[0] += spend.sampling_rate * spend.patients * clip  # all gradients as long as can be, all one way
        noise += rng.normal(0, spend.noise_multiplier * clip, parameters)
    assert np.linalg.norm(signal) / np.linalg.norm(noise) == pytest.approx(spend.signal_to_noise_of_study, rel=0.05)
    assert spend.signal_to_noise * math.sqrt(spend.steps) == pytest.approx(spend.signal_to_noise_of_study)


def test_equal_hospitals_gain_the_root_of_their_number_by_averaging_and_once_more_by_sharing_noise() -> None:
    made = plan_study(study(privacy=DP), [40] * 9, 1000, 0, 0)
    alone = made.local[0].signal_to_noise_of_study
    assert made.local_signal_to_noise_of_study == pytest.approx(3 * alone)
    assert made.distributed is not None
    assert made.distributed.all.signal_to_noise_of_study == pytest.approx(9 * alone)


def test_the_account_counts_on_the_noise_that_drop_outs_and_colluders_leave() -> None:
    made = plan_study(study(privacy=DP), [40] * 6, 1000, 2, 1).distributed
    assert made is not None
    assert made.share * math.sqrt(6 - 2 - 1) == pytest.approx(made.all.noise_multiplier)
    event = SampledGaussian(made.share * math.sqrt(3), made.all.sampling_rate, made.all.steps)
    assert made.all.epsilon == pytest.approx(epsilon_of(event, 1e-3), rel=1e-6)
    assert made.epsilon_if_all_answer < made.all.epsilon


def test_more_drop_outs_cost_each_hospital_a_larger_share() -> None:
    shares = []
    for dropouts in range(4):
        made = plan_study(study(privacy=DP), [40] * 6, 1000, dropouts, 1).distributed
        assert made is not None
        shares.append(made.share)
    assert shares == sorted(shares)
    assert shares[0] < shares[-1]


@pytest.mark.parametrize(("dropouts", "counted_on"), [(0, 8), (2, 6), (5, 6)])
def test_a_distributed_study_is_planned_with_its_own_terms(tmp_path: Path, dropouts: int, counted_on: int) -> None:
    """Of nine hospitals seven must open a sum, so that more drop-outs than two change nothing."""
    path = tmp_path / "shared.toml"
    path.write_text(study_text("shared", distributed=True), encoding="utf-8")
    answer = json.loads(run(path, "--patients", ",".join(["60"] * 9), "--dropouts", dropouts, "--json").stdout)
    made = answer["plan"]["distributed"]
    privacy, rounds = read_study(path).privacy, read_study(path).training.rounds
    assert (made["all"]["sampling_rate"], made["all"]["steps"]) == (privacy.sampling_rate, rounds)  # type: ignore[union-attr]
    assert made["colluders"] == 1
    assert made["counted_on"] == counted_on
    assert made["share"] * math.sqrt(counted_on) == pytest.approx(made["all"]["noise_multiplier"])
    assert made["all"]["epsilon"] <= 8 < 1.05 * made["all"]["epsilon"]
    local = answer["plan"]["local"][0]
    assert (local["steps"], local["noise_multiplier"]) == (rounds, made["all"]["noise_multiplier"])


@pytest.mark.parametrize("shared", [False, True], ids=["local", "shares"])
def test_a_plan_says_how_much_noise_is_in_the_counts_of_those_who_are_judged_on(shared: bool) -> None:
    terms = {"trust": "distributed", "sampling_rate": 0.5, "dropouts": 1, "colluders": 1}
    privacy, training = (DP | terms, {"local_epochs": None}) if shared else (DP, {})
    noised = {"privacy": privacy | {"evaluation_epsilon": 2.0}, "aggregation": {"secure": True}, "training": training}
    of = study(**noised)
    made = plan_study(of, [40] * 4, 1000, *((1, 1) if shared else (0, 0)))
    assert [(one.split, one.sums, one.epsilon) for one in made.judging] == [("validation", 3, 2.0), ("test", 1, 2.0)]
    for one in made.judging:
        assert one.deviation == pytest.approx(noise_in_sum(of, one.split, 4, 4))
    assert "Validation patients: epsilon at most 2 for 3 evaluations. Each count of all" in " ".join(notes(made))
    assert plan_study(study(privacy=DP), [40] * 4, 1000, 0, 0).judging == ()
    if not shared:  # one hospital can plan, though it is too few for a sum
        assert len(plan_study(of, [40], 1000, 0, 0).judging) == 2


def test_a_distributed_study_over_too_few_hospitals_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shared.toml"
    path.write_text(study_text("shared", distributed=True), encoding="utf-8")
    assert "needs 3 to 10,000 hospitals, and there are 2" in str(run(path, "--patients", "60,60").exception)


def test_one_hospital_has_no_sum_to_share_noise_in() -> None:
    assert plan_study(study(privacy=DP), [40], 1000, 0, 1).distributed is None


def test_no_noise_left_is_refused() -> None:
    with pytest.raises(PrivacyError, match="of 3 hospitals, 2 may drop out and 1 collude"):
        plan_study(study(privacy=DP), [40] * 3, 1000, 2, 1)


def test_a_study_without_privacy_has_no_plan() -> None:
    with pytest.raises(PrivacyError, match="no differential privacy"):
        plan_study(study(), [40], 1000, 0, 0)


def test_a_delta_that_protects_nobody_is_refused_also_when_only_all_patients_together_are_too_many() -> None:
    with pytest.raises(PrivacyError, match=r"delta = 0.001 does not protect anybody among 1,000 training patients"):
        plan_study(study(privacy=DP), [1000], 1000, 0, 0)
    with pytest.raises(PrivacyError, match=r"delta = 0.001 does not protect anybody among 1,200 training patients"):
        plan_study(study(privacy=DP), [600, 600], 1000, 0, 0)


def test_the_curve_rises_with_epsilon_and_holds_the_studys_own() -> None:
    epsilons = epsilons_around(8.0)
    assert 8.0 in epsilons
    made = list(curve(study(privacy=DP), [40, 20], 1000, 0, 0, epsilons[::4]))
    assert [each.epsilon for each in made] == epsilons[::4]
    ratios = [each.local_signal_to_noise_of_study for each in made]
    assert ratios == sorted(ratios)


@pytest.mark.parametrize("epsilon", [0.01, 1.0, 100.0])
def test_the_curve_reaches_beyond_the_studys_epsilon_on_both_sides(epsilon: float) -> None:
    epsilons = epsilons_around(epsilon)
    assert min(epsilons) < epsilon < max(epsilons)
    assert epsilons == sorted(set(epsilons))


def test_the_command_shows_each_hospital_and_both_trust_models(file: Path) -> None:
    shown = run(file, "--patients", "240, 240,120")
    assert shown.exit_code == 0, shown.output
    rows = [
        line.split("  ")[0].strip() for line in shown.output.splitlines() if re.search(r" \d+\.?\d*$", line.rstrip())
    ]
    assert rows == ["local, no. 1", "local, no. 2", "local, no. 3", "local, averaged", "distributed, all"]
    assert "…" not in shown.output
    network = networks.build(read_study(file))
    assert f"{sum(each.numel() for each in network.parameters() if each.requires_grad):,} parameters" in shown.output
    assert "the noise of 2 of 3 hospitals is enough" in " ".join(shown.output.split())


def test_the_command_gives_programs_the_same_numbers(file: Path) -> None:
    answer = json.loads(run(file, "--patients", "240,120", "--dropouts", "1", "--colluders", "0", "--json").stdout)
    made = answer["plan"]
    assert [each["patients"] for each in made["local"]] == [240, 120]
    assert all(0.97 * 8 < each["epsilon"] <= 8 for each in [*made["local"], made["distributed"]["all"]])
    assert (made["distributed"]["dropouts"], made["distributed"]["colluders"]) == (1, 0)
    assert made["distributed"]["share"] == pytest.approx(made["distributed"]["all"]["noise_multiplier"])


@pytest.mark.slow
def test_the_page_has_the_curve_and_asks_nothing_of_the_network(file: Path) -> None:
    page = file.with_name("plan.html")
    shown = run(file, "--patients", "240,120", "--out", page)
    assert shown.exit_code == 0, shown.output
    text = page.read_text(encoding="utf-8")
    assert 'aria-label="Largest signal to noise over the study by epsilon' in text
    assert "distributed trust" in text
    assert "<script" not in text
    assert "http://www.w3.org" not in text.replace('xmlns="http://www.w3.org/2000/svg"', "").replace(
        'xmlns:xlink="http://www.w3.org/1999/xlink"', ""
    )
    assert [word for word in text.split() if word.startswith(("src=", "href=")) and "#" not in word] == []


@pytest.mark.parametrize(
    "patients", ["", "240,", "240,x", "-5", "0", "2.5", "²", "1e3", "99999999999", "5," * 100 + "5"]
)
def test_patients_that_are_no_numbers_are_a_usage_error_before_anything_is_read(tmp_path: Path, patients: str) -> None:
    shown = run(tmp_path / "nothing.toml", f"--patients={patients}")
    assert shown.exit_code == 2
    assert "--patients" in shown.output


def test_a_page_that_is_no_html_is_a_usage_error(file: Path) -> None:
    assert run(file, "--patients", "240", "--out", file.with_suffix(".png")).exit_code == 2


def test_a_study_that_cannot_be_read_is_one_of_our_errors(tmp_path: Path) -> None:
    assert isinstance(run(tmp_path / "nothing.toml", "--patients", "240").exception, StudyError)


def test_a_plan_says_what_the_model_that_it_starts_from_cost_and_what_both_come_to() -> None:
    trained = {"study": "0" * 64, "name": "first", "hospitals": ["a"], "epsilon": 3.0, "delta": 1e-5}
    start = {"name": "first", "model": "1" * 64, "weights": "2" * 64, "trained": [trained]}
    of = study(privacy=DP, model={"start": start})
    made = plan_study(of, [40, 30], 100, 0, 1)
    (said,) = said_of_start(of, made)
    assert "cost a patient at most epsilon 3 at delta 1e-05" in said
    assert f"with this study at most {3 + made.epsilon:.3g} at delta {made.delta + 1e-5:g}" in said
    del trained["epsilon"], trained["delta"]
    (said,) = said_of_start(study(privacy=DP, model={"start": start}), made)
    assert "whose training nothing bounds" in said
    assert not list(said_of_start(study(privacy=DP), made))
