"""What each hospital's own recalibration would change is summed over the same patients."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from consortium import MemoryJournal, identity, roster
from examples import dataset, study, untrained
from wardround_client import networks
from wardround_client.hospital.answering import build, join
from wardround_client.hospital.secure_desk import Desk
from wardround_client.training.evaluation import probabilities_of, sums_of
from wardround_client.training.own_calibration import fitted, recalibrated_sums
from wardround_common.errors import MessageError, StudyError
from wardround_common.metrics import ScoreSums
from wardround_common.metrics.recalibration import LEVELS, fit
from wardround_common.metrics.score_bins import bins_of
from wardround_common.randomness import insecure_stream
from wardround_common.results import ALL, FEDERATED, Results
from wardround_common.results.evaluation import recalibrated
from wardround_common.results.subgroup_sums import length, nobody, read
from wardround_common.study.file import Study
from wardround_common.study.words.describe import describe
from wardround_server.rounds import approval
from wardround_server.rounds.course import judge_study, run_study
from wardround_server.rounds.secure_rounds import Consortium
from wardround_server.service.runs import Runs
from wards import Wards, rostered

pytestmark = pytest.mark.usefixtures("undrawn")

OF = study(model={"seed": 2}, evaluation={"recalibrated": True})  # of which the scores rank the right way
MANY = dataset(1, patients=60)


def test_it_is_fitted_on_validation_and_judged_on_test() -> None:
    network = networks.build(OF)
    sums, there = recalibrated_sums(network, OF, MANY)
    assert there
    labels = MANY.validation.targets
    found = fit(np.asarray(labels, np.int64), probabilities_of(network, MANY.validation))
    shares = found.apply(probabilities_of(network, MANY.test)).astype(np.float32)
    expected = np.mean((shares[:, 1] - MANY.test.targets) ** 2)
    assert recalibrated(OF.task, sums, True).metrics["brier"] == pytest.approx(expected, abs=1e-5)
    as_it_is = sums_of(network, OF, MANY.test)
    assert sums.records == as_it_is.records
    assert sums.confusion.sum(axis=1).tolist() == as_it_is.confusion.sum(axis=1).tolist()


def test_with_too_few_patients_or_wrong_ranks_the_same_sums_are_sent_once_more() -> None:
    network = networks.build(OF)
    wrong = networks.build(study(model={"seed": 0}))
    for data, of in ((dataset(1, patients=20), network), (untrained(1), network), (MANY, wrong)):
        assert fitted(of, OF, data.validation) is None
        sums, there = recalibrated_sums(of, OF, data)
        plain = sums_of(of, OF, data.test)
        assert not there
        assert isinstance(sums, ScoreSums)
        assert isinstance(plain, ScoreSums)
        assert (sums.confusion.tolist(), sums.records) == (plain.confusion.tolist(), plain.records)
        assert sums.squared_error == plain.squared_error


def test_probabilities_are_counted_in_levels_that_tell_no_slope() -> None:
    """In fine bins the two sums of a federation are brought onto each other by each hospital's own slope alone."""
    network = networks.build(OF)
    for data in (MANY, dataset(1, patients=20)):  # with a recalibration, and without one: both must look alike
        sums, _ = recalibrated_sums(network, OF, data)
        assert isinstance(sums, ScoreSums)
        occupied = np.flatnonzero(sums.histograms.sum(axis=(0, 1)))
        assert set(occupied) <= set(bins_of((np.arange(LEVELS) + 0.5) / LEVELS))
        assert sums.loss == 0
    sums, _ = recalibrated_sums(network, OF, MANY)
    shares = fit(np.asarray(MANY.validation.targets, np.int64), probabilities_of(network, MANY.validation)).apply(
        probabilities_of(network, MANY.test)
    )
    exact = ScoreSums.of(np.asarray(MANY.test.targets), shares.astype(np.float32), np.zeros(len(shares)))
    found, right = (recalibrated(OF.task, one, True).metrics["calibration_error"] for one in (sums, exact))
    assert found == pytest.approx(right, abs=0.5 / LEVELS)


@pytest.mark.slow
@pytest.mark.parametrize("secure", [False, True])
def test_a_federation_sums_it_in_the_message_of_the_test_sums(secure: bool, tmp_path: Path) -> None:
    of = rostered(rounds=1, secure=secure)
    of = of.model_copy(update={"evaluation": of.evaluation.model_copy(update={"recalibrated": True})})
    wards = Wards(tmp_path)
    wards._studies[of.digest()] = of
    built = build(of)
    sizes = {"a": 60, "b": 60, "c": 20}
    for name, patients in sizes.items():
        desk = Desk(of, name, identity(name), roster(wards.names), tmp_path / name, os.urandom) if secure else None
        data = dataset(ord(name), patients=patients)
        wards._open[name, of.digest()] = join(of, data, insecure_stream(0, name), built, desk)
    consortium = Consortium(os.urandom(16), roster(wards.names), MemoryJournal()) if secure else None
    state = run_study(of, wards, lambda event: None, None, consortium)
    judged = judge_study(of, wards, state, consortium)
    networks.write_vector(built.network, built.layout, state.chosen.model)
    each = [recalibrated_sums(built.network, of, dataset(ord(name), patients=n))[0] for name, n in sizes.items()]
    assert judged.recalibrated is not None
    assert judged.recalibrated.to_vector().tolist() == sum(one.to_vector() for one in each).tolist()


@pytest.mark.slow
def test_services_have_it_in_results_and_report_beside_maps_that_no_hospital_has_masks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(approval, "ASK_AGAIN_S", 0.01)
    tables = rostered(rounds=1).tables()
    tables["evaluation"] |= {"recalibrated": True, "maps": {"method": "hires-cam"}}
    runs = Runs(tmp_path / "runs", lambda name: Wards(tmp_path / "wards"))
    runs.begin(Study.model_validate(tables))
    runs.wait()
    results = Results.from_json((tmp_path / "runs/test/results.json").read_text())
    whole, own = results.evaluation[FEDERATED][ALL], results.recalibrated[ALL]
    assert own.fitted is None
    assert own.metrics["brier"] == whole.value("brier")  # none has enough validation patients
    assert results.maps is None
    page = (tmp_path / "runs/test/report.html").read_text()
    assert "if each hospital recalibrates it on its own validation patients" in page
    assert "How much of its maps lies in lesions is not known" in page


def test_sums_over_other_images_than_the_test_patients_are_refused() -> None:
    vector = np.zeros(length(OF), np.int64)
    assert read(vector, OF).recalibrated is not None
    assert nobody(OF).to_vector().tolist() == vector.tolist()
    one = ScoreSums.of(np.array([1]), np.array([[0.2, 0.8]], np.float32), np.array([0.2])).to_vector()
    assert read(np.concatenate([one, one]), OF).recalibrated is not None
    with pytest.raises(MessageError, match="other images were recalibrated"):
        read(np.concatenate([one, 2 * one]), OF)


def test_a_study_says_that_the_sums_leave_and_only_a_classification_can_ask() -> None:
    assert "recalibrated" not in study().canonical().decode()
    said = " ".join(sentence for part in describe(OF) for sentence in part.sentences)
    assert "show its slope and biases, which were fitted without noise" in said  # the sums are in the clear
    tables = OF.model_dump()
    tables["task"] = {"name": "segmentation", "classes": ["tumour"]}
    with pytest.raises(StudyError, match="no class probabilities to recalibrate"):
        Study.of_tables(tables, where="study")
