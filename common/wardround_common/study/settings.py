"""Settings that are typed beside a study file, such as ``training.rounds=5``: they hold in the place of the file's."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from wardround_common.errors import StudyError
from wardround_common.kinds import kind_of

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")


def parse_setting(text: str) -> tuple[str, Any]:
    """Return key and value of ``KEY=VALUE``: a key with dots, and a TOML value or a bare word.

    Raises:
        StudyError: it has another form.
    """
    key, value = _cut(text)
    return key, _value(value, text)


def parse_settings(texts: Sequence[str]) -> dict[str, Any]:
    """Return the settings that were typed, by key.

    Raises:
        StudyError: one has another form, or a key is given twice.
    """
    found: dict[str, Any] = {}
    for text in texts:
        key, value = parse_setting(text)
        if key in found:
            raise StudyError(f"{key} is given more than once", where=f"--set {text}", do="Give it once.")
        found[key] = value
    return found


def parse_grid(text: str) -> tuple[str, tuple[Any, ...]]:
    """Return key and values of ``KEY=VALUE,VALUE``, each as in :func:`parse_setting`.

    Raises:
        StudyError: it has another form, no value, or one twice.
    """
    key, values = _cut(text)
    found = _toml(f"[{values}]")
    several = found if isinstance(found, list) else [_value(one.strip(), text) for one in values.split(",")]
    if not several:
        raise StudyError(
            "a grid without values has no runs", where=f"--set {text}", do=f"Write --set {key}=VALUE,VALUE."
        )
    if len({repr(one) for one in several}) < len(several):
        raise StudyError("a value is listed more than once", where=f"--set {text}", do="List each value once.")
    return key, tuple(several)


def parse_grids(texts: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """Return the values of each key, of several grids.

    Raises:
        StudyError: one has another form, or a key is swept twice.
    """
    found: dict[str, tuple[Any, ...]] = {}
    for text in texts:
        key, values = parse_grid(text)
        if key in found:
            raise StudyError("a key is swept more than once", where="--set", do="Give all its values in one --set.")
        found[key] = values
    return found


def parse_seeds(text: str) -> tuple[int, ...]:
    """Return the seeds of ``0..4`` or ``0,1,7``, in order.

    Raises:
        StudyError: it has another form, or no seed.
    """
    where, do = f"--seeds {text}", "Write --seeds 0..4, or --seeds 0,1,7."
    seeds: list[int] = []
    for part in text.split(","):
        if not (numbers := re.fullmatch(r"\s*(\d{1,10})(?:\.\.(\d{1,10}))?\s*", part)):
            raise StudyError("these are not seeds", where=where, do=do)
        first = int(numbers[1])
        last = int(numbers[2]) if numbers[2] else first
        if last < first:
            raise StudyError(f"there is no seed from {first} to {last}", where=where, do=do)
        if last - first >= 10_000:
            raise StudyError("these are more than 10,000 seeds", where=where, do=do)
        seeds += range(first, last + 1)
    if len(set(seeds)) < len(seeds):
        raise StudyError("a seed is listed more than once", where=where, do="List each seed once.")
    return tuple(seeds)


def put(tables: dict[str, Any], settings: Mapping[str, Any], where: str) -> None:
    """Put settings into the tables of a study file, each by its key with dots.

    Raises:
        StudyError: a key is not text, or what stands before a dot is not a section.
    """
    for key, value in settings.items():
        if not isinstance(key, str):
            raise StudyError(
                f"a setting's key is {kind_of(key)}, not text",
                where=where,
                do="Write it like 'training.rounds'.",
            )
        *sections, last = key.split(".")
        table = tables
        for section in sections:
            table = table.setdefault(section, {})
            if not isinstance(table, dict):
                raise StudyError(
                    f"--set {key}: {section!r} is not a section of the study",
                    where=where,
                    do="Name a section and a key, such as training.rounds.",
                )
        table[last] = value


def _cut(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not _KEY.fullmatch(key.strip()):
        raise StudyError(
            "a setting is KEY=VALUE, with the study's section before a dot",
            where=f"--set {text}",
            do="Write it like --set training.rounds=5.",
        )
    return key.strip(), value.strip()


def _value(value: str, text: str) -> Any:
    found = _toml(value)
    if found is None:
        if not _WORD.fullmatch(value):
            raise StudyError(
                f"{value!r} is not a value",
                where=f"--set {text}",
                do='Write a number, true, false, a word, or TOML: \'"some text"\', \'["a", "b"]\'.',
            )
        return value
    return found


def _toml(value: str) -> Any:
    """Read one TOML value; None if it is none."""
    try:
        found = tomllib.loads(f"value = {value}")
    except (ValueError, RecursionError):
        return None
    return found["value"] if set(found) == {"value"} else None
