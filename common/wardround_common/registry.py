"""One registry for each kind of thing that a study names: its names, what errors and templates say of them, the things.

What is installed comes from files, one each (``installed``). A researcher's own code is put in for as long as this
process lives, under a name that says so and holds the digest of its source: ``own:my-network@0123456789ab``. Such a
name can be read anywhere, so that the results of a run can be; the code can be had only where it was put in, and no
hospital runs it.

A part of a plug-in is named ``package:part``. It, too, can be read anywhere, and can be had only where a study that
names the plug-in was checked against what is installed (``plugins``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic_core import PydanticKnownError

from wardround_common.errors import StudyError
from wardround_common.plugins.loading import admitted, part
from wardround_common.plugins.names import is_plugin

T = TypeVar("T")
OWN = "own:"
OWN_NAME = re.compile(r"own:[a-z][a-z0-9-]{0,39}@[0-9a-f]{12}")
"""The name of a researcher's own code: what it is called, and the beginning of the digest of its source."""
Load = Callable[[], T]


def is_own(name: str) -> bool:
    """Tell whether a name is of a researcher's own code."""
    return OWN_NAME.fullmatch(name) is not None


class Brought(NamedTuple):
    """A researcher's own code, to be put in, here or in a worker process."""

    kind: str
    name: str
    value: Any


REGISTRIES: dict[str, Registry[Any]] = {}
"""Each kind's, by its name: what a study names comes from these and from nowhere else."""


class Registry(Generic[T]):
    """The things of one kind that a study can name."""

    def __init__(self, kind: str, there: Callable[[], Mapping[str, Load[T]]]) -> None:
        self.kind = kind
        self._there = there
        self._own: dict[str, T] = {}
        REGISTRIES[kind] = self

    @property
    def names(self) -> tuple[str, ...]:
        """The names of what is installed; nothing is imported for them."""
        return tuple(self._there())

    def __iter__(self) -> Iterator[str]:
        """Yield the names of what is installed."""
        return iter(self.names)

    def __len__(self) -> int:
        """Return how many are installed."""
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        """Tell whether something of this name can be had here."""
        if name in self._own or name in self._there():
            return True
        return isinstance(name, str) and is_plugin(name) and admitted(name)

    def __getitem__(self, name: str) -> T:
        """Return what has this name.

        Raises:
            StudyError: nothing of this name can be had here.
            PluginError: it is of a plug-in that was not admitted, or cannot be imported.
        """
        if name in self._own:
            return self._own[name]
        load = self._there().get(name)
        if load is not None:
            return load()
        if is_plugin(name):
            found: T = part(self.kind, name)
            return found
        if is_own(name):
            raise StudyError(
                f"the {self.kind} '{name}' is a researcher's own code, which is not here",
                do="Simulate with that code in the same process; to run it at hospitals it must be installed there.",
            )
        raise StudyError(f"no {self.kind} '{name}' is installed", do=f"Known are {', '.join(self.names)}.")

    def items(self) -> Iterator[tuple[str, T]]:
        """Yield name and thing of all that is installed."""
        return ((name, self[name]) for name in self.names)

    def values(self) -> Iterator[T]:
        """Yield all that is installed."""
        return (self[name] for name in self.names)

    def bring(self, name: str, value: T) -> None:
        """Put in a researcher's own code under its name, for as long as this process lives.

        Raises:
            StudyError: the name is not that of own code.
        """
        if not is_own(name):
            raise StudyError(f"{name[:80]!r} is not a name for a {self.kind} of your own")
        self._own[name] = value

    def choices(self) -> str:
        """Return the names as a person reads them: ``'a', 'b' or 'c'``."""
        return either(self.names)

    def named(self, name: str) -> str:
        """Return a name that a study gives, if it can be read: for pydantic, whose error lists the known ones.

        Raises:
            PydanticKnownError: there is nothing of this name.
        """
        if name in self._there() or is_own(name) or is_plugin(name):
            return name
        raise PydanticKnownError("literal_error", {"expected": self.choices()})


def loads(named: Iterable[tuple[str, T]]) -> dict[str, Load[T]]:
    """Return what loads each of some things that are there already, by name."""
    return {name: partial(_itself, thing) for name, thing in named}


def _itself(thing: T) -> T:
    return thing


def either(names: tuple[str, ...]) -> str:
    """Return names as a person chooses from them: ``'a', 'b' or 'c'``."""
    if not names:
        return "nothing"
    quoted = [repr(name) for name in names]
    return " or ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)


def bring(brought: tuple[Brought, ...]) -> None:
    """Put in a researcher's own code, each in the registry of its kind."""
    for one in brought:
        REGISTRIES[one.kind].bring(one.name, one.value)
