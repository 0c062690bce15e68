"""What the coordinator last reported about the runs that this hospital knows: for its staff, who cannot see them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from wardround_client.state.approvals import Approvals
from wardround_common.errors import StorageError
from wardround_common.messages.run_header import RUNS_HEADER, read_runs
from wardround_common.storage import write_atomically

NAME = "runs.json"
ENDED = {"done": "done", "incomplete": "done", "failed": "its run failed", "stopped": "its run was stopped"}
"""What a hospital's people read of a run that is over; nothing of one that goes on."""


def keep_outcomes(folder: Path, headers: Mapping[str, str]) -> None:
    """Keep what a heartbeat's answer says of runs whose study was proposed here; it is only shown, never obeyed."""
    approvals = Approvals(folder / "studies")
    said = {study: stage for study, stage in read_runs(headers.get(RUNS_HEADER, "")).items() if approvals.knows(study)}
    known = _read(folder)
    if said.items() - known.items():
        with suppress(StorageError):  # it is said again with the next heartbeat
            write_atomically(folder / NAME, json.dumps(known | said).encode(), private=True)


def outcomes(folder: Path) -> dict[str, str]:
    """Return in words how the runs ended that are over, by the digest of their study."""
    return {study: ENDED[stage] for study, stage in _read(folder).items() if stage in ENDED}


def _read(folder: Path) -> dict[str, str]:
    try:
        kept = json.loads((folder / NAME).read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(kept, dict):
        return {}
    return {study: str(stage) for study, stage in kept.items() if re.fullmatch("[0-9a-f]{64}", study)}
