"""What is wrong with a study file, in words for the person who wrote it: section, key, given value, and the fix."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from wardround_common.errors import StudyError, WardroundError
from wardround_common.nearest import nearest
from wardround_common.study.template import example, toml_value
from wardround_common.tasks.registry import TASKS

LONGEST_VALUE = 60
Model = TypeVar("Model", bound=BaseModel)

LESSONS: Mapping[tuple[str, str], str] = {
    ("study", "name"): "lower-case letters, digits and hyphens only, at most 64, since it names a folder",
    ("data", "modalities"): "DICOM writes modalities in capitals, such as 'MR'; 'OTHER' takes files that are not DICOM",
    ("model", "network"): "a hospital runs only networks that it installed, so that a study names one of these",
    ("training", "focal_gamma"): (
        "an image's loss is multiplied by (1 - p)^gamma; at 10 one that is right with p = 0.5 counts a thousandth, and "
        "beyond that next to nothing is learnt; 2 is usual, and 0.5 to 5 were tried"
    ),
    ("training", "class_weights"): "they say how many times a class counts; 1 to 20 are usual",
    ("training", "learning_rate"): "0.0001 to 10 is usual; beyond a thousand a few steps leave all numbers",
    ("training", "ditto_lambda"): "0.01 to 10 is usual; with a thousand a step pulls further than to the shared model",
    ("training", "proximal_mu"): "0.001 to 1 is usual; with a thousand a step pulls further than to the round's start",
    ("training", "server_learning_rate"): "1 is the hospitals' mean step; a few rounds of a thousand leave all numbers",
    ("privacy", "epsilon"): (
        "at 0 nothing may be learnt from any patient, so that nothing can be trained; 8 is weak but usual, "
        "1 is strong; mechanism = 'none' goes without differential privacy"
    ),
    ("privacy", "delta"): "the probability that the epsilon bound fails; well below 1/N for a hospital of N patients",
    ("privacy", "clip_norm"): "without a bound on what one patient contributes, no noise is enough; 1.0 is usual",
    ("roster", "name"): "as 'wardround coordinator roster DIR' prints it",
    ("roster", "key"): "64 hexadecimal digits in small letters, as 'wardround coordinator roster DIR' prints them",
    ("roster", "fingerprint"): "20 digits in groups of five, as 'wardround coordinator roster DIR' prints them",
    ("privacy", "sampling_rate"): "the chance of a patient to be in a step, such as 0.25; at 1.0 everybody is in each",
    ("aggregation", "deadline_minutes"): (
        "well above what the slowest hospital needs to train a round: its work is dropped after that, and its privacy "
        "stays spent"
    ),
    ("aggregation", "patience_minutes"): (
        "a hospital says every ten seconds that it is there; with less than half a minute one lost message would count "
        "as a lost hospital"
    ),
    ("evaluation", "sensitivity"): "a fraction, such as 0.9; at 1.0 every patient would be called ill",
}
"""Why a key is as strict as it is; said after what is wrong with its value."""

MOVED: Mapping[tuple[str, str], str] = {
    ("study", "task"): "the task is a section of its own; write a line [task] and below it name = {given}",
    ("study", "classes"): "write this key below [task]",
}
"""What to write instead of a key that studies had before 0.1.0."""


def unreadable(path: Path, error: OSError) -> StudyError:
    """Say why a study file cannot be read, and what to do."""
    if isinstance(error, IsADirectoryError):
        return StudyError("this is a folder, not a study file", where=str(path), do="Name the .toml file itself.")
    if isinstance(error, FileNotFoundError):
        do = "Look at the path, or write a study file with 'wardround study new NAME'."
        return StudyError("there is no such file", where=str(path), do=do)
    reason = (error.strerror or "no reason given").lower()
    return StudyError(f"the study file cannot be read: {reason}", where=str(path), do="Check its permissions.")


def bad_toml(text: str, error: ValueError | RecursionError, *, where: str) -> StudyError:
    """Say on which line the text stops being TOML, and quote that line."""
    message = str(error)
    if not isinstance(error, tomllib.TOMLDecodeError):
        message = "it is nested too deeply" if isinstance(error, RecursionError) else "a number has too many digits"
    lines = text.splitlines()
    if found := re.search(r"\(at line (\d+), column (\d+)\)$", message):
        number = int(found[1])
        quoted = _shortened(lines[number - 1].strip()) if number <= len(lines) else ""
        what = f"line {number}: this is not TOML: {message[: found.start()].strip().lower()}: {quoted}"
    elif message.endswith("(at end of document)"):
        what = f"line {max(len(lines), 1)}: this is not TOML: {message.removesuffix('(at end of document)').lower()}"
        what = f"{what.strip()}; the file ends here"
    else:
        what = f"this is not TOML: {message}"
    do = "Correct that line: words go in quotes, lists in [ ], each key once, and a section is a line like [training]."
    return StudyError(what, where=where, do=do)


def validated(tables: Mapping[str, Any], model: type[Model], error: Callable[[list[str]], WardroundError]) -> Model:
    """Return the model of a file's tables; else raise the error made of all that is wrong, one line each."""
    faults = _endless_numbers(tables)
    if not faults:
        try:
            return model.model_validate(tables)
        except ValidationError as invalid:
            faults = _faults_of(invalid, tables, model)
    raise error(faults)


