"""The run on one screen of a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from wardround_common.results import ALL, FEDERATED, Results
from wardround_server.report.alarms import alarms
from wardround_server.report.story import story
from wardround_server.report.tables.cells import title
from wardround_server.report.tables.means import mean_over_hospitals, mean_where_not_trained
from wardround_server.report.tables.quality import models
from wardround_server.report.tables.subgroups import worst
from wardround_server.report.words import interval, number

MOST = 8  # models in the table: a screen has 24 lines


def summary(results: Results) -> RenderableType:
    """Return what a person should know after a run, to be printed with rich.

    Names of hospitals and classes are shown as they are: no markup in them is followed, and characters that a
    terminal would obey rather than show are replaced.
    """
    found = alarms(results)
    parts: list[RenderableType] = [
        _shown(results.run, style="bold"),
        *(_shown(alarm, style="bold red") for alarm in found),
        *(_shown(paragraph) for paragraph in story(results)[bool(found) :]),
    ]
    shown, first = models(results), results.headline
    if shown:
        table = Table(box=None, pad_edge=False, header_style="dim")
        outside = mean_where_not_trained(results, FEDERATED) is not None
        for head in (
            "model",
            f"{results.headed}, mean over hospitals",
            *(["where it did not train"] if outside else []),
            f"{results.headed}, all test patients",
            "95 % interval",
        ):
            table.add_column(Text(head), justify="left" if head == "model" else "right")
        for model in shown if len(shown) <= MOST else [*shown[: MOST - 1], shown[-1]]:
            whole = results.evaluation[model].get(ALL)
            table.add_row(
                _shown(title(model, results.study)),
                number(mean_over_hospitals(results, model)),
                *([number(mean_where_not_trained(results, model))] if outside else []),
                number(whole.value(first.name) if whole else None),
                interval(whole.metrics[first.name]) if whole else "",
                style="bold" if model == FEDERATED else "",
            )
        if len(shown) > MOST:
            table.add_row(Text(f"… {len(shown) - MOST} more in the report", style="dim"))
        parts += [Text(), table]
    if results.subgroups:
        parts += [Text(), _subgroups(results)]
    parts += [_shown(f"! {note}", style="yellow") for note in results.notes]
    return Group(*parts)


def _subgroups(results: Results) -> Table:
    """Show the headline on each subgroup; the worst is bold."""
    first, lowest = results.headline, worst(results)
    made = Table(box=None, pad_edge=False, header_style="dim")
    for head in ("subgroup", "test patients", results.headed, "95 % interval"):
        made.add_column(Text(head), justify="left" if head == "subgroup" else "right")
    for subgrouping in results.subgroups:
        for cell in subgrouping.cells:
            estimate = cell.metrics[first.name]
            made.add_row(
                _shown(f"{subgrouping.name}: {cell.value}"),
                f"{cell.patients:,}",
                number(estimate.value),
                interval(estimate),
                style="bold" if lowest is not None and cell is lowest[1] else "",
            )
    return made


def _shown(text: str, style: str = "") -> Text:
    return Text("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text), style=style)
