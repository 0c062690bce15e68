"""What the shell offers at the tabulator: the names of the studies that were proposed to this hospital."""

from __future__ import annotations

from pathlib import Path

import typer

from wardround_common.shell.offering import offered


def studies(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of studies that begin so; none where there is no hospital's folder, or it cannot be read."""
    from wardround_client.state.approvals import Approvals
    from wardround_client.state.state_folder import hospital_state
    from wardround_common.errors import WardroundError

    try:
        found = Approvals(Path(context.params.get("state") or hospital_state()) / "studies").all()
    except (OSError, WardroundError):
        return []
    return offered((one.study.study.name for one in found), incomplete)
