"""One style for every figure, and how a figure becomes SVG that follows the page's light or dark colours.

Figures are drawn in placeholder colours, which the SVG then names as CSS variables (``page.css`` gives their values:
the Okabe and Ito palette, which the colour-blind can tell apart, darkened or lightened for contrast). Lines differ in
their dashes too, for those who print in black and white.
"""

from __future__ import annotations

import io
import re
import warnings
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, RULE, PAPER = "#010101", "#020202", "#030303"
SERIES = tuple(f"#{n:02x}{n:02x}{n:02x}" for n in range(4, 12))  # eight lines that differ
DASHES: tuple[tuple[float, ...], ...] = ((), (5, 1.5), (1.5, 1.2), (6, 1.5, 1.5, 1.5))

_VARIABLES = {INK: "--ink", RULE: "--rule", PAPER: "--paper"} | {c: f"--series-{n}" for n, c in enumerate(SERIES)}
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: small, searchable, in the page's font
    "path.simplify": True,
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlepad": 8,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "legend.handlelength": 2.4,
    "lines.linewidth": 1.5,
    "text.usetex": False,
    "text.parse_math": False,  # a hospital's name with two dollar signs is a name, not a formula
}


class Shown(Figure):
    """A figure that a notebook shows as a picture, also where nobody has imported pyplot."""

    def _repr_png_(self) -> bytes:
        self.savefig(out := io.BytesIO(), format="png", dpi=120)
        return out.getvalue()


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure ready for the page: inline SVG, and below it what it shows."""

    svg: Markup
    caption: str
    figure: Figure = field(repr=False, compare=False)
    """What it was made from, for those who want it in another form."""


def in_style() -> AbstractContextManager[None]:
    """Return the context in which figures are made and drawn."""
    return mpl.rc_context(_SETTINGS)


def panel(width: float = 4.6, height: float = 3.5, *, square: bool = False) -> tuple[Figure, Axes]:
    """Make a figure with one pair of axes; sizes in inches. ``square``: both axes go from 0 to 1."""
    figure = Shown(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    if square:
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), aspect="equal", anchor="W")
    return figure, axes


def line_style(k: int, many: int) -> dict[str, Any]:
    """Give line k of so many its colour and dashes; more than eight cannot be told apart and are drawn alike."""
    if many > len(SERIES):
        return {"color": RULE, "linewidth": 0.9}
    pattern = DASHES[k % len(DASHES)]
    return {"color": SERIES[k], "linewidth": 1.3, "linestyle": (0, pattern) if pattern else "-"}


def picture(figure: Figure, name: str, *, alt: str, caption: str) -> Picture:
    """Turn a figure into inline SVG. ``name`` keeps its ids apart from other figures', ``alt`` is what is read out."""
    out = io.StringIO()
    with (
        warnings.catch_warnings(),
        mpl.rc_context({"svg.hashsalt": f"wardround {name}"}),
    ):  # the same figure gives the same bytes
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # the page's font draws the text
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{escape(alt)}" ', 1)
    return Picture(Markup(svg), caption, figure)  # noqa: S704 (matplotlib escapes the text that it draws; tested)
