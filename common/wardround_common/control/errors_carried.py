"""An error of our tree as a message: sent by a service, raised by the command that asked."""

from __future__ import annotations

import inspect

from wardround_common import errors
from wardround_common.control import LARGEST_ERROR_BYTES
from wardround_common.control.control_pb2 import Error
from wardround_common.errors import WardroundError

KEY = "wardround-error-bin"
"""The name of the trailing metadata that carries an error."""
LONGEST_TEXT = LARGEST_ERROR_BYTES // 32  # characters; one may take four bytes, and metadata are written in base 64
KINDS = {name: kind for name, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, WardroundError)}


def to_message(error: WardroundError) -> Error:
    """Return an error as a message. Texts beyond any that a person reads are cut."""
    return Error(
        type=type(error).__name__,
        kind=error.kind,
        what=_cut(error.what),
        where=_cut(error.where),
        do=_cut(error.do),
        exit_code=error.exit_code,
        faults=_some([_cut(fault) for fault in getattr(error, "faults", ())]),
        reason=_cut(getattr(error, "reason", "")),
        give_up=getattr(error, "give_up", False),
    )


def from_message(message: Error) -> WardroundError:
    """Return the error that a message carries, of its own class; one that is not known here keeps its exit code."""
    kind = KINDS.get(message.type, WardroundError)
    error = kind.__new__(kind, message.what)
    WardroundError.__init__(error, message.what, where=message.where, do=message.do)
    given: dict[str, object] = {}
    if kind is WardroundError:
        given = {"kind": message.kind, "exit_code": message.exit_code}
    if isinstance(error, errors.StudyError):
        given["faults"] = tuple(message.faults) or (message.what,)
    if isinstance(error, errors.ImageRefused):
        given["reason"] = message.reason
    if isinstance(error, errors.RoundError):
        given["give_up"] = message.give_up
    error.__dict__.update(given)
    return error


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"


def _some(texts: list[str]) -> list[str]:
    """Return as many as fit, each being told in ``what`` as well."""
    kept, room = [], LONGEST_TEXT
    for text in texts:
        if (room := room - len(text)) < 0:
            break
        kept.append(text)
    return kept
