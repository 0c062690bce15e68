"""What a hospital's service noted of itself, read without torch or Flower: health checks ask every few seconds."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from wardround_client.attendance import last_failure
from wardround_client.hospital_folder import HospitalFolder, check_images_there
from wardround_client.pause import paused_since
from wardround_common.certificates import WARN_DAYS
from wardround_common.errors import ImagesAwayError, StorageError
from wardround_common.storage import somebody_in

STATUS = "status.json"


def certificate_warning(until: datetime | None) -> str:
    """Warn a month before the coordinator's certificate expires, which only the coordinator can renew."""
    if until is None or (left := until - datetime.now(UTC)) > timedelta(days=WARN_DAYS):
        return ""
    ends = "expires" if left > timedelta() else "expired"
    return (
        f"The coordinator's certificate {ends} on {until:%Y-%m-%d %H:%M} UTC: "
        "ask the coordinator to renew it ('wardround coordinator renew DIR'); then nothing has to be done here."
    )


def read_status(folder: Path) -> dict[str, str]:
    """Read what the service noted last; a hospital that has paused and is asked nothing is "paused".

    If no process serves from the folder the state is "stopped", whatever a process that was killed noted last.
    ``images_away`` says what is the matter with the images, if they are not there now.

    Raises:
        StorageError: this is no hospital's folder, or it never served from here.
    """
    try:
        facts = json.loads((folder / STATUS).read_bytes())
    except (OSError, ValueError):
        _ = HospitalFolder(folder).settings()  # raises, if nobody could serve from here
        raise StorageError(
            "this hospital has not served from here yet", where=str(folder), do="Start it: wardround hospital serve"
        ) from None
    if not somebody_in(folder) and facts.get("state") != "stopped":
        facts |= {"state": "stopped", "doing": ""}
    paused = paused_since(folder)
    if paused and facts.get("state") in ("registered", "waiting"):
        facts |= {"state": "paused", "since": paused}
    until = facts.get("certificate_until")
    warning = certificate_warning(datetime.fromisoformat(until) if until else None)
    images = ""
    if HospitalFolder(folder).settings_file.exists():
        try:
            check_images_there(HospitalFolder(folder).settings())
        except ImagesAwayError as error:
            images = str(error)
    more = {"images_away": images, "failure": last_failure(folder), "paused": paused, "warning": warning}
    return {str(key): str(value) for key, value in facts.items()} | more
