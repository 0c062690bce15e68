"""A table as data: rows of cells under a head, with a caption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its text, what is said more quietly below it, and how strongly it is shaded."""

    text: str
    quiet: str = ""
    shade: float | None = None  # 0 to 1, in a heat table
    strong: bool = False
    why: str = ""  # shown on pointing: why there is no number


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the first cell of each row is its heading."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    kind: str = ""  # a class of page.css: "heat", "confusion", "plain"


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[Cell | str]], kind: str = "") -> Table:
    """Make a table of cells or plain words."""
    made = tuple(tuple(cell if isinstance(cell, Cell) else Cell(cell) for cell in row) for row in rows)
    return Table(caption, tuple(head), made, kind)
