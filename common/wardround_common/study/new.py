"""Writes a new study from a few values, for the command and for the page: one code, and so the same file and faults."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from types import MappingProxyType

from wardround_common.errors import StudyError
from wardround_common.study.file import parse_study
from wardround_common.study.template import study_text

NAMED = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


def new_study(
    name: str,
    *,
    task: str = "classification",
    dp: bool = True,
    distributed: bool = False,
    own: Mapping[str, Mapping[str, object]] = MappingProxyType({}),
    more: str = "",
) -> str:
    """Return the commented file of a new study with the usual settings; ``own`` has others, by section and key.

    ``more`` is TOML that follows it: plug-ins, a roster.

    Raises:
        StudyError: the name cannot be one, or the file would be no valid study; it lists every fault.
    """
    if not NAMED.fullmatch(name):
        raise StudyError(
            f"a study cannot be called {name!r}",
            do="Use lower-case letters, digits and hyphens, at most 64, beginning with a letter or digit.",
        )
    text = study_text(name, task=task, dp=dp, distributed=distributed, own=own) + more
    try:
        parse_study(text)
    except StudyError as error:
        raise StudyError(error.what, do="Nothing was written: give different values.", faults=error.faults) from None
    return text


def left_as_examples(text: str, given: Collection[str]) -> list[str]:
    """Name the keys of a new study that are an example until somebody sets them: what the model tells, and of what.

    ``given``: the keys, without their sections, that whoever made the file has set.
    """
    tables = tomllib.loads(text)
    told = [key for key in tables["task"] if key != "name"]
    first = "classes" if "classes" in told else next(iter(told), "")  # the first after its name
    asked = [first] if tables["task"].get(first) else []
    return [key for key in (*asked, "modalities") if key not in given]
