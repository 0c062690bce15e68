"""The means over hospitals and groups: whom they count, whom they leave out and why."""

from __future__ import annotations

from collections.abc import Sequence

from wardround_common.metrics.shapes import LEAST_RECORDS
from wardround_common.results import (
    ALL,
    EXTERNAL,
    FEDERATED,
    Results,
)
from wardround_common.tasks.registry import task_of
from wardround_server.report.words import listing, number, of_a_side, records


def mean_over_hospitals(results: Results, model: str) -> float | None:
    """Return the mean of the headline over the hospitals that trained, on their test patients, each counting once.

    Hospitals of :func:`too_few` do not count, nor those at which it is not defined; :func:`said_of_means` names them.
    """
    values = at_hospitals(results, model)
    return sum(values) / len(values) if values else None


def at_hospitals(results: Results, model: str) -> list[float]:
    """Return the values of the headline of which :func:`mean_over_hospitals` is the mean."""
    return _values(results, model, counted(results, results.trainers))


def counted(results: Results, names: Sequence[str]) -> list[str]:
    """Return those of the hospitals that means over hospitals count: all but those of :func:`too_few`."""
    few = too_few(results, names)
    return [name for name in names if name not in few]


def too_few(results: Results, names: Sequence[str]) -> list[str]:
    """Name the hospitals with too few test records of either side to count in a mean; none, if all have too few."""
    sites = results.evaluation.get(FEDERATED, {})
    there = [name for name in names if name in sites]
    few = [name for name in there if not sites[name].enough]
    return few if len(few) < len(there) else []


def mean_where_not_trained(results: Results, model: str) -> float | None:
    """Return the mean of the headline over the hospitals that did not train; of a deployed run, over their patients."""
    values = _values(results, model, counted(results, results.external))
    if values:
        return sum(values) / len(values)
    together = results.evaluation.get(model, {}).get(EXTERNAL)
    return together.value(results.headline.name) if together else None


def said_of_means(results: Results) -> str:
    """Say which hospitals and groups no mean counts, and why; nothing if all count."""
    said, sites = [], results.evaluation.get(FEDERATED, {})
    there = [name for name in (*results.trainers, *results.external) if name in sites]
    if said_of_undefined := _without_a_value(results, there):
        said.append(said_of_undefined)
    few = [*too_few(results, results.trainers), *too_few(results, results.external)]
    if few:
        side = of_a_side(results)
        said.append(f"Not in the means over hospitals, with fewer than {LEAST_RECORDS} {side}: {listing(few)}.")
    elif there and not any(sites[name].enough for name in there):
        said.append(f"No hospital has {LEAST_RECORDS} {of_a_side(results)}: means over hospitals say little.")
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


def _without_a_value(results: Results, names: Sequence[str]) -> str:
    """Name the hospitals at which the headline is not defined, each with the reason; nothing if no others have it."""
    sites, first = results.evaluation.get(FEDERATED, {}), results.headline
    lacking = [name for name in counted(results, names) if sites[name].value(first.name) is None]
    if not lacking or len(lacking) == len(names):
        return ""
    each = [f"{name} ({sites[name].metrics[first.name].reason})" for name in lacking]
    return f"Not in the means over hospitals, without {first.term} there: {listing(each)}."


def _has_sides(results: Results) -> bool:
    """Whether figures are means over groups, each of which has records on either side or not."""
    whole = results.evaluation.get(FEDERATED, {}).get(ALL)
    fewest = max(task_of(results.study.task).fewest_groups, 2)
    return whole is not None and len(whole.by_group) >= fewest and whole.by_group[0].rest is not None


def _values(results: Results, model: str, names: Sequence[str]) -> list[float]:
    sites, first = results.evaluation.get(model, {}), results.headline.name
    values = [sites[name].value(first) for name in names if name in sites]
    return [v for v in values if v is not None]
