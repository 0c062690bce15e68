"""An archive of pynetdicom that does what a real one can be brought to do only with difficulty: it is wrong as told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydicom import Dataset, FileDataset
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    MRImageStorage,
    SecondaryCaptureImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from wardround_client.pacs.association import Sockets

TITLE = "TINY"
PENDING, OUT_OF_RESOURCES, UNABLE = 0xFF00, 0xA700, 0xC000


@dataclass
class TinyArchive:
    """What it has, and how it is wrong."""

    objects: list[FileDataset] = field(default_factory=list)
    port: int = 0
    counts: int | None = None
    """What it says a study has; None for what it has."""
    hides: bool = False
    """Lists a study, and no instance of it."""
    ignores_keys: bool = False
    drops_after: int | None = None
    """Breaks off after this many objects of one retrieval."""
    says_only: bool = False
    """Answers success to a retrieval, and sends nothing."""
    sends_instead: FileDataset | None = None
    sends_to: int | None = None
    """The port of 127.0.0.1 to which it moves."""
    takes: int | None = None
    """How many objects it still takes before it refuses every other; None for all."""
    breaks: bool = False
    """Breaks off where it would refuse."""
    echo_status: int = 0x0000
    damaged: tuple[str, ...] = ()
    """Accession numbers of studies about which it refuses every question, as Orthanc does where files are gone."""
    asked: list[Dataset] = field(default_factory=list)

    def _studies(self, asked: Dataset) -> Iterator[Dataset]:
        seen: set[str] = set()
        for each in self.objects:
            keys = ("StudyInstanceUID", "PatientID", "AccessionNumber")
            fits = all(not asked.get(key) or asked.get(key) == each.get(key) for key in keys)
            if each.StudyInstanceUID in seen or not (fits or self.ignores_keys):
                continue
            seen.add(each.StudyInstanceUID)
            found = Dataset()
            found.QueryRetrieveLevel = "STUDY"
            for key in (*keys, "StudyDate"):
                setattr(found, key, each.get(key, ""))
            if self.counts is not None:
                found.NumberOfStudyRelatedInstances = self.counts
            yield found

    def _find(self, event: Event) -> Iterator[tuple[int, Dataset | None]]:
        asked = event.identifier
        self.asked.append(asked)
        level = asked.QueryRetrieveLevel
        if asked.get("AccessionNumber") in self.damaged:
            yield UNABLE, None
            return
        if level == "STUDY":
            yield from ((PENDING, found) for found in self._studies(asked))
            return
        seen: set[str] = set()
        for each in [] if self.hides else self.objects:
            uid = each.SeriesInstanceUID if level == "SERIES" else each.SOPInstanceUID
            if each.StudyInstanceUID != asked.StudyInstanceUID or uid in seen:
                continue
            if level == "IMAGE" and each.SeriesInstanceUID != asked.SeriesInstanceUID:
                continue
            seen.add(uid)
            found = Dataset()
            found.QueryRetrieveLevel, found.StudyInstanceUID = level, each.StudyInstanceUID
            found.SeriesInstanceUID = each.SeriesInstanceUID
            if level == "IMAGE":
                found.SOPInstanceUID, found.SOPClassUID = each.SOPInstanceUID, each.SOPClassUID
                found.AvailableTransferSyntaxUID = each.file_meta.TransferSyntaxUID
            yield PENDING, found

    def _wanted(self, asked: Dataset) -> list[FileDataset]:
        uids = asked.SOPInstanceUID
        uids = [uids] if isinstance(uids, str) else list(uids)
        if self.says_only:
            return []
        if self.sends_instead is not None:
            return [self.sends_instead]
        return [each for each in self.objects if each.SOPInstanceUID in uids]

    def _get(self, event: Event) -> Iterator[Any]:
        some = self._wanted(event.identifier)
        yield len(some)
        for number, each in enumerate(some):
            if self.drops_after is not None and number >= self.drops_after:
                event.assoc.abort()
                return
            yield PENDING, each

    def _move(self, event: Event) -> Iterator[Any]:
        yield ("127.0.0.1", self.sends_to)
        yield from self._get(event)

    def _store(self, event: Event) -> int:
        if self.takes == 0:
            if self.breaks:
                event.assoc.abort()
            return OUT_OF_RESOURCES
        if self.takes is not None:
            self.takes -= 1
        made = FileDataset("", event.dataset, file_meta=event.file_meta)
        self.objects.append(made)
        return 0x0000

    def becomes(self, *objects: FileDataset, **wrong: Any) -> None:
        """Have these objects, and be wrong in these ways only."""
        port = self.port
        self.__init__(list(objects), port, **wrong)  # type: ignore[misc]


@contextmanager
def tiny_archive() -> Iterator[TinyArchive]:
    """Run such an archive of MR images at a free port of 127.0.0.1: empty, and right until it is told otherwise."""
    archive = TinyArchive()
    entity = AE(ae_title=TITLE)
    entity.require_called_aet = True
    for model in (
        Verification,
        StudyRootQueryRetrieveInformationModelFind,
        StudyRootQueryRetrieveInformationModelGet,
        StudyRootQueryRetrieveInformationModelMove,
    ):
        entity.add_supported_context(model)
    entity.add_requested_context(MRImageStorage)
    entity.add_supported_context(SecondaryCaptureImageStorage, ALL_TRANSFER_SYNTAXES)
    entity.add_supported_context(MRImageStorage, ALL_TRANSFER_SYNTAXES, scu_role=True, scp_role=True)
    sockets = Sockets()
    handlers = [
        (evt.EVT_CONN_OPEN, sockets.opened),
        (evt.EVT_CONN_CLOSE, sockets.closed),
        (evt.EVT_C_ECHO, lambda event: archive.echo_status),
        (evt.EVT_C_FIND, archive._find),
        (evt.EVT_C_STORE, archive._store),
        (evt.EVT_C_GET, archive._get),
        (evt.EVT_C_MOVE, archive._move),
    ]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    archive.port = server.socket.getsockname()[1]
    try:
        yield archive
    finally:
        server.shutdown()
        sockets.close()
