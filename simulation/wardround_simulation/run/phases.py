"""One phase of a run: a job for each hospital, or each model, by the workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from wardround_common.errors import RoundError, WardroundError
from wardround_simulation.run.plan import Progress, Show
from wardround_simulation.workers import Broke, Died, Job, Workers


def work_through(
    workers: Workers,
    phase: str,
    names: Sequence[str],
    job: Callable[[str], Job],
    show: Show,
    before: Mapping[int, str] | None = None,
) -> Iterator[tuple[str, Any]]:
    """Do one job for each name; the first error ends the run.

    ``before``: names of jobs that were queued before by their numbers, whose results are given too and not counted.
    """
    name_of = {**(before or {}), **{workers.submit(job(name)): name for name in names}}
    show(Progress(phase, 0, len(names)))
    waiting, count = set(name_of), 0
    while waiting:
        for number, result in workers.done():
            waiting.remove(number)
            given = _sound(result, name_of[number] or "the study's network")  # which is tried for no hospital
            if number not in (before or {}):
                count += 1
                show(Progress(phase, count, len(names)))
            yield name_of[number], given


def _sound(result: Any, name: str) -> Any:
    if isinstance(result, WardroundError):
        raise result
    if isinstance(result, Broke):
        result.reraise()
    if isinstance(result, Died):
        raise RoundError(
            f"the process that worked for {name} {result.how()}",
            do="Run again with --resume; with fewer --workers it needs less memory."
            if result.killed
            else "If the study runs code of others, ask whoever wrote it.",
        )
    return result
