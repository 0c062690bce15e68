"""Hospital by hospital: the headline of the federated, the own and the pooled model with their intervals."""

from __future__ import annotations

from wardround_common.metrics import Estimate
from wardround_common.results import ALL, FEDERATED, POOLED, Results, alone
from wardround_server.report.figures.quality import shorten
from wardround_server.report.figures.style import INK, RULE, SERIES, Picture, panel, picture
from wardround_server.report.tables.cells import ordered_sites, site_title
from wardround_server.report.words import number

TALLEST = 24  # hospitals; more make rows that cannot be read, and the tables have them all


def forest(results: Results) -> Picture | None:
    """Draw a row for each hospital, and one for all patients, as a forest plot does."""
    sites = results.evaluation.get(FEDERATED, {})
    names = [name for name, _ in ordered_sites(results, sites)]
    first = results.headline
    shown = [name for name in names if sites[name].value(first.name) is not None]
    if not shown or len(shown) > TALLEST:
        return None
    figure, axes = panel(4.6, max(4.9, 1.4 + 0.42 * len(shown)))
    series = [
        ("federated", "o", INK, 0.0, dict.fromkeys(shown, FEDERATED)),
        ("the hospital alone", "s", SERIES[1], 0.22, {name: alone(name) for name in shown if name != ALL}),
        ("pooled", "D", SERIES[0], -0.22, dict.fromkeys(shown, POOLED)),
    ]
    for label, marker, colour, shift, model_of in series:
        points = [
            (len(shown) - k + shift, estimate)
            for k, name in enumerate(shown)
            if (estimate := _headline(results, model_of.get(name, ""), name)) is not None
        ]
        for y, e in points:
            if e.low is not None and e.high is not None:
                axes.plot([e.low, e.high], [y, y], color=colour, linewidth=1.2)
        if points:
            x, y_of = [e.value for _, e in points], [y for y, _ in points]
            axes.plot(x, y_of, linestyle="", marker=marker, markersize=5, color=colour, label=label)  # type: ignore[arg-type]  # values are not None
    if first.chance is not None:
        axes.axvline(first.chance, color=RULE, linewidth=1)
    unit = f" ({first.unit})" if first.unit else ""
    axes.set(title=f"{first.label} with 95 % interval", xlabel=f"{first.label} on the site's test patients{unit}")
    axes.set(yticks=[len(shown) - k for k in range(len(shown))], ylim=(0.4, len(shown) + 0.6))
    external = " *" if results.external else ""
    axes.set_yticklabels(
        [shorten(site_title(name), 24) + (external if name in results.external else "") for name in shown]
    )
    if first.better == "higher" and not first.unit:
        axes.set_xlim(right=1.005)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside lower left", ncols=3)
    said = "; ".join(f"{name} {number(sites[name].value(first.name), 2)}" for name in shown)
    return picture(
        figure,
        "forest",
        alt=f"{first.label} of the federated model at each site, with intervals: {said}",
        caption="On the site's own test patients."
        + (" “The hospital alone” is that hospital's own model at home." if len(results.evaluation) > 1 else "")
        + (" * It did not train." if external else ""),
    )


def _headline(results: Results, model: str, site: str) -> Estimate | None:
    found, first = results.evaluation.get(model, {}).get(site), results.headline.name
    return found.metrics[first] if found and found.value(first) is not None else None
