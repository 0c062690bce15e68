"""Risk over time: sums say what a slow, obvious count says, and a known hazard is found again."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from examples import STUDY
from tiny_dicom import tiny
from wardround_client import networks
from wardround_client.intake.index import scan
from wardround_client.preparation.source import Source
from wardround_client.tasks import risk
from wardround_client.tasks.contract import Asked, Case, Chosen
from wardround_client.tasks.risk import USUAL, likelihood, outcome, risks_of
from wardround_client.training.rehearsal import rehearse
from wardround_common.errors import LabelError, MessageError, StudyError
from wardround_common.metrics.survival import BINS, RANKS, UNIT, RiskSums, at_time, surviving
from wardround_common.study.file import Study
from wardround_common.study.networks import known_networks
from wardround_common.tasks.risk import TASK, Risk

SECTION = Risk(name="risk", times=(1.0, 2.0, 4.0), unit="years")
TIMES = len(SECTION.times)
LARGE = {"densenet121", "efficientnet-b0", "resnet18", "resnet50"}
"""Networks whose rehearsal takes a minute. They are rehearsed with classes, of which a risk's outputs are some more."""


def of(**more: object) -> Study:
    return Study.model_validate(STUDY | {"task": {"name": "risk", "times": [1, 2, 4], "unit": "years"}} | more)


@pytest.mark.parametrize(
    ("time", "event", "expected"),
    [
        (0.3, True, (0, 1)),
        (1.0, True, (0, 1)),  # an interval holds its end
        (1.1, True, (1, 1)),
        (4.1, True, (3, 0)),  # after the last time it is none
        (0.4, False, (0, 0)),
        (0.5, False, (1, 0)),  # through half of an interval is through it
        (2.9, False, (2, 0)),
        (9.0, False, (3, 0)),
    ],
)
def test_what_was_seen_is_told_in_intervals(time: float, event: bool, expected: tuple[int, int]) -> None:
    assert outcome(SECTION, time, event) == expected


def test_the_loss_is_the_likelihood_of_what_was_seen() -> None:
    logits = torch.randn(5, TIMES, generator=torch.Generator().manual_seed(0))
    hazards = torch.sigmoid(logits + USUAL)
    targets = torch.tensor([[0, 1], [2, 1], [0, 0], [2, 0], [3, 0]])
    by_hand = [
        hazards[0, 0],
        (1 - hazards[1, 0]) * (1 - hazards[1, 1]) * hazards[1, 2],
        torch.tensor(1.0),
        (1 - hazards[3, 0]) * (1 - hazards[3, 1]),
        (1 - hazards[4]).prod(),
    ]
    torch.testing.assert_close(likelihood(logits, targets), -torch.stack(by_hand).log())


def test_a_network_that_says_nothing_yet_tells_a_usual_hazard() -> None:
    assert risks_of(torch.zeros(1, TIMES))[0] == pytest.approx(1 - 0.9 ** np.arange(1, TIMES + 1))


def test_a_known_hazard_is_found_again() -> None:
    """Of two groups of patients with hazards that we know, censored at random, the likelihood finds both."""
    rng, true = np.random.default_rng(0), np.array([[0.05, 0.1, 0.2], [0.4, 0.3, 0.2]])
    group = rng.integers(0, 2, 8_000)
    event = rng.random((len(group), TIMES)) < true[group]
    came = np.where(event.any(axis=1), event.argmax(axis=1), TIMES)
    left = rng.integers(0, TIMES + 2, len(group))  # the boundary at which somebody is seen for the last time
    survived, seen = np.minimum(came, left), (came < left) & (came < TIMES)
    survived = np.minimum(survived, TIMES)
    targets = torch.from_numpy(np.stack([survived, seen], axis=1).astype(np.int64))
    model = torch.nn.Embedding.from_pretrained(torch.zeros(2, TIMES), freeze=False)
    optimiser = torch.optim.LBFGS(model.parameters(), max_iter=20)
    given = torch.from_numpy(group)

    def step() -> torch.Tensor:
        optimiser.zero_grad()
        loss = likelihood(model(given), targets).mean()
        loss.backward()
        return loss

    optimiser.step(step)
    found = torch.sigmoid(model.weight + USUAL).detach().numpy()
    assert np.abs(found - true).max() < 0.03
    expected = 1 - np.cumprod(1 - true, axis=1)
    assert np.abs(risks_of(model.weight.detach()) - expected).max() < 0.03


