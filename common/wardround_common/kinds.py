"""Kinds of Python values as a sentence has them, each with its article."""

from __future__ import annotations

import re

_AN = re.compile(r"[AEFHILMNORSX](?=[A-Z])|nd|[AEIOaeio]|[Uu]n(?!i)")  # as it is spoken: an LSTM, an ndarray, a UNet


def with_article(name: str) -> str:
    """Put "a" or "an" before a type's name: an int, a Tensor, an ndarray."""
    return f"{'an' if _AN.match(name) else 'a'} {name}"


def kind_of(value: object) -> str:
    """Say of what kind a value is, never the value, which may be a patient's: "an int", "None"."""
    return "None" if value is None else with_article(type(value).__name__)
