"""A number of each image: errors from sums are those of a plain count, and a value that cannot be stops a hospital."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from examples import DP, STUDY
from tiny_dicom import with_a_table
from wardround_client.intake.index import scan
from wardround_client.preparation.source import Source
from wardround_client.tasks import measurement
from wardround_client.tasks.contract import Asked, Case, Chosen, cautions_of
from wardround_client.tasks.measurement import huber, scaled, told
from wardround_client.training.rehearsal import rehearse
from wardround_common.errors import LabelError, MessageError
from wardround_common.metrics.measurements import UNIT, MeasurementSums
from wardround_common.study.file import Study
from wardround_common.tasks.measurement import TASK, Measurement

SECTION = Measurement(name="measurement", quantity="Age", unit="years", low=20, high=100)


def of(**more: object) -> Study:
    return Study.model_validate(STUDY | {"task": SECTION.model_dump()} | more)


def some(seed: int, records: int = 300) -> tuple[np.ndarray, np.ndarray, MeasurementSums]:
    rng = np.random.default_rng(seed)
    true = rng.uniform(20, 100, records)
    said = true + rng.normal(3, 8, records)
    return true, said, MeasurementSums.of(true, said, np.ones(records), 20, 100)


def test_errors_from_sums_are_those_of_a_plain_count() -> None:
    true, said, sums = some(1)
    off = said - true
    agreement = 1.96 * off.std(ddof=1)
    assert sums.figures() == pytest.approx(
        {
            "mae": np.abs(off).mean(),
            "rmse": np.sqrt(np.square(off).mean()),
            "r2": 1 - np.square(off).sum() / np.square(true - true.mean()).sum(),
            "bias": off.mean(),
            "agreement_low": off.mean() - agreement,
            "agreement_high": off.mean() + agreement,
        },
        abs=1e-3,
    )
    assert {metric.name for metric in TASK.metrics} == set(sums.figures())
    last = true >= 80
    group = sums.by_quarter()[3]
    assert (group.records, group.found) == (last.sum(), (last & (said >= 80)).sum())
    assert group.decided == (said >= 80).sum()
    assert group.figures["mae"] == pytest.approx(np.abs(off)[last].mean(), abs=1e-3)
    assert group.figures["bias"] == pytest.approx(off[last].mean(), abs=1e-3)


def test_a_model_that_tells_everybody_the_mean_explains_nothing_and_never_tells_an_end() -> None:
    true = np.linspace(20, 100, 50)
    sums = MeasurementSums.of(true, np.full(50, true.mean()), np.zeros(50), 20, 100)
    assert sums.figures()["r2"] == pytest.approx(0, abs=1e-4)
    assert [group.decided > 0 for group in sums.by_quarter()] == [False, False, True, False]


@pytest.mark.parametrize(("spread", "most"), [(0.0, 0.0031), (0.01, 0.0005), (0.1, 0.0001)])
def test_rounding_moves_figures_by_no_more_than_the_documentation_says(spread: float, most: float) -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        true = rng.uniform(0, 1, int(rng.integers(2, 200)))
        off = rng.uniform(-0.3, 0.3) + spread * rng.normal(size=len(true))
        found = MeasurementSums.of(true, true + off, np.zeros(len(true)), 0, 1).figures()
        assert found["mae"] == pytest.approx(np.abs(off).mean(), abs=2e-6)
        assert found["bias"] == pytest.approx(off.mean(), abs=2e-6)
        assert found["agreement_low"] == pytest.approx(off.mean() - 1.96 * off.std(ddof=1), abs=most)
        assert found["agreement_high"] == pytest.approx(off.mean() + 1.96 * off.std(ddof=1), abs=most)


def test_one_value_or_one_record_leaves_what_needs_several_undefined() -> None:
    one = MeasurementSums.of(np.array([50.0]), np.array([52.0]), np.zeros(1), 20, 100)
    assert one.figures()["mae"] == pytest.approx(2, abs=1e-3)
    assert (one.figures()["r2"], one.figures()["agreement_low"]) == (None, None)
    far = MeasurementSums.of(np.array([20.0]), np.array([1e9]), np.zeros(1), 20, 100)
    assert far.figures()["mae"] == pytest.approx(160)  # what lies further beyond the range counts as that


@pytest.mark.parametrize("forge", ["too many", "a large error", "a value in another quarter"])
def test_sums_of_values_that_no_records_can_have_are_refused(forge: str) -> None:
    vector = some(3)[2].to_vector()
    if forge == "too many":
        vector[0] = 2**50
    elif forge == "a large error":
        vector[-2] += round(400 / UNIT)
    else:
        vector[16] += round(40 / UNIT)
    with pytest.raises(MessageError):
        TASK.read(vector, SECTION)


def test_the_loss_counts_a_large_error_by_its_size() -> None:
    outputs, targets = torch.tensor([[0.5], [3.0]]), torch.tensor([[0.0], [0.0]])
    assert huber(outputs, targets).tolist() == [0.125, 2.5]
    assert told(SECTION, scaled(SECTION, np.array([20.0, 60.0, 93.0]))).tolist() == pytest.approx([20, 60, 93])


def test_values_come_from_a_column_of_the_hospitals_table(tmp_path: Path) -> None:
    source = Source(with_a_table(tmp_path / "images", "Patient;AGE\nP0;20\nP1;\nP2;60,5\nP3;100\n"), tmp_path / "state")
    index = scan(source.folder, state=source.state)
    found = measurement.TASK.find(source, index, of())
    files = [one for one in index.accepted if one.file in found.words]
    assert measurement.TASK.targets is not None
    targets = measurement.TASK.targets(source, of().data, SECTION, files, found)
    assert told(SECTION, targets[:, 0].astype(np.float64)).tolist() == pytest.approx([20, 60.5, 100])
    assert measurement.TASK.members(SECTION, targets).argmax(axis=1).tolist() == [0, 2, 3]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("file,label\n0.dcm,x\n", "no column 'age'"),
        ("file,age\n0.dcm,Jane\n", "line 2: its Age is not a number"),
        (
            "file,age\n0.dcm,19.9\n1.dcm,50\n2.dcm,700\n",
            "2 values, the first in line 2, lie outside .* 20 to 100 years",
        ),
        ("file,age\n0.dcm,1000\n", "a value, in line 2, lies outside"),
    ],
)
def test_values_that_cannot_be_stop_the_hospital_with_their_count(tmp_path: Path, table: str, said: str) -> None:
    source = Source(with_a_table(tmp_path / "images", table), tmp_path / "state")
    with pytest.raises(LabelError, match=said) as raised:
        measurement.TASK.find(source, scan(source.folder, state=source.state), of())
    assert "Jane" not in str(raised.value)
    assert "700" not in str(raised.value)


@pytest.mark.parametrize("wrong", [{"low": 100.0}, {"quantity": "File"}, {"unit": ""}])
def test_a_range_or_a_column_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"smaller one as 'low'|otherwise|visible word"):
        of(task=SECTION.model_dump() | wrong)


def test_a_new_image_is_told_a_value_in_the_studys_unit() -> None:
    assert measurement.TASK.asking is not None
    asked, case = Asked(np.zeros((1, 1, 8, 8), np.float32)), Case("image", (), lambda: asked)
    answer = measurement.TASK.asking.answer(SECTION, torch.tensor([[0.5]]), asked, case, Chosen(None, None))
    assert (answer.facts["value"], answer.facts["unit"], answer.facts["within_range"]) == (70.0, "years", True)
    assert json.loads(json.dumps(answer.facts)) == answer.facts
    assert measurement.TASK.asking.said(answer.facts) == "Age 70 years"
    beyond = measurement.TASK.asking.answer(SECTION, torch.tensor([[2.5]]), asked, case, Chosen(None, None))
    assert cautions_of(beyond.facts) == ["outside the range that the model was trained on"]


@pytest.mark.slow
def test_values_are_learnt_with_a_gradient_for_each_patient() -> None:
    private = Study.model_validate(of().tables() | {"model": {"network": "tiny-cnn"}, "privacy": DP})
    assert rehearse(private).endswith("the gradient of each image is its own")
