"""Which hospitals of a cohort share secrets with which: the graph of a sum (docs/secagg.md, section 6)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

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
    """

    hospitals: int
    threshold: int

    @property
    def degree(self) -> int:
        """How many neighbours each hospital has."""
        even = self.threshold + self.threshold % 2
        return self.hospitals - 1 if self.hospitals <= ALL_UP_TO else min(self.hospitals - 1, even)

    @property
    def circle(self) -> int:
        """How many secrets a hospital deals, and to how many: its neighbours and itself."""
        return self.degree + 1

    @property
    def share_threshold(self) -> int:
        """How many shares give a secret: more than may collude, and no more than are there when t hospitals answer."""
        return self.threshold if self.circle == self.hospitals else 2 * self.threshold - self.hospitals

    def circle_of(self, place: int) -> tuple[int, ...]:
        """Name a hospital and its neighbours, in order: who holds its shares, and whose shares it holds."""
        return _circle(self.hospitals, self.degree, place)

    def opened(self, dealer: int, survivors: tuple[int, ...]) -> list[int]:
        """Name the places of a survivor's secrets that open a sum: its self-mask, and the seeds with the dropped."""
        return [place for place in self.circle_of(dealer) if place == dealer or place not in survivors]


@lru_cache(maxsize=4096)
def _circle(hospitals: int, degree: int, place: int) -> tuple[int, ...]:
    if degree == hospitals - 1:
        return tuple(range(hospitals))
    reach = degree // 2
    return tuple(sorted((place + step) % hospitals for step in range(-reach, reach + 1)))
