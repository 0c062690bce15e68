"""What an evidence pack says: frozen, strict, and the same after a trip through JSON."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Field, ValidationError

from wardround_common.errors import StorageError
from wardround_common.metrics import Estimate
from wardround_common.results import Curve, PrivacySpent
from wardround_common.results.site import Amount, Count, Name, Rate, Record
from wardround_common.study.file import Study
from wardround_common.study.roster import Listed

FORMAT: Final = "wardround evidence 1"
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class FileDigest(Record):
    """A file that the pack speaks of."""

    path: Name
    """From the folder of ``evidence.json``, with forward slashes."""
    bytes: Count
    sha256: Digest


class Words(Record):
    """One heading and the sentences below it, of the study in plain words."""

    heading: str
    sentences: tuple[str, ...]


class Hospital(Record):
    """A hospital's part: how much it trained on, which data those were, what the study was planned to cost there."""

    name: Name
    patients: Count | None
    """As are images and data, None of a deployed run: the coordinator was not told."""
    images: Count | None
    data: Name | None
    """Fingerprint of its images, labels and split."""
    planned: PrivacySpent | None
    statement: Name | None = None
    """The file of its epsilon statement, from the folder of ``evidence.json``; None if there was no ledger."""


class CanaryFinding(Record):
    """The canary audit of one hospital's privacy settings (``attacks.canaries``)."""

    hospital: Name
    claimed_epsilon: Amount
    epsilon_at_least: Amount
    confidence: Rate
    delta: Rate
    canaries: Count
    steps: Count
    guesses: Count
    right: Count
    noise_multiplier: Amount
    noise_found: Amount

    @property
    def holds(self) -> bool:
        """Whether the claim survived: no audit proves more."""
        return self.epsilon_at_least <= self.claimed_epsilon


class MembershipFinding(Record):
    """Membership inference against the released model (``attacks.membership``)."""

    shadows: Count
    members: Count
    others: Count
    auroc: Estimate
    caught: Estimate
    """True positives at 1 % false ones."""
    roc: Curve


class InversionFinding(Record):
    """What an attacker made of one update of a made-up image (``attacks.inversion``)."""

    seen: str
    psnr_db: float
    ssim: float
    picture: Name


class Attacks(Record):
    """The attack report."""

    canaries: CanaryFinding | None
    membership: MembershipFinding | None
    original: Name
    """Picture of the image that the inversions look for."""
    inversions: tuple[InversionFinding, ...]
    not_done: tuple[str, ...]
    """Which attacks were left out, and why."""


class Evidence(Record):
    """An evidence pack."""

    format: Literal["wardround evidence 1"] = FORMAT
    run: Name
    made: AwareDatetime
    study: Study
    study_digest: Digest
    words: tuple[Words, ...]
    versions: dict[Name, Name]
    """Of Wardround and what it depends on, at the time of training."""
    files: tuple[FileDigest, ...]
    hospitals: tuple[Hospital, ...]
    roster: tuple[Listed, ...] = ()
    """The hospitals' keys, which their statements are signed with; empty in a pack without statements."""
    deployed: bool = False
    """Whether hospitals made the model, and not a simulation: then their keys are those of the study's roster."""
    rounds: Count
    metrics: dict[Name, dict[Name, Estimate]]
    """How the model does on test patients: site → metric."""
    not_in_means: tuple[str, ...] = ()
    """Groups (classes, structures) with too few test records of all hospitals to count in these figures."""
    attacks: Attacks
    notes: tuple[str, ...]

    def to_json(self) -> str:
        """Return the one JSON form."""
        return self.model_dump_json(indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, *, where: str) -> Evidence:
        """Read a pack; ``where`` names it in errors.

        Raises:
            StorageError: this is not an evidence pack.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in fault["loc"])
            raise StorageError(f"this is not an evidence pack: {place or 'all'}: {fault['msg']}", where=where) from None
