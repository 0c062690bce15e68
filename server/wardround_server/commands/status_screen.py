"""The state of a coordinator's hospitals and runs, as a screen and as one line."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

WORDS = {
    "approval": "waits for approvals",
    "preparing": "hospitals prepare their data",
    "training": "trains",
    "testing": "the test patients judge the model",
    "done": "done: every hospital was in every round",
    "incomplete": "complete, but not every hospital was in every round, or not every round counted",
    "failed": "failed",
    "stopped": "stopped",
}


GOING_ON = ("approval", "preparing", "training", "testing")
STANDINGS = {"against-policy": "may not, by its own policy"}


def screen(status: Mapping[str, Any]) -> Group:
    """Draw the answer to the command ``status``: first the active runs, then the hospitals, then what is over."""
    hospitals = Table("hospital", "link", "last heard", box=None, pad_edge=False)
    for one in status["hospitals"]:
        heard = f"{_ago(one['last_heard'], status['time'])} ago" if one["last_heard"] else "never"
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
    parts.append(Text(f"for {_ago(run['since'], now)}"))
    if run["doing"]:
        parts.append(_doing(run, now))
    return parts


def _doing(run: Mapping[str, Any], now: float) -> Table:
    table = Table("  hospital", "does", "round", "for", box=None, pad_edge=False, header_style="dim")
    for name, one in run["doing"].items():
        since = _ago(one["since"], now) if one["since"] else ""
        number = one["round"] if one["round"] and one["round"] <= run["rounds"] else ""  # the last model's judgement
        table.add_row(f"  {name}", one["state"], str(number), since)
    return table


def line(run: Mapping[str, Any]) -> str:
    """Say in one line the state of a run, and whom it is waiting for."""
    said = WORDS[run["stage"]]
    if run["stage"] == "training":
        said += (
            f", round {run['round'] + 1} of {run['rounds']}" if run["round"] < run["rounds"] else ", last round done"
        )
    if run["stage"] in GOING_ON and run["hospitals"]:
        said += ": " + ", ".join(f"{name} {STANDINGS.get(how, how)}" for name, how in run["hospitals"].items())
    return f"{said}. {run['said']}" if run["said"] else said


def _ago(moment: str, now: float) -> str:
    seconds = max(0, int(now - datetime.fromisoformat(moment).astimezone(UTC).timestamp()))
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
