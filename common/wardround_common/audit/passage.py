"""What an audit log records about a message between a hospital and the coordinator: never what it says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

Way = Literal["in", "out", "delivered", "unwanted"]
"""in: it came in whole · out: it is about to go out · delivered: the other side confirmed that it has it · unwanted:
the other side did not take it."""

COORDINATOR = "coordinator"
"""The name of a hospital's other side."""
_LARGEST_ROUND = 10**6


@dataclass(frozen=True)
class Passage:
    """A message that passed, or is about to."""

    way: Way
    peer: str
    """The other side: a hospital's name, or :data:`COORDINATOR`."""
    kind: str
    """Which question it asks or answers, such as ``train``."""
    content: str
    """The SHA-256 that stands for its content, the same at both ends: Flower's name of the tree of its objects."""
    bytes: int
    """Of its content's objects."""
    message: str
    """The same of the message as a whole, its time and sender with it: no two messages share it."""
    study: str = ""
    """The study digest that it names, if it does."""
    round: int | None = None
    failure: str = ""
    """The fixed word of an answer that is none."""


def passage_of(
    way: Way,
    peer: str,
    message_type: str,
    root: str,
    sizes: Mapping[str, int],
    heads: Mapping[str, bytes],
    read_fields: Callable[[bytes], Mapping[str, object]],
) -> Passage:
    """Describe a message that Flower cut into objects (``root`` is the name of its envelope).

    ``sizes``: of each object, in bytes. ``heads``: the envelope, its content and the record of fields whole
    (:func:`content_of`, :func:`fields_of`); other objects may be whole, cut or left out. ``read_fields`` reads that
    record. Nothing that the message claims is trusted: what is not as it must be is left out.
    """
    letters = _children(heads[root])
    record = heads.get(fields_of(heads.get(content_of(heads[root]), b"")), b"")  # what is answered, and no other
    try:
        fields = read_fields(record) if record.startswith(b"ConfigRecord ") else {}
    except Exception:  # noqa: BLE001  # the other side's bytes: whatever is wrong is wrong with them
        fields = {}
    kind = message_type.rpartition(".")[2]
    study, number, failure = fields.get("study"), fields.get("round"), fields.get("failure", "")
    if not letters:
        failure = "crashed"
    return Passage(
        way=way,
        peer=peer,
        kind=kind if re.fullmatch("[a-z]{1,20}", kind) else "?",
        content=letters[0] if letters else root,
        bytes=sum(size for name, size in sizes.items() if name != root),
        message=root,
        study=study if isinstance(study, str) and re.fullmatch("[0-9a-f]{64}", study) else "",
        round=number if type(number) is int and 0 <= number <= _LARGEST_ROUND else None,
        failure=failure if isinstance(failure, str) and re.fullmatch("[a-z][a-z-]{0,30}", failure) else "",
    )


def content_of(envelope: bytes) -> str:
    """Name the content of a message; empty if it has none."""
    return next(iter(_children(envelope)), "")


def fields_of(content: bytes) -> str:
    """Name the record of fields in the content of a message; empty if it has none."""
    try:
        found: object = json.loads(content[content.index(b"\0") + 1 :])["fields"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return found if isinstance(found, str) else ""


def _children(envelope: bytes) -> list[str]:
    """Name the objects that an object is made of: its head is its kind, their names, and its length."""
    words = envelope[: envelope.find(b"\0")].decode("ascii", "replace").split(" ")
    return [name for name in words[1].split(",") if name] if len(words) == 3 else []
