"""Which studies were proposed to this hospital, and what its staff decided: nothing runs that was not approved."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from wardround_common.audit.pending import Change, Written
from wardround_common.documents.proposal import Decision, Proposed, sign_approval
from wardround_common.errors import CHECK_FILE, ApprovalError, MessageError, PluginError, StorageError, StudyError
from wardround_common.keys.identity import Identity
from wardround_common.storage import no_room_is_said, write_atomically
from wardround_common.study.file import Study, parse_canonical

WAITS: tuple[Decision, ...] = ("waiting", "against-policy")
"""How a proposal stands that may still be approved."""

MOST_WAITING = 50
"""Proposals that may wait at once: a coordinator cannot fill the hospital's disk with them."""

SHORTEST_DIGITS = 4
"""Of a digest, for a proposal that is damaged to be meant by them."""


class DamagedError(StorageError):
    """What was kept of a proposal is not what was written."""


class _Decided(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    decision: Decision
    since: AwareDatetime


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
        if self.knows(digest):
            self._mend(study)
        else:
            if sum(proposal.decision in WAITS for proposal in self.all()) >= MOST_WAITING:
                raise MessageError("too many proposed studies are waiting for this hospital's decision")
            write_atomically(self._study(digest), study.canonical(), private=True)
            self.decide(study, "waiting")
        return self.get(digest)

    def _mend(self, study: Study) -> None:
        """Set aside the damaged part of a proposal that comes again: a lost decision has to be made again."""
        digest = study.digest()
        try:
            self.get(digest)
        except (DamagedError, ApprovalError):
            if self._decided(digest) is None:
                with no_room_is_said(self._record(digest)):
                    self._record(digest).replace(self._record(digest).with_suffix(".json.damaged"))
                self.decide(study, "waiting")
            write_atomically(self._study(digest), study.canonical(), private=True)

    def knows(self, digest: str) -> bool:
        """Say whether the study of this digest was proposed before."""
        return self._record(digest).exists()

    def get(self, digest: str) -> Proposal:
        """Return the proposal of a study's digest.

        Raises:
            ApprovalError: no such study was proposed.
            StorageError: what was kept is damaged.
        """
        try:
            content = self._study(digest).read_bytes()
            decided = self._decided(digest)
        except FileNotFoundError:
            raise ApprovalError(
                "this study was not proposed to this hospital", do="See: wardround hospital studies"
            ) from None
        except OSError as error:
            raise StorageError(
                f"the record of a proposed study cannot be read ({error.strerror})",
                where=str(self._record(digest)),
                do=CHECK_FILE,
            ) from None
        try:
            study = parse_canonical(content)
        except PluginError as error:  # it is whole: its task cannot be read without the plug-in
            raise StorageError(error.what, where=f"proposed study {digest[:12]}", do=error.do) from None
        except StudyError:
            raise self._damaged(digest) from None
        if decided is None or study.digest() != digest:
            raise self._damaged(digest)
        return Proposal(study, decided.decision, decided.since)

    def _decided(self, digest: str) -> _Decided | None:
        """Read the record of a decision; None if it is damaged."""
        try:
            return _Decided.model_validate_json(self._record(digest).read_bytes())
        except ValidationError:
            return None

    def find(self, word: str, meant: tuple[Decision, ...] = (), over: Collection[str] = ()) -> Proposal:
        """Find a proposal by the study's name or by the first digits of its digest.

        ``meant``: where several have the name, the one with that decision is meant: a study that was put right and
        proposed again has the name of the one before. ``over``: the studies whose run is over, by their digests, are
        meant only if no other stands so.

        Raises:
            ApprovalError: none is meant, or several are.
            StorageError: what was kept of the one that is meant is damaged.
        """
        for digest, error in self.damaged().items():
            if len(word) >= SHORTEST_DIGITS and digest.startswith(word):
                raise error
        found = [p for p in self.all() if p.study.study.name == word or p.study.digest().startswith(word)]
        standing = [p for p in found if p.decision in meant]
        for few in (found, standing, [p for p in standing if p.study.digest() not in over]):
            if len(few) == 1:
                return few[0]
        if not found:
            raise ApprovalError(f"no proposed study is called '{word}'", do="See: wardround hospital studies")
        those = "; ".join(f"{p.study.digest()[:12]} ({p.decision} since {p.since:%Y-%m-%d %H:%M})" for p in found)
        raise ApprovalError(
            f"{len(found)} proposed studies are meant by '{word}': {those}",
            do="Name one by the first digits of its digest.",
        )

    def waiting(self, over: Collection[str] = ()) -> Proposal:
        """Return the only proposal that waits for a decision and whose run is not over (``over``: digests of those).

        Raises:
            ApprovalError: none waits, or several do.
        """
        found = [p for p in self.all() if p.decision in WAITS and p.study.digest() not in over]
        if len(found) == 1:
            return found[0]
        if not found:
            raise ApprovalError("no study waits for a decision", do="See: wardround hospital studies")
        those = "; ".join(f"{p.study.study.name} {p.study.digest()[:12]}" for p in found)
        raise ApprovalError(
            f"{len(found)} studies wait for a decision: {those}",
            do="Name one, by its name or the first digits of its digest.",
        )

    def all(self) -> list[Proposal]:
        """Return the proposals that can be read, the oldest first; :meth:`damaged` names the others."""
        return sorted(self._read()[0], key=lambda proposal: proposal.since)

    def damaged(self) -> dict[str, StorageError]:
        """Say what is the matter with the proposals that cannot be read, by the studies' digests."""
        return self._read()[1]

    def _read(self) -> tuple[list[Proposal], dict[str, StorageError]]:
        found: list[Proposal] = []
        damaged: dict[str, StorageError] = {}
        for path in self._records():
            try:
                found.append(self.get(path.stem))
            except StorageError as error:
                damaged[path.stem] = error
            except ApprovalError:  # its study is not there: a crash came between the two files, or it was removed
                damaged[path.stem] = self._damaged(path.stem)
        return found, damaged

    def _records(self) -> list[Path]:
        """Name the records; where nothing was proposed yet there is no folder.

        Raises:
            StorageError: the folder cannot be read: nobody shall take that for a hospital without studies.
        """
        try:
            return sorted(path for path in self.folder.iterdir() if path.suffix == ".json")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StorageError(
                f"the folder of the studies cannot be read ({error.strerror})", where=str(self.folder), do=CHECK_FILE
            ) from None

    def decide(self, study: Study, decision: Decision) -> None:
        """Keep what the hospital's people decided: the last word counts.

        Raises:
            StorageError: it cannot be written.
        """
        self.deciding(study, decision).make()

    def deciding(self, study: Study, decision: Decision) -> Change:
        """Return the change that keeps a decision, for the audit log to make it with the entry that shows it."""
        content = {"decision": decision, "since": datetime.now(UTC).isoformat(timespec="seconds")}
        return Change((Written(self._record(study.digest()), json.dumps(content).encode()),))

    def approved(self, digest: str) -> Study:
        """Return an approved study.

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

    def approved_among(self, digests: Iterable[str]) -> list[str]:
        """Return those of these studies that are approved, by the records of the decisions alone."""
        known = [digest for digest in digests if self._record(digest).exists()]
        return [digest for digest in known if (one := self._decided(digest)) and one.decision == "approved"]

    def answer(self, study: Study, name: str, identity: Identity) -> Proposed:
        """Tell the coordinator what was decided; an approval is signed."""
        proposal = self.propose(study)
        if proposal.decision == "approved":
            return sign_approval(identity, study, name)
        return Proposed(study.digest(), proposal.decision)

    def _study(self, digest: str) -> Path:
        return self.folder / f"{digest}.study"

    def _record(self, digest: str) -> Path:
        return self.folder / f"{digest}.json"

    def _damaged(self, digest: str) -> DamagedError:
        return DamagedError(
            f"the record of the proposed study {digest[:12]} is damaged",
            where=str(self._record(digest)),
            do="Restore it from your backup. Without one, it is repaired when the study is proposed again; "
            "it needs a new approval if the decision is what was lost.",
        )
