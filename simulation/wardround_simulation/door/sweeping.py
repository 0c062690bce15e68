"""``sweep`` as a function: studies, settings and seeds in, one table out; the command prints what this returns."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wardround_client.training.devices import choose
from wardround_common.arguments import checked
from wardround_common.errors import StudyError
from wardround_common.results.frames import frame
from wardround_common.study.file import Study
from wardround_simulation import sweep as sweeps
from wardround_simulation.door.participants import Hospitals, Reading, sites_of
from wardround_simulation.door.simulating import Engine, crew_of, shown
from wardround_simulation.run.plan import Plan, Show

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame


@dataclass(frozen=True, eq=False)
class SweepResults:
    """What came of a sweep: its groups of runs that differ by their seed, and the folder that it is in."""

    groups: tuple[sweeps.Group, ...] = field(repr=False)
    folder: Path

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield each run: study, settings, seed, the headline metric of each hospital and their mean, epsilon."""
        names = sweeps.hospitals_of(self.groups)
        for group in self.groups:
            for row in group.rows:
                yield {
                    "study": group.file,
                    **dict(group.settings),
                    "seed": row.trial.seed,
                    **{name: row.by_hospital.get(name) for name in names},
                    "mean": row.mean,
                    "epsilon": row.epsilon,
                    "failed": row.failed,
                    "run": row.trial.folder,
                }

    def to_frame(self) -> DataFrame:
        """Return the runs as a pandas DataFrame, one row each.

        Raises:
            StudyError: pandas is not installed.
        """
        return frame(self.rows())

    def figure(self) -> Figure:
        """Return the picture of the table as a matplotlib figure."""
        return sweeps.picture(self.groups)

    def _repr_html_(self) -> str:
        """Return the table as a notebook shows it."""
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        head, *rows = sweeps.table(self.groups)
        drawn = Table(box=None, pad_edge=False)
        for word in head:
            drawn.add_column(Text(word))
        for row in rows:
            drawn.add_row(*map(Text, row))
        # In a notebook rich would show it, besides what is returned here.
        console = Console(record=True, file=io.StringIO(), width=110, force_jupyter=False)
        console.print(drawn)
        return console.export_html(inline_styles=True, code_format="<pre>{code}</pre>")


def _several(key: str, values: Any) -> tuple[Any, ...]:
    if isinstance(values, str) or not isinstance(values, Iterable) or not (several := tuple(values)):
        raise StudyError("there are no values to try", where=key, do="Give a list of values, such as [0.01, 0.1].")
    return several


@checked
def sweep(
    studies: Study | Path | str | Sequence[Study | Path | str],
    hospitals: Hospitals | None,
    settings: Mapping[str, Sequence[Any]] | None = None,
    seeds: Sequence[int] | None = None,
    *,
    out: Path | str | None = None,
    workers: int | None = None,
    device: str = "auto",
    baselines: bool = False,
    labels: str | None = None,
    label_attribute: str | None = None,
    allow: Collection[str] = (),
    confirm_patients: Collection[str] = (),
    engine: Engine = "in-process",
    state: Path | str | None = None,
    start: Path | str | None = None,
    tell: Callable[[str], None] = lambda line: None,
    progress: bool | Show = True,
) -> SweepResults:
    """Simulate a federation over several studies, settings and seeds, and compare what came of it.

    An interrupted sweep is continued by the same call: finished runs are not done again.

    Args:
        studies: studies, or paths of study files; one, or several.
        hospitals: as for :func:`simulate`.
        settings: by keys with dots, the values to try, such as ``{"training.learning_rate": [0.01, 0.1]}``; each with
            each.
        seeds: the seeds to try; None for the studies' own.
        out: folder of the sweep; None for ``runs/sweep-NAME``.
        workers: as for :func:`simulate`; so are ``device``, ``labels``, ``label_attribute``, ``allow``,
            ``confirm_patients``, ``engine``, ``state`` and ``start``.
        baselines: in each run, also train on each hospital alone and on all data pooled.
        tell: is called with a line before and after each run, and with what private runs would cost.
        progress: whether progress is shown, on standard error; or a function that is told of each step.

    Raises:
        StudyError: a study, a key or a value is wrong, or two runs are the same.
        StorageError: the folder holds another sweep or a run, or cannot be written.
        WardroundError: whatever ends a simulated run, but for its training.
    """
    given = [studies] if isinstance(studies, Study | Path | str) else list(studies)
    if not given:
        raise StudyError("there is nothing to sweep", do="Give one study or several.")
    grids = [(key, _several(key, values)) for key, values in (settings or {}).items()]
    trials = sweeps.trials_of(
        [one if isinstance(one, Study) else Path(one) for one in given],
        grids,
        None if seeds is None else tuple(seeds),
    )
    folder = Path("runs") / f"sweep-{trials[0].study.study.name}" if out is None else Path(out)
    reading = Reading(labels, label_attribute, allow, confirm_patients, state)
    whole = folder.resolve()  # the folder that one is in, "", has no name of its own
    cut = sites_of(hospitals, reading, whole.parent / f"{whole.name}-data")
    chosen = choose(device)
    if note := sweeps.privacy_note(trials):
        tell(f"! {note}")
    model = None if start is None else Path(start)
    first = Plan(trials[0].study, (), folder, False, baselines, engine, device=chosen, start=model)
    tell(f"{len(trials)} run{'s' if len(trials) > 1 else ''} in {folder}")
    groups = sweeps.sweep(
        sweeps.Sweep(trials, cut, first, folder),
        lambda: crew_of(workers, chosen),
        lambda: shown(chosen, progress=progress),
        tell,
    )
    return SweepResults(groups, folder)
