"""How the coordinator tells a hospital in which stage its runs are: a header of the reply to a heartbeat."""

from __future__ import annotations

import re
from collections.abc import Mapping

RUNS_HEADER = "x-wardround-runs"
MOST = 32
"""Runs in one header; one is about 75 bytes."""
_RUN = re.compile("([0-9a-f]{64})=([a-z]{1,16})")


def write_runs(stages: Mapping[str, str]) -> dict[str, str]:
    """Return the header for runs by the digest of their study, the newest last; without runs there is none."""
    said = [f"{study}={stage}" for study, stage in stages.items()][-MOST:]
    return {RUNS_HEADER: ",".join(said)} if said else {}


def read_runs(header: str) -> dict[str, str]:
    """Read such a header; what is no digest and stage is left out."""
    found = (_RUN.fullmatch(part) for part in header.split(",")[:MOST])
    return {match[1]: match[2] for match in found if match}
