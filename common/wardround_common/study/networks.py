"""The names of the networks that a study can name, read from the files of the hospital's package where it is installed.

A network is one file, ``networks/NAME.py`` of the hospital's package, and needs torch; to know its name needs neither.
So nothing here lists networks. A coordinator, which has no such package, takes any well-formed name: a hospital refuses
a study whose network it has not installed, whatever the coordinator knows.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from wardround_common.installed import file_of, files_in, name_of
from wardround_common.plugins.names import is_plugin
from wardround_common.registry import Registry, is_own
from wardround_common.study.bundle import BEGINNING, is_bundle

PACKAGE = "wardround_client"
LONGEST_NAME = 64


@cache
def known_networks() -> tuple[str, ...]:
    """Return the names of the networks installed here, in order; none where no hospital's package is installed."""
    return tuple(sorted(name_of(file) for file in files_in(PACKAGE, "networks")))


def _there() -> dict[str, Callable[[], Any]]:
    return {name: partial(_load, name) for name in known_networks()}


def _load(name: str) -> Any:
    return import_module(f"{PACKAGE}.networks.{file_of(name)}").NETWORK


NETWORKS: Registry[Any] = Registry("network", _there)
"""The networks that are installed here, each imported when it is asked for, and a researcher's own."""


def _installed(name: str) -> str:
    known = known_networks()
    if is_own(name) or is_plugin(name) or is_bundle(name):
        return name
    if name.startswith(BEGINNING):
        folder = name.removeprefix(BEGINNING)
        raise ValueError(
            f"[model] network = '{name}': a study carries what a bundle says of its network; append what this prints, "
            f"and write the name that it gives: wardround study bundle {shlex.quote(folder)}"
        )
    well_formed = re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) is not None
    if name in known or (well_formed and not known):
        return name
    if not known:
        raise ValueError("a network's name is small letters and digits, with hyphens between them")
    return NETWORKS.named(name)


NetworkName = Annotated[str, Field(max_length=LONGEST_NAME), AfterValidator(_installed)]
"""The name of a network; where networks are installed, one of those."""
