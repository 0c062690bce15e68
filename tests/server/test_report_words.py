"""What the report says in words is what the numbers are."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from wardround_common.counting import count, kept, percent
from wardround_common.metrics import Estimate
from wardround_common.results import ALL, DEPLOYED, FEDERATED, POOLED, Results, alone
from wardround_common.study.file import parse_study
from wardround_common.study.template import study_text
from wardround_server.report import summary
from wardround_server.report.example import example
from wardround_server.report.figures.course import loss as losses
from wardround_server.report.story import at_home, best_alone, key_numbers, story
from wardround_server.report.tables import cells, course, means, quality
from wardround_server.report.terms import terms_of_any
from wardround_server.report.words import duration, interval, listing, number, of_a_side, records, size, small
from wardround_server.report.write import render

SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def results() -> Results:
    return example(hospitals=3)


def printed(results: Results, width: int = 100) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(summary(results))
    return out.getvalue()


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("classification", "test images on either side"),
        ("segmentation", "test patients with any structure"),
        ("detection", "test lesions of any class"),
        ("measurement", "test images of any quarter of the range"),
    ],
)
def test_of_what_there_are_too_few_is_said_in_the_words_of_the_task(results: Results, task: str, said: str) -> None:
    """Structures, lesions and quarters of a range have no other side: only those with it count."""
    site = results.evaluation[FEDERATED][results.hospitals[0].name]
    rest = {"rest": 1 if task == "classification" else None}
    few = [group.model_copy(update={"records": 1} | rest) for group in site.by_group]
    sites = {"north": site.model_copy(update={"by_group": tuple(few)})}
    found = results.model_copy(
        update={"study": parse_study(study_text("a", task=task)), "evaluation": {FEDERATED: sites}}
    )
    assert of_a_side(found) == said


def test_the_mean_over_hospitals_counts_each_hospital_once(results: Results) -> None:
    values = [results.evaluation[FEDERATED][h.name].value("auroc") or 0 for h in results.hospitals]
    assert means.mean_over_hospitals(results, FEDERATED) == pytest.approx(sum(values) / 3)


def test_a_hospital_where_the_headline_is_not_defined_is_named_and_in_no_mean(results: Results) -> None:
    document, names = json.loads(results.to_json()), [h.name for h in results.hospitals]
    for model in document["evaluation"].values():
        model[names[0]]["metrics"]["auroc"] |= {"value": None, "low": None, "high": None, "reason": "nobody fell ill"}
    lacking = Results.from_json(json.dumps(document))
    values = [lacking.evaluation[FEDERATED][name].value("auroc") or 0 for name in names[1:]]
    assert means.mean_over_hospitals(lacking, FEDERATED) == pytest.approx(sum(values) / 2)
    said = f"Not in the means over hospitals, without AUROC there: {names[0]} (nobody fell ill)."
    assert said in " ".join(story(lacking))
    table = quality.comparison(lacking)
    assert table is not None
    assert said in table.caption
    assert key_numbers(lacking)[0].detail == "mean over 2 of 3 hospitals"
    assert key_numbers(results)[0].detail == "mean over hospitals"
    assert "without AUROC" not in " ".join(story(results))
    assert len(at_home(lacking)) == 2


def test_an_auroc_that_ties_could_move_is_said_to_be_inexact(results: Results) -> None:
    document = json.loads(results.to_json())
    document["evaluation"][FEDERATED][ALL]["margin"] = 0.0924
    said = " ".join(story(Results.from_json(json.dumps(document))))
    assert "AUROC of all test patients is not known exactly" in said
    assert "could move it by up to 0.092." in said
    assert "not known exactly" not in " ".join(story(results))


def test_the_best_hospital_alone_is_judged_on_all_hospitals(results: Results) -> None:
    best = best_alone(results)
    assert best is not None
    each = [means.mean_over_hospitals(results, alone(h.name)) for h in results.hospitals]
    assert best[1] == max(m for m in each if m is not None)


def test_the_summary_does_not_hide_that_a_hospital_alone_is_better(results: Results) -> None:
    document = json.loads(results.to_json())
    own = alone(results.hospitals[0].name)
    evaluation = document["evaluation"]
    evaluation[FEDERATED], evaluation[own] = evaluation[own], evaluation[FEDERATED]
    worse = Results.from_json(json.dumps(document))
    said = f"not better than {results.hospitals[0].name} alone"
    assert said in " ".join(story(worse))
    assert "not better than" not in " ".join(story(results))


def test_own_models_are_compared_at_home(results: Results) -> None:
    name = results.hospitals[1].name
    assert at_home(results)[1] == (
        results.evaluation[alone(name)][name].value("auroc"),
        results.evaluation[FEDERATED][name].value("auroc"),
    )


def test_a_run_that_stopped_early_says_so(results: Results) -> None:
    document = json.loads(results.to_json())
    document["rounds"] = document["rounds"][:12]
    assert "12 rounds of 30 planned" in story(Results.from_json(json.dumps(document)))[0]


def test_a_model_that_was_not_judged_is_not_praised(results: Results) -> None:
    document = json.loads(results.to_json()) | {"evaluation": {}}
    silent = Results.from_json(json.dumps(document))
    assert "nothing can be said of how good it is" in " ".join(story(silent))
    assert quality.comparison(silent) is quality.cross_site(silent) is quality.by_hospital(silent) is None
    assert not any("AUROC" in n.label for n in key_numbers(silent))


def test_the_cross_site_matrix_has_every_model_and_every_hospital(results: Results) -> None:
    matrix = quality.cross_site(results)
    assert matrix is not None
    assert len(matrix.rows) == 5
    assert matrix.head[1:] == tuple(h.name for h in results.hospitals)
    shades = [cell.shade for row in matrix.rows for cell in row[1:]]
    assert min(s for s in shades if s is not None) == 0
    assert max(s for s in shades if s is not None) == 1
    assert [cells.title(m) for m in quality.models(results)] == [row[0].text for row in matrix.rows]
    assert cells.title(POOLED) == "Pooled"


def test_with_more_hospitals_than_can_be_read_the_best_the_middle_and_the_lowest_are_shown() -> None:
    few = json.loads(example(hospitals=2, baselines=True).to_json())
    names = [h["name"] for h in few["hospitals"]]
    model = few["evaluation"][alone(names[0])]
    for k in range(20):
        few["hospitals"].append({"name": f"H{k}"})
        few["evaluation"][alone(f"H{k}")] = model
    many = Results.from_json(json.dumps(few))
    compared = quality.comparison(many)
    assert compared is not None
    assert len(compared.rows) == 5
    assert "the best, the middle and the lowest" in compared.caption
    assert quality.cross_site(many) is None


def test_answers_are_listed_only_where_one_is_missing(results: Results) -> None:
    missed = course.answers(results)
    assert missed is not None
    assert missed.rows[-1][2].text == "7 (silent), 8 (silent), 19 (silent)"
    assert course.answers(example(hospitals=2, baselines=False)) is None


def test_the_summary_fits_one_screen(results: Results) -> None:
    assert len(printed(results).splitlines()) <= 24
    assert "Federated" in printed(results)
    assert "must not be released" in printed(results)


def test_markup_in_a_name_is_not_followed_in_the_terminal(results: Results) -> None:
    text = results.to_json().replace("St Anselm", "[red]St[/red]").replace("must not be", "[bold]must[/bold] not be")
    shown = printed(Results.from_json(text))
    assert "[red]St[/red] alone" in shown
    assert "[bold]must[/bold]" in shown


def test_a_name_cannot_move_the_cursor_of_the_terminal(results: Results) -> None:
    text = results.to_json().replace("St Anselm", "St\\u001b[2J\\u0007")
    assert "\x1b[2J" not in printed(Results.from_json(text))
    assert "\x07" not in printed(Results.from_json(text))


def test_words_for_numbers() -> None:
    assert [small(v) for v in (1e-5, 2.5e-6, 0.01, 0.0)] == ["10⁻⁵", "2.5 × 10⁻⁶", "0.01", "0"]
    assert [size(v) for v in (0, 999, 1500, 412_000, 49.4e6, 3e12)] == [
        "0 bytes", "999 bytes", "1.5 kB", "412 kB", "49.4 MB", "3.0 TB"
    ]  # fmt: skip
    assert [duration(s) for s in (0.5, 43, 171, 11_100)] == ["0.5 s", "43 s", "2 min 51 s", "3 h 5 min"]
    assert [count(n, "class", "classes") for n in (1, 2)] == ["1 class", "2 classes"]
    assert [listing(w) for w in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]
    assert number(None) == "–"


def test_what_is_just_not_all_is_not_written_as_all() -> None:
    assert [number(v) for v in (0.9994, 0.9996, 1.0, 1.0004, 0.0004, 0.0, -0.0004, -0.002)] == [
        "0.999", ">0.999", "1.000", "1.000", "<0.001", "0.000", "0.000", "-0.002"
    ]  # fmt: skip
    assert interval(Estimate(0.9996, 0.9, 0.999)) == "0.90 to >0.99"
    assert [percent(v) for v in (0.0, 1 / 300, 0.5, 299 / 300, 1.0)] == ["0%", "<1%", "50%", ">99%", "100%"]
    assert percent(0.9996, 1) == ">99.9%"
    assert [kept(v) for v in (0.07371234567, 5.34567e-9, 0.0, 1.0)] == [0.073712, 5.346e-9, 0.0, 1.0]


def test_a_report_says_of_whom_epsilon_is_and_where_its_intervals_come_from(results: Results) -> None:
    """It was said of anything that a hospital sends, of which the sums over test patients are exact."""
    noised = results.study.but({"aggregation.secure": True, "privacy.evaluation_epsilon": 9.0})
    for study, engine, drawn, judged in (
        (results.study, "in-process", "drawing the test patients", "does not cover the sums over validation and test"),
        (results.study, DEPLOYED, "as if each image", "does not cover the sums over validation and test"),
        (noised, "in-process", "drawing the test patients", "does not cover the sums over validation and test"),
        (noised, DEPLOYED, "what the noise in them does", "So it is of the sums over validation and test patients"),
    ):
        words = dict(terms_of_any(results.model_copy(update={"study": study, "engine": engine})))
        assert drawn in words["95 % interval"]
        assert judged in words["ε, δ"]
        assert "any one training patient, the probability of the updates that a hospital sends" in words["ε, δ"]
    assert words["ε, δ"] in render(results.model_copy(update={"study": noised, "engine": DEPLOYED}))


def test_images_that_a_task_does_not_tell_apart_are_counted_once(results: Results) -> None:
    hospitals = []
    for one in results.hospitals:
        counts = {name: getattr(one, name) for name in SPLITS}
        alike = {name: split.model_copy(update={"per_class": (split.images,)}) for name, split in counts.items()}
        hospitals.append(one.model_copy(update=alike))
    study = parse_study(study_text("made", task="generation", dp=False))
    made = results.model_copy(update={"study": study, "hospitals": tuple(hospitals)})
    found = course.data(made)
    assert found is not None
    assert found.caption == "Patients, and images; patients are split, never images"
    assert not any(cell.quiet for row in found.rows for cell in row)
    assert {row[0].text: row[1].text for row in course.settings(made).rows}["Task"] == "generation"
    told = course.data(results)
    assert told is not None
    assert told.caption.startswith("Patients, and images of each class")
    assert all(row[1].quiet for row in told.rows)


def test_what_a_study_trains_on_and_counts_is_called_what_it_is(results: Results) -> None:
    volumes = parse_study(study_text("a", task="segmentation", dp=False, own={"task": {"dims": 3}}))
    patients = parse_study(study_text("a", dp=False)).but({"data.record": "patient"})
    for study, one, several in (
        (results.study, "an image", "images"),
        (volumes, "a patch", "volumes"),
        (patients, "a record", "patients"),
    ):
        drawn = losses(results.model_copy(update={"study": study}))
        assert drawn is not None
        assert drawn.caption == f"Mean loss of {one} by round, over all hospitals."
        assert records(study) == several
    classes = results.hospitals[0].model_copy()
    split = classes.train
    assert split is not None
    counted = {"per_class": (split.images,)}
    one_class = classes.model_copy(update={name: split.model_copy(update=counted) for name in SPLITS})
    found = course.data(results.model_copy(update={"study": volumes, "hospitals": (one_class,)}))
    assert found is not None
    assert found.caption.startswith("Patients, and volumes of each structure")
    assert found.rows[0][1].text.endswith(f"{split.images} volumes")
