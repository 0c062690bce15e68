"""What a coordinator that serves says of itself, as ``status --json`` gives it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wardround_server.service.commanding import commanding


def status_of(folder: Path) -> dict[str, Any]:
    with commanding(folder) as coordinator:
        return coordinator.status().model_dump(mode="json")
