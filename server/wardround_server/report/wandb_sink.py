"""Weights & Biases, offline: a run's figures in files of its own folder, which people send on or do not.

Its client notes the machine, the user, the program and the packages of a run unless it is told otherwise; it is told.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wardround_common.results.sinks import Outcome, Tracked

PROJECT = "wardround"
# Its errors are not told to its makers, it prints nothing, and keeps nothing in the user's home.
QUIET = {"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}
PLACES = ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR")
UNSAID: Mapping[str, bool | str] = {
    "host": "",
    "username": "",
    "disable_code": True,
    "disable_git": True,
    "disable_job_creation": True,
    "x_disable_machine_info": True,
    "x_disable_meta": True,
    "x_disable_stats": True,
    "x_save_requirements": False,
}
"""What its client would note besides the figures."""


class WandbSink:
    """One run; ``note`` is its id, under which a resumed run continues."""

    def __init__(self, run: Tracked, folder: Path, note: str) -> None:
        self.note = note
        self._tracked, self._folder = run, folder
        self._run: Any = None

    def write(self, rounds: Sequence[tuple[int, dict[str, float]]]) -> None:
        """Write rounds, by their numbers."""
        run = self._begun()
        for number, figures in rounds:
            run.log(figures, step=number)

    def close(self, outcome: Outcome) -> None:
        """Note how the run ended."""
        self._begun().finish(exit_code=0 if outcome == "FINISHED" else 1)
        self._run = None

    def _begun(self) -> Any:
        if self._run is not None:
            return self._run
        self._folder.mkdir(parents=True, exist_ok=True)
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        for name in PLACES:
            os.environ.setdefault(name, str(self._folder))
        import wandb

        self.note = self.note or secrets.token_hex(8)
        settings = wandb.Settings(mode="offline", console="off", silent=True, reinit="create_new", **UNSAID)
        self._run = wandb.init(
            project=PROJECT,
            id=self.note,
            name=self._tracked.name,
            config={"wardround.digest": self._tracked.digest, **self._tracked.settings},
            dir=str(self._folder),
            resume="allow",
            settings=settings,
        )
        return self._run
