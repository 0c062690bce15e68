"""How the federated model does on subgroups of the test patients, and on which of them worst."""

from __future__ import annotations

from collections.abc import Iterator

from wardround_common.counting import count
from wardround_common.metrics import Estimate
from wardround_common.metrics.shapes import LEAST_RECORDS
from wardround_common.results import ALL, FEDERATED, Results, SubgroupFigures, Subgrouping
from wardround_common.study.subgroups import OTHER
from wardround_common.tasks.registry import task_of
from wardround_server.report.tables.table import Cell, Table, table
from wardround_server.report.words import interval, number, of_a_side


def worst(results: Results) -> tuple[Subgrouping, SubgroupFigures] | None:
    """Return the subgroup with the worst headline, and what tells it apart; None where none has a headline.

    "other" is left out, which nobody can act on: small subgroups of different kinds are merged in it. So are those with
    too few records on either side for a figure to say something, and what holds all patients: where nobody's age is
    known, "unknown" is no subgroup of them.
    """
    first = results.headline
    found = [
        (first.goodness(value), subgrouping, cell)
        for subgrouping, cell in _all(results)
        if len(subgrouping.cells) > 1
        and cell.value != OTHER
        and cell.enough
        and (value := cell.metrics[first.name].value) is not None
    ]
    return min(found, key=lambda one: one[0])[1:] if len(found) > 1 else None


def said_of_worst(results: Results) -> list[str]:
    """Name the subgroup on which the model does worst, with its interval and what it is to be compared with."""
    if (found := worst(results)) is None:
        return []
    subgrouping, cell = found
    first = results.headline
    estimate, unit = cell.metrics[first.name], f" {first.unit}" if first.unit else ""
    around = f" ({interval(estimate)})" if interval(estimate) else ""
    whole = results.evaluation.get(FEDERATED, {}).get(ALL)
    value = whole.value(first.name) if whole else None
    beside = f", where it is {number(value)}{unit} on all of them" if value is not None else ""
    return [
        f"Of the subgroups it does worst on {subgrouping.name} “{cell.value}”: {first.label} "
        f"{number(estimate.value)}{unit}{around} on {count(cell.patients, 'test patient')}{beside}."
        f"{_chance(results, subgrouping, cell)}"
    ]


def _chance(results: Results, subgrouping: Subgrouping, cell: SubgroupFigures) -> str:
    """Say whether its interval lies apart from that of the best subgroup of the same kind, if they have intervals."""
    first = results.headline
    others = [
        (first.goodness(estimate.value), one.value, estimate)
        for one in subgrouping.cells
        if one is not cell
        and one.value != OTHER
        and one.enough
        and (estimate := one.metrics[first.name]).value is not None
        and estimate.low is not None
    ]
    mine = cell.metrics[first.name]
    if not others or mine.low is None or mine.high is None:
        return ""
    _, name, best = max(others, key=lambda one: one[0])
    if best.low is None or best.high is None:
        return ""
    if best.low <= mine.high and mine.low <= best.high:
        return f" Its interval and that of “{name}”, the best by {subgrouping.name}, overlap: this may be chance."
    return f" Its interval lies apart from that of “{name}”, the best by {subgrouping.name}."


def by_subgroup(results: Results) -> Table | None:
    """Show the headline and the figures that models are compared in, of each subgroup; None where there are none."""
    task, first = task_of(results.study.task), results.headline
    shown, lowest = [first.name, *task.compared], worst(results)
    rows: list[list[Cell | str]] = [
        [
            Cell(cell.value, quiet=subgrouping.name, strong=lowest is not None and cell is lowest[1]),
            f"{cell.patients:,}",
            Cell(f"{cell.images:,}", quiet="" if cell.enough else "few"),
            *(_estimate(cell.metrics[name]) for name in shown),
        ]
        for subgrouping, cell in _all(results)
    ]
    if not rows:
        return None
    least = results.study.evaluation.smallest_subgroup
    bold = " Bold: the worst." if lowest else ""
    return table(
        f"The federated model on subgroups of all test patients, with 95 % intervals.{bold} Hospitals merged subgroups "
        f"of fewer than {least} of their patients into “other”, filled that up to {least} with patients of the larger "
        "ones, drawn by chance, and may have sent none. "
        f"Few: fewer than {LEAST_RECORDS} {of_a_side(results)}. {_given(results)}",
        ["Subgroup", "Patients", "Images", *(task.metric(name).label for name in shown)],
        rows,
        "numbers",
    )


def _given(results: Results) -> str:
    whole = results.evaluation.get(FEDERATED, {}).get(ALL)
    said = ", ".join(f"{one.patients:,} by {one.name}" for one in results.subgroups)
    of = f" of {whole.patients:,}" if whole and whole.patients else ""
    return f"Test patients in these sums: {said}{of}."


def _all(results: Results) -> Iterator[tuple[Subgrouping, SubgroupFigures]]:
    return ((subgrouping, cell) for subgrouping in results.subgroups for cell in subgrouping.cells)


def _estimate(estimate: Estimate) -> Cell:
    why = "" if interval(estimate) else estimate.reason
    return Cell(number(estimate.value), quiet=interval(estimate), why=why)
