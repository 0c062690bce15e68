"""How good the models are: federated against alone and pooled, every model at every hospital, every metric."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wardround_common.metrics import Estimate
from wardround_common.results import ALL, FEDERATED, POOLED, Results, SiteMetrics, alone_hospital
from wardround_server.report.tables.table import Cell, Table, table
from wardround_server.report.words import NAMES, NOTHING, interval, number

WIDEST = 16  # hospitals in a cross-site matrix; more cannot be read
SHOWN = ("auroc", "auprc", "sensitivity", "specificity", "ppv", "npv", "f1", "balanced_accuracy", "brier")


def mean_over_hospitals(results: Results, model: str, metric: str = "auroc") -> float | None:
    """Return the mean of a metric over the hospitals' test patients, each hospital counting once."""
    values = _at_hospitals(results, model, metric)
    return sum(values) / len(values) if values else None


def models(results: Results) -> list[str]:
    """Name the models in the order of the report: federated, alone by hospital, pooled."""
    own = [m for m in results.evaluation if alone_hospital(m) is not None]
    return [m for m in (FEDERATED, *own, POOLED) if m in results.evaluation]


def title(model: str) -> str:
    """Name a model in a table."""
    hospital = alone_hospital(model)
    if hospital is not None:
        return f"{hospital} alone"
    return {FEDERATED: "Federated", POOLED: "Pooled"}.get(model, model)


def comparison(results: Results) -> Table | None:
    """Compare the models over the hospitals: the mean, the worst, and all test patients together."""
    rows: list[list[Cell | str]] = []
    shown = _few(results, models(results))
    for model in shown:
        values = _at_hospitals(results, model, "auroc")
        whole = results.evaluation[model].get(ALL)
        rows.append(
            [
                Cell(title(model), strong=model == FEDERATED),
                Cell(number(mean_over_hospitals(results, model)), strong=model == FEDERATED),
                number(min(values, default=None)),
                *(_estimate(whole, metric) for metric in ("auroc", "auprc", "sensitivity", "specificity")),
            ]
        )
    if not rows:
        return None
    head = ["Model", "AUROC, mean over hospitals", "AUROC, lowest hospital", "AUROC, all patients", "AUPRC"]
    fewer = len(shown) < len(models(results))
    who = " Of the hospitals alone: the best, the middle and the lowest." if fewer else ""
    what = "Each model" if len(shown) > 1 else "The model"
    return table(
        f"{what} on test patients, with 95 % intervals.{who}{_missing(rows)}",
        [*head, "Sensitivity", "Specificity"],
        rows,
        "numbers",
    )


def cross_site(results: Results) -> Table | None:
    """Show the AUROC of every model at every hospital; None with one model or more hospitals than can be read."""
    names = [h.name for h in results.hospitals]
    rows_of = models(results)
    if len(rows_of) < 2 or len(names) > WIDEST:
        return None
    every = [v for model in rows_of for v in _at_hospitals(results, model, "auroc")]
    if not every:
        return None
    low, high = min(every), max(every)
    rows: list[list[Cell | str]] = []
    for model in rows_of:
        cells: list[Cell | str] = [Cell(title(model), strong=model == FEDERATED)]
        for name in names:
            site = results.evaluation[model].get(name)
            value = site.value("auroc") if site else None
            shade = None if value is None else (value - low) / (high - low) if high > low else 0.5
            why = site.metrics["auroc"].reason if site and value is None else ""
            cells.append(Cell(number(value), shade=shade, strong=alone_hospital(model) == name, why=why))
        rows.append(cells)
    return table(
        "AUROC of every model (rows) on every hospital's test patients (columns): the stronger the colour, the better. "
        f"Bold: a hospital's own model at home.{_missing(rows)}",
        ["Model", *names],
        rows,
        "heat",
    )


def by_hospital(results: Results) -> Table | None:
    """Show every metric of the federated model with its interval, by hospital."""
    sites = results.evaluation.get(FEDERATED, {})
    rows = [
        [
            Cell(name if name != ALL else "All patients", quiet=_of_whom(m), strong=name == ALL),
            *(_estimate(m, metric) for metric in SHOWN),
        ]
        for name, m in ordered_sites(results, sites)
    ]
    head = ["Test patients of", *(NAMES[metric] for metric in SHOWN)]
    caption = f"The federated model at each hospital, with 95 % intervals.{_missing(rows)}"
    return table(caption, head, rows, "numbers") if rows else None


def _of_whom(site: SiteMetrics) -> str:
    return f"{site.images:,} images" if site.patients is None else f"{site.patients:,} patients"


def confusions(results: Results) -> list[Table]:
    """Show the federated model's confusion matrices: of all patients, and of each hospital where few are needed."""
    classes = results.study.groups
    sites = dict(ordered_sites(results, results.evaluation.get(FEDERATED, {})))
    sites = {ALL: sites[ALL], **sites} if ALL in sites else sites
    if ALL in sites and (len(classes) > 4 or len(sites) > 9):
        sites = {ALL: sites[ALL]}
    elif len(sites) > 9:
        return []
    return [
        table(
            "All patients" if name == ALL else name,
            ["True ↓ decided →", *classes],
            [
                [
                    Cell(word),
                    *(
                        Cell(f"{n:,}", quiet=f"{n / sum(row):.0%}" if sum(row) else "", shade=n / max(sum(row), 1))
                        for n in row
                    ),
                ]
                for word, row in zip(classes, site.confusion, strict=True)
            ],
            "heat confusion",
        )
        for name, site in sites.items()
    ]


def ordered_sites(results: Results, sites: dict[str, SiteMetrics]) -> Iterable[tuple[str, SiteMetrics]]:
    """Give sites in the order of the hospitals, all together last."""
    return [(name, sites[name]) for name in [*(h.name for h in results.hospitals), ALL] if name in sites]


def _few(results: Results, names: list[str]) -> list[str]:
    """Of more models trained alone than can be read, keep the best, the middle and the lowest by mean AUROC."""
    own = [m for m in names if alone_hospital(m) is not None]
    if len(own) <= WIDEST:
        return names
    ordered = sorted(own, key=lambda m: mean_over_hospitals(results, m) or 0.0, reverse=True)
    kept = {ordered[0], ordered[len(ordered) // 2], ordered[-1]}
    return [m for m in names if m not in own or m in kept]


def _missing(rows: Sequence[Sequence[Cell | str]]) -> str:
    """Say why some cells have no number."""
    cells = (cell for row in rows for cell in row)
    reasons = sorted({cell.why for cell in cells if isinstance(cell, Cell) and cell.text == NOTHING and cell.why})
    return f" {NOTHING} stands where there is no number: {'; '.join(reasons)}." if reasons else ""


def _at_hospitals(results: Results, model: str, metric: str) -> list[float]:
    sites = results.evaluation.get(model, {})
    values = [sites[h.name].value(metric) for h in results.hospitals if h.name in sites]
    return [v for v in values if v is not None]


def _estimate(site: SiteMetrics | None, metric: str) -> Cell:
    estimate = site.metrics[metric] if site else Estimate(None, reason="not evaluated")
    return Cell(number(estimate.value), quiet=interval(estimate), why=estimate.reason)
