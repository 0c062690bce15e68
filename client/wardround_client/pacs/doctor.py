"""What is wrong with the way to the archive and back, one thing after the other, in the order in which they depend."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from wardround_client.pacs.archive import Archive, Instance, Query
from wardround_client.pacs.association import no_connection
from wardround_client.pacs.dimse import DimseArchive
from wardround_client.pacs.settings import PacsSettings
from wardround_client.pacs.web import WebArchive
from wardround_common.errors import WardroundError

LATEST_DAYS = (7, 365)
"""How far back a study is looked for of which one image is sent, to try the way back; then any."""


@dataclass(frozen=True)
class Check:
    """One thing that was tried."""

    what: str
    fine: bool | None
    """None where it was not tried."""
    words: str = ""
    do: str = ""


def examine(settings: PacsSettings) -> Iterator[Check]:
    """Try what the settings name, and say of each step whether it works; nothing of an image is kept."""
    if settings.host is not None:
        yield from _dicom(settings)
    if settings.web is not None:
        yield from _web(settings)


def _dicom(settings: PacsSettings) -> Iterator[Check]:
    archive = DimseArchive(settings)
    reached = _tried("host and port", lambda: _reach(settings))
    yield reached
    if not reached.fine:
        return
    yield (answered := _tried("AE titles", archive.echo, f"it answers {settings.our_title} as {settings.title}"))
    if not answered.fine:
        return
    yield (asked := _tried("questions", lambda: _ask(archive), "it answers questions of this AE title"))
    if not asked.fine:
        return
    yield _retrieved("the way back (C-MOVE)" if settings.retrieve == "move" else "retrieval (C-GET)", archive)


def _reach(settings: PacsSettings) -> None:
    if (problem := no_connection(settings)) is not None:
        raise problem


def _ask(archive: Archive) -> None:
    archive.find(Query(study="1.2.826.0.1.3680043.8.498.0", exact=True), 1)


def _tried(what: str, attempt: Callable[[], None], words: str = "") -> Check:
    try:
        attempt()
    except WardroundError as error:
        return Check(what, False, f"{error.where}: {error.what}" if error.where else error.what, error.do)
    return Check(what, True, words)


def _retrieved(what: str, archive: Archive) -> Check:
    """Let the archive send one image, which is thrown away, and say what kept it from arriving."""
    try:
        some = _an_image(archive)
        if some is None:
            return Check(what, None, "it has no image to try with")
        came = threading.Event()

        def take(data: bytes) -> bool:
            came.set()
            return True

        said = archive.send([some], take)
    except WardroundError as error:
        return Check(what, False, f"{error.where}: {error.what}" if error.where else error.what, error.do)
    if came.is_set():
        return Check(what, True, "one image came, and was thrown away")
    return Check(what, False, said or "the archive says that it sent an image, and none came", _ASK)


_ASK = "Ask those who run the archive whether this AE title may retrieve, and look into the archive's own log."


def _an_image(archive: Archive) -> Instance | None:
    today = datetime.now(UTC).date()
    for first in (*(today - timedelta(days) for days in LATEST_DAYS), date(1900, 1, 1)):
        for study in archive.find(Query(dates=(first, None)), 3):
            for each in archive.instances(study.uid):
                if not each.left:
                    return each
    return None


def _web(settings: PacsSettings) -> Iterator[Check]:
    archive = WebArchive(settings)
    yield (answered := _tried("DICOMweb", archive.echo, "it answers a search"))
    if not answered.fine:
        return

    yield _retrieved("retrieval (WADO)", archive)
