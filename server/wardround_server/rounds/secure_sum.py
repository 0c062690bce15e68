"""The coordinator's part of a secure sum, as states without IO (docs/secagg.md, sections 4 to 6).

::

    Gathering ── close ──► Confirming ── close ──► Opening ── total ──► Total

Memory is one vector, the one that is being added, and each hospital's sealed shares.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround_common.counting import count
from wardround_common.errors import MessageError, RoundError
from wardround_common.keys.identity import Roster, check_signature
from wardround_common.secagg.exchange import (
    TAGGED_BYTES,
    Dealt,
    Head,
    Upload,
    dealers_of,
    opened_places,
    read_opened,
    seed_commitment,
    survivors_statement,
    write_signed,
)
from wardround_common.secagg.masks import add_masks
from wardround_common.secagg.shamir import SHARE_BYTES, combine, read_shares, weights
from wardround_common.secagg.tags import CheckKeys, tags
from wardround_common.secagg.terms import Terms


@dataclass(frozen=True, eq=False)
class Total:
    """The sum over the survivors, readable."""

    update: NDArray[Any]
    """(parameters,) in the study's ring."""
    counts: NDArray[np.uint64]


class Gathering:
    """Adds masked vectors as they arrive; the sum stays masked."""

    def __init__(self, terms: Terms, roster: Roster, total: Total) -> None:
        """Sum into ``total``, which has the sum's form; whatever is in it is not added."""
        self._terms = terms
        self._roster = roster
        self._total = total
        self._dealt: dict[int, Dealt] = {}
        self._heads: dict[int, Head] = {}
        self._closed = False

    @property
    def names(self) -> list[str]:
        """The hospitals whose uploads were added."""
        return [self._terms.members[place].name for place in sorted(self._heads)]

    def add(self, name: str, upload: Upload) -> None:
        """Add one hospital's upload.

        Raises:
            MessageError: it is not signed by that hospital for this sum, has another form, came before, or comes too
                late; nothing was added.
        """
        if self._closed:
            raise MessageError("a hospital's upload came after the list of survivors was closed")
        place, member = self._terms.place(name), upload.masked
        if place in self._heads:
            raise MessageError("a hospital's upload came twice")
        both = (self._total.update, member.update), (self._total.counts, member.counts)
        for ours, theirs in both:
            if ours.dtype != theirs.dtype or ours.shape != theirs.shape:
                raise MessageError("a masked vector has another type or length than the study's")
        upload.check(self._roster.keys[name], self._terms, place)
        for ours, theirs in both:
            if self._heads:
                np.add(ours, theirs, out=ours)
            else:
                np.copyto(ours, theirs)
        self._dealt[place], self._heads[place] = upload.dealt, upload.head

    def close(self) -> Confirming:
        """Take those who are here as the survivors; what comes later stays unread.

        Raises:
            RoundError: somebody among them has too few neighbours left: no hospital would confirm the list.
        """
        self._closed = True  # the total goes on with the survivors
        if self._terms.graph.deserted(self._heads):
            raise RoundError(
                f"too many hospitals dropped out of round {self._terms.round} ({self._terms.what}): one of the others "
                "has too few neighbours left to be summed with",
                do="The round is abandoned and none of it was read. Wait until more hospitals are connected.",
            )
        return Confirming(self._terms, self._roster, self._total, dict(self._dealt), dict(self._heads))


