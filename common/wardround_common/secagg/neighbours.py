"""Which hospitals of a cohort share secrets with which: the graph of a sum (docs/secagg.md, section 6)."""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from wardround_common.secagg.expander import CIRCLE_UP_TO, Form, circles, form_of

ALL_UP_TO = 20
"""Hospitals of a cohort in which each shares secrets with every other one."""


@dataclass(frozen=True)
class Graph:
    """The neighbours in a cohort of a given size, for a given threshold.

    Up to 20 hospitals all are neighbours. Beyond, hospitals stand in a circle in the order of their places, and each
    has the ``degree``/2 next ones on either side (Harary, *The maximum connectivity of a graph*, PNAS 48, 1962): such a
    circle falls apart only if ``degree`` of its hospitals are taken out. Those who may drop out, n - t, and those who
    may collude, 2t - n - 1, are one fewer, *whichever they are*: nobody can choose drop-outs so that a smaller sum of
    honest hospitals is left to read.

    Beyond 100 the neighbours are those of ``form``, in an order that ``seed`` draws (section 15). The same then holds
    as long as no list is opened that leaves somebody on it with fewer than ``share_threshold`` of its circle.
    """

    hospitals: int
    threshold: int
    colluders: int = 0
    """What the study states, as with drop-outs; it matters beyond 100 hospitals only."""
    dropouts: int = 0
    seed: bytes = field(default=b"", repr=False)

    @cached_property
    def form(self) -> Form | None:
        """What is left to chance in a large cohort; None if nothing is."""
        return form_of(self.hospitals, self.threshold, self.colluders, self.dropouts)

    @property
    def degree(self) -> int:
        """How many neighbours each hospital has."""
        if self.form:
            return self.form.degree
        even = self.threshold + self.threshold % 2
        return self.hospitals - 1 if self.hospitals <= ALL_UP_TO else min(self.hospitals - 1, even)

    @property
    def circle(self) -> int:
        """How many secrets a hospital deals, and to how many: its neighbours and itself."""
        return self.degree + 1

    @property
    def share_threshold(self) -> int:
        """How many shares give a secret: more than may collude, and no more than are there when t hospitals answer."""
        if self.form:
            return self.form.share_threshold
        return self.threshold if self.circle == self.hospitals else 2 * self.threshold - self.hospitals

    @property
    def may_collude(self) -> int:
        """How many hospitals may side with the coordinator, or with one another, as sections 6 and 15 assume."""
        return self.form.colluders if self.form else 2 * self.threshold - self.hospitals - 1

    def circle_of(self, place: int) -> tuple[int, ...]:
        """Name a hospital and its neighbours, in order: who holds its shares, and whose shares it holds."""
        if self.form:
            return circles(self.hospitals, self.form.degree, self.seed)[place]
        return _circle(self.hospitals, self.degree, place)

    def deserted(self, survivors: Collection[int]) -> bool:
        """Tell whether a list leaves somebody on it with too few of its circle: neither may it be confirmed, nor can it
        be opened.
        """
        if not self.form:
            return False  # too few for that are too few for the threshold
        here = np.zeros(self.hospitals, bool)
        here[list(survivors)] = True
        return bool((here[self._around].sum(axis=1)[here] < self.share_threshold).any())

    @cached_property
    def _around(self) -> NDArray[np.int64]:
        return np.array([self.circle_of(place) for place in range(self.hospitals)])  # (hospitals, circle)

    def opened(self, survivors: frozenset[int]) -> Mapping[int, tuple[int, ...]]:
        """Name by survivor the places of its secrets that open a sum: its self-mask, and the seeds with the dropped."""
        return _opened(self, survivors)


@lru_cache(maxsize=4)
def _opened(graph: Graph, survivors: frozenset[int]) -> Mapping[int, tuple[int, ...]]:
    dropped = frozenset(range(graph.hospitals)) - survivors
    return {dealer: tuple(sorted({dealer, *dropped.intersection(graph.circle_of(dealer))})) for dealer in survivors}


def written_places(hospitals: int, *places: int) -> bytes:
    """Return places of a cohort as bytes: one each, two in a cohort of more than 100 hospitals."""
    return bytes(places) if hospitals <= CIRCLE_UP_TO else struct.pack(f">{len(places)}H", *places)


def read_places(content: bytes, hospitals: int) -> tuple[int, ...]:
    """Read what :func:`written_places` wrote."""
    size = place_bytes(hospitals)
    return tuple(int.from_bytes(content[at : at + size], "big") for at in range(0, len(content), size))


def place_bytes(hospitals: int) -> int:
    """Return how many bytes a place takes."""
    return len(written_places(hospitals, 0))


@lru_cache(maxsize=4096)
def _circle(hospitals: int, degree: int, place: int) -> tuple[int, ...]:
    if degree == hospitals - 1:
        return tuple(range(hospitals))
    reach = degree // 2
    return tuple(sorted((place + step) % hospitals for step in range(-reach, reach + 1)))
