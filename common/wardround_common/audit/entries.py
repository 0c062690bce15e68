"""The entries of an audit log: which kinds there are, what each may state, and the one form of their lines."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from wardround_common.documents.signed_chain import FIRST_LINK, SignedHead, SignedRow
from wardround_common.errors import MessageError
from wardround_common.keys.identity import KEY_BYTES

Fact = str | int | float | None
OPENED = "log opened"
LARGEST_LINE = 16 * 1024
LONGEST_TEXT = 300

_MESSAGE = ("with", "kind", "study", "round", "bytes", "content", "failure")
_HOSPITAL = ("hospital", "fingerprint", "request")
_STUDY = ("study", "name")
_START = ("start", "start model")
"""The released model that a study starts from: its name, and how the SHA-256 of its file begins."""
_SWITCHES = ("labels", "label attribute", "allow", "confirm patients", "formats", "patients guessed")
KINDS: Mapping[str, tuple[str, ...]] = {
    OPENED: ("of", "name", "key"),
    "log mended": ("bytes", "sha256"),
    "log exported": (),
    "service began": ("version",),
    "service ended": (),
    "message in": _MESSAGE,
    "message out": _MESSAGE,
    "message delivered": _MESSAGE,
    "message unwanted": _MESSAGE,
    "head received": ("with", "head"),
    "head went back": ("with", "head"),
    "head split": ("with", "head"),
    # at a hospital
    "request made": ("fingerprint", "request"),
    "invitation accepted": ("address", "fingerprint", "invitation"),
    "study proposed": _STUDY,
    "study approved": (*_STUDY, "approval", "hospital", *_SWITCHES, *_START),
    "evaluation approved": (*_STUDY, "approval", *_SWITCHES, *_START),
    "study refused": (*_STUDY, "hospital"),
    "study against policy": (*_STUDY, "hospital"),
    "study withdrawn": _STUDY,
    "study closed": _STUDY,
    "statement given": ("study", "statement"),
    "own model written": ("study", "round", "model"),
    "ledger restored": ("entries",),
    "ledger rebuilt": ("epsilon", "delta", "rounds"),
    "question refused": ("kind", "study", "round", "why"),
    "round charged": ("study", "round", "epsilon before", "epsilon after", "delta", "part of"),
    "paused": (),
    "resumed": (),
    # at the coordinator
    "hospital enrolled": _HOSPITAL,
    "hospital invited again": _HOSPITAL,
    "hospital revoked": ("hospital", "fingerprint"),
    "certificate renewed": ("until", "authority"),
    "run begun": ("run", "study", "least", *_START),
    "run resumed": ("run", "study"),
    "run stopped": ("run", "study"),
    "run over": ("run", "study", "stage", "round"),
    "run archived": ("run", "study"),
    "run removed": ("run", "study"),
    "model exported": ("run", "study", "model"),
}
"""What an entry of each kind may state. No kind has room for a patient, a path, a value of a model or a secret."""


HEADS = ("head received", "head went back", "head split")
"""Entries that tell of a head of the other end's log: the next one; an earlier one; another one in the same place."""


class AuditRow(SignedRow):
    """One entry as it is kept."""

    LINK: ClassVar[bytes] = b"wardround audit link 1"
    ROLE: ClassVar[bytes] = b"audit entry"


class AuditHead(SignedHead):
    """How far an audit log had come, signed by whose it is."""

    ROLE: ClassVar[bytes] = b"audit head"
    WHAT: ClassVar[str] = "an audit log"
    COMMAND: ClassVar[str] = "wardround hospital audit head"


@dataclass(frozen=True)
class Entry:
    """One entry as it is read."""

    row: AuditRow
    time: datetime
    what: str
    facts: Mapping[str, Fact]

    @property
    def number(self) -> int:
        """Its place in the log, from 1."""
        return self.row.number

    def text(self, name: str) -> str:
        """Return a fact as text; nothing where it is not stated."""
        value = self.facts.get(name)
        return "" if value is None else str(value)

    def as_json(self) -> dict[str, Any]:
        """Return what it tells, for a program."""
        return {"number": self.number, "time": written(self.time), "what": self.what, "facts": dict(self.facts)}


def written(moment: datetime) -> str:
    """Write a time as entries do: UTC, milliseconds."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def body_of(moment: datetime, what: str, facts: Mapping[str, Fact]) -> bytes:
    """Return the bytes that an entry signs. What it does not know is left out.

    Raises:
        ValueError: there is no such kind, or it has no room for such a fact: a bug.
    """
    kept = {name: value for name, value in facts.items() if value is not None}
    if set(kept) - set(KINDS[what]) or any(not _is_fact(value) for value in kept.values()):
        raise ValueError(f"an audit entry {what!r} cannot state {sorted(kept)}")
    return _canonical({"time": written(moment), "what": what, "facts": kept})


def line_of(row: AuditRow) -> bytes:
    """Write an entry as its line, without the end of it."""
    chain = {"number": row.number, "previous": row.previous.hex(), "signature": row.signature.hex()}
    return _canonical(json.loads(row.body) | chain)


def read_line(line: bytes) -> Entry:
    """Read an entry from its line. A kind that this version does not know is read as it is.

    Raises:
        MessageError: it is not an entry in its one form.
    """
    try:
        fields = json.loads(line.decode()) if len(line) <= LARGEST_LINE else None
        if not isinstance(fields, dict) or set(fields) != {"number", "time", "what", "facts", "previous", "signature"}:
            raise ValueError
        body = {name: fields[name] for name in ("time", "what", "facts")}
        number, previous, signature = fields["number"], fields["previous"], fields["signature"]
        moment = datetime.fromisoformat(body["time"])
        well = (
            type(number) is int
            and number >= 1
            and moment.tzinfo is not None
            and isinstance(body["what"], str)
            and isinstance(body["facts"], dict)
            and all(_is_fact(value) for value in body["facts"].values())
        )
        row = AuditRow(number, _canonical(body), bytes.fromhex(previous), bytes.fromhex(signature))
    except (ValueError, TypeError, KeyError, RecursionError):
        raise MessageError("this line is not an entry of an audit log") from None
    if not well or len(row.previous) != len(FIRST_LINK) or line_of(row) != line:
        raise MessageError("this line is not in the form in which entries are written")
    return Entry(row, moment, body["what"], body["facts"])


def key_of(entry: Entry) -> bytes | None:
    """Return the public key that a log's first entry names; None for another entry."""
    text = entry.text("key")
    return bytes.fromhex(text) if entry.what == OPENED and len(text) == 2 * KEY_BYTES else None


def _is_fact(value: object) -> bool:
    match value:
        case bool():
            return False
        case str():
            return len(value) <= LONGEST_TEXT
        case float():
            return math.isfinite(value)
        case _:
            return isinstance(value, int)


def _canonical(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
