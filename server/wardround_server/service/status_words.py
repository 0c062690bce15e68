"""The state of a run in words, for the screen and for pages alike."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

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


def ago(moment: str, now: float) -> str:
    """Say how long ago a moment was, in its largest unit."""
    seconds = max(0, int(now - datetime.fromisoformat(moment).astimezone(UTC).timestamp()))
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
