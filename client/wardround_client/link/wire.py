"""HTTPS from a hospital to its coordinator: whom it trusts, how it signs, and what each refusal means."""

from __future__ import annotations

import re
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.common.constant import TIMESTAMP_HEADER
from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER
from google.protobuf.message import DecodeError

from wardround_client.link.way_out import ANOTHER, UNREACHABLE
from wardround_common.canonical import Content, views
from wardround_common.errors import LinkError, MessageError, StorageError
from wardround_common.keys.certificates import client_context, refused
from wardround_common.messages.link_limits import LinkLimits
from wardround_common.messages.transfers import portions, together

PROTOBUF = "application/protobuf"
TIMEOUT_S = 30.0
TRANSFERS = 4  # objects in flight at a time
Proto = TypeVar("Proto")
FLEET = "/v1/fleet/"
STORAGE = "storage"
"""The word of a coordinator that cannot read or write its files."""
ENROL = (
    "Ask the coordinator whether this hospital's key is enrolled, or was revoked. If it was, stop this service and "
    "make a request with other keys: wardround hospital init NAME --data DIR --new-keys"
)


@dataclass(frozen=True)
class Link:
    """Where the coordinator is, and by what both know each other."""

    address: str
    """``host:port``."""
    authority: Path
    """The coordinator's own certificate authority, PEM; no other is trusted."""
    key: bytes = field(repr=False)
    """The hospital's private node key on a NIST curve, as PEM or as OpenSSH writes it."""


class NotWantedError(Exception):
    """The coordinator does not know what a request is about, or does not want it any more."""


@dataclass(frozen=True)
class Heart:
    """What travels with a heartbeat, as headers: what this end says, and who hears what the other end says."""

    says: Callable[[], Mapping[str, str]] = dict
    hears: Callable[[Mapping[str, str]], None] = lambda headers: None


@dataclass
class Contents:
    """An answer that is contents of objects and no message of Flower's; read as one of those."""

    parts: list[memoryview] = field(default_factory=list)

    def ParseFromString(self, content: Content) -> None:  # noqa: N802  # protobuf's word
        """Read the contents, without a copy of them.

        Raises:
            MessageError: it has another form, or more parts than a message.
        """
        self.parts = views(content, LinkLimits.parts)


