"""How good the model is, as pictures: ROC, precision-recall and reliability on test patients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from wardround_common.results import ALL, FEDERATED, POOLED, Curve, Results, SiteMetrics
from wardround_common.tasks.registry import task_of
from wardround_server.report.figures.style import INK, RULE, SERIES, Picture, line_style, panel, picture
from wardround_server.report.words import records

FEW = 10  # images: a fraction of fewer says nothing in a figure


def roc(results: Results) -> Picture | None:
    """Draw the federated model's ROC by hospital and for all test patients, with the pooled model's beside it."""
    return _curves(
        results,
        "roc",
        x="1 − specificity",
        y="sensitivity",
        title="ROC",
        metric="auroc",
        chance=True,
    )


def precision_recall(results: Results) -> Picture | None:
    """Draw precision over recall in the same way."""
    return _curves(
        results,
        "precision_recall",
        x="sensitivity (recall)",
        y="positive predictive value (precision)",
        title="Precision–recall",
        metric="auprc",
        chance=False,
    )


def _curves(results: Results, kind: str, *, x: str, y: str, title: str, metric: str, chance: bool) -> Picture | None:
    sites = results.evaluation.get(FEDERATED, {})
    hospitals = [h.name for h in results.hospitals if h.name in sites and getattr(sites[h.name], kind) is not None]
    whole = sites.get(ALL)
    if not hospitals and (whole is None or getattr(whole, kind) is None):
        return None
    figure, axes = panel(4.6, 4.9, square=True)
    if chance:
        axes.plot([0, 1], [0, 1], color=RULE, linewidth=1)
    for k, name in enumerate(hospitals):
        label = _label(name, sites[name], metric) if len(hospitals) <= len(SERIES) else None
        _draw(axes, getattr(sites[name], kind), label=label, **line_style(k, len(hospitals)))
    if len(hospitals) > len(SERIES):
        axes.plot([], [], color=RULE, label=f"each of {len(hospitals)} hospitals")
    pooled = results.evaluation.get(POOLED, {}).get(ALL)
    if pooled is not None and getattr(pooled, kind) is not None:
        _draw(
            axes,
            getattr(pooled, kind),
            label=_label("pooled model, all patients", pooled, metric),
            color=INK,
            linewidth=1.1,
            linestyle=(0, (1, 1.2)),
        )
    if whole is not None and getattr(whole, kind) is not None:
        _draw(axes, getattr(whole, kind), label=_label("all patients", whole, metric), color=INK, linewidth=2.2)
    axes.set(xlabel=x, ylabel=y, title=title)
    figure.legend(loc="outside lower left", ncols=1)
    numbers = "; ".join(_label(name, sites[name], metric) for name in [*hospitals, ALL][:12] if name in sites)
    task = task_of(results.study.task)
    several = len(results.study.groups) >= max(task.fewest_groups, 2)
    mean = f", mean over the {task.group_words[1]}" if several else ""
    return picture(
        figure,
        kind.replace("_", "-"),
        alt=f"{title} curves of the federated model on test patients{mean}. {numbers}",
        caption=f"{title} of the federated model on test patients{mean}; in the key, the area under each curve.",
    )


def _draw(axes: Axes, curve: Curve, **style: Any) -> None:
    axes.plot(curve.x, curve.y, **style)


def _label(name: str, site: SiteMetrics, metric: str) -> str:
    value = site.value(metric)
    return f"{shorten(name)} · {value:.2f}" if value is not None else shorten(name)


def shorten(name: str, length: int = 34) -> str:
    """Cut a long name, with an ellipsis, so that a figure keeps its shape."""
    return name if len(name) <= length else name[: length - 1].rstrip() + "…"


def calibration(results: Results) -> Picture | None:
    """Draw the reliability diagram of the federated model, with how many images are in each bin below it."""
    sites = {name: m for name, m in results.evaluation.get(FEDERATED, {}).items() if m.reliability is not None}
    if not sites:
        return None
    figure, axes = panel(4.6, 4.9)
    figure.clear()
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    axes.plot([0, 1], [0, 1], color=RULE, linewidth=1)
    hospitals = [h.name for h in results.hospitals if h.name in sites]
    for k, name in enumerate(hospitals):
        label = shorten(name) if len(hospitals) <= len(SERIES) else None
        axes.plot(*_points(sites[name], FEW), label=label, alpha=0.75, **line_style(k, len(hospitals)))
    if ALL in sites:
        axes.plot(*_points(sites[ALL], 1), color=INK, marker="o", markersize=3.5, linewidth=2, label="all patients")
    counts = _counts(sites)
    below.bar((np.arange(len(counts)) + 0.5) / len(counts), counts, 0.9 / len(counts), color=SERIES[0])
    axes.set(ylim=(-0.02, 1.02), ylabel="observed fraction", title="Calibration")
    below.set(xlim=(0, 1), xlabel="predicted probability", ylabel=records(results.study))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower left", ncols=2)
    task = task_of(results.study.task)
    several, times = len(results.study.groups) >= max(task.fewest_groups, 2), task.horizons(results.study.task)
    one, many = task.group_words
    what = f"the event by {times[-1]}" if times else f"the {one} (all {many} together)" if several else "the finding"
    error = sites[ALL].value("calibration_error") if ALL in sites else None
    return picture(
        figure,
        "calibration",
        alt="Reliability diagram of the federated model on test patients"
        + (f"; expected calibration error {error:.3f}" if error is not None else ""),
        caption=f"Of the {records(results.study)} given a probability, the fraction that has {what}"
        ": on the diagonal, the probability means what it says. "
        f"Below, {records(results.study)} in each of 16 bins; a hospital's bins of fewer than {FEW} are not drawn.",
    )


def _points(site: SiteMetrics, fewest: int) -> tuple[list[float], list[float]]:
    bins = site.reliability
    rows = zip(bins.predicted, bins.observed, bins.counts, strict=True) if bins else ()
    points = [(p, o) for p, o, n in rows if p is not None and o is not None and n >= fewest]
    return [p for p, _ in points], [o for _, o in points]


def _counts(sites: Mapping[str, SiteMetrics]) -> list[int]:
    chosen = [sites[ALL]] if ALL in sites else list(sites.values())
    return [sum(column) for column in zip(*(s.reliability.counts for s in chosen if s.reliability), strict=True)]
