"""The progress of an evidence pack's attacks, on the screen."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

console = Console(stderr=True)


class AttackDisplay:
    """Shows how far the attacks are: bars on a terminal, else one line an attack."""

    def __init__(self) -> None:
        self._tasks: dict[str, TaskID] = {}
        self._bars = Progress(
            TextColumn("{task.description:<20}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> AttackDisplay:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def __call__(self, attack: str, done: int, total: int) -> None:
        """Show that ``done`` of an attack's ``total`` steps are done."""
        if attack not in self._tasks:
            self._tasks[attack] = self._bars.add_task(attack, total=total)
            if not console.is_terminal:
                console.print(f"{attack}, {total} steps")
        self._bars.update(self._tasks[attack], completed=done)
