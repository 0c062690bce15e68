"""A model that drops a class: that is the first thing that anybody reads, before any mean."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from test_runs import at_once

import wards as wards_module
from examples import DP, dataset
from examples import study as example_study
from wardround_common.metrics import ScoreSums
from wardround_common.metrics.measurements import MeasurementSums
from wardround_common.metrics.outlines import Outlines, OutlineSums
from wardround_common.metrics.shapes import LEAST_RECORDS
from wardround_common.results import ALL, FEDERATED, POOLED, HospitalRecord, Results, SiteMetrics, evaluate
from wardround_common.study.file import Study, parse_study
from wardround_common.study.template import study_text
from wardround_common.tasks.segmentation import Segmentation
from wardround_server.report import summary
from wardround_server.report.alarms import alarms
from wardround_server.report.story import key_numbers, story, verdict
from wardround_server.report.tables import means, outside, quality
from wardround_server.report.write import render
from wardround_server.service.runs import Runs
from wards import Wards, rostered

pytestmark = pytest.mark.usefixtures("undrawn")

__all__ = ["at_once"]  # the fixture that is used in every test of this file

CLASSES = ("normal", "benign", "malignant")
OF = example_study(task={"classes": list(CLASSES)})


def sums(*counts: tuple[int, int, int]) -> ScoreSums:
    """Sum images by true class (rows) and decided class (columns)."""
    labels, decided = [], []
    for true, row in enumerate(counts):
        for column, count in enumerate(row):
            labels += [true] * count
            decided += [column] * count
    probabilities = np.full((len(labels), 3), 0.2, np.float32)
    probabilities[np.arange(len(labels)), decided] = 0.6
    return ScoreSums.of(np.array(labels), probabilities, np.ones(len(labels)))


def results(**sites: ScoreSums) -> Results:
    whole = sum(list(sites.values())[1:], next(iter(sites.values())))
    judged: dict[str, SiteMetrics] = {name: evaluate(OF.task, one, None) for name, one in {**sites, ALL: whole}.items()}
    now = datetime.now(UTC)
    return Results(
        run="test", study=OF, study_digest=OF.digest(), seed=0, versions={}, devices=(), engine="deployment",
        started=now, finished=now, hospitals=tuple(HospitalRecord(name=name) for name in sites), rounds=(),
        evaluation={FEDERATED: judged},
    )  # fmt: skip


def test_a_class_that_is_never_decided_comes_before_every_figure() -> None:
    found = results(north=sums((40, 2, 0), (3, 37, 0), (30, 23, 0)))
    sentence = (
        "The model never decides for “malignant”: it finds none of the 53 test images of “malignant”. Nobody should "
        "rely on it to find “malignant”."
    )
    assert alarms(found) == [sentence]
    assert story(found)[0] == sentence
    assert f'<p class="alarm" role="alert">{sentence}</p>' in render(found)
    console = Console(width=300)
    with console.capture() as said:
        console.print(summary(found))
    assert said.get().splitlines()[1].strip() == sentence
    assert said.get().count(sentence) == 1
    assert "finds 0 of the 53 test images of “malignant”, 37 of 40 “benign” and 40 of 42 “normal”" in said.get()


def test_a_class_that_is_decided_and_never_rightly_is_an_alarm_too() -> None:
    (said,) = alarms(results(north=sums((40, 0, 3), (0, 40, 0), (30, 23, 0))))
    assert said.startswith("The model finds none of the 53 test images of “malignant”: it decides for “malignant” 3 t")


def test_an_alarm_of_counts_with_noise_says_that_they_have_some() -> None:
    exact = results(a=sums((20, 0, 0), (3, 6, 0), (5, 0, 0)))
    tables = OF.tables(nulls=False)
    judged = {"aggregation": tables["aggregation"] | {"secure": True}, "privacy": DP | {"evaluation_epsilon": 4.0}}
    noised = exact.model_copy(update={"study": Study.model_validate(tables | judged)})
    hedge = " The counts have noise, behind which a few that it finds can hide."
    assert alarms(noised) == [f"{said}{hedge}" for said in alarms(exact)]
    assert alarms(noised.model_copy(update={"engine": "in-process"})) == alarms(exact)


def test_a_hospital_where_a_class_is_never_found_is_named_and_few_images_raise_no_alarm() -> None:
    good, bad = ((9, 0, 0), (0, 9, 0), (0, 0, 9)), ((9, 0, 0), (0, 9, 0), (8, 0, 0))
    assert alarms(results(north=sums(*good), south=sums(*bad))) == [
        "There are hospitals where the model finds none of the test images of “malignant”: south (none of 8)."
    ]
    few = ((9, 0, 0), (0, 9, 0), (LEAST_RECORDS - 1, 0, 0))
    assert alarms(results(north=sums(*good), south=sums(*few))) == []
    assert alarms(results(north=sums(*good))) == []


def test_a_class_with_too_few_images_is_in_no_mean_and_named() -> None:
    common = ((20, 0, 0), (0, 20, 0))
    rare, none = sums(*common, (2, 0, 0)), sums(*common, (0, 0, 0))
    assert rare.figures()["sensitivity"] == pytest.approx(1.0)
    assert rare.figures()["sensitivity"] == none.figures()["sensitivity"]
    assert sums((3, 0, 0), (3, 0, 0), (0, 0, 3)).figures()["sensitivity"] == pytest.approx(2 / 3)  # all are rare
    found = results(north=rare)
    assert "Not in the means over classes, with fewer than 5 images: “malignant”." in means.said_of_means(found)
    table = quality.by_group(found)
    assert table is not None
    assert [(row[0].text, row[1].text, row[2].text) for row in table.rows][:3] == [
        ("normal", "20", "20"),
        ("benign", "20", "20"),
        ("malignant", "2", "0"),
    ]
    assert table.rows[2][1].quiet == "few"
    both = quality.by_group(results(north=rare, south=rare))
    assert both is not None
    assert [row[0].quiet for row in both.rows[::3]] == ["All patients", "north", "south"]


def test_a_class_that_hospitals_figures_are_without_is_named_with_them() -> None:
    one = sums((20, 0, 0), (0, 20, 0), (0, 0, 3))
    found = means.said_of_means(results(north=one, south=one))
    assert "Not in the figures of north and south, with fewer than 5 on either side there: “malignant”; the" in found
    other = means.said_of_means(results(north=one, south=sums((20, 0, 0), (0, 20, 0), (0, 0, 9))))
    assert "Not in the figures of north, with fewer than 5 on either side there: “malignant”." in other


def test_the_first_line_names_the_class_that_its_mean_is_without() -> None:
    few, enough = sums((20, 0, 0), (0, 20, 0), (0, 0, 3)), sums((20, 0, 0), (0, 20, 0), (0, 0, 9))
    assert [label for label, _ in verdict(results(north=few, south=few))] == ["Good?", "Private?", "Now"]
    nowhere = dict(verdict(results(north=few, south=few)))["Good?"]
    assert nowhere.endswith("; without “malignant”, which too few test patients have at any hospital")
    assert "; not at every hospital with “malignant”" in dict(verdict(results(north=few, south=enough)))["Good?"]
    assert "malignant" not in dict(verdict(results(north=enough, south=enough)))["Good?"]


def test_what_all_test_patients_together_have_too_few_of_is_rare_unless_all_is() -> None:
    few, enough = sums((20, 0, 0), (0, 20, 0), (0, 0, 2)), sums((20, 0, 0), (0, 20, 0), (0, 0, 9))
    assert means.rare_groups(results(north=few, south=few)) == ["malignant"]
    assert means.rare_groups(results(north=few, south=enough)) == []
    assert means.rare_groups(results(north=sums((1, 0, 0), (0, 1, 0), (0, 0, 1)))) == []


def test_the_area_under_the_drawn_curve_is_the_auroc_beside_it_where_a_class_is_rare() -> None:
    site = results(north=sums((20, 0, 0), (0, 20, 0), (2, 0, 0))).evaluation[FEDERATED]["north"]
    assert site.roc is not None
    x, y = np.array(site.roc.x), np.array(site.roc.y)
    area = float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2))
    assert area == pytest.approx(site.value("auroc"), abs=0.01)  # as a picture is: 200 points


def test_a_hospital_with_too_few_of_either_side_is_in_no_mean_and_named() -> None:
    enough, few = sums((20, 0, 0), (10, 10, 0), (0, 0, 20)), sums((0, 0, 0), (0, 2, 0), (0, 0, 3))
    found = results(north=enough, south=few)
    sites = found.evaluation[FEDERATED]
    assert means.mean_over_hospitals(found, FEDERATED) == sites["north"].value("auroc") != sites["south"].value("auroc")
    said = " ".join(story(found))
    assert "Not in the means over hospitals, with fewer than 5 test images on either side: south." in said
    small = results(south=few)
    assert means.mean_over_hospitals(small, FEDERATED) == small.evaluation[FEDERATED]["south"].value("auroc")
    assert "No hospital has 5 test images on either side" in means.said_of_means(small)


def test_a_structure_that_is_never_outlined_is_an_alarm() -> None:
    section = Segmentation(name="segmentation", classes=("tumour", "oedema"))
    there, drawn = np.full((6, 2), 100), np.full((6, 2), 90)
    drawn[:, 1] = 0
    found = drawn > 0
    distance, parts = np.where(found, 2.0, np.nan), np.ones((6, 2), np.int64)
    outlines = Outlines(there, drawn, drawn, np.ones(6), distance, distance, parts, found.astype(np.int64), 0 * parts)
    site = evaluate(section, OutlineSums.of(outlines, np.ones(6)), None)
    assert [(group.records, group.found) for group in site.by_group] == [(6, 6), (6, 0)]
    assert [group.figures["missed"] for group in site.by_group] == [0.0, 1.0]


@pytest.mark.slow
def test_a_deployed_model_that_drops_a_class_ends_its_run_with_the_alarm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third class is among the test patients and nobody was ever trained on it."""

    def with_a_third(seed: int) -> Any:
        data = dataset(seed)
        rare = data.test.targets.copy()
        rare[:2] = 2
        return replace(data, test=replace(data.test, targets=rare))

    monkeypatch.setattr(wards_module, "dataset", with_a_third)
    tables = rostered().tables(nulls=False)
    tables["task"]["classes"] = list(CLASSES)
    wards = Wards(tmp_path / "wards")
    runs = Runs(tmp_path / "runs", lambda name: wards)
    runs.begin(Study.model_validate(tables))
    runs.wait()
    (standing,) = runs.standings()
    assert standing.stage == "done"
    assert "The model never decides for “malignant”: it finds none of the 6 test images" in standing.said
    assert "The model never decides for “malignant”" in (tmp_path / "runs/test/report.html").read_text()


