"""Where a hospital's images are, and what it says of them next to the images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from wardround_client.images.body_part import OTHER, is_other
from wardround_client.images.plugin_formats import formats_let_in
from wardround_client.intake.instance import Instance
from wardround_common.study.data import Data


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
    formats: tuple[str, ...] = field(default_factory=formats_let_in)
    """The formats of plug-ins that its files are read by, ``PACKAGE:PART@SHA256``: those that this process reads."""
    patients: frozenset[str] | None = field(default=None, repr=False)
    """Only these, where one folder is cut into several hospitals; None for all."""


def fitting(accepted: Iterable[Instance], data: Data) -> tuple[list[Instance], Counter[str]]:
    """Return the accepted images that a study takes by their modality and body part, and count the others by why."""
    taken, left_out = list[Instance](), Counter[str]()
    for one in accepted:
        if one.modality not in data.modalities:
            left_out["other-modality"] += 1
        elif is_other(one.body_parts, data.body_parts):
            left_out[OTHER] += 1
        else:
            taken.append(one)
    return taken, left_out
