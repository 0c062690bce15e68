"""How good the models are: federated against alone and pooled, every model at every hospital, every metric."""

from __future__ import annotations

from wardround_common.counting import percent
from wardround_common.metrics.recalibration import FEW_PATIENTS, LEAST_PATIENTS
from wardround_common.metrics.shapes import LEAST_RECORDS
from wardround_common.results import (
    ALL,
    DEPLOYED,
    EXTERNAL,
    FEDERATED,
    POOLED,
    SHARED,
    TRAINED,
    Results,
    Withheld,
    alone,
    alone_hospital,
)
from wardround_common.tasks.registry import task_of
from wardround_server.report.tables.cells import (
    estimated,
    heads,
    missing,
    of_whom,
    ordered_sites,
    said_of_scale,
    site_title,
    title,
    trained_or_not,
    written,
)
from wardround_server.report.tables.means import (
    at_hospitals,
    mean_over_hospitals,
    mean_where_not_trained,
    said_of_means,
)
from wardround_server.report.tables.table import Cell, Table, table
from wardround_server.report.words import NOTHING, judged, number, of_a_side

WIDEST = 16  # hospitals in a cross-site matrix; more cannot be read


def by_group(results: Results) -> Table | None:
    """Show how the federated model does on each group, of all patients and of each hospital; None of few groups."""
    task, words = task_of(results.study.task), results.study.groups
    if len(words) < task.fewest_groups:
        return None
    rows: list[list[Cell | str]] = []
    names: list[str] = []
    sites = results.evaluation.get(FEDERATED, {})
    ordered = list(ordered_sites(results, sites))
    together = [pair for pair in reversed(ordered) if pair[0] in (ALL, EXTERNAL, TRAINED)]
    for site, metrics in [*together, *(pair for pair in ordered if pair[0] not in (ALL, EXTERNAL, TRAINED))]:
        points = metrics.threshold if isinstance(metrics.threshold, tuple) else ()
        for at, (word, group) in enumerate(zip(words, metrics.by_group, strict=False)):
            names = list(group.figures)
            few = "" if group.enough or not group.records else "few"
            alarm = group.records and not group.found
            rows.append(
                [
                    Cell(word, quiet=site_title(site) + trained_or_not(results, site), strong=site == ALL),
                    Cell(f"{group.records:,}", quiet=few),
                    Cell(f"{group.found:,}", quiet="none" if alarm else "", strong=bool(alarm)),
                    *(number(group.figures[name]) for name in names),
                    *([written(points[at])] if points else []),
                ]
            )
    if not rows:
        return None
    pointed = ["Operating point"] if any(isinstance(site.threshold, tuple) for site in sites.values()) else []
    whom, each = judged(results.study).removeprefix("test ").split()[0], task.group_words[0]
    return table(
        f"The federated model on each {each}. Few: fewer than {LEAST_RECORDS} {of_a_side(results)}."
        + (said_of_scale(results) if pointed else ""),
        ["", f"Test {whom}", "Found", *heads(results, names), *pointed],
        rows,
        "numbers",
    )


def models(results: Results) -> list[str]:
    """Name the models in the order of the report: federated, alone by hospital, pooled."""
    own = [m for m in results.evaluation if alone_hospital(m) is not None]
    return [m for m in (FEDERATED, SHARED, *own, POOLED) if m in results.evaluation]


def comparison(results: Results) -> Table | None:
    """Compare the models over the hospitals: the mean, the worst, and all test patients together."""
    rows: list[list[Cell | str]] = []
    shown, task, first = _few(results, models(results)), task_of(results.study.task), results.headline
    outside = any(mean_where_not_trained(results, model) is not None for model in shown)
    for model in shown:
        values = at_hospitals(results, model)
        whole = results.evaluation[model].get(ALL)
        rows.append(
            [
                Cell(title(model, results.study), strong=model == FEDERATED),
                Cell(number(mean_over_hospitals(results, model)), strong=model == FEDERATED),
                number(min(values, default=None, key=first.goodness)),
                *([number(mean_where_not_trained(results, model))] if outside else []),
                *(estimated(whole, metric) for metric in (first.name, *task.compared)),
            ]
        )
    if not rows:
        return None
    worst = "lowest" if first.better == "higher" else "highest"
    head = [
        "Model",
        *(
            f"{results.headed}, {which}"
            for which in (
                "mean over hospitals",
                f"{worst} hospital",
                *(["where it did not train"] if outside else []),
                "all patients",
            )
        ),
    ]
    fewer = len(shown) < len(models(results))
    who = f" Of the hospitals alone: the best, the middle and the {worst}." if fewer else ""
    what = "Each model" if len(shown) > 1 else "The model"
    return table(
        " ".join(filter(None, [f"{what} on test patients, with 95 % intervals.{who}", said_of_means(results)]))
        + missing(rows),
        [*head, *heads(results, task.compared)],
        rows,
        "numbers",
    )


