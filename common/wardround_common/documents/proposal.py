"""A coordinator proposes a study; a hospital's people approve it or refuse it, and the hospital signs which.

======= ================================== =======================================================
question asks                              answer
======= ================================== =======================================================
propose will you take part in this study?  waiting, refused, against-policy, or approved with the hospital's signature
======= ================================== =======================================================
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Literal

from wardround_common.errors import MessageError, PluginError, StudyError
from wardround_common.keys.identity import Identity, check_signature
from wardround_common.messages.rounds import Parts, as_array, optional_bytes, scalar, study_digest
from wardround_common.study.file import Study, parse_canonical

Decision = Literal["waiting", "approved", "refused", "against-policy"]
"""against-policy: its people wanted to approve it, and the hospital's policy does not allow it."""


@dataclass(frozen=True)
class ProposeRequest:
    """Will you take part in this study?"""

    study: Study
    kind = "propose"

    def parts(self) -> Parts:
        """Return the wire form: the study's canonical bytes and their digest."""
        return Parts({"study": self.study.digest()}, {"canonical": as_array(self.study.canonical())})

    @classmethod
    def parse(cls, parts: Parts) -> ProposeRequest:
        """Parse the wire form.

        Raises:
            MessageError: it is not a study, or another one than its digest says.
            PluginError: its task is of a plug-in that is not installed here as the study names it.
        """
        digest, canonical = study_digest(parts), optional_bytes(parts, "canonical")
        if canonical is None:
            raise MessageError("a proposal contains no study")
        try:
            study = parse_canonical(canonical)
        except PluginError:
            raise  # it says what is missing here
        except StudyError:
            raise MessageError("a proposal is not a study that this version of Wardround can read") from None
        if study.digest() != digest:
            raise MessageError("a proposal's digest is not that of its study")
        return cls(study)


@dataclass(frozen=True)
class Proposed:
    """What the hospital's people decided so far; an approval is signed by the hospital's identity."""

    study: str
    decision: Decision
    signature: bytes = field(default=b"", repr=False)

    @property
    def signature_digest(self) -> str:
        """What audit logs name a signed approval by: SHA-256, in hexadecimal digits."""
        return hashlib.sha256(self.signature).hexdigest()

    def parts(self) -> Parts:
        """Return the wire form."""
        arrays = {"signature": as_array(self.signature)} if self.signature else {}
        return Parts({"study": self.study, "decision": self.decision}, arrays)

    @classmethod
    def parse(cls, parts: Parts) -> Proposed:
        """Parse the wire form.

        Raises:
            MessageError: it is not one of the decisions.
        """
        digest, word, signature = (
            study_digest(parts),
            scalar(parts, "decision", str),
            optional_bytes(parts, "signature"),
        )
        if word == "approved" and signature:
            return cls(digest, "approved", signature)
        if word == "waiting":
            return cls(digest, "waiting")
        if word == "refused":
            return cls(digest, "refused")
        if word == "against-policy":
            return cls(digest, "against-policy")
        raise MessageError("an answer to a proposal is neither pending, a refusal nor a signed approval")

    def check(self, study: Study, name: str, public: bytes) -> None:
        """Check that this is the approval of that study by the hospital of that name and key.

        Raises:
            MessageError: it is not.
        """
        if self.decision != "approved" or self.study != study.digest():
            raise MessageError("the hospital did not approve this study")
        check_signature(public, self.signature, b"approval", *_statement(self.study, name))


def sign_approval(identity: Identity, study: Study, name: str) -> Proposed:
    """Approve a study in the hospital's name: these rules, these keys, this privacy, and no others."""
    digest = study.digest()
    return Proposed(digest, "approved", identity.sign(b"approval", *_statement(digest, name)))


def _statement(digest: str, name: str) -> tuple[bytes, bytes]:
    return digest.encode(), name.encode()
