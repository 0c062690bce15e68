"""A hospital's service as its own people meet it at its socket, without a link to a coordinator."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

from wardround_client.hospital.joining import begin
from wardround_client.link.supernode import State, Status
from wardround_client.service.control import open_control
from wardround_client.service.hospital_service import HospitalService
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_common.errors import WardroundError
from wardround_common.storage import alone_in


def set_up(path: Path) -> HospitalFolder:
    """Set a hospital up in a folder, with a folder of images beside its files."""
    folder = HospitalFolder(path)
    if not folder.request_file.exists():
        images = path / "images"
        images.mkdir(parents=True, exist_ok=True)
        (images / "one.dcm").touch()
        begin(folder, "mercy", images, None, datetime.now(UTC))
    return folder


@contextmanager
def at_work(
    path: Path, state: str = "", fault: WardroundError | None = None, certificate_until: datetime | None = None
) -> Iterator[HospitalService]:
    """Serve the people of the hospital in a folder, as a service whose link is in this state."""
    folder = set_up(path)
    service = HospitalService(folder, lambda text, **facts: None)
    service._node = SimpleNamespace(certificate_until=certificate_until)  # type: ignore[assignment]
    if state:
        service._report(Status(State(state), time.time(), fault))
    with alone_in(folder.path), closing(open_control(folder, service.status, service._health)):
        yield service