def gained(results: Results) -> Table | None:
    """Show which hospitals gain and which lose by what each keeps from round to round; None where none keeps anything.

    Against the shared model of the same study without, else against each hospital alone.
    """
    first, corrected = results.headline, results.study.training.variates is not None
    shared = SHARED in results.evaluation
    rows: list[list[Cell | str]] = []
    moved: list[float] = []
    for hospital in results.trainers if results.study.training.keeps else ():
        other = SHARED if shared else alone(hospital)
        pair = [results.evaluation.get(model, {}).get(hospital) for model in (FEDERATED, other)]
        values = [site.value(first.name) if site else None for site in pair]
        if values[0] is None or values[1] is None:
            continue
        own, before = values[0], values[1]
        better = first.goodness(own) - first.goodness(before)
        moved.append(better)
        word = "gains" if better > 0 else "loses" if better < 0 else "the same"
        rows.append(
            [
                Cell(hospital, strong=True),
                *(estimated(site, first.name) for site in pair),
                Cell(f"{own - before:+.3f}", quiet=word),
            ]
        )
    if not rows:
        return None
    against = ("Not corrected" if corrected else "Shared by all") if shared else "Trained alone"
    whose = "the model on each hospital’s" if corrected else "each hospital’s own model on its"
    count = sum(better > 0 for better in moved)
    return table(
        f"{results.headed} of {whose} own test patients, with 95 % intervals: {count} of "
        f"{len(rows)} gain. A difference within the intervals is no gain and no loss.{missing(rows)}",
        ["Hospital", "With corrected steps" if corrected else "With its own part", against, "Difference"],
        rows,
        "numbers",
    )


def cross_site(results: Results) -> Table | None:
    """Show the headline of every model at every hospital; None with one model or more hospitals than can be read."""
    names = [h.name for h in results.hospitals]
    rows_of = models(results)
    if len(rows_of) < 2 or len(names) > WIDEST:
        return None
    every, first = [v for model in rows_of for v in at_hospitals(results, model)], results.headline
    if not every:
        return None
    low, high = sorted((min(every), max(every)), key=first.goodness)  # from the worst to the best
    rows: list[list[Cell | str]] = []
    for model in rows_of:
        cells: list[Cell | str] = [Cell(title(model, results.study), strong=model == FEDERATED)]
        for name in names:
            site = results.evaluation[model].get(name)
            value = site.value(first.name) if site else None
            shade = None if value is None else (value - low) / (high - low) if high != low else 0.5
            why = site.metrics[first.name].reason if site and value is None else ""
            cells.append(Cell(number(value), shade=shade, strong=alone_hospital(model) == name, why=why))
        rows.append(cells)
    return table(
        f"{results.headed} of every model (rows) on every hospital's test patients (columns): the stronger the "
        f"colour, the better. Bold: a hospital's own model at home.{missing(rows)}",
        ["Model", *(name if results.study.trains(name) else f"{name} (did not train)" for name in names)],
        rows,
        "heat",
    )


def by_hospital(results: Results) -> Table | None:
    """Show every metric of the federated model with its interval, by hospital."""
    sites, metrics = results.evaluation.get(FEDERATED, {}), task_of(results.study.task).metrics
    rows = [
        [
            Cell(site_title(name), quiet=of_whom(m) + trained_or_not(results, name), strong=name == ALL),
            *(estimated(m, metric.name) for metric in metrics),
        ]
        for name, m in ordered_sites(results, sites)
    ]
    head = ["Test patients of", *heads(results, [metric.name for metric in metrics])]
    caption = f"The federated model at each hospital, with 95 % intervals.{missing(rows)}"
    return table(caption, head, rows, "numbers") if rows else None