class Confirming:
    """Collects the survivors' signatures under the list of survivors."""

    def __init__(
        self, terms: Terms, roster: Roster, total: Total, dealt: Mapping[int, Dealt], heads: Mapping[int, Head]
    ) -> None:
        self._terms = terms
        self._roster = roster
        self._total = total
        self._dealt = dealt
        self._heads = heads
        self._statement = survivors_statement(terms, heads)
        self._signatures: dict[int, bytes] = {}

    def question(self) -> bytes:
        """Return the list of survivors that each of them is asked to sign."""
        entries = {place: (head.content, head.signature) for place, head in self._heads.items()}
        return write_signed(entries, len(self._terms.members))

    def add(self, name: str, signature: bytes) -> None:
        """Take one survivor's signature.

        Raises:
            MessageError: it is not a signature under this list, or not of a survivor.
        """
        place = self._terms.place(name)
        if place not in self._heads:
            raise MessageError("a hospital that is not a survivor confirmed the list")
        check_signature(self._roster.keys[name], signature, b"survivors", self._statement)
        self._signatures[place] = signature

    def close(self) -> Opening:
        """Go on with those who signed.

        Raises:
            RoundError: they are fewer than the threshold.
        """
        if len(self._signatures) < self._terms.threshold:
            raise _too_few("confirmed", len(self._signatures), self._terms)
        return Opening(self._terms, self._total, self._dealt, dict(self._signatures))