def some(seed: int, records: int = 80) -> tuple[np.ndarray, np.ndarray, np.ndarray, RiskSums]:
    """Return outcomes and risks on which the bins are exact, with their sums."""
    rng = np.random.default_rng(seed)
    survived = rng.integers(0, TIMES + 1, records)
    event = (rng.random(records) < 0.6) & (survived < TIMES)
    risks = np.sort(rng.integers(0, RANKS, (records, TIMES)) / RANKS, axis=1)
    sums = RiskSums.of(survived, event.astype(np.int64), risks, np.ones(records))
    return survived, event, risks, sums


@pytest.mark.parametrize("seed", range(3))
def test_concordance_is_that_of_all_pairs_counted_one_by_one(seed: int) -> None:
    survived, event, risks, sums = some(seed)
    last, right, pairs = risks[:, -1], 0.0, 0
    for one, other in itertools.permutations(range(len(last)), 2):
        if event[one] and survived[other] > survived[one]:
            pairs += 1
            right += 1.0 if last[one] > last[other] else 0.5 if last[one] == last[other] else 0.0
    assert sums.figures()["c_index"] == pytest.approx(right / pairs, abs=1e-12)


def test_in_levels_risks_of_one_bin_give_the_same_ranks_and_concordance_is_nearly_the_same() -> None:
    survived, event, losses = np.array([1]), np.array([1]), np.zeros(1)
    for level in range(BINS):
        inside = level / BINS + np.array([0, 0.5, 1 - 1e-9]) / BINS
        ranks = [RiskSums.of(survived, event, np.full((1, TIMES), p), losses).in_levels().ranks for p in inside]
        assert len({one.tobytes() for one in ranks}) == 1
    rng = np.random.default_rng(0)
    risks = rng.uniform(size=(2000, 1)) * np.linspace(0.5, 1, TIMES)
    came = rng.uniform(size=2000) < risks[:, -1]
    exact = RiskSums.of(rng.integers(0, TIMES, 2000), came.astype(np.int64), risks, np.zeros(2000))
    sums = exact.in_levels()
    assert np.array_equal(sums.ranks.sum(axis=2), exact.outcomes())
    assert np.count_nonzero(sums.ranks.sum(axis=(0, 1))) == BINS
    RiskSums.from_vector(sums.to_vector(), TIMES)
    found, whole = sums.figures(), exact.figures()
    assert found.pop("c_index") == pytest.approx(whole.pop("c_index"), abs=0.005)
    assert found == whole


def test_what_is_observed_is_kaplan_meier_counted_by_hand() -> None:
    # 10 records: 2 events in the first interval, 1 censored through it, 2 events in the second, 1 censored, 1, 3 free.
    counts = np.array([[0, 2], [1, 2], [1, 1], [3, 0]])[None]
    assert surviving(counts)[0] == pytest.approx([8 / 10, 8 / 10 * 5 / 7, 8 / 10 * 5 / 7 * 3 / 4])


def test_the_brier_score_makes_up_for_those_who_were_not_followed() -> None:
    """Of patients whose whole course is known, the score; of the same ones, censored at random, nearly the same."""
    rng = np.random.default_rng(2)
    hazard = rng.choice([0.05, 0.3], 40_000)
    risks = 1 - (1 - hazard[:, None] * 0.8) ** np.arange(1, TIMES + 1)  # the model tells too little
    happened = rng.random((len(hazard), TIMES)) < hazard[:, None]
    came = np.where(happened.any(axis=1), happened.argmax(axis=1), TIMES)
    left = rng.choice(TIMES + 1, len(hazard), p=[0.2, 0.2, 0.2, 0.4])
    seen = (came < left) & (came < TIMES)
    nothing = np.zeros(len(hazard))
    whole = RiskSums.of(came, (came < TIMES).astype(np.int64), risks, nothing)
    censored = RiskSums.of(np.minimum(came, left), seen.astype(np.int64), risks, nothing)
    for time in range(TIMES):
        true, known = (at_time(sums.to_vector()[None], TIMES, time) for sums in (whole, censored))
        assert true.brier[0] == pytest.approx(np.mean(((came <= time) - risks[:, time]) ** 2), abs=1e-5)
        assert known.brier[0] == pytest.approx(true.brier[0], abs=0.006)
        assert known.observed[0] == pytest.approx(np.mean(came <= time), abs=0.01)
        naive = np.mean(((seen & (came <= time)) - risks[:, time]) ** 2)  # censored taken for free of it
        assert abs(naive - true.brier[0]) > 2 * abs(known.brier[0] - true.brier[0])
    assert censored.figures()["excess_risk"] == pytest.approx(np.mean(risks[:, -1] - (came < TIMES)), abs=0.01)


