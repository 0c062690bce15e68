"""What an audit log records about the ledger next to it: which rounds were charged and answered, and what was spent.

The log outlives a lost ledger, and tells when a ledger was rolled back, or what a hospital keeps of its secure sums. It
has no cohorts and no mechanisms, only numbers that name nobody; so what it proves is a bound for every patient, and not
who spent what.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from wardround_common.audit.entries import Entry, read_line
from wardround_common.audit.log import lines, segments
from wardround_common.errors import MessageError

Round = tuple[str, int]
"""A study by the first twelve digits of its digest, and a round."""

_CHARGED, _ANSWERED, _APPROVED = "round charged", "message out", "study approved"
_REBUILT = "ledger rebuilt"
_OF_A_LEDGER = (_CHARGED, _APPROVED, "study withdrawn", "study closed", "statement given", "ledger restored", _REBUILT)
_WORDS = tuple(f'"{word}"'.encode() for word in (*_OF_A_LEDGER, _ANSWERED))
_ROUNDING = 1e-4
"""Epsilon is noted to six digits, and two ways of bounding it differ by less than this if neither was rolled back."""


@dataclass(frozen=True)
class Note:
    """One round as the log says that it was charged: epsilon of the study's patient who had spent most, in all studies.

    ``before`` and ``after`` are infinite where nothing bounds it.
    """

    round: Round
    before: float
    after: float
    delta: float


@dataclass(frozen=True)
class Answers:
    """The last answers that went out in one study."""

    last: Mapping[str, int] = field(default_factory=dict)
    """By kind, ``train``, ``evaluate`` or ``vote``: the round of the last one that was no failure."""
    confirmed: tuple[int, int] = (-1, 0)
    """The last round in which lists of survivors were signed, and how many different ones."""


@dataclass(frozen=True)
class Told:
    """What a log tells, of its entries after a given one."""

    first: str = ""
    """SHA-256 of the log's first line: which log this is."""
    last: int = 0
    """The number of its last entry."""
    notes: tuple[Note, ...] = ()
    """Charges, in the order of the log; one that a crash cut off before the ledger had it may be there twice."""
    answered: frozenset[Round] = field(default_factory=frozenset)
    """Rounds of which a training answer went out, and sums with noise that were charged: for certain."""
    approved: frozenset[str] = field(default_factory=frozenset)
    """Studies that were approved, by the first twelve digits of their digests."""
    speaks: bool = False
    """Whether it tells of anything that cannot be without a ledger."""
    answers: Mapping[str, Answers] = field(default_factory=dict)
    """By study, by the first twelve digits of its digest."""


class Bound(NamedTuple):
    """What every patient has spent at most: ``epsilon`` (infinite if nothing bounds it) at ``delta``."""

    epsilon: float
    delta: float


def read_told(log: Path, *, after: Mapping[str, int] | None = None) -> Told:
    """Read what the log in a folder tells, sound or not; nothing where there is none.

    ``after``: by the SHA-256 of a log's first line, the entry up to which the ledger knows what it tells.

    Raises:
        StorageError: it cannot be read.
    """
    if not segments(log):
        return Told()
    first = hashlib.sha256(next(lines(log), b"")).hexdigest()
    known, last, speaks = (after or {}).get(first, 0), 0, False
    notes, answered, approved = list[Note](), set[Round](), set[str]()
    summed, out = dict[Round, Round](), dict[tuple[str, str], tuple[int, set[str]]]()
    for line in lines(log):
        if not any(word in line for word in _WORDS):  # most lines are of messages; to parse them all takes seconds
            last += 1
            continue
        try:
            entry = read_line(line)
        except MessageError:
            continue
        last = entry.number
        speaks |= entry.what in _OF_A_LEDGER
        if last <= known:
            continue
        study, number = entry.text("study"), entry.facts.get("round")
        if entry.what == _ANSWERED and isinstance(number, int) and not entry.text("failure"):
            _take_note(out, (study, entry.text("kind")), number, entry.text("content"))
        if entry.what == _APPROVED:
            approved.add(study)
        elif entry.what == _CHARGED and isinstance(number, int):
            before, spent = _epsilon(entry.facts.get("epsilon before")), _epsilon(entry.facts.get("epsilon after"))
            notes.append(Note((study, number), before, spent, _epsilon(entry.facts.get("delta"))))
            if not number:
                summed[study, 0] = (study, 0)
            elif whole := entry.text("part of"):
                summed[whole, number] = (study, number)
        elif entry.what == _REBUILT:
            epsilon, delta = _epsilon(entry.facts.get("epsilon")), _epsilon(entry.facts.get("delta"))
            notes.append(Note(("", 0), math.inf, epsilon, delta))
        elif isinstance(number, int) and (charge := _charge_of(entry, (study, number), summed)):
            answered.add(charge)
            speaks = True
    return Told(first, last, tuple(notes), frozenset(answered), frozenset(approved), speaks, _answers(out))


