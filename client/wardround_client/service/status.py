"""A hospital's state: what a running service knows about itself, and what its folder shows with or without one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from wardround_client.intake.images_there import check_images_there
from wardround_client.service.attendance import last_failure
from wardround_client.service.stages import StudyStage, study_stages
from wardround_client.spending.ledger.past import check_not_behind
from wardround_client.state.approvals import Approvals
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_client.state.pause import paused_since
from wardround_common.audit.entries import read_line
from wardround_common.audit.log import segments
from wardround_common.control.health import full_disk
from wardround_common.errors import ImagesAwayError, MessageError, StorageError
from wardround_common.keys.expiry import WARN_DAYS
from wardround_common.storage import somebody_in

STOPPED, STARTING = "stopped", "starting"
NOT_CONNECTED = (STOPPED, STARTING, "connecting")


@dataclass(frozen=True)
class Lasting:
    """What outlasts a service, read from the hospital's folder."""

    images_away: str = ""
    """What is the matter with the images, if they are not there now."""
    failure: str = ""
    """Which answer failed last, and why."""
    paused: datetime | None = None
    """Since when the hospital has paused."""
    studies: tuple[StudyStage, ...] = ()
    damaged: tuple[str, ...] = ()
    """What is the matter: a full disk, a ledger that is behind, proposals that cannot be read."""


@dataclass(frozen=True)
class HospitalStatus:
    """How a hospital stands."""

    state: str
    """That of its link, or stopped, or starting."""
    since: datetime | None
    """Of the state; None if it never served."""
    lasting: Lasting
    doing: str = ""
    fault: str = ""
    split: str = ""
    """That a copy of this folder, or of the coordinator's, seems to serve as well."""
    certificate_until: datetime | None = None
    device: str = ""
    """What a service that runs trains on."""

    @property
    def shown(self) -> tuple[str, datetime | None]:
        """The state and its beginning: a hospital that has paused, and works on nothing, is paused."""
        if self.lasting.paused and self.state in ("registered", "waiting"):
            return "paused", self.lasting.paused
        return self.state, self.since

    def facts(self) -> dict[str, object]:
        """Return it for a program."""
        state, since = self.shown
        return {
            "state": state,
            "since": _iso(since),
            "doing": self.doing,
            "device": self.device,
            "certificate_until": _iso(self.certificate_until),
            "fault": self.fault,
            "split": self.split,
            "images_away": self.lasting.images_away,
            "failure": self.lasting.failure,
            "paused": _iso(self.lasting.paused),
            "warning": certificate_warning(self.certificate_until),
            "studies": [study.facts() for study in self.lasting.studies],
            "damaged": list(self.lasting.damaged),
        }

    def __str__(self) -> str:
        state, since = self.shown
        said = [f"{state} since {_said(since)}" if since else state, self.doing]
        if self.lasting.paused and state != "paused":
            said.append(f"paused since {_said(self.lasting.paused)}: no new work is started")
        said += [f"trains on {self.device}" if self.device else ""]
        said += [self.fault, self.lasting.images_away, self.split]
        if self.lasting.failure:
            said.append(f"The last answer that failed: {self.lasting.failure}")
        said += [*map(str, self.lasting.studies), *self.lasting.damaged, certificate_warning(self.certificate_until)]
        return "\n".join(filter(None, said))


def read_lasting(folder: HospitalFolder, images_away: str, studies: tuple[StudyStage, ...]) -> Lasting:
    """Read from a hospital's folder what outlasts its service.

    Raises:
        StorageError: whether it has paused cannot be read.
    """
    since = paused_since(folder.path)
    return Lasting(
        images_away=images_away,
        failure=last_failure(folder.path),
        paused=datetime.fromisoformat(since) if since else None,
        studies=studies,
        damaged=tuple(str(error) for error in _damaged(folder.path)),
    )


def _damaged(folder: Path) -> Iterator[StorageError]:
    if full := full_disk(folder):
        yield full
    try:
        check_not_behind(folder)
    except StorageError as error:
        yield error
    yield from Approvals(folder / "studies").damaged().values()


def stopped_status(folder: HospitalFolder) -> HospitalStatus:
    """Return the state of a hospital whose service does not answer: stopped since the last entry of its audit log.

    A service that has its folder, and is not to be asked yet, is starting.

    Raises:
        StorageError: this is not a hospital's folder, or as :func:`read_lasting`.
    """
    try:
        check_images_there(folder.settings())
        images_away = ""
    except ImagesAwayError as error:
        images_away = str(error)
    lasting = read_lasting(folder, images_away, tuple(study_stages(folder.path)))
    return HospitalStatus(STARTING if somebody_in(folder.path) else STOPPED, _last_entry(folder.audit), lasting)


def certificate_warning(until: datetime | None) -> str:
    """Warn a month before the coordinator's certificate expires, which only the coordinator can renew."""
    if until is None or (left := until - datetime.now(UTC)) > timedelta(days=WARN_DAYS):
        return ""
    ends = "expires" if left > timedelta() else "expired"
    return (
        f"The coordinator's certificate {ends} on {until:%Y-%m-%d %H:%M} UTC: "
        "ask the coordinator to renew it ('wardround coordinator renew DIR'); nothing needs to be done here."
    )


def _last_entry(audit: Path) -> datetime | None:
    try:
        return read_line(segments(audit)[-1].read_bytes().splitlines()[-1]).time
    except (OSError, IndexError, MessageError):
        return None


def _iso(moment: datetime | None) -> str:
    return moment.isoformat(timespec="seconds") if moment else ""


def _said(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