def by_definition(survived: np.ndarray, event: np.ndarray, time: int) -> tuple[float | None, list[float] | None]:
    """Return what was observed by a time, and what each record's squared error is multiplied by: a plain loop.

    Kaplan-Meier for the event and for being lost; within an interval who is lost is lost before an event comes.
    """
    free = followed = 1.0
    followed_at = []
    for interval in range(time + 1):
        left = [one for one in range(len(survived)) if survived[one] >= interval]
        lost = [one for one in left if survived[one] == interval and not event[one]]
        had = [one for one in left if survived[one] == interval and event[one]]
        followed *= 1 - len(lost) / len(left) if left else 1
        followed_at.append(followed)
        at_risk = len(left) - len(lost)
        if not at_risk and free:
            return None, None
        free *= 1 - len(had) / at_risk if at_risk else 1
    weights = []
    for one in range(len(survived)):
        had = event[one] and survived[one] <= time
        known = had or survived[one] > time
        weights.append(1 / followed_at[survived[one] if had else time] if known else 0.0)
    return 1 - free, weights


@pytest.mark.parametrize("records", [1, 2, 3, 5, 20])
def test_brier_score_and_calibration_are_those_of_their_definition_also_where_all_had_the_event(records: int) -> None:
    ends = 0
    for seed in range(60):
        survived, event, risks, sums = some(seed, records)
        errors, gaps = [], []
        for time in range(TIMES):
            observed, weights = by_definition(survived, event, time)
            found = at_time(sums.to_vector()[None], TIMES, time)
            assert found.observed[0] == pytest.approx(np.nan if observed is None else observed, nan_ok=True)
            if observed is None or weights is None:
                assert np.isnan(found.brier[0])
                continue
            ends += observed == 1.0 and not (survived > time - 1).any()  # nobody was left before this interval
            truth = (survived <= time) & event
            errors.append(sum(w * (t - r) ** 2 for w, t, r in zip(weights, truth, risks[:, time], strict=True)))
            assert found.brier[0] == pytest.approx(errors[-1] / records, abs=1e-5)
            bins, gap, counted = np.minimum((risks[:, time] * 16).astype(int), 15), 0.0, 0
            for one in set(bins.tolist()):
                inside = bins == one
                seen, _ = by_definition(survived[inside], event[inside], time)
                if seen is not None:
                    gap += inside.sum() * abs(risks[inside, time].mean() - seen)
                    counted += inside.sum()
            gaps.append(gap / counted if counted else np.nan)
        if len(gaps) == TIMES:
            assert sums.figures()["calibration_error"] == pytest.approx(
                None if np.isnan(gaps).any() else np.mean(gaps), abs=1e-5
            )
    assert ends or records > 5


def test_figures_in_intervals_are_as_near_those_of_exact_times_as_the_documentation_says() -> None:
    """Against Kaplan-Meier and Harrell's concordance on the times themselves, each by its definition."""
    section, apart = Risk(name="risk", times=(1.0, 2.0, 3.0, 5.0), unit="years"), []
    for seed in range(4):
        rng, count = np.random.default_rng(seed), 200
        rate = 0.12 * np.exp(0.9 * rng.normal(size=count))
        came, lost = rng.exponential(1 / rate), rng.uniform(0, 8, count)
        last, event = np.minimum(came, lost), came <= lost
        risks = 1 - np.exp(-np.outer(rate, section.times))
        told = np.array([outcome(section, *one) for one in zip(last.tolist(), event.tolist(), strict=True)])
        sums = RiskSums.of(told[:, 0], told[:, 1], risks, np.zeros(count))
        for number, time in enumerate(section.times):
            exact = 1.0
            for moment in last[event & (last <= time)]:
                exact *= 1 - 1 / (last >= moment).sum()
            assert at_time(sums.to_vector()[None], 4, number).observed[0] == pytest.approx(1 - exact, abs=0.01)
        right = pairs = 0
        for one in np.flatnonzero(event & (last <= 5)):
            later = last > last[one]
            pairs, right = pairs + later.sum(), right + (risks[one, -1] > risks[later, -1]).sum()
        found = sums.figures()["c_index"]
        assert found is not None
        apart.append(found - right / pairs)
    assert min(apart) > 0
    assert max(apart) < 0.04


def test_a_record_whose_course_is_not_known_adds_no_error() -> None:
    sums = RiskSums.of(np.array([1]), np.array([0]), np.array([[0.5, 0.5, 0.5]]), np.zeros(1))
    assert sums.errors.sum(axis=(1, 2)).tolist() == [round(0.25 / UNIT), 0, 0]


