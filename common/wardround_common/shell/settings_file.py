"""A small TOML file of settings without sections, read strictly: a misspelt or missing key is reported by name."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from wardround_common.errors import CHECK_FILE, StorageError
from wardround_common.nearest import nearest
from wardround_common.study.template import toml_value

LARGEST_BYTES = 64 * 1024
Settings = TypeVar("Settings", bound=BaseModel)


def settings_text(heading: str, settings: Mapping[str, object]) -> bytes:
    """Write settings as TOML below a line of heading, leaving out those that are None."""
    lines = [f"# {heading}", *(f"{key} = {toml_value(value)}" for key, value in settings.items() if value is not None)]
    return ("\n".join(lines) + "\n").encode()


def read_settings(path: Path, kind: type[Settings], *, absent: str, do: str) -> Settings:
    """Read a file of settings; ``absent`` and ``do`` say what is wrong when there is none.

    Raises:
        StorageError: there is none, it cannot be read, or says something that is no such setting.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except FileNotFoundError:
        raise StorageError(absent, where=str(path), do=do) from None
    except OSError as error:
        reason = (error.strerror or "no reason given").lower()
        raise StorageError(f"the settings cannot be read: {reason}", where=str(path), do=CHECK_FILE) from None
    try:
        tables = tomllib.loads(content.decode()) if len(content) <= LARGEST_BYTES else None
    except (ValueError, RecursionError):
        tables = None
    if tables is None:
        raise StorageError("this is not TOML text", where=str(path), do="Correct the file: write 'key = value' lines.")
    try:
        return kind.model_validate(tables)
    except ValidationError as error:
        raise StorageError(
            f"the settings cannot be used: {'; '.join(_faults(error, kind))}", where=str(path), do="Correct the file."
        ) from None


def _faults(error: ValidationError, kind: type[BaseModel]) -> list[str]:
    found = error.errors(include_url=False, include_input=False)
    typed = [str(fault["loc"][0]) for fault in found if fault["type"] == "extra_forbidden"]
    misspelt = {key: meant for key in typed if (meant := nearest(key, kind.model_fields))}
    faults, known = [], f"; the keys are {', '.join(kind.model_fields)}"
    for fault in found:
        name = str(fault["loc"][0])
        key = toml_value(name[:60])
        if name in misspelt:
            faults.append(f"there is no key {key}; did you mean '{misspelt[name]}'?")
        elif fault["type"] == "extra_forbidden":
            faults.append(f"there is no key {key}{known}")
            known = ""  # said once
        elif (misspelt and fault["type"] == "value_error") or name in misspelt.values():
            continue  # it may follow from the misspelt one
        elif fault["type"] == "missing":
            faults.append(f"the key {key} is missing")
        elif fault["type"] == "value_error":
            faults.append(f"{key}: {fault['ctx']['error']}")
        else:
            faults.append(f"{key}: {fault['msg'].lower()}")
    return faults