class Wire:
    """HTTPS to one coordinator, through the proxy that ``HTTPS_PROXY`` names if it does; each head is signed."""

    def __init__(self, link: Link, limits: LinkLimits | None = None) -> None:
        self._address = link.address
        self._limits = limits or LinkLimits()
        self._key = _read_key(link.key)
        self.public_key: bytes = self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        try:
            tls = client_context(link.authority.read_bytes())
        except (OSError, MessageError) as error:
            why = error.what if isinstance(error, MessageError) else error.strerror or "no reason given"
            raise StorageError(
                f"the coordinator's certificate authority cannot be used ({why})",
                where=str(link.authority),
                do="Restore it from the invitation.",
            ) from error
        # A redirect could send an answer elsewhere.
        pool = httpx.Limits(max_connections=8, max_keepalive_connections=8, keepalive_expiry=60.0)
        self._http = httpx.Client(verify=tls, timeout=TIMEOUT_S, follow_redirects=False, limits=pool)
        self._transfers = ThreadPoolExecutor(TRANSFERS, "transfer")
        self.bytes_in = self.bytes_out = 0
        self.certificate_until: datetime | None = None
        self._counting = threading.Lock()

    def close(self) -> None:
        """End the connections."""
        self._transfers.shutdown(wait=True, cancel_futures=True)
        self._http.close()

    def each(self, transfer: Callable[[list[str]], Any], parcels: list[list[str]]) -> list[Any]:
        """Do several transfers, a few at a time, each of the objects of these names.

        Raises:
            LinkError, NotWantedError: what the first of those that failed raised.
        """
        return list(self._transfers.map(transfer, parcels))

    def ask(self, path: str, request: Any, kind: type[Proto], heart: Heart | None = None) -> Proto:
        """Send one request, a message or a body in pieces, and give the answer.

        Raises:
            LinkError: the coordinator cannot be reached, is not the one of the invitation, or refuses this hospital.
            NotWantedError: it does not want this request any more.
        """
        if not isinstance(request, bytes | list):
            request = request.SerializeToString(deterministic=True)
        body: list[Content] = request if isinstance(request, list) else [request]
        size = sum(map(len, body))
        stamp = datetime.now(UTC).isoformat()
        signature = self._key.sign(stamp.encode(), ec.ECDSA(hashes.SHA256()))
        headers = {
            "content-type": PROTOBUF,
            "content-length": str(size),
            FLEET_HTTP_PUBLIC_KEY_HEADER: b64encode(self.public_key).decode(),
            FLEET_HTTP_SIGNATURE_HEADER: b64encode(signature).decode(),
            TIMESTAMP_HEADER: stamp,
            **(heart.says() if heart else {}),
        }
        url = f"https://{self._address}{FLEET}{path}"
        try:
            with self._http.stream("POST", url, content=portions(body), headers=headers) as response:
                content = self._body(response)
                if path == "send-node-heartbeat" or self.certificate_until is None:
                    self.certificate_until = _expiry(response)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise _unreachable(self._address, error, _proxy_to(self._address)) from error
        with self._counting:
            self.bytes_in += len(content)
            self.bytes_out += size
        if response.status_code == httpx.codes.OK and response.headers.get("content-type") == PROTOBUF:
            answer: Any = kind()
            try:
                answer.ParseFromString(content if isinstance(answer, Contents) else bytes(content))
            except (DecodeError, MessageError):
                raise LinkError("what answers is not a coordinator of this version", where=self._address) from None
            if heart:
                heart.hears(response.headers)
            return cast(Proto, answer)
        raise _refusal(self._address, response, _word(bytes(content[:100])))

    def _body(self, response: httpx.Response) -> Content:
        """Read an answer's body, which has neither more bytes nor more time than the limits say."""
        parts: list[bytes] = []
        size, until = 0, time.monotonic() + self._limits.body_s
        for part in response.iter_raw():
            parts.append(part)
            size += len(part)
            if size > self._limits.body_bytes:
                most = self._limits.body_bytes
                raise LinkError(f"the coordinator's answer has more than {most} bytes", where=self._address)
            if time.monotonic() > until:
                raise httpx.ReadTimeout("the answer comes too slowly")
        return together(parts)


def _expiry(response: httpx.Response) -> datetime | None:
    """Say until when the certificate is valid that the coordinator showed."""
    stream = response.extensions.get("network_stream")
    tls = stream.get_extra_info("ssl_object") if stream else None
    end = tls.getpeercert().get("notAfter") if tls else None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(end), UTC) if end else None


def _turned_away(address: str, text: str) -> LinkError:
    """Say why a proxy opens no tunnel: the way out of a hospital's container, or one of the site."""
    if text.endswith(ANOTHER):
        return LinkError(
            f"the way out of this hospital's container leads elsewhere ({text})",
            where=address,
            do=f"Set COORDINATOR={address} and start the containers again.",
        )
    if text.endswith(UNREACHABLE):
        return LinkError(
            f"the way out of this hospital's container does not reach the coordinator ({text})",
            where=address,
            do="Nothing is lost; it keeps trying. Ask the coordinator whether the service runs; if the site has a "
            "proxy, set HTTPS_PROXY to it and start the containers again.",
        )
    return LinkError(f"the proxy does not let this hospital connect ({text})", where=address, do="Check HTTPS_PROXY.")


def _unreachable(address: str, error: Exception, proxy: str = "") -> LinkError:
    text = str(error)
    if said := refused(error, address.rpartition(":")[0].strip("[]"), datetime.now(UTC)):
        return LinkError(said.what, where=address, do=said.do)
    if isinstance(error, httpx.ProxyError):
        return _turned_away(address, text)
    if proxy and isinstance(error, httpx.ConnectError | httpx.ConnectTimeout) and not _spoke_tls(error):
        return LinkError(
            f"the proxy {proxy} cannot be reached ({text or type(error).__name__})",
            where=address,
            do="Nothing is lost; it keeps trying. Check HTTPS_PROXY and the proxy; the coordinator was not asked.",
        )
    if isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout):
        through = f", through the proxy {proxy}," if proxy else ""
        return LinkError(
            f"a connection was made{through} and no answer came in time ({text or type(error).__name__})",
            where=address,
            do="Nothing is lost; it keeps trying. If this comes again and again, a proxy, a firewall or a router on "
            "the way drops what belongs to a connection, or the coordinator hangs: ask who runs them.",
        )
    if isinstance(error, httpx.RemoteProtocolError | httpx.ReadError | httpx.WriteError):
        return LinkError(
            f"the coordinator cannot be reached: the connection was cut ({text or type(error).__name__})",
            where=address,
            do="Nothing is lost; it keeps trying. If this comes again and again, a proxy, a firewall or the network on "
            "the way ends connections: ask who runs it.",
        )
    if ("PROTOCOL" in text and "VERSION" in text) or "UNSUPPORTED_PROTOCOL" in text:  # OpenSSL's words, of both sides
        what = "what answers at this address does not speak TLS 1.3"
        return LinkError(
            what, where=address, do="A proxy on the way intercepts TLS: let it pass this address through unread."
        )
    return LinkError(
        f"the coordinator cannot be reached ({text or type(error).__name__})",
        where=address,
        do="Nothing is lost; it keeps trying. Check that outbound connections to this address are allowed.",
    )


