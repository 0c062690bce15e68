"""A request or an invitation is taken whole, as it was signed, or not at all."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from wardround_common.addresses import address, split_address
from wardround_common.documents.enrolment import (
    Invitation,
    Request,
    check_invitation_clock,
    check_request_clock,
    file_stem,
    openssh,
)
from wardround_common.documents.signed_document import LARGEST_BYTES, SignedDocument
from wardround_common.errors import MessageError, StorageError
from wardround_common.keys.certificates import issue_server, make_authority, pem
from wardround_common.keys.identity import Identity

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOSPITAL, OTHER, COORDINATOR = Identity(b"h" * 32), Identity(b"o" * 32), Identity(b"c" * 32)
NODE, OTHER_NODE = generate_private_key(SECP256R1()), generate_private_key(SECP256R1())
AUTHORITY = make_authority(generate_private_key(SECP256R1()), NOW)
REQUEST = Request.make("Hôpital St Mary", HOSPITAL, NODE, NOW)
INVITATION = Invitation.make(REQUEST, "fl.example.org:9093", pem(AUTHORITY.certificate), COORDINATOR, NOW)
DOCUMENTS = pytest.mark.parametrize("document", [REQUEST, INVITATION], ids=["request", "invitation"])


def changed(document: SignedDocument, signer: Identity | None = None, /, **fields: Any) -> bytes:
    """Write a document with other fields, None for one left out; signed anew when a signer is given."""
    new = {key: value for key, value in (json.loads(document.content()) | fields).items() if value is not None}
    if signer is not None:
        new.pop("signature", None)
        new["signature"] = signer.sign(document.ROLE.encode(), canonical(new)).hex()
    return canonical(new)


def canonical(fields: dict[str, Any]) -> bytes:
    return (json.dumps(fields, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


@DOCUMENTS
def test_a_document_is_read_as_it_was_written(document: Request | Invitation, tmp_path: Path) -> None:
    path = tmp_path / "document"
    path.write_bytes(document.content())
    assert type(document).read(path) == document
    assert type(document).parse(changed(document)) == document  # so that the tests below change what they say


@DOCUMENTS
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_the_end_of_the_last_line_is_the_mail_programs(document: Request | Invitation, end: bytes) -> None:
    assert type(document).parse(document.content().rstrip() + end).digest() == document.digest()


@DOCUMENTS
def test_no_byte_can_be_changed(document: Request | Invitation) -> None:
    content = document.content()
    for place in range(len(content)):
        for bit in (1, 0x20, 0x80):
            forged = content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :]
            with pytest.raises(MessageError):
                type(document).parse(forged)


@DOCUMENTS
def test_a_document_that_is_cut_short_is_refused(document: Request | Invitation) -> None:
    content = document.content()
    for size in range(len(content) - 1):
        with pytest.raises(MessageError):
            type(document).parse(content[:size])


@DOCUMENTS
@given(place=st.integers(0, 10_000), added=st.binary(min_size=1, max_size=20))
@settings(max_examples=100, deadline=None)
def test_nothing_can_be_put_in(document: Request | Invitation, place: int, added: bytes) -> None:
    content = document.content()
    place %= len(content) - 1
    with pytest.raises(MessageError):
        type(document).parse(content[:place] + added + content[place:])


@given(st.binary(max_size=300))
def test_garbage_is_no_document(content: bytes) -> None:
    with pytest.raises(MessageError, match="this is no enrolment request"):
        Request.parse(content)


@pytest.mark.parametrize(
    "content",
    [b"[" * 10_000, b"[]", b"null", b"1" * 9_000, b'{"format": 1e999}', b"\xff\xfe", b'{"document": "invitation"}'],
    ids=["deep", "list", "null", "digits", "infinite", "no-text", "other-kind"],
)
def test_what_json_can_hold_is_no_document(content: bytes) -> None:
    with pytest.raises(MessageError, match="this is no enrolment request"):
        Request.parse(content)


def test_an_enormous_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "enormous"
    with path.open("wb") as file:
        file.write(REQUEST.content())
        file.truncate(2**40)  # it takes no room on the disk
    with pytest.raises(MessageError, match="this is no enrolment request"):
        Request.read(path)
    with pytest.raises(MessageError, match="this is no enrolment request"):
        Request.parse(REQUEST.content() + b" " * LARGEST_BYTES)


@pytest.mark.parametrize("length", [2**31, 2**32 - 1])
@pytest.mark.parametrize("place", [0, 23, 35])
def test_a_length_that_a_key_claims_is_not_believed(length: int, place: int) -> None:
    kind, blob = REQUEST.node_key.split()
    inside = bytearray(base64.b64decode(blob))
    inside[place : place + 4] = length.to_bytes(4, "big")
    key = f"{kind} {base64.b64encode(inside).decode()}"
    with pytest.raises(MessageError, match="'node_key': this is not a NIST P-256 public key"):
        Request.parse(changed(REQUEST, HOSPITAL, node_key=key))


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="the invitation cannot be read: no such file"):
        Invitation.read(tmp_path / "none")


@DOCUMENTS
def test_an_unknown_field_is_refused_also_when_it_is_signed(document: Request | Invitation) -> None:
    signer = {Request: HOSPITAL, Invitation: COORDINATOR}[type(document)]
    with pytest.raises(MessageError, match="it has an unknown field 'command'"):
        type(document).parse(changed(document, signer, command="run"))


@DOCUMENTS
@pytest.mark.parametrize("format_", [0, 2, "1", 2**80])
def test_another_version_is_refused_and_said(document: Request | Invitation, format_: object) -> None:
    with pytest.raises(MessageError, match="of a version that this Wardround does not read"):
        type(document).parse(changed(document, format=format_))


@DOCUMENTS
def test_every_field_is_needed(document: Request | Invitation) -> None:
    signer = {Request: HOSPITAL, Invitation: COORDINATOR}[type(document)]
    for name in json.loads(document.content()):
        with pytest.raises(MessageError):
            type(document).parse(
                changed(document, None if name in ("signature", "identity") else signer, **{name: None})
            )


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"hospital": "St Mary\nRequest of St Luke"}, "one visible line"),
        ({"hospital": ""}, "one visible line"),
        ({"hospital": "h" * 101}, "one visible line"),
        ({"made": "2026-11-21 12:00:00"}, "'made'"),
        ({"made": 5}, "a time is text"),
        ({"identity": "H" * 64}, "'identity' is not what it must be"),
        ({"wardround": "\x1b[2J"}, "'wardround' is not what it must be"),
        ({"node_key": openssh(generate_private_key(SECP384R1()).public_key())}, "not a NIST P-256 public key"),
        ({"node_key": REQUEST.node_key + " a comment"}, "not a NIST P-256 public key"),
        ({"node_key": "ssh-ed25519 AAAA"}, "not a NIST P-256 public key"),
        ({"node_signature": "00" * 80}, "'node_signature' is not what it must be"),
    ],
)
def test_a_request_says_what_a_request_may_say(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(MessageError, match=said):
        Request.parse(changed(REQUEST, HOSPITAL, **fields))


def test_a_made_up_authority_is_refused_in_words_whatever_byte_of_it_is_changed() -> None:
    der = AUTHORITY.certificate.public_bytes(Encoding.DER)
    for place in range(len(der)):
        for bit in (1, 4, 0x20, 0x80):
            body = base64.encodebytes(der[:place] + bytes([der[place] ^ bit]) + der[place + 1 :]).decode()
            forged = f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n"
            with pytest.raises(MessageError, match=r"'authority': (this file must hold exactly one|this )"):
                Invitation.parse(changed(INVITATION, COORDINATOR, authority=forged))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"address": "fl.example.org"}, "not a name or address with a port"),
        ({"address": "fl.example.org:0"}, "not a name or address with a port"),
        ({"address": "fl.example.org:٣"}, "not a name or address with a port"),
        ({"address": "user@fl.example.org:9093"}, "not a name or address with a port"),
        ({"address": "FL.example.org:9093"}, "not a name or address with a port"),
        ({"address": "fl.example.org/:9093"}, "not a name or address with a port"),
        ({"address": "::1:9093"}, "not a name or address with a port"),
        ({"authority": "-----BEGIN CERTIFICATE-----"}, "must hold exactly one"),
        ({"authority": pem(AUTHORITY.certificate).decode() * 2}, "must hold exactly one"),
        (
            {"authority": "x" + pem(AUTHORITY.certificate).decode()},
            "not one certificate in its usual form|must hold exactly one",
        ),
        (
            {"authority": pem(issue_server(AUTHORITY, ["a"], NOW).certificate).decode()},
            "not that of a certificate authority",
        ),
        ({"request": "0" * 63}, "'request' is not what it must be"),
    ],
)
def test_an_invitation_says_what_an_invitation_may_say(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(MessageError, match=said):
        Invitation.parse(changed(INVITATION, COORDINATOR, **fields))


@pytest.mark.parametrize(
    "forged",
    [
        lambda: changed(REQUEST, hospital="St Luke"),
        lambda: changed(REQUEST, OTHER, hospital="St Luke"),
        lambda: changed(REQUEST, identity=OTHER.public.hex()),
        lambda: changed(REQUEST, signature=Request.make("St Luke", HOSPITAL, NODE, NOW).signature),
        lambda: changed(REQUEST, node_key=openssh(OTHER_NODE.public_key())),
    ],
    ids=["name", "name-signed-by-another", "identity", "signature-of-another", "node-key"],
)
def test_a_request_of_which_a_part_is_anothers_is_refused(forged: Callable[[], bytes]) -> None:
    with pytest.raises(MessageError, match="the signature of this enrolment request is not valid"):
        Request.parse(forged())


def test_nobody_can_enrol_anothers_node_key_as_their_own() -> None:
    stolen = json.loads(REQUEST.content())
    forged = changed(REQUEST, OTHER, identity=OTHER.public.hex(), hospital="St Luke", node_key=stolen["node_key"])
    with pytest.raises(MessageError, match="the signature of this enrolment request is not valid"):
        Request.parse(forged)


def test_a_signature_for_one_kind_of_statement_is_none_for_another() -> None:
    fields = json.loads(INVITATION.content())
    del fields["signature"]
    wrong = COORDINATOR.sign(b"enrolment request", canonical(fields)).hex()
    with pytest.raises(MessageError, match="the signature of this invitation is not valid"):
        Invitation.parse(changed(INVITATION, signature=wrong))


def test_another_coordinator_cannot_write_in_this_ones_name() -> None:
    with pytest.raises(MessageError, match="the signature of this invitation is not valid"):
        Invitation.parse(changed(INVITATION, OTHER, address="evil.example.org:9093"))


def test_an_error_names_no_value_that_somebody_else_wrote() -> None:
    with pytest.raises(MessageError) as caught:
        Request.parse(changed(REQUEST, HOSPITAL, identity="secret words", **{"\x1b[2Junknown": 1}))
    assert "secret words" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "host", "port"),
    [("fl.example.org:9093", "fl.example.org", 9093), ("10.0.0.1:1", "10.0.0.1", 1), ("[::1]:65535", "::1", 65535)],
)
def test_an_address_is_a_host_and_a_port(written: str, host: str, port: int) -> None:
    assert split_address(written) == (host, port)
    assert address(host, port) == written


@pytest.mark.parametrize(
    "written", ["", ":", "a:", ":1", "a:65536", "a:-1", "[a]:1", "[10.0.0.1]:1", "a b:1", "[::1:1"]
)
def test_what_is_no_address_is_refused(written: str) -> None:
    with pytest.raises(MessageError):
        split_address(written)


def test_a_clock_that_is_fast_is_found_at_enrolment_and_explained() -> None:
    check_request_clock(REQUEST, NOW - timedelta(seconds=5))
    with pytest.raises(MessageError, match=r"written 3 hours in the future: that hospital's clock is fast") as caught:
        check_request_clock(REQUEST, NOW - timedelta(hours=3))
    assert "time server" in caught.value.do


def test_a_clock_that_is_slow_is_found_with_the_invitation_and_explained() -> None:
    check_invitation_clock(INVITATION, NOW - timedelta(seconds=305))
    with pytest.raises(MessageError, match=r"written 10 minutes in the future: this machine's clock is slow"):
        check_invitation_clock(INVITATION, NOW - timedelta(minutes=10))


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("St Mary's", "st-mary-s"),
        ("../../etc/passwd", "etc-passwd"),
        ("Hôpital", "hôpital"),
        ("...", "hospital"),
        ("医" * 90, "医" * 40),
    ],
)
def test_a_hospitals_name_gives_the_name_of_a_file_in_this_folder(name: str, stem: str) -> None:
    assert file_stem(name) == stem
