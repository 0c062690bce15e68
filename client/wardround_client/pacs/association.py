"""One association with the archive, and why there is none: host, port, AE title on either side, or TLS."""

from __future__ import annotations

import logging
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.pdu import A_ASSOCIATE_RJ
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext

from wardround_client.pacs.settings import PacsSettings
from wardround_common.errors import PacsError

# What it logs holds identifiers of patients, and of objects: no log of ours may.
_config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False
_config.LOG_HANDLER_LEVEL = "none"
for _name in ("pynetdicom", "dicomweb_client", "urllib3"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)
    logging.getLogger(_name).propagate = False

BUSY = (2, 3)  # transient, by the provider: congestion, or the limit of associations (PS3.8, table 9-21)
TRIES, WAIT_S = 4, 1.0
MOST_CONTEXTS = 128
_RULES = "Ask those who run the archive which AE titles it knows: {title!r} must be entered there, with this address."


def our_context(settings: PacsSettings) -> ssl.SSLContext:
    """Return what a connection to the archive is checked with.

    Raises:
        PacsError: a certificate or key cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=settings.authority)
    except (OSError, ssl.SSLError):
        raise _unreadable(settings.authority, "authority") from None
    # Since Python 3.13 the form of a certificate is checked too (RFC 5280), which an archive's own is often not in. Who
    # signed it, its name and its time are checked in any case.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.certificate is not None:
        load_certificate(context, settings)
    return context


def load_certificate(context: ssl.SSLContext, settings: PacsSettings) -> None:
    """Load our own certificate.

    Raises:
        PacsError: it cannot be read, or has another key.
    """
    try:
        context.load_cert_chain(settings.certificate or "", settings.key)
    except (OSError, ssl.SSLError):
        raise _unreadable(settings.certificate, "certificate or its key") from None


def _unreadable(path: Path | None, what: str) -> PacsError:
    return PacsError(
        f"the {what} cannot be read as PEM", where=str(path or "pacs.toml"), do="Check the path and the file."
    )


class Sockets:
    """The sockets of associations, closed when these are over.

    pynetdicom 3.0.4 shuts a socket down and then closes it; where the other side was first, shutting down fails, and
    the socket is left open.
    """

    def __init__(self) -> None:
        self._open: dict[int, socket.socket] = {}

    def opened(self, event: Event) -> None:
        """Note the socket of a connection that was just made."""
        transport = event.assoc.dul.socket
        if transport is not None and transport.socket is not None:
            self._open[id(event.assoc)] = transport.socket

    def closed(self, event: Event) -> None:
        """Close the socket of a connection that is over."""
        self._close(self._open.pop(id(event.assoc), None))

    def close(self) -> None:
        """Close those that are left."""
        while self._open:
            self._close(self._open.popitem()[1])

    @staticmethod
    def _close(one: socket.socket | None) -> None:
        if one is not None:
            with suppress(OSError):
                one.close()


class Refusal:
    """Result, source and reason of an archive's refusal (PS3.8, table 9-21), all 0 where it did not refuse.

    Noted as it arrives: pynetdicom 3.0.4 takes a refusal for a failed connection where the archive hangs up before
    the thread that asked has looked whether there is a connection.
    """

    def __init__(self) -> None:
        self.reason = (0, 0, 0)

    def note(self, event: Event) -> None:
        """Note what came, if it is a refusal."""
        if isinstance(event.pdu, A_ASSOCIATE_RJ):
            self.reason = (event.pdu.result or 0, event.pdu.source or 0, event.pdu.reason_diagnostic or 0)


@contextmanager
def associated(
    settings: PacsSettings,
    contexts: Sequence[PresentationContext],
    *,
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
    handlers: Sequence[Any] = (),
) -> Iterator[Association]:
    """Associate with the archive, and release at the end, or abort after an error; wait where it says that it is busy.

    Raises:
        PacsError: it is not reached, or refuses; the words say which of the settings is the likely cause.
    """
    if settings.host is None or settings.title is None:
        raise PacsError("pacs.toml names no archive for DICOM", do="Name 'host', 'port' and 'title'.")
    entity = AE(ae_title=settings.our_title)
    entity.acse_timeout = entity.connection_timeout = settings.connect_s
    entity.dimse_timeout = entity.network_timeout = settings.answer_s
    security = (our_context(settings), settings.host) if settings.tls else None
    with closing(Sockets()) as sockets:
        for attempt in range(TRIES):
            refusal = Refusal()
            noting: list[Any] = [
                (evt.EVT_CONN_OPEN, sockets.opened),
                (evt.EVT_CONN_CLOSE, sockets.closed),
                (evt.EVT_PDU_RECV, refusal.note),
            ]
            association = entity.associate(
                settings.host,
                settings.port,
                list(contexts),
                ae_title=settings.title,
                ext_neg=list(roles),
                evt_handlers=[*noting, *handlers],
                tls_args=security,
            )
            if association.is_established:
                break
            if not (refusal.reason[:2] == BUSY and attempt + 1 < TRIES):
                raise _no_association(settings, association, refusal)
            time.sleep(WAIT_S * 2**attempt)
        try:
            yield association
        except BaseException:
            association.abort()  # a release would wait for what the archive still sends
            raise
        finally:
            if association.is_established:
                association.release()
            if association.is_alive():
                association.abort()
                association.join(settings.connect_s)


def _no_association(settings: PacsSettings, association: Association, refusal: Refusal) -> PacsError:
    """Say why there is no association, and what to do."""
    where = f"{settings.host}:{settings.port}"
    result, source, diagnostic = refusal.reason
    if result:
        match source, diagnostic:
            case 1, 7:
                return PacsError(
                    f"the archive does not answer to the AE title {settings.title!r}",
                    where=where,
                    do="Correct 'title' in pacs.toml: it is the archive's own AE title; upper and lower case count.",
                )
            case 1, 3:
                return PacsError(
                    f"the archive does not know our AE title {settings.our_title!r}",
                    where=where,
                    do=_RULES.format(title=settings.our_title),
                )
        if (result, source) == BUSY:
            return PacsError("the archive is busy: it takes no more associations", where=where, do="Try again later.")
        return PacsError(
            f"the archive refuses associations (result {result}, source {source}, reason {diagnostic})",
            where=where,
            do=_RULES.format(title=settings.our_title),
        )
    if association.acceptor.primitive is not None and not association.is_aborted:
        return PacsError("the archive accepts none of what is asked for", where=where, do="Ask those who run it.")
    return no_connection(settings) or PacsError(
        "the archive took the connection and broke it off, or did not answer, before an association",
        where=where,
        do="Check that 'port' is its DICOM port, and the AE titles: some archives break off where they know none. "
        + _RULES.format(title=settings.our_title),
    )


def no_connection(settings: PacsSettings) -> PacsError | None:
    """Say why there is no connection to the archive's DICOM port; None where there is one, with TLS as is said.

    Raises:
        PacsError: our own certificates cannot be read.
    """
    host, port = str(settings.host), settings.port
    where = f"{host}:{port}"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return PacsError(
            "no machine is known by this name", where=host, do="Correct 'host' in pacs.toml, or write its IP address."
        )
    try:
        connection = socket.create_connection((str(found[0][4][0]), port), settings.connect_s)
    except ConnectionRefusedError:
        return PacsError(
            "the machine is there, and nothing listens at this port",
            where=where,
            do="Correct 'port' in pacs.toml (often 104, 4242 or 11112), or start the archive.",
        )
    except OSError:
        return PacsError(
            f"the machine does not answer within {settings.connect_s:g} s",
            where=where,
            do="Check 'host', and that the firewall between here and the archive lets this connection pass.",
        )
    with connection:
        return _no_tls(settings, connection, where)


def _no_tls(settings: PacsSettings, connection: socket.socket, where: str) -> PacsError | None:
    if not settings.tls:
        connection.settimeout(min(settings.connect_s, 2))
        return _speaks_tls(connection, where)
    try:
        with our_context(settings).wrap_socket(connection, server_hostname=settings.host) as secured:
            return _wants_certificate(secured, where)
    except ssl.SSLCertVerificationError as error:
        name = "the name or address in 'host' is not in its certificate"
        unknown = "its certificate is not signed by what 'authority' names"
        expired = "its certificate has expired, or this machine's clock is wrong"
        reason = {62: name, 64: name, 10: expired, 9: expired}.get(error.verify_code, unknown)
        return PacsError(
            f"the archive's TLS cannot be trusted: {reason}",
            where=where,
            do="Ask those who run the archive for the authority of its certificate, and for the name in it.",
        )
    except (ssl.SSLError, OSError):
        return PacsError(
            "the archive does not speak TLS at this port, or not TLS 1.2 or newer",
            where=where,
            do="Name its TLS port (often 2762), or write tls = false if it has none.",
        )


def _speaks_tls(connection: socket.socket, where: str) -> PacsError | None:
    probe = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # it looks whether there is TLS, and sends nothing through it
    probe.check_hostname, probe.verify_mode = False, ssl.CERT_NONE
    try:
        with probe.wrap_socket(connection):
            pass
    except (ssl.SSLError, OSError):
        return None
    return PacsError(
        "the archive speaks TLS at this port", where=where, do="Write tls = true, and name its 'authority'."
    )


def _wants_certificate(secured: ssl.SSLSocket, where: str) -> PacsError | None:
    """Read on for a moment: with TLS 1.3 a server tells only after the handshake that it wants a certificate."""
    secured.settimeout(0.5)
    try:
        with suppress(TimeoutError):
            secured.recv(1)
    except (ssl.SSLError, OSError):
        return PacsError(
            "the archive wants a certificate of ours, or does not trust the one it gets",
            where=where,
            do="Name 'certificate' and 'key' in pacs.toml, of an authority that the archive trusts.",
        )
    return None
