"""What an epsilon leaves to learn from, as a picture: signal to noise over epsilon, one line a trust model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from wardround_server.report.figures.style import INK, Picture, line_style, panel, picture


def trade(lines: Mapping[str, Sequence[tuple[float, float]]], epsilon: float) -> Picture:
    """Draw lines of (epsilon, signal to noise over the study), and mark the study's epsilon."""
    figure, axes = panel(6.4, 3.8)
    highest = max(dict(points)[epsilon] for points in lines.values())
    for k, (label, points) in enumerate(lines.items()):
        style = line_style(k, len(lines))
        here = dict(points)[epsilon]
        axes.plot([x for x, _ in points], [y for _, y in points], label=label, **style)
        axes.plot([epsilon], [here], marker="o", markersize=4.5, linestyle="", color=style["color"])
        place, side = ((-6, 5), "right") if here == highest else ((6, -11), "left")
        axes.annotate(f"{here:.3g}", (epsilon, here), xytext=place, textcoords="offset points", fontsize=8, ha=side)
    axes.axvline(epsilon, color=INK, linewidth=1, linestyle=(0, (1, 1.2)), label="the study’s epsilon")
    axes.set(xscale="log", yscale="log", title="Signal to noise over the study", xlabel="ε of a patient")
    axes.set_ylabel("largest signal over noise")
    for axis, locator in ((axes.xaxis, LogLocator(2)), (axes.yaxis, LogLocator(10, subs=(1.0, 2.0, 5.0)))):
        axis.set_major_locator(locator)
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    figure.legend(loc="outside lower left", ncols=3)
    at = ", ".join(f"{label} {dict(points)[epsilon]:.3g}" for label, points in lines.items())
    return picture(
        figure,
        "trade",
        alt=f"Largest signal to noise over the study by epsilon; at the study's epsilon {epsilon:g}: {at}",
        caption="Below 1 the noise of all parameters together is longer than the largest possible signal. Training can "
        "still work there: noise spreads over every direction, and what patients agree on does not.",
    )
