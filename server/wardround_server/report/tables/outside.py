"""How the model does where it was not trained: at hospitals left out, and at those that only evaluate."""

from __future__ import annotations

from wardround_common.results import (
    EXTERNAL,
    FEDERATED,
    TRAINED,
    Results,
    alone,
    without,
)
from wardround_common.tasks.registry import task_of
from wardround_server.report.tables.cells import (
    estimated,
    heads,
    missing,
    of_whom,
    said_of_scale,
    site_title,
    threshold_of,
    trained_or_not,
)
from wardround_server.report.tables.means import counted
from wardround_server.report.tables.table import Cell, Table, table
from wardround_server.report.words import NOTHING, listing, number


def left_out(results: Results) -> Table | None:
    """Show how well the model that was trained without each hospital does there; None where none was."""
    first = results.headline
    rows: list[list[Cell | str]] = []
    there: list[tuple[float, float]] = []
    lacking, means = [], counted(results, results.trainers)
    for hospital in results.hospitals:
        by_model = [
            results.evaluation.get(model, {}).get(hospital.name)
            for model in (without(hospital.name), FEDERATED, alone(hospital.name))
        ]
        if by_model[0] is not None:
            rows.append([Cell(hospital.name, strong=True), *(estimated(site, first.name) for site in by_model)])
            pair = by_model[0].value(first.name), by_model[1].value(first.name) if by_model[1] else None
            if hospital.name in means and pair[0] is not None and pair[1] is not None:
                there.append((pair[0], pair[1]))
            else:
                lacking.append(hospital.name)
    if not rows:
        return None
    mean = ""
    if there:
        apart, together = (sum(values) / len(values) for values in zip(*there, strict=True))
        apart_from = f", {listing(lacking)} not counted" if lacking else ""
        mean = f" On average {number(apart)} without the hospital, {number(together)} with it{apart_from}."
    return table(
        f"{results.headed} on the test patients of a hospital that did not train, with 95 % intervals.{mean}"
        f"{missing(rows)}",
        ["Hospital left out", "Trained without it", "Federated, with it", "Its own model"],
        rows,
        "numbers",
    )


def left_out_decisions(results: Results) -> Table | None:
    """Show what each model decides at a hospital that did not train it, beside the federation it trained with.

    Either at its own operating point, which the hospitals that trained fixed on their validation patients.
    """
    metrics = [task_of(results.study.task).metric(name) for name in task_of(results.study.task).decisions]
    rows: list[list[Cell | str]] = []
    for hospital in results.trainers:
        apart, together = (results.evaluation.get(model, {}).get(hospital) for model in (without(hospital), FEDERATED))
        if apart is None:
            continue
        cells: list[Cell | str] = []
        for metric in metrics:
            cells += [estimated(apart, metric.name), estimated(together, metric.name)]
        rows.append([Cell(hospital, strong=True), *cells, *(threshold_of(site) for site in (apart, together))])
    if not rows or not metrics:
        return None
    points = any(isinstance(cell, str) and cell != NOTHING for row in rows for cell in row[-2:])
    labels = heads(results, [metric.name for metric in metrics])
    columns = [f"{label}, {where}" for label in labels for where in ("did not train", "trained")]
    return table(
        "What is decided at a hospital that did not train, at the operating point that the others fixed on their "
        "validation patients; beside it, the federation with that hospital. 95 % intervals. A hospital where it falls "
        "can recalibrate the released model on its own labelled patients "
        "('wardround evaluate MODEL FOLDER --recalibrate FILE')."
        f"{said_of_scale(results) if points else ''}{missing(rows)}",
        ["Hospital", *columns, *(["Threshold of the others", "Threshold of all"] if points else [])],
        rows if points else [row[:-2] for row in rows],
        "numbers",
    )


def decisions_outside(results: Results) -> Table | None:
    """Show what the model decides at hospitals that only evaluate, beside those that trained; None if there are none.

    At the operating point of the study, which those that trained fixed on their validation patients.
    """
    sites = results.evaluation.get(FEDERATED, {})
    metrics = [task_of(results.study.task).metric(name) for name in task_of(results.study.task).decisions]
    outside = [name for name in (*results.external, EXTERNAL) if name in sites]
    if not outside or not metrics:
        return None
    shown = [TRAINED, *(outside[:1] if len(outside) == 2 else outside)] if TRAINED in sites else outside
    rows: list[list[Cell | str]] = [
        [
            Cell(site_title(name), quiet=of_whom(sites[name]) + trained_or_not(results, name), strong=name != TRAINED),
            *(estimated(sites[name], metric.name) for metric in metrics),
            threshold_of(sites[name]),
        ]
        for name in shown
    ]
    pointed = any(row[-1] != NOTHING for row in rows)
    return table(
        "What is decided where nobody trained, at the operating point that the hospitals that trained fixed on their "
        "validation patients. A hospital where it falls can recalibrate the model on its own labelled patients "
        f"('wardround evaluate MODEL FOLDER --recalibrate FILE')."
        f"{said_of_scale(results) if pointed else ''}{missing(rows)}",
        [
            "Test patients of",
            *heads(results, [metric.name for metric in metrics]),
            *(["Threshold"] if pointed else []),
        ],
        rows if pointed else [row[:-1] for row in rows],
        "numbers",
    )


def fell_where_left_out(results: Results) -> list[tuple[str, str, float, float]]:
    """Return for each metric at the operating point where it fell most: its label, the hospital, there without, with.

    Without: the model that the hospital did not train. Only hospitals with enough test records count.
    """
    found = []
    for name in task_of(results.study.task).decisions:
        pairs = []
        for hospital in counted(results, results.trainers):
            sites = (results.evaluation.get(model, {}).get(hospital) for model in (without(hospital), FEDERATED))
            apart, together = (site.value(name) if site else None for site in sites)
            if apart is not None and together is not None:
                pairs.append((apart - together, hospital, apart, together))
        if pairs:
            _, hospital, apart, together = min(pairs)
            found.append((task_of(results.study.task).metric(name).label, hospital, apart, together))
    return found
