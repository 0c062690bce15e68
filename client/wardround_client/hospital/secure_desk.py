"""Where a hospital's half of secure sums meets its disk: each answer is durable before it leaves (section 7)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from wardround_client.hospital.secure_sum import Confirmed, Participant, Uploaded, sign_survivors
from wardround_client.spending.ledger.told import Answers
from wardround_common.canonical import cut, joined, pieces
from wardround_common.errors import MessageError, OutdatedError, PrivacyError, StorageError
from wardround_common.keys.identity import Identity, Roster
from wardround_common.messages.vote import sign_ballot
from wardround_common.privacy.noisy_sum import has_noise, least_survivors
from wardround_common.secagg.agreement import AgreementKey
from wardround_common.secagg.encoding import Encoding
from wardround_common.secagg.exchange import (
    Masked,
    Upload,
    dealers_of,
    read_confirmations,
    read_heads,
    read_sealed,
    survivors_statement,
)
from wardround_common.secagg.neighbours import read_places
from wardround_common.secagg.shamir import RandomBytes
from wardround_common.secagg.statements import sign_statement
from wardround_common.secagg.terms import Member, Terms, What, read_members, terms_of
from wardround_common.storage import read_private, write_atomically
from wardround_common.study.file import Study
from wardround_common.study.roster import keys_of
from wardround_common.study.sums import clip_claim, encoding_for, margins_for, threshold_for

PUT_BACK = (
    "Put the folder back as it was when the service last ran, or leave the study: 'wardround hospital refuse STUDY'. "
    "Do not empty the folder: it keeps this hospital from answering a round twice."
)
WHATS: tuple[What, ...] = ("train", "evaluate")


@dataclass(frozen=True)
class Desk:
    """A hospital's half of the secure sums of one study; ``folder`` keeps what must survive a crash.

    The same question gets the same bytes, another question of the same sum gets none, and a sum that lies behind the
    last one gets none: so a mask covers one vector, and one list of survivors is opened, across restarts.
    """

    study: Study
    name: str
    identity: Identity
    roster: Roster
    folder: Path
    random: RandomBytes = field(repr=False)
    """The operating system's generator, ``os.urandom``."""
    durable: bool = True
    """Whether what it keeps outlives a power cut; a simulation does without."""
    pairs: dict[tuple[bytes, ...], bytes] | None = field(default=None, repr=False, compare=False)
    """Of a simulation: what the hospitals of this process agreed on (:class:`AgreementKey`)."""
    _key: dict[bytes, AgreementKey] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the roster: it is the study's if that has one, and our name stands in it with our key.

        Raises:
            PrivacyError: it is not so.
        """
        if self.study.roster and self.roster.digest != keys_of(self.study.roster).digest:
            raise PrivacyError("the roster is not that of the study that this hospital approved")
        if self.name not in self.roster.keys:
            raise PrivacyError(
                f"the study's roster does not list {self.name!r}",
                do="Ask the coordinator for a study whose roster does. The entry here: wardround hospital identity",
            )
        if self.roster.keys[self.name] != self.identity.public:
            raise PrivacyError(
                f"the study's roster lists {self.name!r} with another key than this hospital's identity",
                do="Compare it with 'wardround hospital identity'. Somebody may be impersonating this hospital.",
            )

    @property
    def takes_part(self) -> bool:
        """Whether we take part in a run already."""
        return (self.folder / "run").exists()

    def check_reaches(self, answers: Answers) -> None:
        """Check that what is kept here knows the answers that went out by the audit log.

        Raises:
            StorageError: it is an older copy: a round could be answered a second time, and the difference of two sums
                may be this hospital's own.
        """
        kept = {what: self._terms(what) for what in WHATS}
        vote, (number, lists) = self._read("vote"), answers.confirmed
        reached = {what: terms.round for what, terms in kept.items() if terms}
        voted = int.from_bytes(vote[0], "big") if vote else -1
        behind = any(answers.last.get(what, -1) > reached.get(what, -1) for what in WHATS)
        signed = [terms for terms in kept.values() if terms and (terms.round > number or self._signed(terms, number))]
        if behind or answers.last.get("vote", -1) > voted or len(signed) < lists:
            raise StorageError(
                "what this hospital keeps of its secure sums is older than the audit log, by which later answers of "
                "the study went out",
                where=str(self.folder),
                do=PUT_BACK,
            )

    def join(self, run: bytes) -> Member:
        """Take part in a run: make a key for it, or give the one that was made.

        Raises:
            MessageError: we take part in another run of this study. A second run would sum the same training over
                other hospitals, and the difference of two sums may be one hospital's.
            StorageError: the key is gone, and not what was answered with it.
        """
        if not self.takes_part:
            if any(self.folder.glob("*.terms")):
                raise self._damaged("run")  # with another key we would be somebody else in the sums of before
            write_atomically(self.folder / "run", joined(run, self.random(32)), private=True, durable=self.durable)
        begun, key = self._run()
        if begun != run:
            raise MessageError(
                "this hospital takes part in another run of the study",
                do="Its part must not be summed with others a second time. If the coordinator has lost, archived or "
                "removed that run, ask it to run the study under another name; then: wardround hospital refuse STUDY",
            )
        return Member.signed(self.name, self.identity, key.public, self.study.digest(), run)

    def upload(
        self,
        what: What,
        number: int,
        question: bytes,
        cohort: bytes,
        make: Callable[[Encoding, int], Masked],
        once: bytes = b"",
    ) -> Upload:
        """Return our masked part of a sum; ``make`` does the work and is not called if it was done before.

        ``make`` is told the sum's encoding and threshold. ``once`` names what is asked in one round only; nothing, if
        it may be asked in every round.

        Raises:
            MessageError: the terms are not those of this study and roster, another question of this sum was answered
                or worked on in vain, a later sum has begun, or ``once`` was answered in another round.
            OutdatedError: this sum was answered in the form of an earlier version.
            RoundError: the study does not allow a sum over this number of hospitals.
        """
        run, key = self._run()
        members = read_members(cohort)
        threshold = threshold_for(self.study, len(members))
        margins = margins_for(self.study)
        digest, roster = self.study.digest(), self.roster.digest
        terms = terms_of(digest, run, what, number, question, roster, cohort, threshold, *margins)
        terms.check_members(self.roster)
        if members[terms.place(self.name)].agreement != key.public:
            raise MessageError("the cohort has another key for this hospital than the one that it made")
        last = self._terms(what)
        if last and last.round > number:
            raise MessageError(f"round {number} comes before the last one that this hospital answered")
        if last and last.round == number:
            if last.digest != terms.digest:
                raise MessageError(f"a different question of round {number} was already answered")
            return self._kept_upload(last)
        answered = self._answered(what, number, once) if once else []
        self._begin(what, number, question)
        vector = make(encoding_for(self.study.aggregation, len(members)), threshold)
        upload = Participant(self.name, self.identity, key, self.roster).upload(terms, vector, self.random)
        if once:
            write_atomically(self.folder / f"{what}.answered", joined(*answered), private=True, durable=self.durable)
        self._keep_upload(terms, upload)
        return upload

    def confirm(self, what: What, number: int, survivors: bytes) -> bytes:
        """Sign a list of survivors, the only one that we shall open.

        Raises:
            MessageError: it is no possible list, it is too short for the noise that was added, or we signed another
                one of this sum.
        """
        terms = self._terms_of(what, number)
        heads = read_heads(survivors, len(terms.members))
        before = self._confirmed(terms)
        if before:
            if before.statement != survivors_statement(terms, heads):
                raise MessageError("a different list of survivors was already confirmed")
            return sign_survivors(self.identity, before.statement)
        least = self.study.aggregation.min_hospitals
        # Fewer than these have too little noise between them (docs/distributed-privacy.md).
        if has_noise(self.study, what, number):
            least = least_survivors(self.study, len(terms.members), terms.threshold)
        confirmed, signature = Uploaded(terms).confirm(self._who(), heads, least)
        kept = joined(terms.digest, terms.places(*confirmed.survivors), confirmed.statement)
        write_atomically(self.folder / f"{what}.confirmed", kept, private=True, durable=self.durable)
        return signature

    def open(self, what: What, number: int, confirmations: bytes, sealed: bytes) -> bytes:
        """Return our shares for the list that we confirmed.

        Raises:
            MessageError: we confirmed none, too few others did, or the sealed shares are not theirs.
        """
        terms = self._terms_of(what, number)
        confirmed = self._confirmed(terms)
        if not confirmed:
            raise MessageError("no list of survivors was confirmed for this sum")
        signatures = read_confirmations(confirmations, len(terms.members))
        dealers = dealers_of(terms.graph, frozenset(confirmed.survivors), terms.place(self.name))
        return confirmed.open(self._who(), signatures, read_sealed(sealed, dealers, terms.graph.circle))

    def statement(self, what: What, number: int, upload: Upload) -> bytes:
        """Sign to what we clipped the numbers of an upload; the same upload gives the same bytes."""
        terms = self._terms_of(what, number)
        return sign_statement(self.identity, terms, terms.place(self.name), upload.head, clip_claim(self.study))

    def vote(self, number: int, models: bytes, judge: Callable[[], bool]) -> tuple[bool, bytes]:
        """Return our vote on a round's next model, and our signature under it; ``judge`` is asked once in a round.

        ``models`` names the accepted and the next model. One vote per round, so that a coordinator cannot ask bit after
        bit about models that it made up.

        Raises:
            MessageError: we voted on other models in this round, or in a later one.
        """
        run, _ = self._run()
        kept = self._read("vote")
        last = int.from_bytes(kept[0], "big") if kept else 0
        if last > number or (kept and last == number and kept[1] != models):
            raise MessageError(f"this hospital voted in round {last}, on different models")
        if kept and last == number:
            worse = kept[2] == b"\1"
        else:
            worse = judge()
            content = joined(number.to_bytes(4, "big"), models, bytes([worse]))
            write_atomically(self.folder / "vote", content, private=True, durable=self.durable)
        return worse, sign_ballot(self.identity, self.study.digest(), run, number, models, worse=worse)

    def _run(self) -> tuple[bytes, AgreementKey]:
        stored = self._read("run")  # with the secret of the pairs
        if stored is None:
            raise MessageError("this hospital has not been asked to take part in a run yet")
        run, secret = stored
        if self._key.get(secret) is None:
            self._key.clear()
            self._key[secret] = AgreementKey(secret, self.pairs)  # it remembers what it agreed on with each neighbour
        return run, self._key[secret]

    def _who(self) -> Participant:
        return Participant(self.name, self.identity, self._run()[1], self.roster)

    def _answered(self, what: What, number: int, once: bytes) -> list[bytes]:
        """Return what was answered once and for all, with ``once`` among it: round in four bytes, then what it was.

        Raises:
            MessageError: it was answered in another round.
        """
        ours = number.to_bytes(4, "big") + once
        entries = self._read(f"{what}.answered") or []
        for entry in entries:
            if entry[4:] == once and entry != ours:
                before = int.from_bytes(entry[:4], "big")
                raise MessageError(f"these parameters were evaluated in round {before} and will not be evaluated again")
        return [*entries, *([] if ours in entries else [ours])]

    def _begin(self, what: What, number: int, question: bytes) -> None:
        """Note which question of a round we work on, also if we fail: that we do says something of our patients, and a
        coordinator that may go on asking by other parameters learns bit after bit.

        Raises:
            MessageError: we worked on another question of this round, or on a later round.
        """
        kept, ours = self._read(f"{what}.begun"), number.to_bytes(4, "big")
        if kept and (kept[0] > ours or (kept[0] == ours and kept[1] != question)):
            raise MessageError(
                f"this hospital worked on a question of round {int.from_bytes(kept[0], 'big')} and could not answer "
                f"it; another question, of round {number}, gets no answer"
            )
        if not kept or kept[0] != ours:
            write_atomically(self.folder / f"{what}.begun", joined(ours, question), private=True, durable=self.durable)

    def _keep_upload(self, terms: Terms, upload: Upload) -> None:
        masked = upload.masked
        arrays = (np.ascontiguousarray(array).view(np.uint8).data for array in (masked.update, masked.counts))
        content = pieces(terms.digest, masked.update.dtype.str.encode(), *arrays, upload.envelope())
        write_atomically(self.folder / f"{terms.what}.upload", content, private=True, durable=self.durable)
        # Written last: until it is there, the upload was not made, and did not leave.
        numbers = (terms.round.to_bytes(4, "big"), terms.threshold.to_bytes(4, "big"))
        facts = joined(terms.run, *numbers, terms.question, terms.roster, terms.cohort)
        write_atomically(self.folder / f"{terms.what}.terms", facts, private=True, durable=self.durable)

    def _kept_upload(self, terms: Terms) -> Upload:
        stored = self._read(f"{terms.what}.upload")
        if stored is not None and stored[0] == terms.digest:
            _, dtype, update, counts, envelope = stored
            masked = Masked(np.frombuffer(update, np.dtype(dtype.decode())), np.frombuffer(counts, "<u8"))
            return Upload.read(masked, envelope, terms.graph.circle)
        if stored and stored[0] in [earlier.digest for earlier in terms.in_earlier_forms()]:
            raise OutdatedError(
                f"round {terms.round} was answered here before an upgrade, when secure sums had another form",
                do="Nothing is damaged, and there is nothing to do here: this hospital takes part in the next round. "
                "If the coordinator stops at this one, whoever runs the study skips it with --give-up.",
            )
        raise self._damaged(f"{terms.what}.upload")

    def _terms(self, what: What) -> Terms | None:
        stored = self._read(f"{what}.terms")
        if stored is None:
            return None
        run, number, threshold, question, roster, cohort = stored
        numbers = (int.from_bytes(number, "big"), int.from_bytes(threshold, "big"))
        digest, margins = self.study.digest(), margins_for(self.study)
        return terms_of(digest, run, what, numbers[0], question, roster, cohort, numbers[1], *margins)

    def _terms_of(self, what: What, number: int) -> Terms:
        terms = self._terms(what)
        if terms is None or terms.round != number:
            raise MessageError(f"round {number} is not the round of this hospital's last upload")
        return terms

    def _signed(self, terms: Terms, number: int) -> bool:
        return terms.round == number and self._confirmed(terms) is not None

    def _confirmed(self, terms: Terms) -> Confirmed | None:
        stored = self._read(f"{terms.what}.confirmed")
        if stored is None or stored[0] != terms.digest:
            return None
        return Confirmed(terms, read_places(stored[1], len(terms.members)), stored[2])

    def _read(self, name: str) -> list[bytes] | None:
        path = self.folder / name
        try:
            return cut(read_private(path, "what this hospital keeps of its secure sums"))
        except FileNotFoundError:
            return None
        except (OSError, MessageError):
            raise self._damaged(name) from None

    def _damaged(self, name: str) -> StorageError:
        return StorageError(
            "this hospital's records of its secure sums are damaged",
            where=str(self.folder / name),
            do=PUT_BACK,
        )


def open_desk(study: Study, name: str, identity: Identity, folder: Path, random: RandomBytes) -> Desk:
    """Open the desk of a hospital that takes part with its own identity, among those that the study lists.

    Raises:
        PrivacyError: the study is a draft, or lists this hospital not, or with another key.
    """
    if not study.roster:
        raise PrivacyError(
            "the study is a draft: it does not list the hospitals to be summed",
            do="Ask the coordinator for the study with its roster.",
        )
    return Desk(study, name, identity, keys_of(study.roster), folder, random)
