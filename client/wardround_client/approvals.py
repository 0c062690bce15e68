"""Which studies were proposed to this hospital, and what its people decided: nothing runs that was not approved."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from wardround_common.errors import ApprovalError, MessageError, StorageError, StudyError
from wardround_common.proposal import Decision, Proposed, sign_approval
from wardround_common.secagg.identity import Identity
from wardround_common.storage import write_atomically
from wardround_common.study import Study, parse_canonical

MOST_WAITING = 50
"""Proposals that may wait at once: a coordinator cannot fill the hospital's disk with them."""


class _Decided(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    decision: Decision
    since: datetime


@dataclass(frozen=True)
class Proposal:
    """A study that was proposed, and what was decided when."""

    study: Study = field(repr=False)
    decision: Decision
    since: datetime


@dataclass(frozen=True)
class Approvals:
    """The decisions in a hospital's folder: of each study its canonical form and one small record.

    An approval is of a digest. A study of which anything changed is another study, and waits for its own approval.
    """

    folder: Path

    def propose(self, study: Study) -> Proposal:
        """Keep a proposed study until somebody decides, and say what was decided.

        Raises:
            MessageError: too many others wait already.
            StorageError: it cannot be written.
        """
        digest = study.digest()
        if not self.knows(digest):
            if sum(proposal.decision == "waiting" for proposal in self.all()) >= MOST_WAITING:
                raise MessageError("too many proposed studies wait for this hospital's decision")
            write_atomically(self._study(digest), study.canonical(), private=True)
            self._write(digest, "waiting")
        return self.get(digest)

    def knows(self, digest: str) -> bool:
        """Say whether the study of this digest was proposed before."""
        return self._record(digest).exists()

    def get(self, digest: str) -> Proposal:
        """Give the proposal of a study's digest.

        Raises:
            ApprovalError: no such study was proposed.
            StorageError: what was kept is damaged.
        """
        try:
            study = parse_canonical(self._study(digest).read_bytes())
            decided = _Decided.model_validate_json(self._record(digest).read_bytes())
        except FileNotFoundError:
            raise ApprovalError(
                "no such study was proposed to this hospital", do="See: wardround hospital studies"
            ) from None
        except (OSError, StudyError, ValidationError):
            raise self._damaged(digest) from None
        if study.digest() != digest:
            raise self._damaged(digest)
        return Proposal(study, decided.decision, decided.since)

    def find(self, word: str, meant: tuple[Decision, ...] = ()) -> Proposal:
        """Find a proposal by the study's name or by the first digits of its digest.

        ``meant``: where several have the name, the one that stands so is meant: a study that was put right and
        proposed again has the name of the one before.

        Raises:
            ApprovalError: none is meant, or several are.
        """
        found = [p for p in self.all() if p.study.study.name == word or p.study.digest().startswith(word)]
        for few in (found, [p for p in found if p.decision in meant]):
            if len(few) == 1:
                return few[0]
        if not found:
            raise ApprovalError(f"no proposed study is called '{word}'", do="See: wardround hospital studies")
        those = "; ".join(f"{p.study.digest()[:12]} ({p.decision} since {p.since:%Y-%m-%d %H:%M})" for p in found)
        raise ApprovalError(
            f"{len(found)} proposed studies are meant by '{word}': {those}",
            do="Name one by the first digits of its digest.",
        )

    def all(self) -> list[Proposal]:
        """Give all proposals, the oldest first."""
        digests = [path.stem for path in self.folder.glob("*.json")] if self.folder.is_dir() else []
        return sorted((self.get(digest) for digest in digests), key=lambda proposal: proposal.since)

    def decide(self, study: Study, decision: Decision) -> None:
        """Keep what the hospital's people decided: the last word counts.

        Raises:
            StorageError: it cannot be written.
        """
        self._write(study.digest(), decision)

    def approved(self, digest: str) -> Study:
        """Give an approved study.

        Raises:
            ApprovalError: it was not proposed, waits, or was refused.
        """
        proposal = self.get(digest)
        if proposal.decision != "approved":
            raise ApprovalError(
                "this hospital did not approve the study",
                do=f"Approve it with: wardround hospital approve {proposal.study.study.name}",
            )
        return proposal.study

    def answer(self, study: Study, name: str, identity: Identity) -> Proposed:
        """Tell the coordinator what was decided; an approval is signed."""
        proposal = self.propose(study)
        if proposal.decision == "approved":
            return sign_approval(identity, study, name)
        return Proposed(study.digest(), proposal.decision)

    def _write(self, digest: str, decision: Decision) -> None:
        content = {"decision": decision, "since": datetime.now(UTC).isoformat(timespec="seconds")}
        write_atomically(self._record(digest), json.dumps(content).encode(), private=True)

    def _study(self, digest: str) -> Path:
        return self.folder / f"{digest}.study"

    def _record(self, digest: str) -> Path:
        return self.folder / f"{digest}.json"

    def _damaged(self, digest: str) -> StorageError:
        return StorageError(
            "what this hospital keeps of a proposed study is damaged",
            where=str(self._record(digest)),
            do="Remove the files of this digest; the study will be proposed again and needs a new approval.",
        )
