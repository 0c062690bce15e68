"""The form of a new study: its fields, the file that they make, and each fault beside the field that it is of.

The file is the one that ``wardround study new`` writes, by the same code; an empty field has the usual value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wardround_common.errors import MessageError, StudyError
from wardround_common.study.networks import known_networks
from wardround_common.study.new import NAMED, new_study
from wardround_common.study.template import REASONS
from wardround_common.tasks.registry import TASKS
from wardround_server.state.roster_entries import roster_entries

PRIVACY = {
    "local": "each hospital adds its own noise",
    "distributed": "the hospitals share out the noise, under secure sums",
    "none": "without differential privacy",
}
"""By how 'study new' is asked: as it is, with --distributed, with --no-dp."""
_FAULT = re.compile(r"\[([a-z]+)\] ([a-z_]+)\b")
"""How a fault of a study file begins: its section and key."""


@dataclass(frozen=True)
class Field:
    """One field of the form."""

    section: str
    key: str
    label: str
    kind: str = "text"
    """text, words (by commas), whole, number, or choice."""
    choices: Sequence[tuple[str, str]] = ()
    reason: str = ""
    """What stands below the label; by default what stands in the file above the key."""

    @property
    def name(self) -> str:
        """Return the name of the field in the form."""
        return f"{self.section}-{self.key}"

    @property
    def said(self) -> str:
        """Return what stands below the label."""
        return self.reason or REASONS[self.section, self.key]


def fields() -> tuple[Field, ...]:
    """Return the fields in their order."""
    tasks = [(name, name) for name in TASKS]
    networks = [("", "the usual one"), *((name, name) for name in known_networks())]
    network = Field("model", "network", "Network", "choice", networks)
    if not known_networks():  # a coordinator without the hospitals' package takes any name, and they may refuse it
        network = Field("model", "network", "Network")
    return (
        Field("study", "name", "Name"),
        Field("task", "name", "Task", "choice", tasks, "What the model learns to predict from an image."),
        Field("task", "classes", "Classes or structures", "words", (), "In order, separated by commas."),
        Field("task", "dims", "Dimensions", "choice", [("", "as the task is"), ("2", "2, slices"), ("3", "3, volumes")],
              "Of outlines alone."),
        Field("data", "modalities", "Modalities", "words"),
        Field("data", "image_size", "Image size", "whole"),
        network,
        Field("training", "rounds", "Rounds", "whole"),
        Field("training", "batch_size", "Batch size", "whole"),
        Field("training", "learning_rate", "Learning rate", "number"),
        Field("privacy", "mode", "Differential privacy", "choice", list(PRIVACY.items()),
              "What bounds what anybody can learn of one patient."),
        Field("privacy", "epsilon", "Epsilon", "number"),
        Field("privacy", "delta", "Delta", "number"),
        Field("aggregation", "secure", "Secure sums", "choice",
              [("", "as usual"), ("true", "true"), ("false", "false")]),
        Field("aggregation", "min_hospitals", "Least number of hospitals", "whole"),
        Field("roster", "names", "Hospitals", "words", (),
              "Who may take part, separated by commas; their keys are put into the file."),
    )  # fmt: skip


@dataclass(frozen=True)
class Made:
    """What a form made: the file, or its faults."""

    text: str = field(default="", repr=False)
    faults: Mapping[str, str] = field(default_factory=dict)
    """By the name of the field."""
    others: tuple[str, ...] = ()
    """Faults that are of no field."""


def made_of(form: Mapping[str, str], enrolled: Mapping[str, bytes]) -> Made:
    """Make the file of a study from a form; ``enrolled``: the hospitals' public keys by their names."""
    given = {one.name: form.get(one.name, "").strip() for one in fields()}
    task = given["task-name"] or "classification"
    if task not in TASKS:
        return Made(faults={"task-name": f"there is no task {task!r}: choose {TASKS.choices()}"})
    faults = _misplaced(task, given)
    own: dict[str, dict[str, object]] = {}
    for one in fields():
        if given[one.name] and (one.section, one.key) not in _ELSEWHERE and one.name not in faults:
            own.setdefault(one.section, {})[one.key] = _value(one, given[one.name])
    mode = given["privacy-mode"] or "local"
    more = ""
    try:
        names = [name for name in _words(given["roster-names"]) if name]
        more = f"\n{roster_entries(enrolled, names)}" if names else ""
    except MessageError as error:
        faults["roster-names"] = f"{error.what}. {error.do}"
    others: list[str] = []
    text, name = "", given["study-name"]
    if not NAMED.fullmatch(name):  # said together with the others' faults
        faults["study-name"] = f"a study cannot be called {name!r}: {REASONS['study', 'name']}"
        name = "a-name"
    try:
        private = {"dp": mode != "none", "distributed": mode == "distributed"}
        text = new_study(name, task=task, **private, own=own, more=more)
    except StudyError as error:
        known = {one.name for one in fields()}
        for fault in error.faults:
            found = _FAULT.match(fault)
            name = f"{found[1]}-{found[2]}" if found else ""
            if name in known:
                faults.setdefault(name, fault)
            else:
                others.append(fault)
    return Made(faults=faults, others=tuple(others)) if faults or others else Made(text)


_ELSEWHERE = {("study", "name"), ("task", "name"), ("privacy", "mode"), ("roster", "names")}
"""Fields that are no key of a section, or are told otherwise."""


def _misplaced(task: str, given: Mapping[str, str]) -> dict[str, str]:
    keys = TASKS[task].section.model_fields
    return {
        f"task-{key}": f"the task {task!r} {why}: leave it empty"
        for key, why in (("classes", "has no classes"), ("dims", "is on single images"))
        if given[f"task-{key}"] and key not in keys
    }


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")]


def _value(one: Field, text: str) -> object:
    """Return a field's value as the file has it; what is no number stays a word, and the study says what is wrong."""
    kinds: dict[str, Any] = {"whole": (int, float), "number": (float,)}
    if one.kind == "words":
        return _words(text)
    if text in ("true", "false"):
        return text == "true"
    for kind in kinds.get(one.kind, (int,) if one.key == "dims" else ()):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
