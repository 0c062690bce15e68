"""Who was missing in a run, when and why, in words."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from wardround_common.counting import count
from wardround_common.results import Absence, RoundRecord
from wardround_common.study.file import Study
from wardround_server.rounds.absences import why
from wardround_server.rounds.course import Judged
from wardround_server.rounds.keeping import over


def missing(history: Sequence[RoundRecord]) -> str:
    """Say which hospitals were missing in which rounds and why, and which rounds were given up; nothing if none."""
    absences: dict[str, list[tuple[int, Absence]]] = {}
    for record in history:
        for absent in record.absent:
            absences.setdefault(absent.hospital, []).append((record.number, absent))
    said = [
        f"{name} was missing in {len(rounds)} of {count(len(history), 'round')}: {_when(rounds)}"
        for name, rounds in sorted(absences.items())
    ]
    if given_up := [record.number for record in history if not record.answered]:
        said.append(f"given up: round{'s' if len(given_up) > 1 else ''} {', '.join(_ranges(given_up))}")
    return "; ".join(said)


def gaps(history: Sequence[RoundRecord]) -> str:
    """Say what keeps a run from being whole: who was missing when, and what was refused; nothing if all went well."""
    return "; ".join(said for said in (missing(history), *refusals(history)) if said)


def refusals(history: Sequence[RoundRecord]) -> list[str]:
    """Say which rounds' sums and evaluations were refused and why, each in a sentence."""
    return [why for record in history for why in (record.refused, record.scores_refused) if why]


def cut_short(study: Study, history: Sequence[RoundRecord]) -> str:
    """Say that a run was ended before its last round, and after which; nothing if it was not."""
    if over(study, history):
        return ""
    return f"the run was ended early, after round {len(history)} of {study.training.rounds}"


def untested(judged: Judged) -> str:
    """Say whose test patients did not judge the model, and why; nothing if all did."""
    who = ", ".join(f"{absent.hospital} ({why(absent.kind)})" for absent in judged.absent)
    if judged.refused:
        return f"the model was not judged on test patients: {judged.refused}"
    if not judged.test.records:
        return f"the model was not judged on test patients{f'; missing: {who}' if who else ''}"
    return f"the test patients of these hospitals did not judge the model: {who}" if who else ""


def _when(rounds: Sequence[tuple[int, Absence]]) -> str:
    kinds = dict.fromkeys(absent.kind for _, absent in rounds)
    return "; ".join(
        f"{', '.join(_ranges([number for number, absent in rounds if absent.kind == kind]))} ({why(kind)})"
        for kind in kinds
    )


def _ranges(numbers: Sequence[int]) -> list[str]:
    """Write rising numbers with the runs among them shortened: 1-3, 7."""
    runs = [list(run) for _, run in groupby(enumerate(numbers), key=lambda item: item[1] - item[0])]
    return [str(run[0][1]) if len(run) == 1 else f"{run[0][1]}-{run[-1][1]}" for run in runs]
