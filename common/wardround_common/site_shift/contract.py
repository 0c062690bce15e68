"""What a measure against the differences between hospitals is: its words, and what an outside hospital gets.

A measure is a value, ``MEASURE``, in a file of its own in this package. Its half with torch, in the client's package of
the same name, says what of a network stays at a hospital.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """What each hospital keeps of a model, beside what all of them share."""

    name: str
    """As in ``[training] personal``."""
    work: str
    """What hospitals do, as a sentence."""
    stays: str
    """What never leaves, as a sentence."""
    private: str
    """How that stands to epsilon under differential privacy with local noise, as a sentence."""
    outside: str
    """What a hospital that did not train gets, as a sentence."""
    usable: bool = True
    """Whether the shared model can be used as it is where nobody trained."""
    beside: bool = False
    """Whether what stays is a whole model beside the shared one, and not a part of it."""
