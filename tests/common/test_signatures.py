"""What was verified once says nothing of any other bytes."""

from __future__ import annotations

import pytest

from wardround_common.errors import MessageError
from wardround_common.keys.identity import Identity, check_signature


def test_a_signature_that_was_valid_before_does_not_make_another_statement_role_or_key_valid() -> None:
    ours, other = Identity(b"1" * 32), Identity(b"2" * 32)
    signature = ours.sign(b"upload", b"terms", b"content")
    for _ in range(2):
        check_signature(ours.public, signature, b"upload", b"terms", b"content")
        for public, signed, role, parts in (
            (other.public, signature, b"upload", (b"terms", b"content")),
            (ours.public, signature[:-1] + bytes([signature[-1] ^ 1]), b"upload", (b"terms", b"content")),
            (ours.public, signature, b"survivors", (b"terms", b"content")),
            (ours.public, signature, b"upload", (b"term", b"scontent")),
            (ours.public, signature, b"upload", (b"terms",)),
            (ours.public, b"", b"upload", (b"terms", b"content")),
            (b"", signature, b"upload", (b"terms", b"content")),
        ):
            with pytest.raises(MessageError, match=f"a signature of the {role.decode()} is not valid"):
                check_signature(public, signed, role, *parts)
