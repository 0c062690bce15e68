"""What the coordinator's status shows, and in which order."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from wardround_server.commands.status_screen import screen
from wardround_server.service.status_words import line

NOW = 1_795_000_000.0
THEN = "2026-11-18T12:00:00+00:00"


def a_run(name: str, stage: str, **facts: Any) -> dict[str, Any]:
    usual = {"digest": "d" * 64, "since": THEN, "round": 10, "rounds": 10, "hospitals": {}, "said": "", "doing": {}}
    return usual | {"name": name, "stage": stage} | facts


def shown(*runs: dict[str, Any]) -> str:
    console = Console(width=100, record=True, file=None, quiet=False)
    hospital = {"name": "mercy", "state": "registered", "last_heard": THEN}
    with console.capture() as captured:
        console.print(screen({"time": NOW, "hospitals": [hospital], "runs": list(runs)}))
    return captured.get()


def test_what_runs_stands_first_then_the_hospitals_then_what_is_over_the_newest_first() -> None:
    said = shown(
        a_run("old", "failed"),
        a_run("new", "done"),
        a_run("now", "training", round=3),
    )
    places = [said.index(word) for word in ("now ·", "mercy", "new ·", "old ·")]
    assert places == sorted(places)


def test_the_judgement_of_the_last_model_is_no_round_eleven_of_ten() -> None:
    doing = {"mercy": {"state": "evaluating", "since": THEN, "round": 11}}
    said = shown(a_run("now", "testing", doing=doing))
    assert "11" not in said.partition("evaluating")[2].splitlines()[0].split()
    assert "the test patients judge the model" in said


def test_a_refusal_by_a_policy_is_said_in_words() -> None:
    run = a_run("now", "approval", hospitals={"mercy": "against-policy", "st-mary": "waiting"})
    assert line(run) == "waits for approvals: mercy may not, by its own policy, st-mary waiting"