def _proxy_to(address: str) -> str:
    """Return ``host:port`` of the proxy through which requests to an address go; nothing if they go straight."""
    host = address.rpartition(":")[0].strip("[]")
    proxy = "" if proxy_bypass(host) else getproxies().get("https") or getproxies().get("all") or ""
    return urlsplit(proxy).netloc.rpartition("@")[2]  # without its user and password


def _spoke_tls(error: BaseException) -> bool:
    """Say whether a connection was there already when it failed: to reach the coordinator a proxy must have let us."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    return cause is not None


def _word(content: bytes) -> str:
    """Read the one word that a coordinator refuses with; whatever else there is would be told in its words."""
    word = content.decode("ascii", "replace")
    return word if re.fullmatch(r"[a-z][a-z-]{0,30}", word) else "no reason given"


def _refusal(address: str, response: httpx.Response, why: str) -> Exception:
    status = response.status_code
    if status == httpx.codes.UNAUTHORIZED and why == "clock":
        return LinkError(f"the coordinator refuses this hospital: {_skew(response)}", where=address, do=_CLOCK)
    if status == httpx.codes.UNAUTHORIZED:
        return LinkError(f"the coordinator does not know this hospital's key ({why})", where=address, do=ENROL)
    if status in (
        httpx.codes.GONE,
        httpx.codes.FORBIDDEN,
        httpx.codes.BAD_REQUEST,
        httpx.codes.REQUEST_ENTITY_TOO_LARGE,
    ):
        return NotWantedError(why)
    if httpx.codes.is_redirect(status):
        what = f"what answers at this address points elsewhere (HTTP {status}), where no answer is sent"
        return LinkError(
            what, where=address, do="A proxy or portal is in the way: let it pass this address through unchanged."
        )
    if status == httpx.codes.UPGRADE_REQUIRED:
        return another_version(address)
    if status == httpx.codes.INSUFFICIENT_STORAGE:
        return LinkError("the coordinator's disk is full", where=address, do="Nothing is lost; it keeps trying.")
    if status == httpx.codes.SERVICE_UNAVAILABLE and why == STORAGE:
        what = "the coordinator cannot read or write its files"
        return LinkError(what, where=address, do="Nothing is lost; it keeps trying. Tell its people.")
    return LinkError(f"what answers is not a coordinator, or is failing (HTTP {status})", where=address)


def another_version(address: str) -> LinkError:
    """Return what is said where the two ends cannot read each other's bodies."""
    return LinkError(
        "the coordinator is of another version of Wardround, and reads parts of messages otherwise",
        where=address,
        do="Nothing is lost; it keeps trying. Install the same version at both ends (docs/upgrade-and-backup.md).",
    )


_CLOCK = (
    "If this machine's clock is wrong, set it, preferably by NTP. If it is right, tell the coordinator that theirs is "
    "wrong. The link then comes up by itself."
)


def _skew(response: httpx.Response) -> str:
    try:
        seconds = time.time() - parsedate_to_datetime(response.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return "the two clocks differ by minutes"
    return f"this machine's clock is {abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} the coordinator's"


def _read_key(key: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        read = serialization.load_ssh_private_key if b"OPENSSH" in key[:40] else serialization.load_pem_private_key
        private = read(key, None)
    except (ValueError, TypeError):
        private = None
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise MessageError("the hospital's node key is not a private key on a NIST curve")
    return private
