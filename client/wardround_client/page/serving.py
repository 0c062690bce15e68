"""A hospital's service together with its pages, which are there before the hospital has joined a coordinator."""

from __future__ import annotations

import threading
from contextlib import closing

from wardround_client.hospital.hospital_source import hospital_source
from wardround_client.page.hospital_page import hospital_pages
from wardround_client.service.control import open_control
from wardround_client.service.hospital_service import HospitalService
from wardround_client.service.status import stopped_status
from wardround_client.service.ward import hospital_policy
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_common.control.health import Health
from wardround_common.shell.service_log import Say
from wardround_common.storage import alone_in

LOOK_S = 1.0


def serve_with_pages(
    folder: HospitalFolder, say: Say, stop: threading.Event, metrics: int | None, port: int, read_only: bool
) -> None:
    """Serve as the service does, with its pages; before there is an invitation, show these alone.

    Raises:
        StorageError, PrivacyError: as :meth:`HospitalService.serve`; or the pages' port is taken.
    """
    hospital_policy(folder)
    hospital_source(folder)
    with hospital_pages(folder, port, say, read_only=read_only) as pages:
        if not folder.invitation_file.exists():
            say("waiting for the coordinator's invitation", event="waiting-invitation")
            health = Health(dict)
            with (
                alone_in(folder.path),
                closing(open_control(folder, lambda: stopped_status(folder), health, pages.invite)),
            ):
                while not folder.invitation_file.exists() and not stop.wait(LOOK_S):
                    pass
        if not stop.is_set():
            HospitalService(folder, say, pages.invite).serve(stop, metrics)
