"""What a hospital states that a study cost its patients: one number from its ledger, signed, for anyone who asks.

It names no patient and states no number of patients, though under local trust epsilon depends on it. A signature says
that the hospital's ledger came to this number, not that the ledger is complete: the head binds the hospital to the
entries that it had when it signed (docs/ledger.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from wardround_common.documents.signed_document import SignedDocument, begun, signed
from wardround_common.errors import MessageError
from wardround_common.keys.identity import Identity, fingerprint
from wardround_common.study.roster import HospitalName

COMPOSED: Literal["privacy loss distribution 1"] = "privacy loss distribution 1"
BOUNDED: Literal["renyi bound 1"] = "renyi bound 1"
Accountant = Literal["privacy loss distribution 1", "renyi bound 1"]
"""By which arithmetic epsilon was computed, and its version: both give upper bounds, the second a looser one."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Rounds = Annotated[int, Field(ge=0, le=100_000)]


@dataclass(frozen=True)
class Spent:
    """What the ledger says of one study."""

    study: str
    """The study digest."""
    delta: float
    rounds_charged: int
    rounds_confirmed: int
    epsilon: float | None
    """Of the patient who spent most in it; None: nothing bounds it."""
    accountant: Accountant
    ledger_head: str


class EpsilonStatement(SignedDocument):
    """A hospital states what one study has cost its patients so far, at most, by its ledger."""

    ROLE: ClassVar[str] = "epsilon statement"

    document: Literal["epsilon statement"]
    hospital: HospitalName
    study: Digest
    """The study digest."""
    delta: Annotated[float, Field(gt=0, lt=1)]
    rounds_charged: Rounds
    """Rounds that the patients paid for, whether or not they came to an end."""
    rounds_confirmed: Rounds
    """Those of them whose work was done."""
    epsilon: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None
    """What the patient who spent most has spent **in this study**; None: nothing bounds it, for want of noise."""
    accountant: Accountant
    ledger_head: Annotated[str, Field(pattern=r"^[1-9]\d{0,14}:[0-9a-f]{64}:[0-9a-f]{128}$")]
    """The ledger's last entry: number, link, and the hospital's signature over both."""

    @field_validator("rounds_confirmed")
    @classmethod
    def _were_charged(cls, value: int, info: ValidationInfo) -> int:
        if value > info.data.get("rounds_charged", value):
            raise ValueError("more rounds were confirmed than charged")
        return value

    @classmethod
    def make(cls, hospital: str, spent: Spent, identity: Identity, now: datetime) -> EpsilonStatement:
        """Write a statement and sign it with the hospital's identity."""
        fields = begun(cls.ROLE, identity, now) | {
            "hospital": hospital,
            "study": spent.study,
            "delta": spent.delta,
            "rounds_charged": spent.rounds_charged,
            "rounds_confirmed": spent.rounds_confirmed,
            "epsilon": spent.epsilon,
            "accountant": spent.accountant,
            "ledger_head": spent.ledger_head,
        }
        return cls.parse(signed(cls.ROLE, fields, identity))

    @property
    def ledger_entries(self) -> int:
        """How many entries the ledger had."""
        return int(self.ledger_head.split(":")[0])

    @property
    def ledger_link(self) -> str:
        """The link of the last entry, 64 hexadecimal digits."""
        return self.ledger_head.split(":")[1]

    def check(self, public: bytes, *, hospital: str, study: str, where: str = "") -> None:
        """Check whose statement this is and of what; that it is signed was checked when it was read.

        ``public`` is the key that the reader knows to be the hospital's: from a roster, or compared by telephone.

        Raises:
            MessageError: it is of another hospital or study, or is signed with another key.
        """
        where = where or self.ROLE
        if self.hospital != hospital:
            raise MessageError(f"this is the statement of {self.hospital}, not of {hospital}", where=where)
        if self.public != public:
            raise MessageError(
                f"this statement is signed with another key than that of {hospital}, {fingerprint(public)}",
                where=where,
                do="Compare the fingerprint by telephone, or ask the hospital for its statement again.",
            )
        if self.study != study:
            raise MessageError(
                f"this statement is of the study {self.study[:12]}, not of {study[:12]}",
                where=where,
                do="Ask the hospital for its statement of this study.",
            )
