"""Why a hospital was missing: what each word means, and what it asks for."""

from __future__ import annotations

from collections.abc import Sequence

from wardround_common.errors import FullDiskError
from wardround_common.results import Absence

MEANINGS = {
    "away": "away",
    "late": "late",
    "silent": "not heard",
    "paused": "paused",
    "images-away": "its images were away",
    "forgotten": "it lost its question",
    "unapproved": "refused",
    "revoked": "revoked",
    "lost": "the coordinator's disk lost its question",
    "dropped": "left out of the sum before an interruption",
    "outdated": "answered before its upgrade",
}
"""What absences mean that are no failures of the hospital's; any other is."""
_ITS_PEOPLE = "its people read why with 'wardround hospital status'"
REMEDIES = {
    "away": "it is not connected: ask its people whether its service runs and reaches this coordinator",
    "silent": "it was not heard any more: ask its people whether its service runs and reaches this coordinator",
    "late": "it did not answer in time: ask what holds it up, or give the study a longer deadline_minutes",
    "paused": "it has paused, and takes part again when its people resume",
    "images-away": "its images are not there, perhaps since a disk is not mounted; it takes part again when they are",
    "forgotten": "its state folder lost the question, as one does that was restored from a copy: resume the run",
    "unapproved": "it has not approved the study, or has withdrawn its approval",
    "revoked": "this coordinator has revoked it",
    "lost": "its question was lost on this coordinator's disk, and is asked again when the run is resumed",
    "dropped": "it was left out of the sum before an interruption, and takes part again in the next round",
    "model": "training diverged there, or it builds another model: lower the learning rate, or compare the versions",
    "data": f"its images or labels cannot be used: {_ITS_PEOPLE}",
    "privacy": f"its ledger does not allow the round, or the data are not those approved: {_ITS_PEOPLE}",
    "policy": f"its policy does not allow the round: {_ITS_PEOPLE}",
    "storage": f"a file of its own cannot be used: {_ITS_PEOPLE}",
    FullDiskError.kind: "its disk is full",
    "study": "its version of Wardround cannot read this study: compare the versions",
    "version": "its version of Wardround makes secure sums in another form: install the same version there and here",
    "outdated": "it answered before it was upgraded, when secure sums had another form: skip the round with --give-up",
    "plugin": (
        f"a plug-in that the study names is not installed there as it was approved, or its code failed: {_ITS_PEOPLE}"
    ),
    "message": (
        "it refused the question, since it answered another one before, is ahead of this run, or took part in a run of "
        f"this study that was lost, archived or removed (then run it under another name): {_ITS_PEOPLE}"
    ),
    "crashed": f"its process was ended, or met a fault that it did not expect: {_ITS_PEOPLE}",
}
"""What each word asks for."""


def why(kind: str) -> str:
    """Say in a word or two why a hospital was missing."""
    return MEANINGS.get(kind, f"failed: {kind}")


def remedies(absent: Sequence[Absence]) -> str:
    """Say what the hospitals that are missing need, those with the same word together."""
    by_kind: dict[str, list[str]] = {}
    for one in absent:
        by_kind.setdefault(one.kind, []).append(one.hospital)
    said = (f"{', '.join(names)} ({kind}): {REMEDIES.get(kind, _ITS_PEOPLE)}." for kind, names in by_kind.items())
    return " ".join(said)
