"""Runs side by side as one page: the table of ``wardround compare``, their figures with intervals, and their curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import jinja2

from wardround_common.pages.documents import style_of
from wardround_common.pages.site import OURS, moment
from wardround_common.results import Results, RoundRecord
from wardround_common.results.comparison import Comparison
from wardround_server.page.curves import Curve, curve, frame_of
from wardround_server.report.words import interval, number

HERE = Path(__file__).parent
DASHES = ("none", "7 4", "2 4", "9 4 2 4")
COLOURS = 8
"""Of the style sheet; the ninth run has the first one's colour, and another dash."""
WIDE, LEFT = 560, 8
"""Of the drawing of intervals, in its own units."""


@dataclass(frozen=True)
class Chart:
    """One figure of all runs over their rounds, in one frame; ``lines`` has a run's place among them."""

    name: str
    lines: tuple[tuple[int, Curve], ...]


@dataclass(frozen=True)
class Interval:
    """A run's figure on the test patients, drawn: in words, and where it and its interval's ends lie."""

    run: str
    said: str
    at: float
    low: float
    high: float


def view_page(found: Comparison, results: Sequence[Results]) -> str:
    """Return a page that needs nothing else: no script, no request.

    Args:
        found: the comparison of the runs.
        results: of the same runs, in the same order.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([HERE, OURS]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["moment"] = moment
    head, *rows = found.rows()
    metric = found.metrics[0]
    return environment.get_template("view.html").render(
        style=style_of("style.css"),
        runs=[run.name for run in found.runs],
        head=head,
        rows=rows,
        differ=len(found.differ),
        notes=found.notes,
        metric=metric,
        intervals=_intervals(found),
        charts=_charts([one.rounds for one in results], [run.name for run in found.runs], metric.label),
        dashes=[DASHES[place // COLOURS % len(DASHES)] for place in range(len(found.runs))],
        colours=COLOURS,
        now=datetime.now(UTC),
        version=version("wardround"),
    )


def _intervals(found: Comparison) -> list[Interval]:
    """Draw the headline figure of each run that was judged, all on one scale."""
    metric = found.metrics[0]
    judged = [(run.name, of) for run in found.runs if (of := run.figures.get(metric.name)) and of.value is not None]
    ends = [end for _, of in judged for end in (of.value, of.low, of.high) if end is not None]
    low, high = min(ends, default=0.0), max(ends, default=1.0)

    def place(value: float) -> float:
        return round(LEFT + (WIDE - 2 * LEFT) * ((value - low) / (high - low) if high > low else 0.5), 1)

    drawn = []
    for name, of in judged:
        value = of.value if of.value is not None else low
        ends_there = of.low is not None and of.high is not None
        said = number(value) + (f" ({interval(of, 3)})" if ends_there else ", without an interval")
        first, last = (of.low, of.high) if of.low is not None and of.high is not None else (value, value)
        drawn.append(Interval(name, said, place(value), place(first), place(last)))
    return drawn


def _charts(rounds: Sequence[Sequence[RoundRecord]], names: Sequence[str], headline: str) -> list[Chart]:
    figures: dict[str, Callable[[RoundRecord], float | None]] = {
        "Training loss": lambda one: one.training_loss,
        "Validation loss": lambda one: one.validation_loss,
        f"{headline}, validation": lambda one: one.headline.value,
    }
    charts = []
    for name, read in figures.items():
        lists = [[(one.number, read(one)) for one in each] for each in rounds]
        frame = frame_of(lists)
        if frame:
            drawn = [(place, curve(f"{name} of {names[place]}", values, frame)) for place, values in enumerate(lists)]
            charts.append(Chart(name, tuple((place, found) for place, found in drawn if found)))
    return charts
