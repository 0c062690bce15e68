"""A hospital's service: its link to the coordinator, and a small record, for its own staff, of what it is doing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TextIO

from wardround_client.hospital.app import beside, client_app
from wardround_client.hospital.hospital_audit import hospital_log
from wardround_client.hospital.hospital_source import hospital_device, hospital_source
from wardround_client.intake.images_there import check_images_there
from wardround_client.link.supernode import State, Status, Supernode
from wardround_client.link.wire import Link
from wardround_client.service.attendance import Attendance
from wardround_client.service.control import open_control
from wardround_client.service.heart import heart_of, warning_of
from wardround_client.service.stages import Stages, study_stages
from wardround_client.service.status import NOT_CONNECTED, STARTING, HospitalStatus, certificate_warning, read_lasting
from wardround_client.service.ward import Ward, Work, hospital_policy
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_common.audit.recorder import Recorder
from wardround_common.audit.witness import Witness
from wardround_common.control.health import COORDINATOR, DISK, IMAGES, Health, full_disk
from wardround_common.errors import FullDiskError, LinkError, WardroundError
from wardround_common.record_form import state_form
from wardround_common.shell.service_log import Say, ServiceLog
from wardround_common.storage import alone_in, sweep


class HospitalService:
    """One hospital at work; ``say`` is told, in words for the log, what happens.

    ``invite`` returns a new address of its pages, if it shows any.
    """

    def __init__(self, folder: HospitalFolder, say: Say, invite: Callable[[], str] | None = None) -> None:
        self._folder = HospitalFolder(folder.path.absolute())  # what it says of a file names the whole path
        self._say = say
        self._invite = invite
        self._doing: dict[int, str] = {}  # by thread
        self._status: Status | None = None
        self._stages = Stages(folder.path)
        self._node: Supernode | None = None
        self._witness: Witness | None = None
        self._split = self._device = ""
        self._warned = ""
        self._began = datetime.now(UTC)
        self._health = Health(self._look)

    def serve(self, stop: threading.Event, metrics: int | None = None) -> None:
        """Serve until ``stop`` is set; an answer that is being made is finished first.

        ``metrics``: the port on this machine's loopback where figures are served; 0 takes a free one.

        Raises:
            StorageError: another process serves from the folder, a newer version has written there, a key or the
                invitation cannot be used, or the audit log cannot be written or trusted.
            PrivacyError: there is no policy.
        """
        folder = self._folder
        with alone_in(folder.path):
            state_form(folder.path)
            for desk in folder.path.glob("studies/*/desk"):
                sweep(desk)
            hospital_policy(folder)
            hospital_source(folder)  # a misspelt switch is said now, and not by the first study
            self._device = hospital_device(folder)
            invitation = folder.invitation()
            link = Link(invitation.address, folder.ca_certificate, folder.node_key.read_bytes())
            log = hospital_log(folder)
            ward = Ward(folder, self._do, log.note)
            attendance = Attendance(ward, folder.path)
            app = client_app(lambda context: attendance)
            self._witness = Witness(log)
            heart = heart_of(folder, self._witness, invitation.public, ward.images_are_away, self._look_for_copies)
            goes_beside = beside(ward.beside)
            node = Supernode(link, app, folder.path / "link", self._report, Recorder(log), heart, goes_beside)
            self._node = node
            self._stages.begin()
            log.note("service began", {"version": version("wardround")})
            self._say(f"{folder.settings().name} follows the coordinator at {invitation.address}", event="serving")
            self._say(f"training runs on {self._device}", event="device")
            with ExitStack() as ending:
                ending.callback(log.note, "service ended")
                ending.callback(open_control(folder, self.status, self._health, self._invite).close)
                ending.enter_context(self._figures(metrics, node, attendance))
                node.run(stop)

    @contextmanager
    def _figures(self, port: int | None, node: Supernode, attendance: Attendance) -> Iterator[None]:
        if port is None:
            yield
            return
        from wardround_client.service.metrics import (
            HospitalMetrics,  # the library is needed only where figures are served
        )
        from wardround_common.shell.metrics_port import MetricsPort

        figures = MetricsPort(port, HospitalMetrics(self._folder, node, attendance))
        self._say(f"figures for Prometheus at {figures.address}", event="metrics")
        try:
            yield
        finally:
            figures.close()

    def _do(self, work: Work | None) -> None:
        if work:
            self._doing[threading.get_ident()] = str(work)
        else:
            self._doing.pop(threading.get_ident(), None)
        self._stages.work(work)
        if work:
            self._say(str(work), event=work.kind, study=work.study, round=work.round)

    def _report(self, status: Status) -> None:
        before, self._status = self._status, status
        fault = str(status.fault) if status.fault else ""
        if fault or before is None or before.fault or str(before.state) in ("connecting", "registered"):
            level = "warning" if fault else "info"
            self._say(f"{status.state}{': ' + fault if fault else ''}", event=str(status.state), level=level)
        if status.state == State.WAITING:
            self._stages.sent()
        if (warning := certificate_warning(self._certificate_until())) and warning != self._warned:
            self._warned = warning
            self._say(warning, event="certificate", level="warning")
        self._health.look_again()

    def _look_for_copies(self) -> None:
        """Say once that a copy of this folder, or of the coordinator's, seems to serve as well."""
        split = warning_of(self._witness) if self._witness else ""
        if split != self._split:
            self._split = split
            self._say(split or "no more than one state of the audit logs is seen", event="split", level="warning")

    def _certificate_until(self) -> datetime | None:
        return self._node.certificate_until if self._node else None

    def status(self) -> HospitalStatus:
        """Report its state and what it is doing.

        Raises:
            StorageError: a part of it cannot be read.
        """
        status = self._status
        away = self._health.troubles().get(IMAGES)  # not looked for here: a share that is gone would keep the answer
        studies = tuple(study_stages(self._folder.path, self._stages.now()))
        return HospitalStatus(
            state=str(status.state) if status else STARTING,
            since=datetime.fromtimestamp(status.since, UTC) if status else self._began,
            lasting=read_lasting(self._folder, str(away or ""), studies),
            doing="; ".join(sorted(self._doing.copy().values())),
            device=self._device,
            fault=str(status.fault) if status and status.fault else "",
            split=self._split,
            certificate_until=self._certificate_until(),
        )

    def _look(self) -> Mapping[str, WardroundError | None]:
        """Look for what keeps it from its work: the coordinator is away, the images are, or the disk is full."""
        status, away = self._status, None
        state = str(status.state) if status else STARTING
        fault = status.fault if status else None
        if state in NOT_CONNECTED:
            away = LinkError(f"this hospital is {state}, and not connected", do=str(fault or ""))
        try:
            check_images_there(self._folder.settings())
            images = None
        except WardroundError as error:
            images = error
        full = fault if isinstance(fault, FullDiskError) else full_disk(self._folder.path)
        return {COORDINATOR: away, IMAGES: images, DISK: full}


def open_log(folder: HospitalFolder, *, as_json: bool = False, stream: TextIO | None = None) -> ServiceLog:
    """Return this hospital's log, which names no image, no patient and none of its folders."""
    settings = folder.settings()
    hidden = [settings.data, folder.path, *([settings.labels] if settings.labels else [])]
    return ServiceLog(as_json=as_json, hospital=settings.name, discreet=True, hidden=hidden, stream=stream)
