"""What a hospital states it clipped to, signed with each upload and kept as evidence (docs/secagg.md, section 14).

A statement proves nothing about the masked numbers, which nobody reads. It makes a lie attributable: should the masks
of an upload be opened later, with its hospital's help, an untrue statement with it is one that this hospital
signed, for this sum of this round and run.
"""

from __future__ import annotations

from collections.abc import Mapping

from wardround_common.canonical import cut, joined
from wardround_common.errors import MessageError
from wardround_common.keys.identity import Identity, Roster, check_signature
from wardround_common.secagg.exchange import Head
from wardround_common.secagg.terms import Terms


def sign_statement(identity: Identity, terms: Terms, place: int, head: Head, claim: bytes) -> bytes:
    """Sign a claim about one upload; the same upload gives the same bytes."""
    return identity.sign(b"clip", terms.digest, terms.places(place), head.content, claim)


def check_statement(public: bytes, statement: bytes, terms: Terms, place: int, head: Head, claim: bytes) -> None:
    """Check that this hospital signed the claim, about this upload.

    Raises:
        MessageError: it did not.
    """
    check_signature(public, statement, b"clip", terms.digest, terms.places(place), head.content, claim)


def write_statements(terms: Terms, claim: bytes, signed: Mapping[str, tuple[Head, bytes]]) -> bytes:
    """Write what a coordinator keeps of a sum: the claim, and each hospital's upload by its digest, with signatures."""
    entries = [
        part
        for name, (head, statement) in sorted(signed.items())
        for part in (name.encode(), head.content, head.signature, statement)
    ]
    return joined(terms.digest, claim, *entries)


def check_statements(content: bytes, terms: Terms, roster: Roster) -> tuple[str, dict[str, bytes]]:
    """Read what was kept of a sum; return the claim, and by hospital the digest of the upload that it was made about.

    They may be of a version of Wardround whose sums had an earlier form: signatures have none.

    Raises:
        MessageError: it is of another sum, or a signature is not valid.
    """
    of, claim, *entries = cut(content)
    terms = next((earlier for earlier in terms.in_earlier_forms() if earlier.digest == of), terms)
    if of != terms.digest or len(entries) % 4:
        raise MessageError("the statements belong to another sum, or truncated")
    uploads = {}
    for start in range(0, len(entries), 4):
        name, head = entries[start].decode(), Head(entries[start + 1], entries[start + 2])
        place = terms.place(name)
        head.check(roster.keys[name], terms, place)
        check_statement(roster.keys[name], entries[start + 3], terms, place, head, claim)
        uploads[name] = head.content
    return claim.decode(), uploads
