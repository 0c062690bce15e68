"""How the risk at each time compares with what became of the patients, of all of them and at each hospital."""

from __future__ import annotations

from wardround_common.results import ALL, FEDERATED, Results
from wardround_common.tasks.registry import task_of
from wardround_server.report.tables.cells import ordered_sites, site_title
from wardround_server.report.tables.table import Cell, Table, table
from wardround_server.report.words import number


def by_time(results: Results) -> Table | None:
    """Show the federated model's mean risk, what was observed, and the Brier score; None where no risk is told."""
    times = task_of(results.study.task).horizons(results.study.task)
    rows: list[list[Cell | str]] = [
        [
            Cell(f"by {time}", quiet=site_title(site), strong=site == ALL),
            number(figures.predicted),
            number(figures.observed),
            number(figures.brier),
        ]
        for site, metrics in reversed(list(ordered_sites(results, results.evaluation.get(FEDERATED, {}))))
        for time, figures in zip(times, metrics.horizons, strict=False)
    ]
    if not rows:
        return None
    return table(
        "The federated model's risk on test patients, and what became of them (Kaplan-Meier)",
        ["", "Mean risk", "Observed", "Brier score"],
        rows,
        "numbers",
    )
