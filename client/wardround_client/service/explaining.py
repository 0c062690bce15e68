"""What a hospital's people read before they approve a study: the same words for the command, its JSON and the pages."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from wardround_client.service.ward import Planned
from wardround_common.errors import ApprovalError
from wardround_common.study.words.describe import Passage, describe


@dataclass(frozen=True)
class Explained:
    """What a study does, takes of this hospital and costs here."""

    name: str
    digest: str
    passages: tuple[Passage, ...]
    """What it does, whoever reads it."""
    brings: tuple[str, ...]
    """What it takes of this hospital's images and labels."""
    warnings: tuple[str, ...]
    intake: tuple[str, ...]
    """Who is a patient here, and which of the hospital's own switches hold."""
    uses: tuple[str, ...]
    """On whom it trains, and what that spends."""
    start: str
    """What was found out about the model that it starts from; empty if it starts from none."""

    def read(self) -> str:
        """Return the SHA-256 of all of it: whoever approves by it approves exactly these words."""
        return hashlib.sha256(json.dumps(asdict(self), ensure_ascii=False, sort_keys=True).encode()).hexdigest()

    def data(self) -> dict[str, Any]:
        """Return it for a program."""
        return asdict(self) | {"read": self.read()}

    def check_read(self, read: str) -> None:
        """Check that these are the words that somebody read.

        Raises:
            ApprovalError: they are others by now.
        """
        if self.read() != read:
            raise ApprovalError(
                "what there is to read about this study has changed since: its images, labels, patients, the budget or "
                "the policy are not what they were. Nothing was approved",
                do="Read it again, and then decide.",
            )


def explain(planned: Planned, start: str) -> Explained:
    """Say what was planned; ``start`` is what was found out about the model that the study starts from."""
    study = planned.study
    return Explained(
        name=study.study.name,
        digest=study.digest(),
        passages=describe(study),
        brings=tuple(planned.brings.sentences()),
        warnings=tuple(planned.warnings()),
        intake=tuple(planned.intake_said()),
        uses=tuple(planned.uses()),
        start=start,
    )