def _take_note(
    out: dict[tuple[str, str], tuple[int, set[str]]], which: tuple[str, str], number: int, content: str
) -> None:
    """Keep the last round by study and kind, and what different contents went out in it."""
    last, contents = out.get(which, (-1, set()))
    if number >= last:
        out[which] = number, {content} | (contents if number == last else set())


def _answers(out: Mapping[tuple[str, str], tuple[int, Collection[str]]]) -> dict[str, Answers]:
    found: dict[str, Answers] = {}
    for study in {study for study, _ in out}:
        last = {kind: number for (of, kind), (number, _) in out.items() if of == study and kind != "confirm"}
        number, lists = out.get((study, "confirm"), (-1, ()))
        found[study] = Answers(last, (number, len(lists)))
    return found


def _charge_of(entry: Entry, which: Round, summed: Mapping[Round, Round]) -> Round | None:
    """Return the charge without which an entry's answer cannot have gone out; None if it is no such answer.

    ``summed``: by the round of an evaluation what was charged for it, of sums with noise: those before the first round
    go out as the evaluation of round 0, and of those on whom the model is judged the charge is of a part of the study.
    """
    if entry.what != _ANSWERED or not entry.text("study") or entry.text("failure"):
        return None
    if entry.text("kind") == "train":
        return which
    return summed.get(which) if entry.text("kind") == "evaluate" else None


def missing(told: Told, approved: Iterable[str], charged: Iterable[tuple[str, int]]) -> list[str]:
    """Say what a ledger does not know that must be in it; ``approved`` and ``charged`` are what it has.

    A charge is noted just before it is in the ledger, so that a note alone proves nothing: an answer that went out
    does, and an approval, which is noted after the ledger has it.
    """
    studies, rounds = {one[:12] for one in approved}, {(study[:12], number) for study, number in charged}
    said = [f"the approval of study {study}" for study in sorted(told.approved - studies)]
    by_study: dict[str, list[int]] = {}
    for study, number in sorted(told.answered - rounds):
        by_study.setdefault(study, []).append(number)
    for study, numbers in by_study.items():
        said.append(f"{len(numbers)} answered round{'s' if len(numbers) > 1 else ''} of study {study}")
    return said


def bound(logs: Iterable[Told]) -> Bound:
    """Bound what every patient of this hospital has spent, from the charges that its logs, oldest first, tell of.

    A note's ``after`` is the most that any patient of its study had spent in *all* studies. For a patient who was in
    several, the last charge that concerned them says at least what they had spent; so the largest ``after`` bounds
    everybody, as long as the ledger was whole when the notes were made. Where it was not, a study's next ``before``
    lies below the ``after`` that came earlier: what lies on the two sides of such a place is added up, and so is delta.
    """
    sections: list[list[Note]] = [[]]
    last: dict[str, tuple[Note, float]] = {}  # by study: its last note, and what had been reached before that one
    for note in (note for told in logs for note in told.notes):
        study, _ = note.round
        before, reached = last.get(study, (None, 0.0))
        if before is not None and before.round != note.round:  # else it is told again after a crash
            reached = max(reached, before.after)
        if note.before < reached * (1 - _ROUNDING) - _ROUNDING:
            sections.append([])
            last = {}
            reached = 0.0
        sections[-1].append(note)
        last[study] = (note, reached)
    filled = [section for section in sections if section]
    return Bound(
        sum(max(note.after for note in section) for section in filled),
        min(1.0, sum(max(note.delta for note in section) for section in filled)),
    )


def _epsilon(value: object) -> float:
    """Return a number as a note has it; a word bounds nothing."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.inf