def _endless_numbers(tables: Mapping[str, object]) -> list[str]:
    """Name the sections with a whole number beyond 64 bits, TOML's bound; Python cannot write out the longest ones."""

    def beyond(value: object) -> bool:
        waiting = [value]  # no recursion: a key of a thousand dots is a table a thousand deep
        while waiting:
            value = waiting.pop()
            if isinstance(value, int) and value.bit_length() > 64:
                return True
            waiting += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return False

    return [f"[{_name(section)}]: a number has too many digits" for section, table in tables.items() if beyond(table)]


def _faults_of(error: ValidationError, tables: Mapping[str, Any], study: type[BaseModel]) -> list[str]:
    """List every fault that pydantic found, one line each; ``tables`` is the file, ``study`` the model of it."""
    details = error.errors(include_url=False)
    faults: list[str] = []
    misspelt: set[tuple[int | str, ...]] = set()
    for fault in details:
        if fault["type"] == "extra_forbidden" and (text := _in_entry(fault, study)):
            faults.append(text)
        elif fault["type"] == "extra_forbidden":
            section, key = _place(fault)
            meant, text = _unknown(section, key, fault["input"], tables, study)
            faults.append(text)
            misspelt.add((*fault["loc"][:-1], meant))
            if (section, key) in MOVED:
                misspelt |= {("task",), ("task", "name" if key == "task" else key)}
    for fault in details:
        if not _said_already(fault, misspelt):
            faults.extend(_known(fault, study))
    return faults


def _said_already(fault: ErrorDetails, misspelt: set[tuple[int | str, ...]]) -> bool:
    """Tell whether another fault explains this one: a misspelt key is also missing, a wrong entry is not counted."""
    kind, given = fault["type"], fault["input"]
    if kind == "too_short" and isinstance(given, list):
        return len(given) >= int(fault["ctx"]["min_length"])
    return kind == "extra_forbidden" or (kind == "missing" and fault["loc"] in misspelt)


def _place(fault: ErrorDetails) -> tuple[str, str]:
    """Return section and key; either may be empty. The tag of ``[privacy]`` is pydantic's, not the file's; the number
    of an entry of ``[[roster]]`` is left out too.
    """
    path = list(fault["loc"])
    if path[:1] in (["privacy"], ["roster"], ["plugin"]):
        del path[1:2]
    return (str(path[0]) if path else ""), (str(path[1]) if len(path) > 1 else "")


def _known(fault: ErrorDetails, study: type[BaseModel]) -> Iterator[str]:
    """Explain a fault at a place that exists; a validator of ours may state several."""
    section, key = _place(fault)
    kind, given, context = fault["type"], fault["input"], fault.get("ctx", {})
    entry = "".join(f", entry {number + 1}" for number in fault["loc"] if isinstance(number, int))
    place = f"{_header(section)} {key}".strip() + entry
    if section == "roster":
        place = f"{_header(section)}{entry}{', ' if key else ''}{key}"
    value = f"{place} = {_quoted(given)}"
    lesson = f" ({LESSONS[section, key]})" if (section, key) in LESSONS else ""
    such = f", such as {example(section, key)}" if example(section, key) and not entry else ""
    if kind == "value_error":
        for text in context["error"].args:
            yield text if text.startswith("[") else f"{value}: {text}"
    elif section == "roster" and (not key or kind == "missing"):
        missing = "this key is missing" if key else "this must be a line [[roster]] for each hospital"
        what = _requirement(fault) if kind == "too_long" else missing
        yield f"{place}: {what}; its keys are {', '.join(_all_keys(section, study))}"
    elif kind == "missing":
        yield (
            f"{place}: this key is missing{such}"
            if key
            else f"{place}: this section is missing; {_keys(section, study)}"
        )
    elif kind in ("union_tag_not_found", "union_tag_invalid") and isinstance(given, dict):
        tag = given.get("mechanism")
        if kind == "union_tag_not_found":
            yield f"[{section}] mechanism: this key is missing; 'dp-sgd' or 'none'"
        else:
            near = _near(tag, ["dp-sgd", "none"])
            yield f"[{section}] mechanism = {_quoted(tag)}: it must be 'dp-sgd' or 'none'{near}"
    elif not key:
        yield f"{place}: this must be one section, a line [{section}] with its keys below it"
    elif kind == "literal_error":
        expected = str(context["expected"])
        near = _near(given, re.findall(r"'([^']*)'", expected))
        yield f"{value}: it must be {expected}{near}{lesson}"
    else:
        yield f"{value}: {_requirement(fault)}{such if kind.endswith('_type') else ''}{lesson}"


