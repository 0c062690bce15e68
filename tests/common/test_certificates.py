"""A hospital connects to the coordinator of its invitation and to nobody else, and is told why when it does not."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

from strict_readers import is_taken
from wardround_common.addresses import check_host
from wardround_common.errors import MessageError
from wardround_common.keys.certificates import (
    Authority,
    ServerCertificate,
    check_authority,
    client_context,
    hosts_of,
    issue_server,
    make_authority,
    pem,
    read_certificate,
    refused,
    validity_warning,
)
from wardround_common.keys.key_files import private_pem

NOW = datetime.now(UTC)  # OpenSSL asks the machine's clock
YEAR = timedelta(days=366)
AUTHORITY = make_authority(generate_private_key(SECP256R1()), NOW)
FOREIGN = make_authority(generate_private_key(SECP256R1()), NOW)
SERVER = issue_server(AUTHORITY, ["fl.example.org", "127.0.0.1", "::1"], NOW)


def connect(server: ServerCertificate, trusted: Authority, host: str, folder: Path) -> str:
    """Make a TLS connection over a pair of sockets, as a hospital does; give the protocol that was agreed on."""
    path = folder / "server.pem"
    path.write_bytes(private_pem(server.key) + pem(server.certificate))
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(path, path)
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            with serving.wrap_socket(theirs, server_side=True) as connection:
                connection.sendall(b"hello")
        except (ssl.SSLError, OSError):
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        context = client_context(pem(trusted.certificate))
        with context.wrap_socket(ours, server_hostname=host) as connection:
            assert connection.recv(5) == b"hello"
            return str(connection.version())
    finally:
        ours.close()
        thread.join(60)


def why(server: ServerCertificate, trusted: Authority, host: str, folder: Path) -> MessageError:
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        connect(server, trusted, host, folder)
    said = refused(caught.value, host, NOW)
    assert said is not None
    return said


@pytest.mark.parametrize("host", ["fl.example.org", "127.0.0.1", "::1"])
def test_a_hospital_connects_to_the_coordinator_that_invited_it(host: str, tmp_path: Path) -> None:
    assert connect(SERVER, AUTHORITY, host, tmp_path) == "TLSv1.3"


def test_a_server_of_a_foreign_authority_is_refused(tmp_path: Path) -> None:
    said = why(issue_server(FOREIGN, ["fl.example.org"], NOW), AUTHORITY, "fl.example.org", tmp_path)
    assert "not from the authority in the invitation" in said.what


@pytest.mark.parametrize("host", ["evil.example.org", "example.org", "127.0.0.2", "a.fl.example.org"])
def test_a_server_of_another_name_is_refused(host: str, tmp_path: Path) -> None:
    assert f"the certificate is not for {host}" in why(SERVER, AUTHORITY, host, tmp_path).what


def test_an_expired_certificate_is_refused_and_says_what_the_coordinator_does(tmp_path: Path) -> None:
    old = make_authority(AUTHORITY.key, NOW - YEAR)
    server = issue_server(old, ["fl.example.org"], NOW - YEAR, days=30)
    said = why(server, old, "fl.example.org", tmp_path)
    assert "has expired, by this machine's clock" in said.what
    assert "wardround coordinator renew DIR" in said.do


def test_a_certificate_of_tomorrow_is_refused_and_the_clock_is_explained(tmp_path: Path) -> None:
    new = issue_server(AUTHORITY, ["fl.example.org"], NOW + timedelta(days=2))
    said = why(new, AUTHORITY, "fl.example.org", tmp_path)
    assert "is not valid yet, by this machine's clock" in said.what
    assert "time server" in said.do
    assert "the coordinator's was fast when the certificate was made. The coordinator runs: wardround" in said.do


def test_a_hospital_whose_clock_is_some_minutes_slow_still_takes_a_new_certificate() -> None:
    assert is_taken(SERVER.certificate, AUTHORITY.certificate, "fl.example.org", NOW - timedelta(minutes=50))
    assert not is_taken(SERVER.certificate, AUTHORITY.certificate, "fl.example.org", NOW - timedelta(minutes=70))


def test_the_reason_is_found_below_what_a_library_wraps_around_it(tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        connect(SERVER, FOREIGN, "fl.example.org", tmp_path)
    outer = ConnectionError("no connection")
    outer.__cause__ = caught.value
    said = refused(outer, "fl.example.org", NOW)
    assert said is not None
    assert "not from the authority" in said.what
    assert refused(ConnectionError("no connection"), "fl.example.org", NOW) is None


def test_a_renewed_certificate_needs_nothing_of_the_hospitals(tmp_path: Path) -> None:
    renewed = issue_server(AUTHORITY, ["fl.example.org", "second.example.org"], NOW)
    assert renewed.certificate.serial_number != SERVER.certificate.serial_number
    assert renewed.certificate.public_key() != SERVER.certificate.public_key()
    for host in ("fl.example.org", "second.example.org"):
        assert connect(renewed, AUTHORITY, host, tmp_path) == "TLSv1.3"


def test_a_server_cannot_make_itself_an_authority(tmp_path: Path) -> None:
    with pytest.raises(MessageError, match="not that of a certificate authority"):
        check_authority(SERVER.certificate)
    false = Authority(SERVER.certificate, SERVER.key)
    forged = issue_server(false, ["fl.example.org"], NOW)
    assert "not from the authority in the invitation" in why(forged, AUTHORITY, "fl.example.org", tmp_path).what


def test_an_authority_signs_no_further_authority_and_strict_readers_take_it(tmp_path: Path) -> None:
    extensions = AUTHORITY.certificate.extensions
    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (True, True, 0)
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.key_cert_sign
    assert not usage.value.digital_signature
    assert AUTHORITY.certificate.not_valid_after_utc - NOW > timedelta(days=3651)
    context = client_context(pem(AUTHORITY.certificate))
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert [one["serialNumber"] for one in context.get_ca_certs()] == [
        f"{AUTHORITY.certificate.serial_number:X}".rjust(len(f"{AUTHORITY.certificate.serial_number:X}") + 1 & ~1, "0")
    ]
    for host in ("fl.example.org", "127.0.0.1", "::1"):
        assert is_taken(SERVER.certificate, AUTHORITY.certificate, host, NOW)


def test_an_authority_that_another_key_signed_is_none() -> None:
    certificate = AUTHORITY.certificate
    builder = x509.CertificateBuilder(
        certificate.issuer,
        certificate.subject,
        certificate.public_key(),
        certificate.serial_number,
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        list(certificate.extensions),
    )
    with pytest.raises(MessageError, match="not signed by its own key"):
        check_authority(builder.sign(FOREIGN.key, SHA256()))


@pytest.mark.parametrize("content", [b"", b"words", b"\xff" * 100, pem(SERVER.certificate)[:200]])
def test_what_is_no_certificate_is_said(content: bytes) -> None:
    with pytest.raises(MessageError, match="must hold exactly one"):
        read_certificate(content)


def test_two_certificates_are_not_one() -> None:
    with pytest.raises(MessageError, match="must hold exactly one"):
        read_certificate(pem(SERVER.certificate) + pem(AUTHORITY.certificate))


def test_a_servers_certificate_ends_with_its_authority() -> None:
    late = AUTHORITY.certificate.not_valid_after_utc - timedelta(days=3)
    assert issue_server(AUTHORITY, ["a"], late).certificate.not_valid_after_utc == late + timedelta(days=3)
    with pytest.raises(MessageError, match="the coordinator's authority expired on") as caught:
        issue_server(AUTHORITY, ["a"], late + timedelta(days=4))
    assert "renew DIR --new-authority" in caught.value.do
    early = AUTHORITY.certificate.not_valid_before_utc - timedelta(hours=1)
    with pytest.raises(MessageError, match="the coordinator's authority is not valid before") as caught:
        issue_server(AUTHORITY, ["a"], early)
    assert "renew DIR --new-authority" in caught.value.do


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (timedelta(days=32), None),
        (timedelta(days=30, hours=1), "in 30 days"),
        (timedelta(days=1, hours=1), "in 1 day."),
        (timedelta(hours=5), "in less than a day"),
        (-timedelta(hours=1), "expired on"),
    ],
)
def test_the_end_is_said_a_month_ahead(before: timedelta, said: str | None) -> None:
    warning = validity_warning(SERVER.certificate, SERVER.certificate.not_valid_after_utc - before)
    assert (warning is None) if said is None else (warning is not None and said in warning)


def test_by_default_a_certificate_lasts_397_days() -> None:
    assert SERVER.certificate.not_valid_after_utc - NOW < timedelta(days=397) < YEAR * 2
    assert SERVER.certificate.not_valid_after_utc - NOW > timedelta(days=396, hours=23)


@pytest.mark.parametrize(
    ("host", "given"), [("FL.Example.Org", "fl.example.org"), ("localhost", "localhost"), ("0:0::1", "::1")]
)
def test_a_host_has_one_form(host: str, given: str) -> None:
    assert check_host(host) == given


@pytest.mark.parametrize(
    "host",
    [
        "",
        "a b",
        "a:9093",
        "https://a",
        "*.example.org",
        "-a",
        "a-",
        "a..b",
        "a.",
        "256.1.1.1",
        "1.2.3",
        "é.org",
        "a" * 64,
    ],
)
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(MessageError, match="not a name or address of a server"):
        issue_server(AUTHORITY, [host], NOW)


def test_a_host_named_twice_is_in_the_certificate_once() -> None:
    assert hosts_of(issue_server(AUTHORITY, ["A", "a", "::1", "0::1"], NOW).certificate) == ("a", "::1")


def test_a_private_key_is_in_no_repr() -> None:
    assert "key" not in repr(AUTHORITY) + repr(SERVER)
