"""A coordinator's values as the messages of its socket, and back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from wardround_common.control import control_pb2 as pb
from wardround_server.state.standings import CoordinatorStatus, HospitalDoing, HospitalSeen, RunSeen, Standings


def run_message(run: Standings) -> pb.Standing:
    """Return the state of a run as a message."""
    doing = run.doing.items() if isinstance(run, RunSeen) else ()
    return pb.Standing(
        name=run.name,
        digest=run.digest,
        stage=run.stage,
        since=_stamp(run.since),
        round=run.round,
        rounds=run.rounds,
        hospitals=[pb.HospitalStanding(hospital=name, standing=how) for name, how in run.hospitals.items()],
        said=run.said,
        began=_stamp(run.began),
        least=run.least,
        give_up=run.give_up,
        finish=run.finish,
        doing=[
            pb.HospitalDoing(hospital=name, state=one.state, since=_stamp(one.since), round=one.round)
            for name, one in doing
        ],
    )


def run_seen(message: pb.Standing) -> RunSeen:
    """Read the state of a run.

    Raises:
        ValueError: it cannot be so.
    """
    return RunSeen(
        name=message.name,
        digest=message.digest,
        stage=message.stage,  # type: ignore[arg-type]  # a word, which the model checks
        since=_moment(message, "since"),  # type: ignore[arg-type]  # None is refused by the model
        round=message.round,
        rounds=message.rounds,
        hospitals={one.hospital: one.standing for one in message.hospitals},
        said=message.said,
        began=_moment(message, "began"),  # type: ignore[arg-type]
        least=message.least if message.HasField("least") else None,
        give_up=message.give_up,
        finish=message.finish,
        doing={
            one.hospital: HospitalDoing(
                state=one.state, since=_moment(one, "since"), round=one.round if one.HasField("round") else None
            )
            for one in message.doing
        },
    )


def status_message(status: CoordinatorStatus) -> pb.CoordinatorStatus:
    """Return a coordinator's status as a message."""
    return pb.CoordinatorStatus(
        time=status.time,
        hospitals=[
            pb.HospitalSeen(
                name=one.name,
                state=one.state,
                connected=one.connected,
                last_heard=_stamp(one.last_heard),
                paused=one.paused,
                images_away=one.images_away,
                warnings=one.warnings,
            )
            for one in status.hospitals
        ],
        runs=[run_message(run) for run in status.runs],
        damaged=status.damaged,
    )


def status_seen(message: pb.CoordinatorStatus) -> CoordinatorStatus:
    """Read a coordinator's status.

    Raises:
        ValueError: it cannot be so.
    """
    return CoordinatorStatus(
        time=message.time,
        hospitals=tuple(
            HospitalSeen(
                name=one.name,
                state=one.state,
                connected=one.connected,
                last_heard=_moment(one, "last_heard"),
                paused=one.paused,
                images_away=one.images_away,
                warnings=tuple(one.warnings),
            )
            for one in message.hospitals
        ),
        runs=tuple(run_seen(run) for run in message.runs),
        damaged=tuple(message.damaged),
    )


def _stamp(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def _moment(message: Any, field: str) -> datetime | None:
    if not message.HasField(field):
        return None
    moment: datetime = getattr(message, field).ToDatetime(tzinfo=UTC)
    return moment
