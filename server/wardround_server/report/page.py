"""What stands on the page, section by section; a part that the run does not have leaves no hole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wardround_common.counting import chance
from wardround_common.results import FEDERATED, Results
from wardround_common.tasks.registry import task_of
from wardround_server.report.figures import course as course_figures
from wardround_server.report.figures import quality as quality_figures
from wardround_server.report.figures import sites
from wardround_server.report.figures.style import Picture, in_style
from wardround_server.report.tables import cells, course, horizons, maps, outside, quality, subgroups
from wardround_server.report.tables.subgroups import said_of_worst
from wardround_server.report.tables.table import Table

_COMPARE = (
    "Each model is judged on the same test patients. Differences that are small beside the intervals should not be "
    "read as real."
)

Block = Table | Picture | Sequence[Table | Picture]


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, what it is about in a sentence or two, and its tables and figures; lists stand side by side."""

    anchor: str
    title: str
    lead: str
    blocks: list[Block]


def sections(results: Results) -> list[Section]:
    """Return the sections that have something in them."""
    with in_style():
        made = [
            _section(
                "models",
                "Is federation worth it?" if len(quality.models(results)) > 1 else "How good it is",
                _COMPARE if len(quality.models(results)) > 1 else "",
                quality.comparison(results),
                quality.cross_site(results),
                quality.gained(results),
                outside.left_out(results),
                outside.left_out_decisions(results),
                outside.decisions_outside(results),
            ),
            _section(
                "curves",
                "How well it ranks patients",
                "",
                _present([quality_figures.roc(results), quality_figures.precision_recall(results)]),
            ),
            _section(
                "decisions",
                "What it decides",
                _operating_point(results),
                quality.by_group(results),
                quality.confusions(results),
            ),
            _section(
                "hospitals",
                "At each hospital",
                "",
                _present([sites.forest(results), quality_figures.calibration(results)]),
                quality.by_hospital(results),
                quality.own_calibration(results),
                quality.without_inputs(results),
                horizons.by_time(results),
            ),
            _section(
                "subgroups",
                "On subgroups of patients",
                " ".join(said_of_worst(results)),
                subgroups.by_subgroup(results),
            ),
            _section(
                "maps",
                "What its answers hang on",
                " ".join(maps.said_of_maps(results)),
                maps.by_lesion(results),
            ),
            _section(
                "learning",
                "How it learnt",
                "",
                _present([course_figures.headline(results), course_figures.loss(results)]),
            ),
            _section(
                "privacy",
                "What it cost in privacy",
                "The unit is the patient: ε bounds what all that left a hospital can say of any one of its patients.",
                [block for block in (course_figures.epsilon(results), course.privacy(results)) if block],
            ),
            _section(
                "rounds",
                "Rounds",
                "",
                course_figures.attendance(results),
                course.answers(results),
                course.cost(results),
                _present([course_figures.seconds(results), course_figures.traffic(results)]),
            ),
            _section("data", "The hospitals’ data", "", course.data(results)),
            _section("origin", "How this was made", "", [course.settings(results), course.origin(results)]),
        ]
    return [section for section in made if section.blocks]


def _section(anchor: str, title: str, lead: str, *blocks: Block | None) -> Section:
    return Section(anchor, title, lead, [block for block in blocks if block])


def _present(pictures: list[Picture | None]) -> list[Picture]:
    return [p for p in pictures if p is not None]


def _operating_point(results: Results) -> str:
    thresholds = {m.threshold for m in results.evaluation.get(FEDERATED, {}).values()}
    classes = results.study.groups
    task, sensitivity = task_of(results.study.task), results.study.evaluation.sensitivity
    if task.dense:
        if len(thresholds) != 1 or not isinstance(point := thresholds.pop(), float):
            return ""
        return (
            f"From a confidence of {chance(point)} on, chosen on the validation patients for "
            f"{task.said_of_point(results.study.task, sensitivity)}."
        )
    rows = "Rows are what is true, columns what the federated model decides; percentages are of the row."
    if len(classes) == 2 and len(thresholds) == 1 and isinstance(threshold := thresholds.pop(), float):
        return (
            f"It decides for “{classes[1]}” from a probability of {chance(threshold)}: the highest threshold that "
            f"reaches a sensitivity of {results.study.evaluation.sensitivity:g} on the validation patients."
            f"{cells.said_of_scale(results)} {rows}"
        )
    if task_of(results.study.task).numeric:
        return ""
    if task_of(results.study.task).apart:
        return (
            "Each finding is decided by itself, at its own operating point: the highest probability that reaches a "
            f"sensitivity of {results.study.evaluation.sensitivity:g} on the validation patients."
            f"{cells.said_of_scale(results)}"
        )
    return f"{task_of(results.study.task).decides} {rows}"