def _requirement(fault: ErrorDetails) -> str:
    context = fault.get("ctx", {})
    words = {
        "int_type": "it must be a whole number, without a point or quotes",
        "float_type": "it must be a number, without quotes",
        "string_type": "it must be text in quotes",
        "bool_type": "it must be true or false",
        "tuple_type": "it must be a list in [ ]",
        "finite_number": "it must be a finite number",
        "greater_than": "it must be greater than {gt:g}",
        "greater_than_equal": "it must be at least {ge:g}",
        "less_than": "it must be less than {lt:g}",
        "less_than_equal": "it must be at most {le:g}",
        "too_short": "it must have at least {min_length} entries",
        "too_long": "it must have at most {max_length} entries",
        "string_pattern_mismatch": "this is not a word that can stand here",
    }
    return words[fault["type"]].format(**context) if fault["type"] in words else fault["msg"]


def _unknown(
    section: str, key: str, given: object, tables: Mapping[str, Any], study: type[BaseModel]
) -> tuple[str, str]:
    """Name what a key or section that no study has was meant to be, and say so."""
    sections = list(study.model_fields)
    homes = [name for name in sections if (key or section) in _all_keys(name, study)]
    if not key:
        if homes and not isinstance(given, dict):
            home = f"this key stands outside its section; put it below {_header(homes[0])}"
            return "", f"{_name(section)} = {_quoted(given)}: {home}"
        meant = nearest(section, sections)
        end = f"did you mean {_header(meant)}?" if meant else f"the sections are {', '.join(map(_header, sections))}"
        return meant, f"[{_name(section)}]: there is no such section; {end}"
    start = f"{_header(section)} {_name(key)} = {_quoted(given)}"
    if (section, key) in MOVED:
        return "", f"{start}: {MOVED[section, key].format(given=_quoted(given))}"
    table = tables.get(section)
    tag = table.get("mechanism") if isinstance(table, dict) else None
    if section == "privacy" and key in _all_keys(section, study):
        if tag == "dp-sgd":
            return "", f"{start}: trust = 'local' does not use this key; remove it, or write trust = 'distributed'"
        other = "dp-sgd" if tag == "none" else "none"
        return "", f"{start}: mechanism = '{tag}' does not use this key; remove it, or write mechanism = '{other}'"
    if homes:
        return "", f"{start}: this key belongs below {_header(homes[0])}"
    keys = _all_keys(section, study)
    meant = nearest(key, keys)
    end = f"did you mean '{meant}'?" if meant else f"the keys of {_header(section)} are {', '.join(keys)}"
    return meant, f"{start}: there is no such key; {end}"


def _in_entry(fault: ErrorDetails, study: type[BaseModel]) -> str:
    """Say of a key that no entry of a list of tables has what it was meant to be; nothing of any other key."""
    if len(fault["loc"]) < 4:
        return ""
    section, key, *within = fault["loc"]
    if not isinstance(within[0], int) or section not in study.model_fields:
        return ""
    of_section = _models_in(study.model_fields[str(section)].annotation)
    fields = [model.model_fields[str(key)] for model in of_section if str(key) in model.model_fields]
    keys = [name for field in fields for model in _models_in(field.annotation) for name in model.model_fields]
    if not keys:
        return ""
    meant = nearest(within[-1], keys)
    end = f"did you mean '{meant}'?" if meant else f"its keys are {', '.join(dict.fromkeys(keys))}"
    place = f"{_header(str(section))} {key}, entry {within[0] + 1}"
    return f"{place}: {_name(str(within[-1]))} = {_quoted(fault['input'])}: there is no such key; {end}"


def _models_in(annotation: object) -> list[type[BaseModel]]:
    """Return the models that a type is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def _all_keys(section: str, study: type[BaseModel]) -> list[str]:
    """Name the keys of a section, for ``[privacy]`` those of every mechanism, for ``[task]`` those of every task."""
    if section == "task":
        return list(dict.fromkeys(key for task in TASKS.values() for key in task.section.model_fields))
    annotation: Any = study.model_fields[section].annotation
    members = [annotation] if isinstance(annotation, type) else get_args(annotation)
    bare: list[Any] = [get_args(m)[0] if get_origin(m) is Annotated else m for m in members]
    # A list's type ends with an ellipsis, which is no model.
    models: list[type[BaseModel]] = [model for model in bare if isinstance(model, type)]
    return list(dict.fromkeys(name for model in models for name in model.model_fields))


def _keys(section: str, study: type[BaseModel]) -> str:
    return f"write [{section}] and below it its keys: {', '.join(_all_keys(section, study))}"


def _near(given: object, known: list[str]) -> str:
    meant = nearest(given, known) if isinstance(given, str) else ""
    return f"; did you mean '{meant}'?" if meant else ""


def _header(section: str) -> str:
    """Write the line that a section begins with."""
    return "[[roster]]" if section == "roster" else f"[{section}]"


def _name(key: str) -> str:
    """Write a key that somebody invented as TOML would: bare when it can be, quoted and escaped when not."""
    return _shortened(key) if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _quoted(key)


def _quoted(given: object) -> str:
    if isinstance(given, dict):
        return "a section"
    if isinstance(given, list) and any(isinstance(item, list | dict) for item in given):
        return "a list of lists or sections"
    return _shortened(toml_value(given))


def _shortened(text: str) -> str:
    text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"
