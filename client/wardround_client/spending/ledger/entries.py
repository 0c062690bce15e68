"""What an entry of the ledger can say. An instance is valid; what cannot be parsed is refused, never skipped."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from wardround_client.training.accounting import SampledGaussian
from wardround_common.errors import StorageError

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Round = Annotated[int, Field(ge=1, le=100_000)]
AnyRound = Annotated[int, Field(ge=0, le=100_000)]
"""0 is what is added up before the first round."""
Moment = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
"""UTC, to the second. It says when the hospital's clock was there; nothing is computed from it."""


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Event(_Said):
    """A mechanism that ran, or will: the numbers from which epsilon is computed."""

    mechanism: Literal["sampled-gaussian"] = "sampled-gaussian"
    noise_multiplier: Annotated[float, Field(ge=0)]
    """0 is a study without differential privacy: no epsilon bounds what it cost."""
    sampling_rate: Annotated[float, Field(ge=0, le=1)]
    steps: Annotated[int, Field(ge=0)]

    @classmethod
    def of(cls, event: SampledGaussian) -> Event:
        """Write down the accountant's event."""
        return cls(
            noise_multiplier=float(event.noise_multiplier),
            sampling_rate=float(event.sampling_rate),
            steps=event.steps,
        )

    def times(self, count: int) -> SampledGaussian:
        """Return ``count`` of it, for the accountant."""
        return SampledGaussian(self.noise_multiplier, self.sampling_rate, count * self.steps)


class Opened(_Said):
    """The first entry: whose ledger this is, and which local key hides its patients."""

    kind: Literal["opened"] = "opened"
    form: Literal[1] = 1
    key: Digest
    """The hospital's public key."""
    patients: Digest
    """A mark of the local key: with another one the same patient would look like two."""
    at: Moment


class Approved(_Said):
    """The hospital takes part in a study: with these patients and data, for a number of rounds, each of this event.

    A later approval of the same study takes the place of the earlier one; what was charged stays.
    """

    kind: Literal["approved"] = "approved"
    study: Digest
    name: str
    rounds: Round
    event: Event
    """Of one round."""
    before: Event | None = None
    """Of what is added up with noise before the first round, charged as round 0; None where nothing is."""
    cohort: Digest
    data: str
    """The data set's fingerprint."""
    at: Moment


class Charged(_Said):
    """A round's event is spent by every patient of the cohort, whether or not the round comes to an end."""

    kind: Literal["charged"] = "charged"
    study: Digest
    round: AnyRound
    cohort: Digest
    event: Event
    draw: Digest
    """Of what the round answers and of the randomness that it draws from: the same ones give the same answer."""
    at: Moment


class Confirmed(_Said):
    """The work of a charged round was done."""

    kind: Literal["confirmed"] = "confirmed"
    study: Digest
    round: AnyRound
    at: Moment


class Closed(_Said):
    """The hospital takes part in a study no longer: what it has not spent is free again."""

    kind: Literal["closed"] = "closed"
    study: Digest
    at: Moment


class Carried(_Said):
    """The ledger was rebuilt: of what was spent before, only a bound is known, and every patient has it.

    It takes the place of all charges before it. Studies in which the hospital trained before have ended here: which
    rounds of them were answered is no longer known.
    """

    kind: Literal["carried"] = "carried"
    epsilon: Annotated[float, Field(ge=0)] | None
    """At ``delta``; None: nothing bounds it."""
    delta: Annotated[float, Field(ge=0, le=1)]
    studies: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")], ...] = Field(strict=False)
    """Those that have ended, by the first digits of their digests."""
    logs: tuple[tuple[Digest, Annotated[int, Field(ge=0)]], ...] = Field(strict=False)
    """The audit logs that it rests on: the SHA-256 of a log's first line, and its last entry then."""
    at: Moment


Entry = Opened | Approved | Charged | Confirmed | Closed | Carried

_ENTRY: TypeAdapter[Entry] = TypeAdapter(Annotated[Entry, Field(discriminator="kind")])


def write_entry(entry: Entry) -> bytes:
    """Return the one byte form of an entry: JSON, keys sorted, no spaces, UTF-8."""
    return json.dumps(
        entry.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def read_entry(body: bytes) -> Entry:
    """Read an entry from its byte form.

    Raises:
        StorageError: these bytes are no entry, or one of a version of Wardround that this one does not know.
    """
    try:
        return _ENTRY.validate_json(body)
    except ValidationError:
        raise StorageError(
            "the ledger has an entry that this version of Wardround cannot read",
            do="Install the version that wrote it. An entry that is not read would count as nothing spent.",
        ) from None
