"""A coordinator and hospitals that talk over TLS on this machine, with certificates and keys of a test's own."""

from __future__ import annotations

import datetime
import ipaddress
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.proto import message_pb2

from wardround_client.link.supernode import Status, Supernode
from wardround_client.link.wire import Link, Wire
from wardround_common.audit.passage import Passage
from wardround_common.canonical import Content
from wardround_common.messages.link_limits import LinkLimits
from wardround_common.messages.transfers import write_push
from wardround_server.link.port import Doorway
from wardround_server.link.superlink import SuperLink

PEM = serialization.Encoding.PEM
_SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=False,
    key_cert_sign=True,
    crl_sign=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def public_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True)
class Authority:
    """A certificate authority of a test and the server certificate that it gave, made where there are none."""

    folder: Path

    def __post_init__(self) -> None:
        if self.certificate.exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        key, name = new_key(), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        own = _certificate(name, name, key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        own = own.add_extension(_SIGNS_CERTIFICATES, critical=True)
        own = own.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        (self.folder / "ca.key").write_bytes(private_pem(key))
        self.give("server", key, name)
        self.certificate.write_bytes(own.sign(key, hashes.SHA256()).public_bytes(PEM))

    def give(
        self, file: str, key: ec.EllipticCurvePrivateKey, issuer: x509.Name, *, days: int = 1, host: str = "127.0.0.1"
    ) -> None:
        server = new_key()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "coordinator")])
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host)), x509.DNSName("localhost")])
        certificate = _certificate(subject, issuer, server.public_key(), days).add_extension(names, critical=False)
        by = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())  # which Python 3.13 asks for
        certificate = certificate.add_extension(by, critical=False)
        (self.folder / f"{file}.pem").write_bytes(certificate.sign(key, hashes.SHA256()).public_bytes(PEM))
        (self.folder / f"{file}.key").write_bytes(private_pem(server))

    @property
    def certificate(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def server(self) -> tuple[Path, Path]:
        return self.folder / "server.pem", self.folder / "server.key"


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int = 1
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=10))
        .not_valid_after(now + datetime.timedelta(days=days))
    )


@cache
def _empty_database() -> Path:
    """Make Flower's tables once: its migrations take a second."""
    folder = Path(tempfile.mkdtemp(prefix="wardround-test-"))
    SuperLink(folder).stop()
    return folder / "superlink.db"


@dataclass
class Place:
    """Where a test's coordinator and hospitals keep what is theirs."""

    folder: Path
    doorway: Doorway = field(default_factory=Doorway)
    limits: LinkLimits = field(default_factory=LinkLimits)
    port: int = 0

    def __post_init__(self) -> None:
        self.authority = Authority(self.folder / "authority")
        self.keys = {name: new_key() for name in ("mercy", "north", "south")}
        (self.folder / "coordinator").mkdir()
        shutil.copy(_empty_database(), self.folder / "coordinator" / "superlink.db")

    def authority_key(self) -> ec.EllipticCurvePrivateKey:
        key = serialization.load_pem_private_key((self.authority.folder / "ca.key").read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key

    @contextmanager
    def coordinator(self, *names: str) -> Iterator[SuperLink]:
        """Start the coordinator, with these hospitals enrolled; at its last address if it ran before."""
        link = SuperLink(self.folder / "coordinator", hold_s=0.25, limits=self.limits)
        for name in names:
            link.enrol(name, public_pem(self.keys[name]))
        try:
            self.port = link.serve("127.0.0.1", self.port, *self.authority.server, self.doorway).number
            yield link
        finally:
            link.stop()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def wire(self, name: str) -> Wire:
        """Return what an attacker has who has this hospital's key: requests of any content."""
        return Wire(self.link(name))

    def link(self, name: str) -> Link:
        return Link(self.address, self.authority.certificate, private_pem(self.keys[name]))

    @contextmanager
    def hospital(
        self,
        name: str,
        app: ClientApp | None = None,
        report: Callable[[Status], None] = lambda status: None,
        passed: Callable[[Passage], None] = lambda passage: None,
    ) -> Iterator[Supernode]:
        """Run a hospital's link in a thread."""
        node = Supernode(self.link(name), app or echo(), self.folder / name, report, passed, limits=self.limits)
        stop = threading.Event()
        thread = threading.Thread(target=node.run, args=(stop,), daemon=True)
        thread.start()
        try:
            yield node
        finally:
            stop.set()
            thread.join(60)
            assert not thread.is_alive(), "the hospital's link did not end when it was told to"


@dataclass
class StandingPlace(Place):
    """A place whose coordinator was started beforehand, and goes on."""

    running: SuperLink | None = None

    @contextmanager
    def coordinator(self, *names: str) -> Iterator[SuperLink]:
        assert self.running is not None
        assert set(names) <= set(self.running.nodes().values())
        yield self.running


def echo(seen: list[Message] | None = None, before: Callable[[Message], None] = lambda message: None) -> ClientApp:
    """Return an app that answers with the vector that it was asked about, doubled."""
    app = ClientApp()

    @app.query("echo")
    def answer(message: Message, context: Context) -> Message:
        if seen is not None:
            seen.append(message)
        before(message)
        vector = message.content.array_records["arrays"]["vector"].numpy()
        return Message(record(2 * vector), reply_to=message)

    return app


def record(vector: np.ndarray) -> RecordDict:
    return RecordDict({"fields": ConfigRecord({"round": 1}), "arrays": ArrayRecord({"vector": Array(vector)})})


def question(node: int, vector: np.ndarray | None = None) -> Message:
    return Message(record(np.arange(3.0) if vector is None else vector), dst_node_id=node, message_type="query.echo")


def push_body(pushed: message_pb2.PushObjectRequest) -> list[Content]:
    """Return the body that brings one object."""
    head = message_pb2.PushObjectRequest(node=pushed.node, run_id=pushed.run_id, session_id=pushed.session_id)
    return write_push(head.SerializeToString(), {pushed.object_id: pushed.object_content})


def vector_of(message: Message) -> np.ndarray:
    return message.content.array_records["arrays"]["vector"].numpy()


def until(happens: Callable[[], object], within_s: float = 60.0) -> None:
    """Wait until something happens."""
    end = time.monotonic() + within_s
    while not happens():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)
