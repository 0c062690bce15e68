"""How good the models of a run are: at each hospital, by subgroup, recalibrated, without an input, and in maps."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from wardround_common.messages.parameters import Vector
from wardround_common.metrics import PatientSums
from wardround_common.metrics.noised import ONE
from wardround_common.metrics.shapes import Point
from wardround_common.privacy.noisy_evaluation import noise_in_sum
from wardround_common.results import (
    ALL,
    EXTERNAL,
    FEDERATED,
    POOLED,
    SHARED,
    TRAINED,
    MapFigures,
    Recalibrated,
    SiteMetrics,
    Subgrouping,
    Withheld,
    evaluate,
    without,
)
from wardround_common.results.evaluation import moved_by_noise, recalibrated
from wardround_common.results.map_sums import MapCell, figures_of_maps
from wardround_common.results.subgroup_sums import judge as judge_by_subgroup
from wardround_common.results.withheld import figures_of_withheld
from wardround_common.study.file import Study
from wardround_common.study.sums import counts_before_noise, point_of
from wardround_common.tasks.contract import Sums
from wardround_common.tasks.registry import task_of
from wardround_simulation import jobs
from wardround_simulation.federation import Federation
from wardround_simulation.run.phases import work_through
from wardround_simulation.run.plan import Show
from wardround_simulation.workers import Job, Workers

BOOTSTRAP = 1000
MATRIX_HOSPITALS = 12
"""With more hospitals the cross-site matrix of alone models has no curves, which nobody could read."""


def judge(
    study: Study,
    models: Sequence[str],
    names: Sequence[str],
    judged: dict[str, list[jobs.Judged]],
    chosen: Sums | None = None,
) -> dict[str, dict[str, SiteMetrics]]:
    """Judge each model on each hospital's test patients and on all of them, at its own operating point.

    ``chosen``: the sums that choose it, where these are not all that a simulation knows: with noise, as they leave.
    """
    evaluation: dict[str, dict[str, SiteMetrics]] = {}
    task, section = task_of(study.task), study.task
    for place, model in enumerate(models):
        trained = [name for name in names if study.trains(name)]
        asked = [name for name in trained if model != without(name)]  # who did not train does not choose either
        validation = sum((judged[name][place].validation for name in asked[1:]), judged[asked[0]][place].validation)
        tests = {name: judged[name][place].test for name in names}
        groups = {ALL: names}
        if len(trained) < len(names):
            groups |= {TRAINED: trained, EXTERNAL: [name for name in names if name not in trained]}
        if len(names) > 1 and len(asked) == len(trained):
            tests |= {group: functools.reduce(operator.add, (tests[n] for n in of)) for group, of in groups.items()}
        point = point_of(study, chosen or task.read(validation, section))
        detail = model in (FEDERATED, POOLED, SHARED) or len(names) <= MATRIX_HOSPITALS
        resamples = BOOTSTRAP if detail else 0
        rng = np.random.default_rng(study.model.seed)
        evaluation[model] = {
            name: evaluate(section, sums, point, resamples=resamples, rng=rng, detail=detail)
            for name, sums in tests.items()
        }
    return evaluation


def said_of_noised_test(
    study: Study, names: Sequence[str], judged: dict[str, list[jobs.Judged]], sites: Mapping[str, SiteMetrics]
) -> Iterator[str]:
    """Say what noise would do between hospitals to the test figures, which a simulation knows without it.

    Nothing where the study asks for none.
    """
    if not study.noised:
        return
    task, section = task_of(study.task), study.task
    noise = noise_in_sum(study, "test", len(names), len(names))
    tests = functools.reduce(operator.add, (judged[name][0].test for name in names))
    point = next(iter(sites.values())).threshold
    moved = moved_by_noise(section, counts_before_noise(study, tests) / ONE, point, noise)
    counted = (
        "Test figures are of the patients as they are, which a simulation knows. Between hospitals they would be of "
        f"counts with noise ([privacy] evaluation_epsilon), here of a standard deviation of {noise:.3g} patients each"
    )
    if task.headline in moved:
        mean, deviation = moved[task.headline]
        unit = f" {unit}" if (unit := task.unit_of(task.first, section)) else ""
        what = (
            f"it moves {task.first.term} by {mean:+.3f}{unit} on the mean, with a standard deviation of "
            f"{deviation:.3f}{unit}"
        )
    else:
        what = f"too few patients for it, with which {task.first.term} is not always defined"
    here = "The rounds' figures here have it."
    if point is not None:
        here = (
            "The rounds' figures and the operating point of the federated model here have it; other models' operating "
            "points have none, so that decisions do not compare."
        )
    yield f"{counted}: {what}. {here}"


def by_subgroup(
    study: Study, names: Sequence[str], judged: dict[str, list[jobs.Judged]], point: Point | None
) -> tuple[Subgrouping, ...]:
    """Judge the federated model on the subgroups of all hospitals together, with intervals over patients."""
    groups: list[list[tuple[int, PatientSums]]] = []
    for at, subgroups in enumerate(study.evaluation.subgroups):
        cells = [
            functools.reduce(operator.add, (judged[name][0].subgroups[at][cell] for name in names))
            for cell in range(len(subgroups.cells))
        ]
        groups.append([(cell.patients, cell) for cell in cells])
    return judge_by_subgroup(study, groups, point, resamples=BOOTSTRAP, seed=study.model.seed) if groups else ()


def recalibrated_by(
    study: Study, federation: Federation, kept: Vector, names: Sequence[str], workers: Workers, show: Show
) -> dict[str, Recalibrated]:
    """Let each hospital recalibrate the model for itself: here it costs nothing but a moment, whether asked or not."""
    if study.task.name != "classification" or (len(names) > MATRIX_HOSPITALS and not study.evaluation.recalibrated):
        return {}
    task = task_of(study.task)
    told: dict[str, tuple[NDArray[np.int64], bool]] = dict(
        work_through(workers, "recalibrating", names, lambda n: Job(jobs.recalibrate, (federation, n, kept), n), show)
    )
    sums = {name: task.read(told[name][0], study.task) for name in names}
    of = {name: recalibrated(study.task, sums[name], told[name][1]) for name in names}
    if len(names) > 1:
        of[ALL] = recalibrated(study.task, functools.reduce(operator.add, sums.values()), None)
    return of


def without_inputs(
    study: Study,
    federation: Federation,
    kept: Vector,
    names: Sequence[str],
    judged: dict[str, list[jobs.Judged]],
    sites: Mapping[str, SiteMetrics],
    workers: Workers,
    show: Show,
) -> dict[str, tuple[Withheld, ...]]:
    """Judge the model without each input that may be missing, at each hospital and at all of them together."""
    if not study.data.told or (len(names) > MATRIX_HOSPITALS and not study.evaluation.withheld):
        return {}
    told: dict[str, list[tuple[int, PatientSums]]] = dict(
        work_through(workers, "withholding", names, lambda n: Job(jobs.withhold, (federation, n, kept), n), show)
    )
    whole = {name: judged[name][0].test for name in names}
    if len(names) > 1:
        whole[ALL] = functools.reduce(operator.add, (whole[name] for name in names))
        each = zip(*(told[name] for name in names), strict=True)
        told[ALL] = [
            (sum(known for known, _ in one), functools.reduce(operator.add, (sums for _, sums in one))) for one in each
        ]
    return {
        name: figures_of_withheld(study, whole[name], told[name], sites[name].threshold, resamples=BOOTSTRAP)
        for name in whole
    }


def mapped(
    study: Study, federation: Federation, kept: Vector, names: Sequence[str], workers: Workers, show: Show
) -> MapFigures | None:
    """Let each hospital sum up how much of the model's maps lies in lesions; None where the study does not ask."""
    if study.evaluation.maps is None:
        return None
    cells: dict[str, MapCell] = dict(
        work_through(workers, "explaining", names, lambda n: Job(jobs.explain, (federation, n, kept), n), show)
    )
    by_name = {name: cells[name] for name in names}
    return figures_of_maps(study, functools.reduce(operator.add, by_name.values()), by_name)
