"""A run's progress on the screen: one line that changes, or on a pipe one line per step."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from wardround_common.counting import count
from wardround_common.results import RoundRecord
from wardround_common.tasks.registry import TASKS
from wardround_simulation.run.plan import Progress

TITLES = {
    "rehearsing": "Trying the network",
    "preparing": "Preparing hospitals",
    "comparing": "Comparing hospitals",
    "training": "Federated rounds",
    "baselines": "Alone and pooled",
    "leaving-one-out": "Without one each",
    "scoring": "Scoring the model",
    "recalibrating": "Recalibrating it",
    "withholding": "Withholding its inputs",
    "explaining": "Explaining it",
    "scoring-baselines": "Scoring these",
    "scoring-leaving-one-out": "Scoring those",
}
LINES_APART_S = 5.0


class Display:
    """Shows a run's progress on the terminal or, where there is none, as lines of text."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tasks: dict[str, TaskID] = {}
        self._said_at = 0.0
        self._bars = Bars(
            TextColumn("{task.description:<20}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("[dim]{task.fields[facts]}"),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Display:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def __call__(self, progress: Progress) -> None:
        """Show how far the run is."""
        facts = "" if progress.round is None else describe(progress.round)
        begins = progress.phase not in self._tasks
        if begins:
            title = TITLES.get(progress.phase, progress.phase)
            self._tasks[progress.phase] = self._bars.add_task(title, total=progress.total, facts=facts)
        self._bars.update(self._tasks[progress.phase], completed=progress.done, facts=facts)
        due = begins or progress.done == progress.total
        if not self._console.is_terminal and (due or time.monotonic() - self._said_at > LINES_APART_S):
            self._said_at = time.monotonic()
            title = TITLES.get(progress.phase, progress.phase)
            self._console.print(f"{title} {progress.done}/{progress.total} {facts}".rstrip(), soft_wrap=True)


def _label(metric: str) -> str:
    labels = {one.name: one.label for task in TASKS.values() for one in task.metrics}
    return labels.get(metric, metric)


def describe(record: RoundRecord) -> str:
    """Say what a round gave, in a line."""
    parts = [count(len(record.answered), "hospital")]
    if record.refused:
        parts.append("refused")
    if record.absent:
        parts.append(f"{len(record.absent)} absent")
    loss = record.validation_loss if record.validation_loss is not None else record.training_loss
    if loss is not None:
        parts.append(f"loss {loss:.3f}")
    if record.headline.value is not None:
        parts.append(f"{_label(record.headline.metric)} {record.headline.value:.3f}")
    if record.epsilon is not None:
        parts.append(f"ε ≤ {record.epsilon:.2f}")
    return " · ".join(parts)
