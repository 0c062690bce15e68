"""Storage commitment: the archive takes responsibility for what it stored, instance by instance (PS3.4, annex J)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from pydicom import Dataset
from pydicom.uid import generate_uid
from pynetdicom import build_context, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # it makes these names when it is imported
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from wardround_client.pacs.archive import Instance
from wardround_client.pacs.association import associated
from wardround_client.pacs.dimse import words
from wardround_client.pacs.receiver import Receiver
from wardround_client.pacs.settings import PacsSettings
from wardround_common.errors import PacsError

SUCCESS = 0x0000
REQUEST = 1  # the only action there is
HERE_S = 5.0  # how long a report is waited for in the association that asked, where there is no receiver


@dataclass
class _Report:
    """What the archive reports of one request; another request's report is none."""

    transaction: str
    failed: dict[str, str] = field(default_factory=dict)
    committed: set[str] = field(default_factory=set)
    came: threading.Event = field(default_factory=threading.Event)

    def heard(self, event: Event) -> tuple[int, None]:
        """Take a report."""
        said = event.event_information
        if str(said.get("TransactionUID", "")) != self.transaction:
            return 0x0115, None  # invalid argument
        for each in said.get("ReferencedSOPSequence") or ():
            self.committed.update(words(each, "ReferencedSOPInstanceUID"))
        for each in said.get("FailedSOPSequence") or ():
            reason = each.get("FailureReason")
            for uid in words(each, "ReferencedSOPInstanceUID"):
                self.failed[uid] = "" if reason is None else f" (reason 0x{reason:04X})"
        self.came.set()
        return SUCCESS, None


def commit(settings: PacsSettings, instances: Sequence[Instance]) -> dict[str, str] | None:
    """Ask the archive to commit itself to these instances; return what is wrong with each, empty words for nothing.

    None where it has no storage commitment, or sends no report: it connects back for that, to ``receiver_address``.
    """
    report = _Report(str(generate_uid()))
    asked = Dataset()
    asked.TransactionUID = report.transaction
    asked.ReferencedSOPSequence = []
    for each in instances:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = each.sop_class, each.uid
        asked.ReferencedSOPSequence.append(item)
    heard = [(evt.EVT_N_EVENT_REPORT, report.heard)]
    with ExitStack() as stack:
        if settings.receiver_address is not None:
            stack.enter_context(Receiver(settings, report.heard))
        try:
            context = build_context(StorageCommitmentPushModel)
            association = stack.enter_context(associated(settings, [context], handlers=heard))
        except PacsError:
            return None
        answer, _ = association.send_n_action(
            asked, REQUEST, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        if answer.get("Status") != SUCCESS:
            return None
        if not report.came.wait(settings.answer_s if settings.receiver_address is not None else HERE_S):
            return None
    absent = {each.uid: "" for each in instances if each.uid not in report.committed} | report.failed
    return {
        each.uid: f"the archive does not commit itself to it{absent[each.uid]}" if each.uid in absent else ""
        for each in instances
    }
