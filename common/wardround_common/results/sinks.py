"""A place where a run's rounds are written as it goes on: the contract of a plug-in's (docs/plugins.md).

A sink runs where the coordinator or the simulation runs, never at a hospital, and is given what the coordinator has of
a round over all hospitals together: no hospital's own figure, and no hospital's name, unless the study says so
(``[tracking] hospitals``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

Outcome = Literal["FINISHED", "FAILED", "KILLED"]


@dataclass(frozen=True)
class Tracked:
    """The run that is written."""

    name: str
    """The study's."""
    digest: str
    settings: Mapping[str, str]
    """The study's keys with their values, ``section.key``; without roster and hospitals."""
    folder: Path
    """One of the sink's own within the run's folder, which is there; what it keeps in it is there for a resumed run."""


class Writer(Protocol):
    """What writes one run."""

    def write(self, number: int, figures: Mapping[str, float]) -> None:
        """Write a completed round; one may come again where an error came between.

        A hospital's own figure, where the study has them, is called ``FIGURE/HOSPITAL``.
        """

    def close(self, outcome: Outcome) -> None:
        """Note how the run ended; it is called once, if at all."""


@dataclass(frozen=True)
class Sink:
    """A part of the group ``wardround.sinks``."""

    open: Callable[[Tracked], Writer]
    """Begin to write a run, or go on with one that was resumed."""
