"""A plug-in's sink, kept from what it may do to a run: its errors are told as its own, and it is not waited for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wardround_common.errors import PluginError
from wardround_common.kinds import kind_of
from wardround_common.plugins.limited import Limited
from wardround_common.plugins.loading import part
from wardround_common.plugins.names import package_of, part_of
from wardround_common.results.sinks import Outcome, Sink, Tracked, Writer

LIMIT_S = 30.0
"""How long a round waits for a sink."""


def sink_of(name: str) -> Sink:
    """Return the sink that a study names.

    Raises:
        PluginError: its plug-in was not admitted, or it is none.
    """
    found: Any = part("sink", name)
    if not isinstance(found, Sink) or not callable(found.open):
        raise PluginError(f"its sink {part_of(name)!r} is no Sink but {kind_of(found)}", where=_where(name))
    return found


class PluginSink:
    """A run's rounds, written by a plug-in in a thread of its own; a call that does not end is the last one."""

    note = ""

    def __init__(self, name: str, run: Tracked, limit_s: float | None = None) -> None:
        self._name, self._run = name, run
        self._writer: Writer | None = None
        limit = LIMIT_S if limit_s is None else limit_s
        self._within = Limited(f"its sink {part_of(name)!r}", _where(name), limit)

    def write(self, rounds: Sequence[tuple[int, dict[str, float]]]) -> None:
        """Write rounds, by their numbers.

        Raises:
            PluginError: its code failed, or did not end.
        """

        def act() -> None:
            writer = self._opened()
            for number, figures in rounds:
                writer.write(number, dict(figures))

        self._within(act)

    def close(self, outcome: Outcome) -> None:
        """Note how the run ended.

        Raises:
            PluginError: its code failed, or did not end.
        """
        self._within(lambda: self._opened().close(outcome))

    def _opened(self) -> Writer:
        if self._writer is None:
            Path(self._run.folder).mkdir(parents=True, exist_ok=True)
            writer: Any = sink_of(self._name).open(self._run)
            missing = [of for of in ("write", "close") if not callable(getattr(writer, of, None))]
            if missing:
                raise PluginError(
                    f"its sink {part_of(self._name)!r} opens {kind_of(writer)}, which has no "
                    f"{' and no '.join(missing)}",
                    where=_where(self._name),
                )
            self._writer = writer
        return self._writer


def _where(name: str) -> str:
    return f"plug-in {package_of(name)}"