def own_calibration(results: Results) -> Table | None:
    """Show calibration error and Brier score without and with each hospital's own recalibration."""
    sites, known = results.evaluation.get(FEDERATED, {}), results.recalibrated
    there = [(name, site, known[name]) for name, site in ordered_sites(results, sites) if name in known]
    if not there:
        return None
    names = list(there[0][2].metrics)
    rows: list[list[Cell | str]] = [
        [
            Cell(site_title(name), quiet=of_whom(site) + trained_or_not(results, name), strong=name == ALL),
            *(number(value) for metric in names for value in (site.value(metric), own.metrics[metric])),
            {True: "yes", False: "no", None: ""}[own.fitted],
        ]
        for name, site, own in there
    ]
    labels = heads(results, names)
    head = ["Test patients of", *(f"{label}, {which}" for label in labels for which in ("as it is", "own")), "Fitted"]
    return table(
        "The federated model as it is, and if each hospital recalibrates it on its own validation patients (a slope "
        f"and a bias for each class; {LEAST_PATIENTS} patients of each class or more, ranked the right way), judged "
        f"on its test patients. Lower is better. With fewer than {FEW_PATIENTS} validation patients of a class what is "
        "fitted is mostly chance. The operating point is left as it is. "
        "'wardround evaluate MODEL FOLDER --recalibrate FILE' makes such a file.",
        head,
        rows,
        "numbers",
    )


def without_inputs(results: Results) -> Table | None:
    """Show what each input is worth: the headline without it, by how much it is higher with it, and for how many."""
    task = task_of(results.study.task)
    sites = ordered_sites(results, results.evaluation.get(FEDERATED, {}))
    there = [(name, site, one) for name, site in sites for one in results.withheld.get(name, ())]
    if not there:
        return None
    headline = task.first
    rows: list[list[Cell | str]] = [
        [
            Cell(site_title(name), quiet=of_whom(site) + trained_or_not(results, name), strong=name == ALL),
            one.name,
            f"{one.records - one.known:,} of {one.records:,}",
            number(site.value(headline.name)),
            number(one.value),
            _gain(one),
        ]
        for name, site, one in there
    ]
    head = ["Test patients of", "Without", "Missing anyway", headline.label, "without it", "What it is worth"]
    few = results.study.evaluation.smallest_subgroup
    small = (
        f" Where fewer than {few} of a hospital's patients have an input it is counted as known of nobody there and "
        f"changes nothing, and where fewer than {few} lack it, others keep it, so that {few} do; they count as missing."
        if results.engine == DEPLOYED
        else ""
    )
    return table(
        "The federated model as it is, and told that an input is missing of all test patients: what the input is worth "
        "to this model. One that was trained without it might do better than this one without it, and an input that is "
        f"known at some hospitals only also tells the hospital.{small}",
        head,
        rows,
        "numbers",
    )


def _gain(one: Withheld) -> Cell | str:
    if one.gain is None:
        return NOTHING
    between = "" if one.low is None or one.high is None else f"{one.low:+.2f} to {one.high:+.2f}"
    return Cell(f"{one.gain:+.3f}", quiet=between)


def confusions(results: Results) -> list[Table]:
    """Show the federated model's confusion matrices: of all patients, and of each hospital where few are needed."""
    classes = results.study.groups
    ordered = ordered_sites(results, results.evaluation.get(FEDERATED, {}))
    sites = {name: site for name, site in ordered if site.confusion}
    sites = {ALL: sites[ALL], **sites} if ALL in sites else sites
    if ALL in sites and (len(classes) > 4 or len(sites) > 9):
        sites = {ALL: sites[ALL]}
    elif len(sites) > 9:
        return []
    return [
        table(
            site_title(name) + trained_or_not(results, name),
            ["True ↓ decided →", *classes],
            [
                [
                    Cell(word),
                    *(
                        Cell(f"{n:,}", quiet=percent(n / sum(row)) if sum(row) else "", shade=n / max(sum(row), 1))
                        for n in row
                    ),
                ]
                for word, row in zip(classes, site.confusion, strict=True)
            ],
            "heat confusion",
        )
        for name, site in sites.items()
    ]


def _few(results: Results, names: list[str]) -> list[str]:
    """Of more models trained alone than can be read, keep the best, the middle and the worst by mean headline."""
    own = [m for m in names if alone_hospital(m) is not None]
    if len(own) <= WIDEST:
        return names
    means = {m: mean_over_hospitals(results, m) for m in own}
    known = [m for m in own if means[m] is not None]
    ordered = sorted(known, key=lambda m: results.headline.goodness(means[m] or 0.0), reverse=True)
    ordered += [m for m in own if means[m] is None]
    kept = {ordered[0], ordered[len(ordered) // 2], ordered[-1]}
    return [m for m in names if m not in own or m in kept]
