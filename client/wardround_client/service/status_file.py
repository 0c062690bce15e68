"""What a hospital's service noted of itself, read without torch or Flower: health checks ask every few seconds."""

from __future__ import annotations

import json
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

from wardround_client.intake.images_there import Images, check_images_there
from wardround_client.service.attendance import last_failure
from wardround_client.state.pause import paused_since
from wardround_common.errors import ImagesAwayError, StorageError
from wardround_common.keys.expiry import WARN_DAYS
from wardround_common.storage import somebody_in

STATUS = "status.json"
SETTINGS = "hospital.toml"


def certificate_warning(until: datetime | None) -> str:
    """Warn a month before the coordinator's certificate expires, which only the coordinator can renew."""
    if until is None or (left := until - datetime.now(UTC)) > timedelta(days=WARN_DAYS):
        return ""
    ends = "expires" if left > timedelta() else "expired"
    return (
        f"The coordinator's certificate {ends} on {until:%Y-%m-%d %H:%M} UTC: "
        "ask the coordinator to renew it ('wardround coordinator renew DIR'); then nothing has to be done here."
    )


def _images_away(folder: Path) -> str:
    """Say what is the matter with the images; nothing if they are there, or this hospital is not set up.

    The settings are read as they stand: to check them whole takes longer than all the rest of a health check.
    """
    try:
        tables = tomllib.loads((folder / SETTINGS).read_text("utf-8"))
    except FileNotFoundError:
        return ""
    except (OSError, ValueError):
        tables = {}
    data, labels = tables.get("data"), tables.get("labels")
    if not isinstance(data, str) or not isinstance(labels, str | None):
        from wardround_client.state.hospital_folder import HospitalFolder

        _ = HospitalFolder(folder).settings()  # raises, and says what is wrong
        return ""
    try:
        check_images_there(Images(Path(data), Path(labels) if labels else None))
    except ImagesAwayError as error:
        return str(error)
    return ""


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
        from wardround_client.state.hospital_folder import HospitalFolder

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
    more = {"images_away": _images_away(folder), "failure": last_failure(folder), "paused": paused, "warning": warning}
    return {str(key): str(value) for key, value in facts.items()} | more
