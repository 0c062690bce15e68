"""How good the models are: federated against alone and pooled, every model at every hospital, every metric."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wardround_common.counting import chance, percent
from wardround_common.metrics import Estimate
from wardround_common.metrics.recalibration import FEW_PATIENTS, LEAST_PATIENTS
from wardround_common.metrics.shapes import LEAST_RECORDS
from wardround_common.metrics.sum_intervals import OF_IMAGES, OF_MEANS
from wardround_common.results import (
    ALL,
    DEPLOYED,
    EXTERNAL,
    FEDERATED,
    POOLED,
    SHARED,
    TRAINED,
    Results,
    SiteMetrics,
    Withheld,
    alone,
    alone_hospital,
    without,
)
from wardround_common.results.evaluation import OF_GAPS, SAME
from wardround_common.study.file import Study
from wardround_common.tasks.registry import task_of
from wardround_server.report.tables.table import Cell, Table, table
from wardround_server.report.words import NOTHING, interval, judged, listing, number, records

OF_A_MEAN = (
    "Those of means over classes, findings or structures are as wide as if all of these were wrong in the same images "
    "or patients: it is not known whether they are."
)
WIDEST = 16  # hospitals in a cross-site matrix; more cannot be read


def mean_over_hospitals(results: Results, model: str) -> float | None:
    """Return the mean of the headline over the hospitals that trained, on their test patients, each counting once.

    Hospitals of :func:`too_few` do not count, nor those at which it is not defined; :func:`said_of_means` names them.
    """
    values = at_hospitals(results, model)
    return sum(values) / len(values) if values else None


def too_few(results: Results, names: Sequence[str]) -> list[str]:
    """Name the hospitals with too few test records of either side to count in a mean; none, if all have too few."""
    sites = results.evaluation.get(FEDERATED, {})
    there = [name for name in names if name in sites]
    few = [name for name in there if not sites[name].enough]
    return few if len(few) < len(there) else []


def said_of_means(results: Results) -> str:
    """Say which hospitals and groups no mean counts, and why; nothing if all count."""
    said, sites = [], results.evaluation.get(FEDERATED, {})
    there = [name for name in (*results.trainers, *results.external) if name in sites]
    if said_of_undefined := _without_a_value(results, there):
        said.append(said_of_undefined)
    few = [*too_few(results, results.trainers), *too_few(results, results.external)]
    if few:
        said.append(f"Not in the means over hospitals, with fewer than {LEAST_RECORDS} on either side: {listing(few)}.")
    elif there and not any(sites[name].enough for name in there):
        said.append(f"No hospital has {LEAST_RECORDS} test records on either side: means over hospitals say little.")
    whole = sites.get(ALL) or next(iter(sites.values()), None)
    if whole is not None and whole.margin is not None:
        said.append(
            f"{results.headline.label} of all test patients is not known exactly: scores that are nearly the same are "
            f"counted as ties, which could move it by up to {number(whole.margin)}."
        )
    task, rare = task_of(results.study.task), rare_groups(results)
    if _has_sides(results):
        if rare:
            words = listing([f"“{word}”" for word in rare])
            few_of_them = f"fewer than {LEAST_RECORDS} {records(results.study)}" + (
                " on either side" if task.apart else ""
            )
            said.append(f"Not in the means over {task.group_words[1]}, with {few_of_them}: {words}.")
        for word, few, anywhere in not_in_figures(results, (*results.trainers, *results.external)):
            if word not in rare:
                more = "" if anywhere else "; the mean over hospitals says nothing of it, all test patients together do"
                said.append(
                    f"Not in the figures of {listing(few)}, with fewer than {LEAST_RECORDS} on either side there: "
                    f"“{word}”{more}."
                )
    return " ".join(said)


def _without_a_value(results: Results, names: Sequence[str]) -> str:
    """Name the hospitals at which the headline is not defined, each with the reason; nothing if no others have it."""
    sites, first = results.evaluation.get(FEDERATED, {}), results.headline
    lacking = [name for name in counted(results, names) if sites[name].value(first.name) is None]
    if not lacking or len(lacking) == len(names):
        return ""
    each = [f"{name} ({sites[name].metrics[first.name].reason})" for name in lacking]
    return f"Not in the means over hospitals, without {first.term} there: {listing(each)}."


def rare_groups(results: Results) -> list[str]:
    """Name the groups with too few test records of all hospitals to count in a mean over groups; none, if all have."""
    whole = results.evaluation.get(FEDERATED, {}).get(ALL)
    if whole is None or not _has_sides(results):
        return []
    rare = [word for word, group in zip(results.study.groups, whole.by_group, strict=True) if not group.enough]
    return rare if len(rare) < len(whole.by_group) else []


def not_in_figures(results: Results, hospitals: Sequence[str]) -> list[tuple[str, list[str], bool]]:
    """Return each group that some hospitals' figures are without: it, these, whether the others' figures have it.

    Hospitals that no mean counts are left out; there is none where figures are not means over groups.
    """
    sites = results.evaluation.get(FEDERATED, {})
    there = [name for name in hospitals if name in sites and sites[name].enough]
    found = []
    for at, word in enumerate(results.study.groups if _has_sides(results) else ()):
        few = [name for name in there if sites[name].by_group and not sites[name].by_group[at].enough]
        if few:
            found.append((word, few, len(few) < len(there)))
    return found


def _has_sides(results: Results) -> bool:
    """Whether figures are means over groups, each of which has records on either side or not."""
    whole = results.evaluation.get(FEDERATED, {}).get(ALL)
    fewest = max(task_of(results.study.task).fewest_groups, 2)
    return whole is not None and len(whole.by_group) >= fewest and whole.by_group[0].rest is not None


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
                    Cell(word, quiet=site_title(site) + _part(results, site), strong=site == ALL),
                    Cell(f"{group.records:,}", quiet=few),
                    Cell(f"{group.found:,}", quiet="none" if alarm else "", strong=bool(alarm)),
                    *(number(group.figures[name]) for name in names),
                    *([_written(points[at])] if points else []),
                ]
            )
    if not rows:
        return None
    pointed = ["Operating point"] if any(isinstance(site.threshold, tuple) for site in sites.values()) else []
    whom, each = judged(results.study).removeprefix("test ").split()[0], task.group_words[0]
    return table(
        f"The federated model on each {each}. Few: fewer than {LEAST_RECORDS} on either side."
        + (said_of_scale(results) if pointed else ""),
        ["", f"Test {whom}", "Found", *_heads(results, names), *pointed],
        rows,
        "numbers",
    )


def _heads(results: Results, names: Iterable[str]) -> list[str]:
    task = task_of(results.study.task)
    return [task.headed(task.metric(name), results.study.task) for name in names]


def said_of_scale(results: Results) -> str:
    """Say on which scale operating points are, as a sentence after a space; nothing where only one scale exists."""
    if not task_of(results.study.task).calibrates:
        return ""
    return (
        " Operating points are of the network’s own probability, before calibration; a prediction tells "
        "probability and operating point calibrated, and decides the same."
    )


def mean_where_not_trained(results: Results, model: str) -> float | None:
    """Return the mean of the headline over the hospitals that did not train; of a deployed run, over their patients."""
    values = _values(results, model, counted(results, results.external))
    if values:
        return sum(values) / len(values)
    together = results.evaluation.get(model, {}).get(EXTERNAL)
    return together.value(results.headline.name) if together else None


def site_title(site: str) -> str:
    """Name a site in a table."""
    named = {ALL: "All patients", TRAINED: "All that trained", EXTERNAL: "All that did not train"}
    return named.get(site, site)


def models(results: Results) -> list[str]:
    """Name the models in the order of the report: federated, alone by hospital, pooled."""
    own = [m for m in results.evaluation if alone_hospital(m) is not None]
    return [m for m in (FEDERATED, SHARED, *own, POOLED) if m in results.evaluation]


def title(model: str, study: Study | None = None) -> str:
    """Name a model in a table, of the runs of a study."""
    hospital = alone_hospital(model)
    if hospital is not None:
        return f"{hospital} alone"
    without_it = "Federated, not corrected" if study and study.training.variates else "Federated, all shared"
    return {FEDERATED: "Federated", SHARED: without_it, POOLED: "Pooled"}.get(model, model)


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
                *(_estimate(whole, metric) for metric in (first.name, *task.compared)),
            ]
        )
    if not rows:
        return None
    worst = "lowest" if first.better == "higher" else "highest"
    head = [
        "Model",
        *(
            f"{task.headed(first, results.study.task)}, {which}"
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
        + _missing(rows),
        [*head, *_heads(results, task.compared)],
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
                *(_estimate(site, first.name) for site in pair),
                Cell(f"{own - before:+.3f}", quiet=word),
            ]
        )
    if not rows:
        return None
    against = ("Not corrected" if corrected else "Shared by all") if shared else "Trained alone"
    whose = "the model on each hospital’s" if corrected else "each hospital’s own model on its"
    count = sum(better > 0 for better in moved)
    return table(
        f"{first.label} of {whose} own test patients, with 95 % intervals: {count} of "
        f"{len(rows)} gain. A difference within the intervals is no gain and no loss.{_missing(rows)}",
        ["Hospital", "With corrected steps" if corrected else "With its own part", against, "Difference"],
        rows,
        "numbers",
    )


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
            rows.append([Cell(hospital.name, strong=True), *(_estimate(site, first.name) for site in by_model)])
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
        f"{first.label} on the test patients of a hospital that did not train, with 95 % intervals.{mean}"
        f"{_missing(rows)}",
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
            cells += [_estimate(apart, metric.name), _estimate(together, metric.name)]
        rows.append([Cell(hospital, strong=True), *cells, *(_threshold(site) for site in (apart, together))])
    if not rows or not metrics:
        return None
    points = any(isinstance(cell, str) and cell != NOTHING for row in rows for cell in row[-2:])
    labels = _heads(results, [metric.name for metric in metrics])
    heads = [f"{label}, {where}" for label in labels for where in ("did not train", "trained")]
    return table(
        "What is decided at a hospital that did not train, at the operating point that the others fixed on their "
        "validation patients; beside it, the federation with that hospital. 95 % intervals. A hospital where it falls "
        "can recalibrate the released model on its own labelled patients "
        "('wardround evaluate MODEL FOLDER --recalibrate FILE')."
        f"{said_of_scale(results) if points else ''}{_missing(rows)}",
        ["Hospital", *heads, *(["Threshold of the others", "Threshold of all"] if points else [])],
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
            Cell(site_title(name), quiet=_of_whom(sites[name]) + _part(results, name), strong=name != TRAINED),
            *(_estimate(sites[name], metric.name) for metric in metrics),
            _threshold(sites[name]),
        ]
        for name in shown
    ]
    pointed = any(row[-1] != NOTHING for row in rows)
    return table(
        "What is decided where nobody trained, at the operating point that the hospitals that trained fixed on their "
        "validation patients. A hospital where it falls can recalibrate the model on its own labelled patients "
        f"('wardround evaluate MODEL FOLDER --recalibrate FILE')."
        f"{said_of_scale(results) if pointed else ''}{_missing(rows)}",
        [
            "Test patients of",
            *_heads(results, [metric.name for metric in metrics]),
            *(["Threshold"] if pointed else []),
        ],
        rows if pointed else [row[:-1] for row in rows],
        "numbers",
    )


def _threshold(site: SiteMetrics | None) -> str:
    return _written(site.threshold if site else None)


def _written(threshold: float | tuple[float | None, ...] | None) -> str:
    return chance(threshold) if isinstance(threshold, float) else NOTHING


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
        f"{first.label} of every model (rows) on every hospital's test patients (columns): the stronger the "
        f"colour, the better. Bold: a hospital's own model at home.{_missing(rows)}",
        ["Model", *(name if results.study.trains(name) else f"{name} (did not train)" for name in names)],
        rows,
        "heat",
    )


def by_hospital(results: Results) -> Table | None:
    """Show every metric of the federated model with its interval, by hospital."""
    sites, metrics = results.evaluation.get(FEDERATED, {}), task_of(results.study.task).metrics
    rows = [
        [
            Cell(site_title(name), quiet=_of_whom(m) + _part(results, name), strong=name == ALL),
            *(_estimate(m, metric.name) for metric in metrics),
        ]
        for name, m in ordered_sites(results, sites)
    ]
    head = ["Test patients of", *_heads(results, [metric.name for metric in metrics])]
    caption = f"The federated model at each hospital, with 95 % intervals.{_missing(rows)}"
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
            Cell(site_title(name), quiet=_of_whom(site) + _part(results, name), strong=name == ALL),
            *(number(value) for metric in names for value in (site.value(metric), own.metrics[metric])),
            {True: "yes", False: "no", None: ""}[own.fitted],
        ]
        for name, site, own in there
    ]
    labels = _heads(results, names)
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
            Cell(site_title(name), quiet=_of_whom(site) + _part(results, name), strong=name == ALL),
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
        f"changes nothing, and where fewer than {few} lack it, as known of all."
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


def _part(results: Results, name: str) -> str:
    return " · did not train" if name in results.external else ""


def _of_whom(site: SiteMetrics) -> str:
    return f"{site.images:,} images" if site.patients is None else f"{site.patients:,} patients"


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
            site_title(name) + _part(results, name),
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


def ordered_sites(results: Results, sites: dict[str, SiteMetrics]) -> Iterable[tuple[str, SiteMetrics]]:
    """Return sites in the order of the hospitals, those that only evaluated after the others, all together last."""
    ordered = [*results.trainers, *results.external, TRAINED, EXTERNAL, ALL]
    return [(name, sites[name]) for name in ordered if name in sites]


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


def _missing(rows: Sequence[Sequence[Cell | str]]) -> str:
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


def at_hospitals(results: Results, model: str) -> list[float]:
    """Return the values of the headline of which :func:`mean_over_hospitals` is the mean."""
    return _values(results, model, counted(results, results.trainers))


def counted(results: Results, names: Sequence[str]) -> list[str]:
    """Return those of the hospitals that means over hospitals count: all but those of :func:`too_few`."""
    few = too_few(results, names)
    return [name for name in names if name not in few]


def _values(results: Results, model: str, names: Sequence[str]) -> list[float]:
    sites, first = results.evaluation.get(model, {}), results.headline.name
    values = [sites[name].value(first) for name in names if name in sites]
    return [v for v in values if v is not None]


def _estimate(site: SiteMetrics | None, metric: str) -> Cell:
    estimate = site.metrics[metric] if site else Estimate(None, reason="not evaluated")
    return Cell(number(estimate.value), quiet=interval(estimate), why=estimate.reason)
