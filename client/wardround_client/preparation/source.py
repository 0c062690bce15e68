"""Where a hospital's images are, and what it says of them next to the images."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Source:
    """Where a hospital's images and labels are, and which of its patients take part."""

    folder: Path = field(repr=False)
    state: Path = field(repr=False)
    """Where the index and the prepared images are kept: in the hospital, readable by nobody else."""
    labels: Path | None = field(default=None, repr=False)
    label_attribute: str | None = None
    allow: frozenset[str] = frozenset()
    confirmed: frozenset[str] = frozenset()
    """The guesses of who is a patient that the hospital confirms (``confirm_patients``)."""
    arrays: str = ""
    """Of images that are arrays already, their digest: the folder is where they are kept (``preparation.tensors``)."""
    patients: frozenset[str] | None = field(default=None, repr=False)
    """Only these, where one folder is cut into several hospitals; None for all."""
