"""What tables of quality share: names of sites and models, cells with intervals, and why some are empty."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wardround_common.counting import chance, count
from wardround_common.metrics import Estimate
from wardround_common.metrics.sum_intervals import OF_IMAGES, OF_MEANS
from wardround_common.results import (
    ALL,
    EXTERNAL,
    FEDERATED,
    POOLED,
    SHARED,
    TRAINED,
    Results,
    SiteMetrics,
    alone_hospital,
)
from wardround_common.results.evaluation import OF_GAPS, SAME
from wardround_common.study.file import Study
from wardround_common.tasks.registry import task_of
from wardround_server.report.tables.table import Cell
from wardround_server.report.words import NOTHING, interval, number

OF_A_MEAN = (
    "Those of means over classes, findings or structures are as wide as if all of these were wrong in the same images "
    "or patients: it is not known whether they are."
)


def site_title(site: str) -> str:
    """Name a site in a table."""
    named = {ALL: "All patients", TRAINED: "All that trained", EXTERNAL: "All that did not train"}
    return named.get(site, site)


def title(model: str, study: Study | None = None) -> str:
    """Name a model in a table, of the runs of a study."""
    hospital = alone_hospital(model)
    if hospital is not None:
        return f"{hospital} alone"
    without_it = "Federated, not corrected" if study and study.training.variates else "Federated, all shared"
    return {FEDERATED: "Federated", SHARED: without_it, POOLED: "Pooled"}.get(model, model)


def ordered_sites(results: Results, sites: dict[str, SiteMetrics]) -> Iterable[tuple[str, SiteMetrics]]:
    """Return sites in the order of the hospitals, those that only evaluated after the others, all together last."""
    ordered = [*results.trainers, *results.external, TRAINED, EXTERNAL, ALL]
    return [(name, sites[name]) for name in ordered if name in sites]


def trained_or_not(results: Results, name: str) -> str:
    """Say of a hospital that it did not train; nothing of one that did."""
    return " · did not train" if name in results.external else ""


def of_whom(site: SiteMetrics) -> str:
    """Say of how many patients a site's figures are; of how many images, where patients are not counted."""
    return count(site.images, "image") if site.patients is None else count(site.patients, "patient")


def heads(results: Results, names: Iterable[str]) -> list[str]:
    """Head the columns of these metrics."""
    task = task_of(results.study.task)
    return [task.headed(task.metric(name), results.study.task) for name in names]


def estimated(site: SiteMetrics | None, metric: str) -> Cell:
    """Show a metric at a site with its interval, or why there is none."""
    estimate = site.metrics[metric] if site else Estimate(None, reason="not evaluated")
    return Cell(number(estimate.value), quiet=interval(estimate), why=estimate.reason)


def missing(rows: Sequence[Sequence[Cell | str]]) -> str:
    """Say why some cells have no number, and some no interval."""
    cells = (cell for row in rows for cell in row)
    known = [cell for cell in cells if isinstance(cell, Cell)]
    reasons = sorted({cell.why for cell in known if cell.text == NOTHING and cell.why})
    shown = {cell.why for cell in known if cell.text != NOTHING}
    return (
        (f" {NOTHING} stands where there is no number: {'; '.join(reasons)}." if reasons else "")
        + (" No interval stands where every resample of the patients gives the same value." if SAME in shown else "")
        + (
            " Intervals are from sums, which take images for independent: too short where patients have several."
            if shown & OF_IMAGES
            else ""
        )
        + (f" {OF_A_MEAN}" if shown & OF_MEANS else "")
        + (" A calibration error has none: it is above 0 by chance alone." if OF_GAPS in shown else "")
    )


def said_of_scale(results: Results) -> str:
    """Say on which scale operating points are, as a sentence after a space; nothing where only one scale exists."""
    if not task_of(results.study.task).calibrates:
        return ""
    return (
        " Operating points are of the network’s own probability, before calibration; a prediction tells "
        "probability and operating point calibrated, and decides the same."
    )


def threshold_of(site: SiteMetrics | None) -> str:
    """Write the operating point of a site."""
    return written(site.threshold if site else None)


def written(threshold: float | tuple[float | None, ...] | None) -> str:
    """Write an operating point; a dash for none, and for several."""
    return chance(threshold) if isinstance(threshold, float) else NOTHING
