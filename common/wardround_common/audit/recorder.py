"""Records each message between hospital and coordinator once, however often it is retried."""

from __future__ import annotations

import threading
from collections import OrderedDict

from wardround_common.audit.entries import Fact
from wardround_common.audit.log import AuditLog
from wardround_common.audit.passage import Passage
from wardround_common.documents.proposal import ProposeRequest

REMEMBERED = 2_000  # messages: some rounds of a hundred hospitals
SHORT = 12  # digits of a study digest


class Recorder:
    """Notes messages in an audit log.

    A message that is sent again after a break is one message. A proposal is asked every few seconds until somebody has
    decided: as long as question and answer stay the same, they are noted once.
    """

    def __init__(self, log: AuditLog) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._noted: OrderedDict[tuple[str, str, str], None] = OrderedDict()

    def __call__(self, passage: Passage) -> None:
        """Note a message; it is on the disk when this returns.

        Raises:
            StorageError: it cannot be written: the message must not pass.
        """
        name = passage.content if passage.kind == ProposeRequest.kind else passage.message
        which = passage.way, passage.peer, name
        with self._lock:
            if which in self._noted:
                return
            self._log.note(f"message {passage.way}", _facts(passage))
            self._noted[which] = None
            if len(self._noted) > REMEMBERED:
                self._noted.popitem(last=False)


def _facts(passage: Passage) -> dict[str, Fact]:
    return {
        "with": passage.peer,
        "kind": passage.kind,
        "study": passage.study[:SHORT] or None,
        "round": passage.round,
        "bytes": passage.bytes,
        "content": passage.content,
        "failure": passage.failure or None,
    }