@pytest.mark.parametrize("forge", ["more events", "another count", "an error beyond one", "a risk beyond its bin"])
def test_sums_that_no_patients_can_have_are_refused(forge: str) -> None:
    sums = some(0)[3]
    if forge == "more events":
        sums.ranks[-1, 1, 0] = sums.risks[:, -1, 1, 0] = 1  # an event after the last time
    elif forge == "another count":
        sums.ranks[0, 0, 0] += 1
    elif forge == "an error beyond one":
        sums.errors[0, 0, 1] += 100 * round(1 / UNIT)
    else:
        sums.predicted[0, 0] += round(100 / UNIT)
    with pytest.raises(MessageError, match="contradict"):
        TASK.read(sums.to_vector(), SECTION)


def images(folder: Path, table: str) -> Source:
    folder.mkdir()
    for number in range(4):
        name = f"P{number}"
        image = tiny(np.full((8, 8), number, np.uint16), PatientID=name, PatientName=name)
        image.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    (folder / "labels.csv").write_text(table)
    return Source(folder, folder.parent / "state")


def test_times_and_events_come_from_the_hospitals_table(tmp_path: Path) -> None:
    source = images(tmp_path / "images", "Patient;event;TIME\nP0;1;0,5\nP1;no;3\nP2;;\nP3;yes;9\n")
    index = scan(source.folder, state=source.state)
    found = risk.TASK.find(source, index, of())
    files = [one for one in index.accepted if one.file in found.words]
    assert risk.TASK.targets is not None
    targets = risk.TASK.targets(source, of().data, SECTION, files, found)
    assert [one.patient for one in files] == ["P0", "P1", "P3"]  # of P2 nothing is said
    assert targets.tolist() == [[0, 1], [3, 0], [3, 0]]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("file,label\n0.dcm,x\n", "no column 'time'"),
        ("file,time,event\n0.dcm,soon,1\n", "line 2: its time is not a number of 0 or more"),
        ("file,time,event\n0.dcm,-1,1\n", "line 2: its time is not a number"),
        ("file,time,event\n0.dcm,2,2\n", "line 2: its event is neither 1 nor 0"),
        ("file,time,event\n0.dcm,2,\n", "line 2: its event is neither 1 nor 0"),
        ("file,time,event\n0.dcm,2,1\n0.dcm,0.5,1\n", "lines 2 and 3 give the same file different labels"),
    ],
)
def test_a_table_that_says_no_time_is_an_error_that_names_the_line(tmp_path: Path, table: str, said: str) -> None:
    source = images(tmp_path / "images", table)
    with pytest.raises(LabelError, match=said) as raised:
        risk.TASK.find(source, scan(source.folder, state=source.state), of())
    assert "soon" not in str(raised.value)


def test_a_new_image_gets_a_risk_at_each_time_that_only_rises() -> None:
    assert risk.TASK.asking is not None
    asked, case = Asked(np.zeros((1, 1, 8, 8), np.float32)), Case("image", (), lambda: asked)
    answer = risk.TASK.asking.answer(SECTION, torch.randn(1, TIMES), asked, case, Chosen(None, None))
    told = list(answer.facts["risk"].values())
    assert list(answer.facts["risk"]) == ["1 year", "2 years", "4 years"]
    assert told == sorted(told)
    assert 0 < told[0] < told[-1] < 1
    assert json.loads(json.dumps(answer.facts)) == answer.facts
    assert risk.TASK.asking.rows(answer.facts)[0]["risk by 4 years"] == told[-1]
    assert "by 4 years" in risk.TASK.asking.said(answer.facts)


def test_numbers_so_large_that_their_sum_is_none_are_refused() -> None:
    sums = RiskSums.empty(TIMES)
    sums.ranks[0, 0, :4] = 2**62  # four of them are 0 in 64 bits, as many as there are risks
    with pytest.raises(MessageError, match="more records than there can be"):
        TASK.read(sums.to_vector(), SECTION)


@pytest.mark.slow
@pytest.mark.parametrize("network", sorted({*known_networks()} - LARGE))
def test_every_network_learns_risks_privately_or_is_refused_with_its_reason(network: str) -> None:
    privacy = {"mechanism": "dp-sgd", "epsilon": 8.0, "delta": 1e-3, "clip_norm": 1.0}
    study = of(model={"network": network}, data=STUDY["data"] | {"image_size": 32}, privacy=privacy)
    kind = networks.NETWORKS[network]
    if kind.dense or kind.generates:
        with pytest.raises(StudyError, match=r"this network says something of .*, and the study's task reads"):
            rehearse(study)
    else:
        assert rehearse(study).endswith("the gradient of each image is its own")
