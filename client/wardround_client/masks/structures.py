"""Which structure of the study a name or a number in a mask means.

The study's own words are taken as they are. A hospital whose masks say otherwise states its words; nothing is guessed,
and a structure that nobody has given a meaning is an error rather than background: it may be the tumour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import ImageRefused

LEFT_OUT = ""
"""As a meaning: this structure is none of the study's, and its voxels are background."""
MOST = 255


@dataclass(frozen=True)
class Structures:
    """The structures that a study outlines, and a hospital's words for them."""

    classes: tuple[str, ...]
    """The first one is 1 in every mask, and so on; 0 is background."""
    words: Mapping[str, str] = field(default_factory=dict)
    """A word of the hospital's masks, or a pattern with ``*``, in any case: a class of the study, or ``LEFT_OUT``."""

    def __post_init__(self) -> None:
        if not 0 < len(self.classes) <= MOST:
            raise ValueError(f"a study has 1 to {MOST} structures")
        if unknown := {meaning for meaning in self.words.values() if meaning != LEFT_OUT} - {*self.classes}:
            raise ValueError(f"{min(unknown)!r} is not one of the study's structures: {', '.join(self.classes)}")

    def number(self, *names: str) -> int:
        """Return the class of a structure by any of its names, from 1; 0 where the hospital leaves it out.

        Raises:
            ImageRefused: ``unknown-class``.
        """
        for name in names:
            for pattern, meaning in self.words.items():
                if fnmatchcase(_plain(name), _plain(pattern)):
                    return 0 if meaning == LEFT_OUT else self.classes.index(meaning) + 1
        for name in names:
            for number, known in enumerate(self.classes, 1):
                if _plain(name) == _plain(known):
                    return number
        raise ImageRefused(
            "unknown-class",
            "the mask outlines a structure that is not in the study",
            do=f"Say which of the study's it is ({', '.join(self.classes)}), or that it is to be left out.",
        )

    def value(self, value: int) -> int:
        """Return the class of a voxel value: what the hospital says of it, else the value itself.

        Raises:
            ImageRefused: ``unknown-class``.
        """
        if value == 0:
            return 0
        if any(fnmatchcase(str(value), _plain(pattern)) for pattern in self.words) or value not in self._numbers:
            return self.number(str(value))
        return value

    @property
    def _numbers(self) -> range:
        return range(1, len(self.classes) + 1)


def classes_of(values: NDArray[Any], structures: Structures, *, where: str) -> NDArray[np.uint8]:
    """Return the class of each value, uint8 in the shape of ``values``.

    Raises:
        ImageRefused: ``not-whole-numbers`` or ``unknown-class``.
    """
    found = np.unique(values)
    if not np.isfinite(found).all():
        raise ImageRefused(
            "not-whole-numbers",
            "some of its values are not numbers (NaN): nothing says whether a structure is there",
            where=where,
            do="Export it as integers, with 0 where nothing is outlined.",
        )
    if (found != np.rint(found)).any() or found[0] < 0 or len(found) > MOST + 1:
        raise ImageRefused(
            "not-whole-numbers",
            "its values are not the numbers of structures: it was scaled, resampled or is an image",
            where=where,
            do="Export it as integers, resampled by nearest neighbour if at all.",
        )
    table = np.array([structures.value(int(value)) for value in found], np.uint8)
    return table[np.searchsorted(found, values)]


def _plain(word: str) -> str:
    return " ".join(word.casefold().split())
