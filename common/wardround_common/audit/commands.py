"""What ``wardround hospital audit`` and ``wardround coordinator audit`` have in common."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from wardround_common.audit.compare import Compared, Side, compare
from wardround_common.audit.entries import KINDS, AuditHead, Entry, read_line
from wardround_common.audit.log import AuditLog, lines, no_log_yet, read_head, segments
from wardround_common.audit.verify import Verified, verify
from wardround_common.counting import count
from wardround_common.errors import MessageError, StorageError, listed

LOOK_S = 0.5
NO_ENTRY = "this line is not an entry: run 'audit verify'"
Echo = Callable[[str], None]


class Owner(NamedTuple):
    """Whose a log is: in words, by which key it is checked, and how its owner calls the other end."""

    who: str
    public: bytes
    peer: str


def show(folder: Path, last: int, follow: bool, as_json: bool, echo: Echo) -> None:
    """Print the last entries; with ``follow`` go on with each new one until somebody stops it.

    Raises:
        StorageError: there is no log.
    """
    ends = {path: path.stat().st_size for path in segments(folder)}
    for line in deque(lines(folder), maxlen=last):
        echo(_shown(line, as_json))
    while follow:
        for line in _added(folder, ends):
            echo(_shown(line, as_json))
        time.sleep(LOOK_S)


def report(own: Owner, folder: Path, heads: Sequence[str], as_json: bool, echo: Echo) -> Verified:
    """Check a log from its folder and say what was found; nothing is written.

    Raises:
        StorageError: it cannot be trusted; every fault is named.
    """
    kept = read_head(folder)
    there = lines(folder) if segments(folder) or not kept else ()  # a head without entries: they were removed
    found = verify(there, own.public, map(AuditHead.parse, heads), own.who, kept=kept)
    faults = found.faults if kept else (*found.faults, "the head next to the log was removed")
    if as_json:
        facts = {"of": own.who, "entries": len(found.entries), "whole": not faults, "faults": faults}
        echo(json.dumps(facts | ({"torn": True} if found.torn else {}), ensure_ascii=False))
    if faults:
        raise _untrusted(f"the audit log of {own.who}", faults, str(folder))
    if not as_json:
        torn = " Half a line follows, as a power cut leaves it; the next entry sets it aside." if found.torn else ""
        echo(f"The audit log is whole: {count(len(found.entries), 'entry', 'entries')}, signed by {own.who}.{torn}")
    return found


def report_against(
    own: Owner, ours: Verified, other: Owner, file: Path, heads: Sequence[str], as_json: bool, echo: Echo
) -> None:
    """Check the log that the other end exported, then hold both against each other, and say what was found.

    Raises:
        StorageError: it is not whole, or a message is missing in one of the two.
    """
    theirs = verify(_exported(file), other.public, map(AuditHead.parse, heads), other.who)
    found = None if theirs.faults else compare(Side(*own, ours), Side(*other, theirs))
    if as_json:
        facts = {"of": other.who, "entries": len(theirs.entries), "whole": not theirs.faults, "faults": theirs.faults}
        both = found and {"matched": found.matched, "undecided": found.undecided, "disagreements": found.faults}
        echo(json.dumps(facts | (both or {}), ensure_ascii=False))
    if found is None:
        raise _untrusted(f"the log of {other.who}", theirs.faults, str(file))
    if found.faults:
        raise _untrusted("the two logs do not agree, so that one of them", found.faults, str(file))
    if not as_json:
        echo(_agreed(other.who, theirs, found))


def show_head(log: AuditLog, echo: Echo) -> None:
    """Print how far a log has come, signed; nothing is written.

    Raises:
        StorageError: there is no log, or it was changed by somebody else.
    """
    head = log.look()
    if head is None:
        raise no_log_yet(log.folder)
    echo(head.text())


def first_of(file: Path) -> Entry:
    """Read the entry in which a log says whose it is; nothing of it is checked.

    Raises:
        StorageError: this is not an audit log.
    """
    try:
        return read_line(next(_exported(file), b""))
    except MessageError:
        raise StorageError("this is not an audit log", where=str(file), do=_EXPORT) from None


_EXPORT = "The other end makes one with: audit export FILE"


def _exported(file: Path) -> Iterator[bytes]:
    """Return the lines of a log that the other end made."""
    if file.is_dir() and not segments(file):
        raise StorageError("there is no audit log in this folder", where=str(file), do=_EXPORT)
    return lines(file)


def _agreed(who: str, theirs: Verified, found: Compared) -> str:
    text = (
        f"The log of {who} is whole: {count(len(theirs.entries), 'entry', 'entries')}, the last of "
        f"{theirs.entries[-1].time:%Y-%m-%d %H:%M} UTC. {count(found.matched, 'message is', 'messages are')} in both "
        "logs, with the same digest and size; none that must be is missing."
    )
    if found.undecided:
        text += (
            f" {found.undecided:,} {'is' if found.undecided == 1 else 'are'} in one log only: before the other begins, "
            "or at most five minutes before it ends; a later export decides of the latter."
        )
    return text


def _untrusted(what: str, faults: Sequence[str], where: str) -> StorageError:
    return StorageError(
        f"{what} cannot be trusted:\n{listed(faults)}",
        where=where,
        do="Keep a copy as it is now, and find out who could write there.",
    )


def _added(folder: Path, ends: dict[Path, int]) -> Iterator[bytes]:
    """Return the whole lines that were added since; ``ends`` remembers how far each segment was read."""
    for path in segments(folder):
        with path.open("rb") as file:
            file.seek(ends.get(path, 0))
            for line in file:
                if not line.endswith(b"\n"):
                    break
                ends[path] = ends.get(path, 0) + len(line)
                yield line.removesuffix(b"\n")


def _shown(line: bytes, as_json: bool) -> str:
    try:
        entry = read_line(line)
    except MessageError:
        return json.dumps({"fault": "no entry"}) if as_json else f"        {NO_ENTRY}"
    if as_json:
        return json.dumps(entry.as_json(), ensure_ascii=False)
    return f"{entry.number:>7}  {entry.time:%Y-%m-%d %H:%M:%S}  {entry.what:<18}  {words_of(entry)}".rstrip()


def latest(folder: Path, before: int | None, most: int) -> list[Entry | None]:
    """Return the last entries before one of that number, or of all, the latest first; None for a line that is none.

    Only the segments that hold them are read. Nothing is checked.

    Raises:
        StorageError: there is no log, or it cannot be read.
    """
    found: list[Entry | None] = []
    paths = [path for path in segments(folder) if before is None or not path.stem.isdigit() or int(path.stem) < before]
    if not paths and not segments(folder):
        raise no_log_yet(folder)
    for path in reversed(paths):
        those = [_entry(line) for line in lines(path)]
        found += reversed([each for each in those if before is None or each is None or each.number < before])
        if len(found) >= most:
            break
    return found[:most]


def _entry(line: bytes) -> Entry | None:
    try:
        return read_line(line)
    except MessageError:
        return None


def words_of(entry: Entry) -> str:
    """Say in a line what an entry states."""
    if not entry.what.startswith("message "):
        order = KINDS.get(entry.what, ())
        names = sorted(entry.facts, key=lambda name: order.index(name) if name in order else len(order))
        return ", ".join(f"{name} {_short(name, entry.facts[name])}" for name in names)
    said = [entry.text("kind") + (f" round {entry.text('round')}" if entry.text("round") else "")]
    said += [f"study {entry.text('study')}"] if entry.text("study") else []
    said += [f"failure {entry.text('failure')}"] if entry.text("failure") else []
    said += [f"{int(entry.text('bytes') or 0):,} bytes", f"content {entry.text('content')[:12]}"]
    return f"{', '.join(said)}, {'from' if entry.what == 'message in' else 'to'} {entry.text('with')}"


def _short(name: str, value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text[:24] + "…" if name == "head" else text
