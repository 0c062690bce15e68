"""Whether a reader of certificates that keeps to RFC 5280 to the letter takes one, at a time that the test names."""

from __future__ import annotations

import ipaddress
from datetime import datetime

from cryptography.x509 import Certificate, DNSName, IPAddress
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError


def is_taken(certificate: Certificate, authority: Certificate, host: str, now: datetime) -> bool:
    """Tell whether a server with this certificate is taken for ``host`` where only ``authority`` is trusted."""
    try:
        name: DNSName | IPAddress = IPAddress(ipaddress.ip_address(host))
    except ValueError:
        name = DNSName(host)
    try:
        PolicyBuilder().store(Store([authority])).time(now).build_server_verifier(name).verify(certificate, [])
    except VerificationError:
        return False
    return True
