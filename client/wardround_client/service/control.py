"""What a hospital service answers its own staff at its socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from wardround_client.hospital.pausing import pause_work, resume_work
from wardround_client.service.stages import StudyStage
from wardround_client.service.status import HospitalStatus, Lasting
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_common.control import HOSPITAL
from wardround_common.control import control_pb2 as pb
from wardround_common.control.control_pb2_grpc import HospitalServicer, add_HospitalServicer_to_server
from wardround_common.control.health import Health
from wardround_common.control.service import ControlServer, Watchers


def open_control(
    folder: HospitalFolder,
    status: Callable[[], HospitalStatus],
    health: Health,
    invite: Callable[[], str] | None = None,
) -> ControlServer:
    """Let a hospital be commanded at the socket in its folder; ``invite`` returns a new address of its pages.

    Raises:
        StorageError: no socket can be made there.
    """

    def add(server: grpc.Server, watchers: Watchers) -> None:
        add_HospitalServicer_to_server(_Hospital(folder, status, watchers), server)

    return ControlServer(folder.path, HOSPITAL, add, health, invite)


class _Hospital(HospitalServicer):  # type: ignore[misc]  # generated, without types
    def __init__(self, folder: HospitalFolder, status: Callable[[], HospitalStatus], watchers: Watchers) -> None:
        self._folder = folder
        self._status = status
        self._watchers = watchers

    def Status(self, request: pb.Nothing, context: grpc.ServicerContext) -> pb.HospitalStatus:  # noqa: N802  # as in the .proto
        return status_message(self._status())

    def Watch(self, request: pb.WatchRequest, context: grpc.ServicerContext) -> Iterator[pb.HospitalStatus]:  # noqa: N802
        return self._watchers.tell(lambda: status_message(self._status()), request)

    def Pause(self, request: pb.Nothing, context: grpc.ServicerContext) -> pb.HospitalStatus:  # noqa: N802
        pause_work(self._folder)
        return status_message(self._status())

    def Resume(self, request: pb.Nothing, context: grpc.ServicerContext) -> pb.HospitalStatus:  # noqa: N802
        resume_work(self._folder)
        return status_message(self._status())


def status_message(status: HospitalStatus) -> pb.HospitalStatus:
    """Return a hospital's status as a message."""
    return pb.HospitalStatus(
        state=status.state,
        since=_stamp(status.since),
        doing=status.doing,
        certificate_until=_stamp(status.certificate_until),
        fault=status.fault,
        split=status.split,
        images_away=status.lasting.images_away,
        failure=status.lasting.failure,
        paused=_stamp(status.lasting.paused),
        studies=[
            pb.StudyStage(study=one.name, digest=one.digest, stage=one.stage, since=_stamp(one.since), round=one.round)
            for one in status.lasting.studies
        ],
        damaged=status.lasting.damaged,
        device=status.device,
    )


def status_seen(message: pb.HospitalStatus) -> HospitalStatus:
    """Read a hospital's status.

    Raises:
        ValueError: it cannot be so.
    """
    lasting = Lasting(
        images_away=message.images_away,
        failure=message.failure,
        paused=_moment(message, "paused"),
        studies=tuple(
            StudyStage(
                name=one.study,
                digest=one.digest,
                stage=one.stage,
                since=_needed(one, "since"),
                round=one.round if one.HasField("round") else None,
            )
            for one in message.studies
        ),
        damaged=tuple(message.damaged),
    )
    return HospitalStatus(
        state=message.state,
        since=_needed(message, "since"),
        lasting=lasting,
        doing=message.doing,
        fault=message.fault,
        split=message.split,
        certificate_until=_moment(message, "certificate_until"),
        device=message.device,
    )


def _stamp(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def _moment(message: Any, field: str) -> datetime | None:
    return _needed(message, field) if message.HasField(field) else None


def _needed(message: Any, field: str) -> datetime:
    if not message.HasField(field):
        raise ValueError(field)
    moment: datetime = getattr(message, field).ToDatetime(tzinfo=UTC)
    return moment
