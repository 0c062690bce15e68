"""What listens at a hospital, and only while it fetches: the receiver to which the archive sends a C-MOVE.

It accepts associations from the archive's address and AE titles only, which call our AE title, a bounded number at a
time, and of these only the studies that were asked for, none longer than a file that is read.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from types import TracebackType
from typing import Any

from pydicom._uid_dict import UID_dictionary
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification  # type: ignore[attr-defined]  # made there
from pynetdicom.transport import ThreadedAssociationServer

from wardround_client.images.source import LARGEST_FILE_BYTES
from wardround_client.pacs.association import Sockets, load_certificate
from wardround_client.pacs.settings import PacsSettings
from wardround_common.errors import PacsError

SETTLES_S = 5.0  # how long nothing may come after an archive said that it has sent everything
_STARTS = 0.05
LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"  # pydicom 3.0 has no name for it


@cache
def storage_classes() -> tuple[str, ...]:
    """Return the SOP classes that are received, the most common first: all that DICOM has, also the retired ones.

    An archive may end a whole move at the first object that its receiver does not accept.
    """
    common = ("4", "2", "1.1", "1", "1.2", "6.1", "7", "128", "20")
    named = [f"1.2.840.10008.5.1.4.1.1.{each}" for each in common]
    known = [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
    retired = [uid for uid, (name, kind, *_) in UID_dictionary.items() if kind == "SOP Class" and "Storage" in name]
    left = [uid for uid in retired if uid.startswith("1.2.840.10008.5.1.4.1.1.")]
    return tuple(dict.fromkeys((*named, *known, LABEL_MAP, *left)))


Taken = Callable[[str, bytes], bool]
"""Takes a file with its UID; says whether it was asked for."""


class Receiver:
    """Listens while it is entered, also for several studies one after the other; refuses what nobody asked for."""

    def __init__(self, settings: PacsSettings, reported: Callable[[Event], tuple[int, None]] | None = None) -> None:
        self.title = settings.our_title
        self._settings, self._reported = settings, reported
        self._expected: dict[str, Taken] = {}
        self._failure: list[Exception] = []
        self._bytes: Counter[int] = Counter()
        self._last = time.monotonic()
        self.refused: Counter[str] = Counter()
        """Why connections were refused: ``address``, ``title``, ``called``."""
        self.connections = 0
        self._server: ThreadedAssociationServer | None = None
        self._sockets = Sockets()

    def __enter__(self) -> Receiver:
        settings = self._settings
        if settings.receiver_address is None:
            raise PacsError(
                "pacs.toml does not say where to receive",
                do="Name receiver_address: this machine's, on the inner network.",
            )
        self._allowed = _addresses(settings)
        entity = AE(ae_title=settings.our_title)
        entity.maximum_associations = settings.associations
        entity.acse_timeout = settings.connect_s
        entity.dimse_timeout = entity.network_timeout = settings.answer_s
        for each in storage_classes():
            entity.add_supported_context(each, ALL_TRANSFER_SYNTAXES)
        entity.add_supported_context(Verification)
        entity.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
        handlers: list[Any] = [
            (evt.EVT_CONN_OPEN, self._connected),
            (evt.EVT_REQUESTED, self._requested),
            (evt.EVT_PDU_RECV, self._counted),
            (evt.EVT_C_STORE, self._received),
            (evt.EVT_CONN_CLOSE, self._closed),
        ]
        if self._reported is not None:
            handlers.append((evt.EVT_N_EVENT_REPORT, self._reported))
        try:
            self._server = entity.start_server(
                (settings.receiver_address, settings.receiver_port),
                block=False,
                ssl_context=_server_context(settings) if settings.tls else None,
                evt_handlers=handlers,
            )
        except (OSError, UnicodeError) as error:
            raise PacsError(
                f"this machine cannot receive there: {(getattr(error, 'strerror', None) or 'no such address').lower()}",
                where=f"{settings.receiver_address}:{settings.receiver_port}",
                do="Correct receiver_address (an address of this machine) or receiver_port in pacs.toml; another fetch "
                "that runs has the port too.",
            ) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.shutdown()
        self._sockets.close()

    def expect(self, uids: Iterable[str], taken: Taken) -> None:
        """Hand these instances to ``taken`` from now on, and count anew why connections are refused.

        What was expected before is handed over to whoever asked for it, if it comes late.
        """
        self._expected |= dict.fromkeys(uids, taken)
        self.refused.clear()
        self.connections = 0

    def wait(self, complete: Callable[[], bool]) -> None:
        """Wait until what was asked for is here, or nothing has come for some seconds."""
        self._last = max(self._last, time.monotonic())
        while not complete() and not self._failure and time.monotonic() - self._last < SETTLES_S:
            time.sleep(_STARTS)

    def raise_failure(self) -> None:
        """Raise what kept this side from taking a file, such as a full disk."""
        if self._failure:
            raise self._failure[0]

    def check(self, *, nothing_came: bool, said: str) -> None:
        """Raise what makes every move fail alike, as far as it can be told from here.

        Raises:
            PacsError: the archive did not connect back, or from elsewhere or by another name than the settings say.
        """
        if nothing_came and (problem := self.problem(said)):
            raise problem

    def problem(self, said: str) -> PacsError | None:
        """Say what is wrong with the archive's way back to this machine; None where it came through."""
        settings = self._settings
        where = f"{settings.receiver_address}:{settings.receiver_port}"
        if self.connections == 0:
            return PacsError(
                f"the archive does not connect back to this machine{f' ({said})' if said else ''}",
                where=where,
                do=f"Have {settings.our_title!r} entered in the archive as a place to send to, with this address and "
                f"port; have the firewall let it connect to here. This return rule is what is most often forgotten.",
            )
        if self.refused["address"]:
            return PacsError(
                "a machine with another address than the archive's connected back, and was refused",
                where=where,
                do="If the archive sends from several machines, name their addresses in 'senders' in pacs.toml.",
            )
        if self.refused["called"]:
            return PacsError(
                "the archive connects back and calls another AE title than ours",
                where=where,
                do=f"Have {settings.our_title!r} entered for this address in the archive; upper and lower case count.",
            )
        if self.refused["title"]:
            return PacsError(
                "the archive connects back under another AE title than the one that is called",
                where=where,
                do="Name the title under which it sends in 'sender_titles' in pacs.toml.",
            )
        return None

    def _connected(self, event: Event) -> None:
        self.connections += 1
        self._sockets.opened(event)
        self._last = time.monotonic()
        address = str(event.assoc.requestor.address)
        if address.removeprefix("::ffff:") not in self._allowed:
            self.refused["address"] += 1
            if event.assoc.dul.socket is not None:
                event.assoc.dul.socket.close()  # before it could say anything

    def _requested(self, event: Event) -> None:
        settings, request = self._settings, event.assoc.requestor.primitive
        if request is None:
            return
        titles = {str(title) for title in (settings.title, *settings.sender_titles) if title}
        if str(request.called_ae_title).strip() != settings.our_title:
            self.refused["called"] += 1
            event.assoc.acse.send_reject(0x01, 0x01, 0x07)
            event.assoc.kill()
        elif str(request.calling_ae_title).strip() not in titles:
            self.refused["title"] += 1
            event.assoc.acse.send_reject(0x01, 0x01, 0x03)
            event.assoc.kill()

    def _counted(self, event: Event) -> None:
        self._last = time.monotonic()
        key = id(event.assoc)
        self._bytes[key] += int(getattr(event.pdu, "pdu_length", 0))
        if self._bytes[key] > LARGEST_FILE_BYTES:
            event.assoc.abort()

    def _received(self, event: Event) -> int:
        self._bytes[id(event.assoc)] = 0
        return received(event, self._take, self._failure)

    def _take(self, uid: str, data: bytes) -> bool:
        taken = self._expected.get(uid)
        return taken is not None and taken(uid, data)

    def _closed(self, event: Event) -> None:
        self._bytes.pop(id(event.assoc), None)
        self._sockets.closed(event)


def received(event: Event, taken: Taken, failure: list[Exception]) -> int:
    """Take what the archive sends; return DICOM's status. An error of ours is kept for the thread that asked."""
    uid = str(getattr(event.request, "AffectedSOPInstanceUID", ""))
    if failure:
        return OUT_OF_RESOURCES
    try:
        return 0x0000 if taken(uid, event.encoded_dataset()) else NOT_AUTHORISED
    except Exception as error:  # noqa: BLE001  # raised again in the thread that asked, which pynetdicom would not do
        failure.append(error)
        return OUT_OF_RESOURCES


OUT_OF_RESOURCES, NOT_AUTHORISED = 0xA700, 0x0124


def _addresses(settings: PacsSettings) -> frozenset[str]:
    found: set[str] = set()
    for host in filter(None, (settings.host, *settings.senders)):
        with suppress(OSError, UnicodeError):
            found |= {str(each[4][0]) for each in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    return frozenset(found)


def _server_context(settings: PacsSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    load_certificate(context, settings)
    if settings.authority is not None:
        context.load_verify_locations(settings.authority)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
