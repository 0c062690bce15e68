"""Curves of a run over its rounds, as the points of a drawing: bounded, however many rounds there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wardround_common.results import RoundRecord

WIDTH, HEIGHT, LEFT, TOP = 560, 170, 80, 12
"""Of the drawing, in its own units, and what its axes need."""
MOST_POINTS = 200


@dataclass(frozen=True)
class Curve:
    """One figure over the rounds; ``pieces`` are the points of its lines, which end where a round has no figure."""

    name: str
    said: str
    """The same in words, for who does not see it."""
    pieces: tuple[str, ...]
    dots: tuple[tuple[float, float], ...]
    """Rounds whose neighbours have no figure."""
    lowest: str
    highest: str
    first: int
    last: int


def curves(history: Sequence[RoundRecord], headline: str) -> list[Curve]:
    """Draw what a run's rounds have: losses, and the figure that stands first in the study's task, by its label."""
    if not history:
        return []
    rows: dict[str, Sequence[tuple[int, float | None]]] = {
        "Training loss": [(each.number, each.training_loss) for each in history],
        "Validation loss": [(each.number, each.validation_loss) for each in history],
        f"{headline}, validation": [(each.number, each.headline.value) for each in history],
        "Seconds a round took": [(each.number, each.seconds) for each in history],
    }
    return [found for name, values in rows.items() if (found := curve(name, values))]


@dataclass(frozen=True)
class Frame:
    """What a drawing spans: figures from ``low`` to ``high``, rounds from ``first`` to ``last``."""

    low: float
    high: float
    first: int
    last: int


def frame_of(lists: Iterable[Sequence[tuple[int, float | None]]]) -> Frame | None:
    """Return the frame that holds some curves; None if none of them has a figure."""
    points = [one for values in lists for one in values]
    there = [value for _, value in points if value is not None]
    if not there:
        return None
    rounds = [number for number, _ in points]
    return Frame(min(there), max(there), min(rounds), max(rounds))


def curve(name: str, values: Sequence[tuple[int, float | None]], frame: Frame | None = None) -> Curve | None:
    """Draw one figure, in the frame of several or its own; None without any.

    Of more rounds than can be told apart, evenly spaced ones are drawn, and the last.
    """
    step = -(-len(values) // MOST_POINTS)
    kept = [one for place, one in enumerate(values) if place % step == 0 or place == len(values) - 1]
    there = [(number, value) for number, value in values if value is not None]
    own = frame_of([values])
    if own is None:
        return None
    of = frame or own

    def place(number: int, value: float) -> tuple[float, float]:
        across = LEFT + (WIDTH - LEFT - 12) * (
            (number - of.first) / (of.last - of.first) if of.last > of.first else 0.5
        )
        down = TOP + (HEIGHT - 2 * TOP - 18) * ((of.high - value) / (of.high - of.low) if of.high > of.low else 0.5)
        return round(across, 1), round(down, 1)

    missing = [number for number, value in values if value is None]
    pieces: list[list[tuple[float, float]]] = [[]]
    before = own.first
    for number, value in kept:
        if any(before <= gap <= number for gap in missing):  # also of a round that is not drawn
            pieces.append([])
        if value is not None:
            pieces[-1].append(place(number, value))
        before = number
    lowest, highest = (next(number for number, value in there if value == end) for end in (own.low, own.high))
    said = (
        f"{name}: {there[0][1]:.4g} in round {there[0][0]}, {there[-1][1]:.4g} in round {there[-1][0]}; lowest "
        f"{own.low:.4g} in round {lowest}, highest {own.high:.4g} in round {highest}"
    )
    return Curve(
        name=name,
        said=said,
        pieces=tuple(" ".join(f"{x},{y}" for x, y in piece) for piece in pieces if len(piece) > 1),
        dots=tuple(piece[0] for piece in pieces if len(piece) == 1),
        lowest=f"{of.low:.4g}",
        highest=f"{of.high:.4g}",
        first=of.first,
        last=of.last,
    )
