"""The coordinator's own certificate authority, its server certificate, and what a person is told about them (RFC 5280).

A hospital trusts this one authority and no other: not those of its operating system, and not a proxy's. Nothing here
reads the clock: ``now`` is an argument, with a time zone.
"""

from __future__ import annotations

import ipaddress
import ssl
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wardround_common.addresses import check_host
from wardround_common.errors import MessageError
from wardround_common.keys.expiry import WARN_DAYS

AUTHORITY_YEARS = 10
SERVER_DAYS = 397
"""What browsers allow at most; long enough not to be forgotten between two yearly reviews."""
BACKDATED = timedelta(hours=1)
"""A new certificate is valid from an hour ago, so that a machine whose clock is slow does not refuse it."""
LARGEST_PEM = 8 * 1024
_UNREADABLE = (
    ValueError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.ExtensionNotFound,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What ``cryptography`` raises when it is asked about a certificate that somebody has made up."""


@dataclass(frozen=True)
class Authority:
    """The coordinator's certificate authority: what it signs, hospitals believe to be the coordinator."""

    certificate: x509.Certificate
    key: EllipticCurvePrivateKey = field(repr=False)


@dataclass(frozen=True)
class ServerCertificate:
    """A certificate for the names and addresses of one server, and its private key."""

    certificate: x509.Certificate
    key: EllipticCurvePrivateKey = field(repr=False)


def make_authority(key: EllipticCurvePrivateKey, now: datetime) -> Authority:
    """Make an authority that may sign servers but no further authorities (path length 0), for ten years."""
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "Wardround coordinator"),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, f"{x509.random_serial_number():040x}"),  # no two have one name
        ]
    )
    certificate = (
        _begun(name, name, key.public_key(), now, now + timedelta(days=round(365.25 * AUTHORITY_YEARS)))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    return Authority(certificate, key)


def issue_server(
    authority: Authority, hosts: Sequence[str], now: datetime, days: int = SERVER_DAYS
) -> ServerCertificate:
    """Make a new key and a certificate for a server that is reached by these DNS names and IP addresses.

    It ends when the authority does, if that is sooner.

    Raises:
        MessageError: a host is neither, there is none, or the authority is not valid now.
    """
    check_valid(authority.certificate, now, "the coordinator's authority")
    if not hosts:
        raise MessageError("a server certificate needs a name or address", do="Name one with --host.")
    names = [_alternative_name(host) for host in dict.fromkeys(map(check_host, hosts))]
    key = generate_private_key(SECP256R1())
    issuer = authority.certificate
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Wardround coordinator's server")])
    end = min(now + timedelta(days=days), issuer.not_valid_after_utc)
    certificate = (
        _begun(subject, issuer.subject, key.public_key(), now, end)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
        .sign(authority.key, SHA256())
    )
    return ServerCertificate(certificate, key)


def _begun(
    subject: x509.Name, issuer: x509.Name, public: EllipticCurvePublicKey, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def hosts_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """List the DNS names and IP addresses that a certificate is for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except _UNREADABLE:
        return ()
    return (*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress)))


def pem(certificate: x509.Certificate) -> bytes:
    """Write a certificate as PEM."""
    return certificate.public_bytes(Encoding.PEM)


def read_certificate(content: bytes, *, where: str = "certificate") -> x509.Certificate:
    """Read one certificate from PEM; what surrounds it, such as its private key, is passed over.

    Raises:
        MessageError: there is not exactly one that can be read.
    """
    begin = b"-----BEGIN CERTIFICATE-----"
    try:
        if len(content) > LARGEST_PEM or content.count(begin) != 1:
            raise ValueError
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of oddities in a file that is about to be checked
            return x509.load_pem_x509_certificate(content)
    except _UNREADABLE:
        raise MessageError("this file must hold exactly one readable certificate", where=where) from None


def check_authority(certificate: x509.Certificate) -> None:
    """Check that this is an authority such as :func:`make_authority` makes: its own, P-256, signs servers only.

    Raises:
        MessageError: it is not.
    """
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        right = constraints.ca and constraints.path_length == 0 and usage.key_cert_sign
    except _UNREADABLE:
        right = False
    if not right:
        raise MessageError("this certificate is not that of a certificate authority restricted to servers")
    if not _signed_by_itself(certificate):
        raise MessageError("this authority's certificate is not signed by its own key")


def _signed_by_itself(certificate: x509.Certificate) -> bool:
    try:
        key = certificate.public_key()
        if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
            return False
        certificate.verify_directly_issued_by(certificate)
    except (InvalidSignature, TypeError, *_UNREADABLE):
        return False
    return True


def check_valid(certificate: x509.Certificate, now: datetime, what: str) -> None:
    """Check that a certificate is valid now; ``what`` names it.

    Raises:
        MessageError: it is not yet, or no longer.
    """
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begin:
        raise MessageError(
            f"{what} is not valid before {_minute(begin)}, and this machine's clock says {_minute(now)}",
            do=f"{_CLOCK} {_MADE_EARLY} {_renewing(certificate)}",
        )
    if now > end:
        raise MessageError(
            f"{what} expired on {_minute(end)}, and this machine's clock says {_minute(now)}",
            do=f"If the clock is right: {_renewing(certificate)}",
        )


def validity_warning(certificate: x509.Certificate, now: datetime) -> str | None:
    """Say that a certificate is not valid yet, ends within a month or has ended, and what to do; None else."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begin:
        return (
            f"The certificate is not valid before {_minute(begin)}, and this machine's clock says {_minute(now)}: "
            f"hospitals refuse the connection. {_MADE_EARLY} {_RENEW}"
        )
    if now > end:
        return f"The certificate expired on {_minute(end)}: hospitals refuse the connection. {_RENEW}"
    if end - now > timedelta(days=WARN_DAYS):
        return None
    days = (end - now).days
    left = "less than a day" if days == 0 else "1 day" if days == 1 else f"{days} days"
    return f"The certificate expires on {_minute(end)}, in {left}. {_RENEW}"


def client_context(authority: bytes) -> ssl.SSLContext:
    """Return what a hospital connects with: TLS 1.3, trusting the authority in this PEM and no other.

    Raises:
        MessageError: it is not an authority's certificate.
    """
    certificate = read_certificate(authority, where="the coordinator's authority")
    check_authority(certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks certificate and host, and trusts nobody yet
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=pem(certificate).decode())
    return context


def refused(error: BaseException, host: str, now: datetime) -> MessageError | None:
    """Say in words for a person why this side refused the coordinator's certificate; None when that was not the cause.

    What an HTTP library wraps around the refusal is looked through.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        return None
    if cause.verify_code == _EXPIRED:
        return MessageError(
            f"the coordinator's certificate has expired, by this machine's clock ({_minute(now)})",
            where=host,
            do=f"If the clock is right, ask the coordinator for a new one. {_RENEW}",
        )
    if cause.verify_code == _NOT_YET_VALID:
        return MessageError(
            f"the coordinator's certificate is not valid yet, by this machine's clock ({_minute(now)})",
            where=host,
            do=f"{_CLOCK} {_MADE_EARLY} {_RENEW}",
        )
    if cause.verify_code in _WRONG_NAME:
        return MessageError(
            f"the certificate is not for {host}",
            where=host,
            do=f"The coordinator adds the name: wardround coordinator renew DIR --host {host}",
        )
    return MessageError(_FOREIGN, where=host, do=_FOREIGN_DO)


# OpenSSL's X509_V_ERR_*, in x509_vfy.h
_NOT_YET_VALID, _EXPIRED, _WRONG_NAME = 9, 10, (62, 64)

_FOREIGN = "this certificate is not from the authority in the invitation"
_FOREIGN_DO = (
    "A proxy that reads TLS shows its own certificate: let this address pass unread. "
    "If the coordinator was set up again, ask it for a new invitation; otherwise somebody stands between."
)
_CLOCK = "Set the machine's clock by a time server (timedatectl set-ntp true); a clock that is slow explains this."
_MADE_EARLY = "If the clock is right, the coordinator's was fast when the certificate was made."
_RENEW = "The coordinator runs: wardround coordinator renew DIR; hospitals need nothing new."
_RENEW_AUTHORITY = (
    "The coordinator runs: wardround coordinator renew DIR --new-authority, and sends each hospital its new invitation."
)


def _renewing(certificate: x509.Certificate) -> str:
    """Say what replaces a server's certificate, or an authority's, which signed its own."""
    return _RENEW_AUTHORITY if certificate.issuer == certificate.subject else _RENEW


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
