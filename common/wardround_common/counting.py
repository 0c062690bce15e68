"""Numbers with their nouns."""

from __future__ import annotations


def count(value: int, noun: str, plural: str = "") -> str:
    """Write a number of things: 1 hospital, 2 hospitals, 12,000 images."""
    return f"{value:,} {noun if value == 1 else plural or noun + 's'}"
