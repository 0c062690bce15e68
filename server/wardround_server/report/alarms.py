"""What must be read before any figure: groups that a model never decides for, or of which it finds none."""

from __future__ import annotations

from collections.abc import Iterator

from wardround_common.counting import count
from wardround_common.metrics.shapes import LEAST_RECORDS, GroupFigures
from wardround_common.results import ALL, FEDERATED, Results
from wardround_common.tasks.registry import task_of
from wardround_server.report.words import judged, listing


def alarms(results: Results) -> list[str]:
    """Return a sentence or two for each group that the model fails altogether, on all test patients or at a hospital.

    A mean over groups hides that: it can be good where one group is never found.
    """
    sites = results.evaluation.get(FEDERATED, {})
    whole = [ALL] if ALL in sites else list(sites)
    groups = [(number, group) for site in whole for number, group in enumerate(sites[site].by_group)]
    most_first = sorted(groups, key=lambda pair: -pair[1].records)
    said = {number: sentence for number, group in most_first if (sentence := _of(results, number, group))}
    hedge = " The counts have noise, behind which a few that it finds can hide." if results.noised else ""
    return [f"{sentence}{hedge}" for sentence in (*said.values(), *_at_hospitals(results, set(said)))]


def _of(results: Results, number: int, group: GroupFigures) -> str:
    task, word, of = task_of(results.study.task), results.study.groups[number], judged(results.study)
    decides, whom = task.verdict[0], f"{group.records:,} {of} “{word}”"
    if task.numeric:
        return _of_number(task.group_words[0], decides, word, whom, group)
    rely = f"Nobody should rely on it to find “{word}”."
    if group.records and not group.decided:
        return f"The model never {decides} “{word}”: it finds none of the {whom}. {rely}"
    if group.records >= LEAST_RECORDS and not group.found:
        times = count(group.decided, "time")
        return f"The model finds none of the {whom}: it {decides} “{word}” {times}, each time wrongly. {rely}"
    return ""


def _of_number(part: str, decides: str, word: str, whom: str, group: GroupFigures) -> str:
    """Say of a part of the range what is said of a group: a number is told there, and not found."""
    rely = "Nobody should rely on what it tells of such patients."
    if group.records and not group.decided:
        return f"The model never {decides} “{word}”, and there are {whom}. {rely}"
    if group.records >= LEAST_RECORDS and not group.found:
        return f"The model tells none of the {whom} a value in their {part}. {rely}"
    return ""


def _at_hospitals(results: Results, failed: set[int]) -> Iterator[str]:
    """Name the hospitals at which a group is never found that is found elsewhere."""
    sites, of = results.evaluation.get(FEDERATED, {}), judged(results.study)
    task = task_of(results.study.task)
    none = f"tells none a value in their {task.group_words[0]}, of" if task.numeric else "finds none of"
    for number, word in enumerate(results.study.groups):
        if number in failed:
            continue
        found = [
            f"{hospital.name} (none of {group.records:,})"
            for hospital in results.hospitals
            if hospital.name in sites and sites[hospital.name].by_group
            for group in [sites[hospital.name].by_group[number]]
            if group.records >= LEAST_RECORDS and not group.found
        ]
        if found:
            yield f"There are hospitals where the model {none} the {of} “{word}”: {listing(found)}."