def test_what_is_decided_where_a_hospital_did_not_train_is_beside_what_is_decided_where_it_did() -> None:
    from wardround_common.results import without

    found = results(north=sums((20, 0, 0), (0, 20, 0), (2, 0, 18)), south=sums((20, 0, 0), (0, 20, 0), (0, 0, 20)))
    assert outside.left_out_decisions(found) is None
    apart = {
        without("north"): {"north": evaluate(OF.task, sums((20, 0, 0), (0, 20, 0), (14, 0, 6)), None)},
        without("south"): {"south": found.evaluation[FEDERATED]["south"]},
    }
    left = found.model_copy(update={"evaluation": {**found.evaluation, **apart}})
    table = outside.left_out_decisions(left)
    assert table is not None
    assert [(row[0].text, row[1].text, row[2].text) for row in table.rows] == [
        ("north", "0.767", "0.967"),
        ("south", "1.000", "1.000"),
    ]
    assert "Sensitivity at the operating point falls from 0.97 to 0.77 at north if that hospital does not train" in (
        " ".join(story(left))
    )


def test_a_quarter_that_a_measurement_never_tells_is_said_in_words_of_numbers() -> None:
    of = parse_study(study_text("gland", task="measurement", dp=False))
    true = np.repeat([6.0, 10.0], 6)
    one = MeasurementSums.of(true, np.full(12, 10.0), np.ones(12), 5.0, 20.0)
    empty = results(north=sums((1, 0, 0), (0, 1, 0), (0, 0, 1)))
    site = evaluate(of.task, one, None)
    found = empty.model_copy(update={"study": of, "evaluation": {FEDERATED: {"north": site, ALL: site}}})
    assert alarms(found) == [
        "The model never tells a value of “5 to 8.75 %”, and there are 6 test images of “5 to 8.75 %”. Nobody should "
        "rely on what it tells of such patients."
    ]
    assert "it tells a value in the right quarter of the range for 0 of the 6 test images of" in " ".join(story(found))
    out = io.StringIO()
    Console(file=out, width=200).print(summary(found))
    assert "Mean absolute error (%), mean over hospitals" in out.getvalue()
    assert "Mean absolute error (%), all test patients" in out.getvalue()
    assert [one.value for one in key_numbers(found)][:2] == ["2.000 %", "2.000 %"]
    two = found.model_copy(update={"evaluation": {model: {"north": site, ALL: site} for model in (FEDERATED, POOLED)}})
    matrix = quality.cross_site(two)
    assert matrix is not None
    assert matrix.caption.startswith("Mean absolute error (%) of every model (rows)")
