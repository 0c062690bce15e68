"""The graph of a cohort of more than 100 hospitals: few neighbours each, and how likely that is to fail (section 15).

Hospitals are put in an order that a seed draws, on a circulant graph whose second eigenvalue is computed. What holds
for every choice of drop-outs follows from the eigenvalue, without any chance. What depends on who colludes, and on who
drops out by accident, are tails of the hypergeometric distribution, computed exactly. Sources: Bell et al., *Secure
single-server aggregation with (poly)logarithmic overhead*, CCS 2020; the mixing lemma of Alon and Chung, *Explicit
construction of linear sized tolerant networks*, Discrete Mathematics 72, 1988.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

CIRCLE_UP_TO = 100
"""Hospitals of a cohort whose graph needs no chance (``neighbours``)."""
COLLUDING_PART, DROPPING_PART = 20, 10
"""One hospital in 20 may side with the coordinator, and one in 10 may drop out, unless a study states more."""
LEAK_BITS, LOST_BITS = 40, 20
"""The graph lets an honest hospital down with a probability of at most 2^-40; drop-outs by accident lose a sum with at
most 2^-20."""
TRIED_BITS = 48
"""Graphs that a coordinator and its colluders may try before they settle on one: the 2^-40 holds after 2^48 of them."""
STRETCH = 1 << 17
"""Rounds of HMAC-SHA256 that one graph costs (PBKDF2): 2^48 graphs are 2^65 of them."""
_LEAST_DEGREE, _STEP, _TRIES = 20, 2, 16


@dataclass(frozen=True)
class Form:
    """How many neighbours and shares a cohort needs, and what remains to chance."""

    hospitals: int
    threshold: int
    colluders: int
    """Hospitals that may side with the coordinator, chosen before the graph is known."""
    dropouts: int
    """Hospitals that may drop out by accident, whoever they are, before a sum is likely to be lost."""
    degree: int
    share_threshold: int
    around: int
    """The most colluders among the neighbours of an honest hospital; more are as unlikely as ``leak`` says."""
    leak: float
    """Probability, over the seed, that some honest hospital has more than ``around`` colluding neighbours."""
    lost: float
    """Probability that some hospital has too few neighbours left to open its seeds, if ``dropouts`` drop out."""


@lru_cache(maxsize=64)
def form_of(hospitals: int, threshold: int, colluders: int = 0, dropouts: int = 0) -> Form | None:
    """Return the form with the fewest neighbours that keeps the bounds; None if a circle needs no more than that.

    ``colluders`` and ``dropouts`` are what a study states; the parts above are the least.
    """
    if hospitals <= CIRCLE_UP_TO:
        return None
    colluders = max(colluders, colluders_of(hospitals))
    dropouts = min(hospitals - threshold, max(dropouts, hospitals // DROPPING_PART))
    for degree in range(_LEAST_DEGREE, min(hospitals - 1, threshold), _STEP):
        around = _most_colluders(hospitals, colluders, degree)
        share_threshold = around + 2 + _inside(hospitals, threshold - colluders, degree)
        lost = hospitals * _tail(hospitals - 1, dropouts, degree, degree + 2 - share_threshold)
        if share_threshold <= degree and lost <= 2.0**-LOST_BITS:
            leak = hospitals * _tail(hospitals - 1, colluders, degree, around + 1)
            return Form(hospitals, threshold, colluders, dropouts, degree, share_threshold, around, leak, lost)
    return None


def colluders_of(hospitals: int) -> int:
    """Return how many hospitals of a large cohort may collude if its study states nothing; 0 of a small one."""
    return hospitals // COLLUDING_PART if hospitals > CIRCLE_UP_TO else 0


def offsets(hospitals: int, degree: int) -> tuple[int, ...]:
    """Return how far the neighbours on one side are along the circle: of some choices, that of the best eigenvalue."""
    return _best(hospitals, degree)[1]


def eigenvalue(hospitals: int, degree: int) -> int:
    """Return the graph's second eigenvalue by its size, in thousandths, rounded up."""
    return _best(hospitals, degree)[0]


