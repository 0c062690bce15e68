"""A sink: each round's figures as a line of JSON in the run's folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wardround_common.results.sinks import Outcome, Sink, Tracked


@dataclass(frozen=True)
class Lines:
    """Writes one run's lines."""

    file: Path

    def write(self, number: int, figures: Mapping[str, float]) -> None:
        """Append a round."""
        self._append({"round": number, **figures})

    def close(self, outcome: Outcome) -> None:
        """Append how the run ended."""
        self._append({"outcome": outcome})

    def _append(self, line: dict[str, object]) -> None:
        with self.file.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(line)}\n")


def begin(run: Tracked) -> Lines:
    """Begin to write a run, or go on with it."""
    return Lines(run.folder / "rounds.jsonl")


SINK = Sink(begin)