class Opening:
    """Collects the shares that take the masks off the sum."""

    def __init__(self, terms: Terms, total: Total, dealt: Mapping[int, Dealt], signatures: Mapping[int, bytes]) -> None:
        self._terms = terms
        self._total = total
        self._dealt = dealt
        self._survivors = tuple(sorted(dealt))
        self._surviving = frozenset(dealt)
        self._signatures = signatures
        self._opened: dict[int, dict[tuple[int, int], bytes]] = {}
        self._checks: dict[int, CheckKeys] = {}

    @property
    def names(self) -> list[str]:
        """The hospitals to ask: those that confirmed."""
        return [self._terms.members[place].name for place in sorted(self._signatures)]

    def signatures(self) -> bytes:
        """Return the signatures under the list of survivors, which each of them checks before it opens anything."""
        entries = {place: (signature,) for place, signature in self._signatures.items()}
        return write_signed(entries, len(self._terms.members))

    def sealed_for(self, name: str) -> bytes:
        """Return the sealed shares that the survivors of its circle dealt to one hospital."""
        holder, graph = self._terms.place(name), self._terms.graph
        dealers = dealers_of(graph, self._surviving, holder)
        return b"".join(self._dealt[dealer].sealed[graph.circle_of(dealer).index(holder)] for dealer in dealers)

    def add(self, name: str, content: bytes) -> None:
        """Take one hospital's shares.

        A share without the tags that its dealer gave it is left out: the holder, or the dealer, sent garbage.

        Raises:
            MessageError: it has another form, or none of them is what was dealt.
        """
        holder, graph = self._terms.place(name), self._terms.graph
        shares = read_opened(content, opened_places(graph, self._surviving, holder))
        sound = self._sound(holder, content) if shares else []
        if shares and not any(sound):
            raise MessageError("no share is the one that was dealt")
        self._opened[holder] = {
            secret: share[:SHARE_BYTES] for (secret, share), good in zip(shares.items(), sound, strict=True) if good
        }

    def _sound(self, holder: int, content: bytes) -> list[bool]:
        """Tell which of a holder's shares have the tags that their dealers' keys give."""
        tagged = np.frombuffer(content, np.uint8).reshape(-1, TAGGED_BYTES)
        factors, pads = [], []  # of each share
        for dealer in dealers_of(self._terms.graph, self._surviving, holder):
            keys, seat = self._keys(dealer), self._terms.graph.circle_of(dealer).index(holder)
            factors += [keys.factors[seat]] * keys.pads.shape[1]
            pads.append(keys.pads[seat])
        numbers, whole = read_shares(tagged[:, :SHARE_BYTES])
        right = tags(numbers[:, None].astype(np.float64), np.stack(factors), np.concatenate(pads)[:, None])[:, 0]
        sound: list[bool] = (whole & (right == tagged[:, SHARE_BYTES:]).all(axis=1)).tolist()
        return sound

    def _keys(self, dealer: int) -> CheckKeys:
        """Return what tells a dealer's shares of the secrets that are opened from garbage."""
        if dealer not in self._checks:
            circle, opened = self._terms.graph.circle_of(dealer), self._terms.graph.opened(self._surviving)
            keys = CheckKeys.of(self._dealt[dealer].check, len(circle))
            self._checks[dealer] = keys.of_secrets([circle.index(place) for place in opened[dealer]])
        return self._checks[dealer]

    def total(self) -> Total:
        """Take the masks off the sum.

        Raises:
            RoundError: fewer hospitals answered than the threshold, or than a seed needs; or shares are garbage: it
                names who dealt them and, where holders that collude can have made it up, these too.
        """
        terms = self._terms
        if len(self._opened) < terms.threshold:
            raise _too_few("opened", len(self._opened), terms)
        added: list[bytes] = []  # by the survivors, so taken away here
        taken: list[bytes] = []
        at_zero: dict[tuple[int, ...], dict[int, int]] = {}  # Lagrange's weights, the same for many secrets
        opened = terms.graph.opened(self._surviving)
        for dealer in self._survivors:
            for place in opened[dealer]:
                holders = tuple(h for h in terms.graph.circle_of(dealer) if (dealer, place) in self._opened.get(h, ()))
                if len(holders) < terms.graph.share_threshold:
                    raise self._too_few_shares(dealer, place)
                holders = holders[: terms.graph.share_threshold]
                if holders not in at_zero:
                    at_zero[holders] = weights(holders)
                seed = self._seed(dealer, place, at_zero[holders])
                (added if place >= dealer else taken).append(seed)
        add_masks(self._total.update, taken, added, 0)
        add_masks(self._total.counts, taken, added, 1)
        return self._total

    def _seed(self, dealer: int, place: int, at_zero: Mapping[int, int]) -> bytes:
        """Put a seed together of shares with their tags; if it is not the one that the dealer committed to, it dealt
        garbage: nobody else can make tags.
        """
        terms, seed = self._terms, b""
        with suppress(MessageError):
            seed = combine({holder: self._opened[holder][dealer, place] for holder in at_zero}, at_zero)
        secret = terms.graph.circle_of(dealer).index(place)
        if seed_commitment(terms, dealer, place, seed) != self._dealt[dealer].seeds[secret]:
            raise self._dealt_garbage(dealer)
        return seed

    def _too_few_shares(self, dealer: int, place: int) -> RoundError:
        """Say why there are too few shares of a secret: its holders are away, or sent garbage that they were dealt, or
        made up. More of them than may collude do not make it up.
        """
        graph, members, name = self._terms.graph, self._terms.members, self._terms.members[dealer].name
        answered = [holder for holder in graph.circle_of(dealer) if holder in self._opened]
        if len(answered) < graph.share_threshold:
            what = f"of those that hold shares of the masks of {name}, {count(len(answered), 'hospital')} opened"
            return _lost(what, graph.share_threshold, self._terms)
        garbage = [members[holder].name for holder in answered if (dealer, place) not in self._opened[holder]]
        if len(garbage) > graph.may_collude:
            return self._dealt_garbage(dealer)
        who = ", ".join(garbage)
        return RoundError(
            f"the shares of the masks of {name} came back from {who} as garbage: the sum is lost",
            do=f"Either {name} dealt them so, or {who} answered so. Find out what these hospitals run.",
        )

    def _dealt_garbage(self, dealer: int) -> RoundError:
        return RoundError(
            f"the shares that {self._terms.members[dealer].name} dealt are not those of its masks: the sum is lost",
            do="Find out what that hospital runs; leave it out of the next run.",
        )


def _too_few(what: str, number: int, terms: Terms) -> RoundError:
    return _lost(f"{count(number, 'hospital')} {what}", terms.threshold, terms)


def _lost(what: str, least: int, terms: Terms) -> RoundError:
    return RoundError(
        f"{what} the sum of round {terms.round} ({terms.what}) where {least} must",
        do="The round is abandoned and none of it was read. Wait until more hospitals are connected.",
    )