@lru_cache(maxsize=16)
def ordered(hospitals: int, seed: bytes) -> tuple[int, ...]:
    """Return the places of the hospitals in the order in which they stand on the circle, drawn by ``seed``."""
    drawn = hashlib.shake_256(seed).digest(16 * hospitals)
    return tuple(sorted(range(hospitals), key=lambda place: drawn[16 * place : 16 * place + 16]))


@lru_cache(maxsize=16)
def circles(hospitals: int, degree: int, seed: bytes) -> tuple[tuple[int, ...], ...]:
    """Return each hospital's neighbours and itself, by place, in order."""
    order, steps = ordered(hospitals, seed), offsets(hospitals, degree)
    around = {
        place: tuple(sorted({place, *(order[(at + step) % hospitals] for one in steps for step in (one, -one))}))
        for at, place in enumerate(order)
    }
    return tuple(around[place] for place in range(hospitals))


@lru_cache(maxsize=4096)
def _best(hospitals: int, degree: int) -> tuple[int, tuple[int, ...]]:
    found = []
    for number in range(_TRIES):
        steps = _steps(hospitals, degree, number)
        there = np.zeros(hospitals)
        there[steps] = there[hospitals - steps] = 1
        # A circulant's eigenvalues are the Fourier transform of its first row.
        found.append((math.ceil(1000 * float(np.abs(np.fft.fft(there).real[1:]).max()) + 1e-3), tuple(steps.tolist())))
    return min(found, key=lambda one: one[0])


def _steps(hospitals: int, degree: int, number: int) -> NDArray[np.int64]:
    """Draw a choice of offsets from nothing but its number: nobody chose it."""
    most = (hospitals - 1) // 2
    drawn = hashlib.shake_256(f"wardround offsets {hospitals} {degree} {number}".encode()).digest(8 * most)
    return np.sort(np.argsort(np.frombuffer(drawn, "<u8"), kind="stable")[: degree // 2] + 1)


def _most_colluders(hospitals: int, colluders: int, degree: int) -> int:
    """Return the least number that no honest hospital's colluding neighbours exceed, but for the allowed chance."""
    total, allowed = math.comb(hospitals - 1, degree), 1 << (LEAK_BITS + TRIED_BITS)
    above = 0
    for number in range(min(colluders, degree), -1, -1):
        above += _ways(hospitals - 1, colluders, degree, number)
        if above * hospitals * allowed > total:
            return number
    return 0


def _inside(hospitals: int, honest: int, degree: int) -> int:
    """Return the most neighbours that hospitals cut off from the others can have among themselves, on average.

    ``honest`` are the fewest honest hospitals on a list. If A and B are all of them and no two are neighbours, the
    mixing lemma bounds |A||B|, so the smaller part has at most ``cut`` hospitals, and then the number of neighbours
    within it.
    """
    second = eigenvalue(hospitals, degree)
    cut = 0
    for part in range(1, honest // 2 + 1):
        apart = part * (honest - part) * degree**2 * 10**6
        if apart <= second**2 * (hospitals - part) * (hospitals - honest + part):
            cut = part
    if not cut:
        return 0
    return min(cut - 1, (1000 * degree * cut + second * (hospitals - cut)) // (1000 * hospitals))


def _ways(others: int, marked: int, drawn: int, number: int) -> int:
    return math.comb(marked, number) * math.comb(others - marked, drawn - number)


def _tail(others: int, marked: int, drawn: int, least: int) -> float:
    """Return the probability of at least ``least`` marked ones among those drawn without replacement, rounded up."""
    ways = sum(_ways(others, marked, drawn, number) for number in range(max(0, least), min(marked, drawn) + 1))
    return math.nextafter(ways / math.comb(others, drawn), 1.0) if ways else 0.0
