"""What a heartbeat says of studies: which the hospital has approved, and in the reply in which stage the runs are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

RUNS_HEADER = "x-wardround-runs"
APPROVED_HEADER = "x-wardround-approved"
MOST = 32
"""Runs or studies in one header; one is about 75 bytes."""
_RUN = re.compile("([0-9a-f]{64})=([a-z]{1,16})")
_STUDY = re.compile("[0-9a-f]{64}")


def write_runs(stages: Mapping[str, str]) -> dict[str, str]:
    """Return the header for runs by the digest of their study, the newest last; without runs there is none."""
    said = [f"{study}={stage}" for study, stage in stages.items()][-MOST:]
    return {RUNS_HEADER: ",".join(said)} if said else {}


def read_runs(header: str) -> dict[str, str]:
    """Read such a header; what is no digest and stage is left out."""
    found = (_RUN.fullmatch(part) for part in header.split(",")[:MOST])
    return {match[1]: match[2] for match in found if match}


def write_approved(studies: Sequence[str]) -> dict[str, str]:
    """Return the header for the digests of the studies that a hospital has approved.

    It tells the coordinator's people for whom they may resume a run. It is no approval: that is signed and asked for.
    """
    return {APPROVED_HEADER: ",".join(studies[-MOST:])} if studies else {}


def read_approved(header: str) -> frozenset[str]:
    """Read such a header; what is no digest is left out."""
    return frozenset(part for part in header.split(",")[:MOST] if _STUDY.fullmatch(part))
