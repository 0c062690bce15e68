"""What a hospital says with each heartbeat: paused, images missing, which studies it approved, its audit log's head."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from wardround_client.link.wire import Heart
from wardround_client.spending.ledger.elsewhere import Elsewhere
from wardround_client.state.approvals import Approvals
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_client.state.pause import paused_since
from wardround_client.state.run_outcomes import keep_outcomes
from wardround_common.audit.passage import COORDINATOR
from wardround_common.audit.witness import IMAGES_AWAY, PAUSED, STANDING_HEADER, Witness
from wardround_common.errors import StorageError
from wardround_common.messages.ledger_header import LEDGER_HEADER
from wardround_common.messages.run_header import RUNS_HEADER, read_runs, write_approved


def heart_of(
    folder: HospitalFolder,
    witness: Witness,
    coordinator: bytes,
    images_are_away: Callable[[], bool] = lambda: False,
    heard: Callable[[], None] = lambda: None,
) -> Heart:
    """Make it, for the hospital of that folder; ``coordinator`` is the public key of the coordinator's identity.

    ``heard`` is called after each answer: the witness may know of copies then (:func:`warning_of`).
    """

    elsewhere = Elsewhere(folder.path, folder.identity)
    asked: list[str] = []  # the studies of the coordinator's runs: those of another one are not its business

    def says() -> Mapping[str, str]:
        said = witness.says(COORDINATOR) | elsewhere.says()
        with suppress(StorageError, OSError):  # a heartbeat is sent anyway
            said |= write_approved(Approvals(folder.path / "studies").approved_among(asked))
            if paused_since(folder.path):
                said[STANDING_HEADER] = PAUSED
            elif images_are_away():
                said[STANDING_HEADER] = IMAGES_AWAY
        return said

    def hears(headers: Mapping[str, str]) -> None:
        witness.hears(COORDINATOR, coordinator, headers)
        keep_outcomes(folder.path, headers)
        asked[:] = read_runs(headers.get(RUNS_HEADER, ""))
        heard()
        elsewhere.hears(headers.get(LEDGER_HEADER, ""))

    return Heart(says, hears)


def warning_of(witness: Witness) -> str:
    """Say that one of the two audit logs is not the one that it was; nothing if neither was seen so."""
    said = []
    if since := witness.told(COORDINATOR):
        said.append(
            f"Since {since:%Y-%m-%d %H:%M} UTC the coordinator is told of two states of this hospital's audit log: a "
            "copy of this folder is also serving, or it was rolled back to an older copy. Stop one of the two; neither "
            "knows what the other has spent: see 'wardround hospital ledger rebuild --help'."
        )
    if since := witness.split(COORDINATOR):
        said.append(
            f"Since {since:%Y-%m-%d %H:%M} UTC the coordinator's audit log is not the one that it was: it was rolled "
            "back to an older copy, or two copies of it are serving. Ask its people."
        )
    return " ".join(said)
