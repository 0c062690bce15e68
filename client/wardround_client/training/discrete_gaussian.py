"""Integer noise: exact samples of the discrete Gaussian, many at a time.

Canonne, Kamath and Steinke, *The discrete Gaussian for differential privacy*, NeurIPS 2020, algorithm 3: numbers from a
discrete Laplace are accepted with the ratio of the two laws. Each of the two decisions compares a random number with a
real one. It is made from 64 random bits in floating point where these leave no doubt, and by exact arithmetic with 320
bits where they do, so that the samples have the law that is written here, and not one near it.
"""

from __future__ import annotations

import math
from decimal import ROUND_FLOOR, Decimal, localcontext

import numpy as np
from numpy.typing import NDArray

from wardround_common.randomness import Stream

BLOCK = 1 << 15  # of candidates: the arrays of one block stay in a core's cache
LAPLACE_DOUBT = 2.0**-42  # of a candidate, relative to its scale: a thousand times what float64's logarithm may be off
COIN_DOUBT = 2.0**-40  # of a probability: a thousand times what float64's exponential may be off
MORE_BITS = 256
DIGITS = 150  # of the exact arithmetic: more than 320 bits and the largest scale take


def discrete_gaussian(variance: int, count: int, stream: Stream) -> NDArray[np.int64]:
    """Draw ``count`` integers (count,), each x with a probability proportional to exp(-x² / (2 · ``variance``)).

    The law is exact if the words of ``stream`` are uniform and independent; it protects only if nobody can repeat them.
    ``variance``: from 1 to 2^62.
    """
    if not 1 <= variance <= 1 << 62:
        raise ValueError("the variance of integer noise is from 1 to 2^62")
    samples = np.empty(count, np.int64)
    done = block = 0
    while done < count:
        found = _candidates(variance, stream.child("block", block))[: count - done]
        samples[done : done + len(found)] = found
        done, block = done + len(found), block + 1
    return samples


def _candidates(variance: int, stream: Stream) -> NDArray[np.int64]:
    """Return those of a block of candidates that are accepted."""
    scale = math.isqrt(variance) + 1
    words, coins = stream.words(2 * BLOCK).reshape(2, BLOCK)
    more = stream.child("more bits")

    # floor(scale · E) with E = -ln(u) exponential is the size of a discrete Laplace; a word is an interval of u.
    middle = words.astype(np.float64) + 0.5
    sizes = scale * (64 * math.log(2) - np.log(middle))
    whole = np.floor(sizes)
    doubt = scale * (LAPLACE_DOUBT + 1.0 / middle)
    size = whole.astype(np.int64)
    for at in np.flatnonzero((sizes - whole < doubt) | (whole + 1 - sizes < doubt)):
        size[at] = _exact_size(int(words[at]), scale, more)

    bits = coins >> np.uint64(1)
    chances = np.exp(-np.square(size - variance / scale) / (2.0 * variance))
    tossed = (bits.astype(np.float64) + 0.5) * 2.0**-63
    accepted = tossed < chances
    for at in np.flatnonzero(np.abs(tossed - chances) < COIN_DOUBT):
        accepted[at] = _exact_coin(int(bits[at]), int(size[at]), scale, variance, more)
    negative = (coins & np.uint64(1)).astype(bool)
    accepted &= ~(negative & (size == 0))  # or zero would come twice as often as it should
    signed: NDArray[np.int64] = np.where(negative, -size, size)[accepted]
    return signed


def _exact_size(word: int, scale: int, more: Stream) -> int:
    """Return floor(-``scale`` · ln u) for u with ``word`` as its first 64 bits and more bits behind them."""
    with localcontext(prec=DIGITS):
        u = _extended(word, 64, more)
        return int((-scale * u.ln()).to_integral_value(ROUND_FLOOR))


def _exact_coin(bits: int, size: int, scale: int, variance: int, more: Stream) -> bool:
    """Tell whether u, with ``bits`` as its first 63 bits, is below the ratio of the two laws at ``size``."""
    with localcontext(prec=DIGITS):
        away = Decimal(size * scale - variance) / scale
        return _extended(bits, 63, more) < (-away * away / (2 * variance)).exp()


def _extended(first: int, bits: int, more: Stream) -> Decimal:
    """Return the number from 0 to 1 with these first bits, and enough behind them that none is left in doubt."""
    behind = int.from_bytes(more.words(MORE_BITS // 64).tobytes(), "little")
    whole = (first << MORE_BITS | behind) * 2 + 1  # the middle of the last interval, so never 0
    return Decimal(whole) / (1 << (bits + MORE_BITS + 1))
