"""The state of a coordinator's hospitals and runs, as a screen and as one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from wardround_server.service.status_words import GOING_ON, ago, line


def screen(status: Mapping[str, Any]) -> Group:
    """Draw the answer to the command ``status``: first the active runs, then the hospitals, then what is over."""
    hospitals = Table("hospital", "link", "last heard", box=None, pad_edge=False)
    for one in status["hospitals"]:
        heard = f"{ago(one['last_heard'], status['time'])} ago" if one["last_heard"] else "never"
        hospitals.add_row(one["name"], one["state"], heard)
    parts: list[Table | Text] = []
    newest = list(reversed(status["runs"]))
    for run in newest:
        if run["stage"] in GOING_ON:
            parts += [*_run(run, status["time"]), Text()]
    parts.append(hospitals if status["hospitals"] else Text("No hospital is enrolled yet."))
    parts += [Text(warning) for one in status["hospitals"] for warning in one.get("warnings", ())]
    for run in newest:
        if run["stage"] not in GOING_ON:
            parts += [Text(), *_run(run, status["time"])]
    for said in status.get("damaged", ()):
        parts += [Text(), Text(said, style="red")]
    return Group(*parts)


def _run(run: Mapping[str, Any], now: float) -> list[Table | Text]:
    parts: list[Table | Text] = [Text(f"{run['name']} · {run['digest'][:12]}", style="bold"), Text(line(run))]
    parts.append(Text(f"for {ago(run['since'], now)}"))
    if run["doing"]:
        parts.append(_doing(run, now))
    return parts


def _doing(run: Mapping[str, Any], now: float) -> Table:
    table = Table("  hospital", "does", "round", "for", box=None, pad_edge=False, header_style="dim")
    for name, one in run["doing"].items():
        since = ago(one["since"], now) if one["since"] else ""
        number = one["round"] if one["round"] and one["round"] <= run["rounds"] else ""  # the last model's judgement
        table.add_row(f"  {name}", one["state"], str(number), since)
    return table
