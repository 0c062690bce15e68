"""The Gaussian noise of a private step, made by threads of its own while the step computes, and added exactly.

Sum and noise are whole multiples of one unit, a power of two that is tiny beside the noise, and are added as such: what
comes out is a function of their sum alone, so that no pattern of floating-point values gives away what the noise was
added to (Mironov, *On significance of the least significant bits for differential privacy*, CCS 2012). The law of the
noise is a Gaussian's, computed in float64 and rounded to the unit. A pair of numbers has an angle of 52 random bits and
a length of 76, the low ones of which matter where lengths are far apart, in one pair in 32,768: with 52 a long pair has
one of few lengths, and by these tells what it was added to (docs/adr/0106-rare-lengths.md). It ends at 10.26 standard
deviations: an approximation, and no proof.

The numbers are Box and Muller's (1958), from blocks of the stream, each a child of its own: they are the same on any
number of threads. On a card the threads make the cipher's words, and the card makes numbers of them; its logarithm and
sine may differ in their last bit, so one number in many thousands is another by one unit.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np
import torch
from numpy.typing import NDArray

from wardround_common.randomness import Stream

CHUNK = 2**13
"""Pairs that are worked on at a time, so that they stay in the cache: as many lengths, then as many angles."""
BLOCK = 16 * 2 * CHUNK
"""Numbers that one child of the stream gives."""
FINE = 36
"""The unit is the power of two that is this many powers below the noise's standard deviation."""
ONE, FRACTION = 0x3FF0_0000_0000_0000, 0x000F_FFFF_FFFF_FFFF
"""The bits of 1.0, and those of a float64 that stand behind the point: together a number in [1, 2)."""
RARE = np.uint64(2**48)
"""A signed word is below it in size if its first 16 bits are all alike: it is that of a very short or long length."""


@dataclass(frozen=True, eq=False)
class Pending:
    """One step's noise on its way."""

    scale: float
    """Its standard deviation."""
    blocks: Sequence[Future[torch.Tensor]] = field(repr=False)
    """Each of ``BLOCK`` numbers, the last of fewer, or for a card of words."""
    device: torch.device

    @property
    def unit(self) -> float:
        """What sum and noise are whole multiples of."""
        return unit_of(self.scale)

    def add(self, sums: Sequence[torch.Tensor], divisor: float) -> list[torch.Tensor]:
        """Add the noise to tensors that have as many numbers as it has, divide, and return tensors like them."""
        made = [block.result() for block in self.blocks]
        if self.device.type == "cuda":
            words = torch.cat([block.to(self.device, non_blocking=True) for block in made])
            return self._together(sums, in_units(words, self.scale), divisor)
        begins = accumulate((each.numel() for each in sums), initial=0)
        return [self._added(each, made, begin, divisor) for each, begin in zip(sums, begins, strict=False)]

    def _together(self, sums: Sequence[torch.Tensor], noise: torch.Tensor, divisor: float) -> list[torch.Tensor]:
        """Add it on a card to all tensors at once: to start an operation there takes longer than most of them last."""
        flat = torch.cat([each.reshape(-1) for each in sums])
        whole = flat.double().mul_(1 / self.unit).round_()
        found = whole.add_(noise[: len(flat)]).mul_(self.unit / divisor).to(flat.dtype)
        parts = found.split([each.numel() for each in sums])  # type: ignore[no-untyped-call]  # torch's own method
        return [part.view(each.shape).to(each.dtype) for part, each in zip(parts, sums, strict=True)]

    def _added(self, one: torch.Tensor, noise: Sequence[torch.Tensor], begin: int, divisor: float) -> torch.Tensor:
        """Add to a tensor the numbers that begin with this one of the blocks'."""
        if one.device.type != "cpu":  # such as mps, which has no float64
            return self._added(one.cpu(), noise, begin, divisor).to(one.device)
        flat = one.reshape(-1)
        result = torch.empty_like(flat)
        start = 0
        while start < len(flat):
            block, first = divmod(begin + start, BLOCK)
            part = slice(start, start + min(4 * CHUNK, BLOCK - first, len(flat) - start))
            whole = flat[part].to(torch.float64, copy=True).mul_(1 / self.unit).round_()
            result[part] = whole.add_(noise[block][first : first + len(whole)]).mul_(self.unit / divisor)
            start = part.stop
        return result.view(one.shape)


class NoiseMaker:
    """Makes noise in threads of its own, for steps that each need as many numbers; one step's at a time."""

    def __init__(self, pool: ThreadPoolExecutor, count: int, scale: float, device: torch.device) -> None:
        self._pool, self._scale, self._device = pool, scale, device
        sizes = [min(BLOCK, count - start) for start in range(0, count, BLOCK)]
        self._pairs = [-(-size // 2) for size in sizes]  # of each block
        # asked for once, since new memory costs as much as the numbers; in blocks, which a round leaves to the next one
        here = [] if device.type == "cuda" else self._pairs
        self._blocks = [torch.empty(2 * pairs, dtype=torch.float64) for pairs in here]

    def begin(self, stream: Stream) -> Pending:
        """Begin to make one step's noise from a stream, when that of the step before has been added."""
        children = [stream.child("block", number) for number in range(len(self._pairs))]
        if self._device.type == "cuda":
            made = [self._pool.submit(words_of, *each) for each in zip(children, self._pairs, strict=True)]
        else:
            blocks = zip(children, self._blocks, strict=True)
            made = [self._pool.submit(write_numbers, *each, self._scale) for each in blocks]
        return Pending(self._scale, made, self._device)


@contextmanager
def noise_maker(count: int, scale: float, device: torch.device, threads: int | None = None) -> Iterator[NoiseMaker]:
    """Start threads that make noise of ``count`` numbers with this standard deviation, above 0; end them afterwards."""
    few = max(1, min(4, (os.cpu_count() or 1) // 2))
    with ThreadPoolExecutor(threads or few, thread_name_prefix="noise") as pool:
        yield NoiseMaker(pool, count, scale, device)


def unit_of(scale: float) -> float:
    """Return the unit of noise of a standard deviation."""
    return math.ldexp(1.0, math.frexp(scale)[1] - FINE)


def write_numbers(stream: Stream, noise: torch.Tensor, scale: float) -> torch.Tensor:
    """Write whole numbers, noise in units, into a float64 tensor of an even number of them, and return it."""
    ratio = scale / unit_of(scale)
    words, values = np.empty(2 * CHUNK, np.uint64), torch.empty(2, CHUNK, dtype=torch.float64)
    for part in noise.split(2 * CHUNK):  # type: ignore[no-untyped-call]  # torch's own method is untyped
        pairs = len(part) // 2
        drawn, (length, angle) = words[: 2 * pairs], values[:, :pairs]
        stream.fill(drawn)
        at = np.flatnonzero(drawn[:pairs] + RARE < 2 * RARE)  # modulo 2^64
        rare = torch.from_numpy(drawn.view(np.int64).reshape(2, pairs)[:, at]) if len(at) else None  # as in most chunks
        uniform = torch.from_numpy(_from_one_to_two(drawn)).view(2, pairs)
        radius = length.numpy()
        np.subtract(2.0, uniform[0].numpy(), out=radius)
        np.log(radius, out=radius)  # NumPy's logarithm is the faster one, torch's sine and cosine are
        np.multiply(radius, -2.0, out=radius)
        if rare is not None:
            radius[at] = _rare_squares(rare[0], rare[1]).numpy()
        np.sqrt(radius, out=radius)
        length.mul_(ratio)
        torch.sub(uniform[1], 1.0, out=angle).mul_(2 * math.pi)
        torch.cos(angle, out=part[:pairs]).mul_(length).round_()
        torch.sin(angle, out=part[pairs:]).mul_(length).round_()
    return noise


def words_of(stream: Stream, pairs: int) -> torch.Tensor:
    """Return the words (2 · pairs,) that the card makes a block's numbers of, int64, in pinned memory."""
    words = torch.empty(2 * pairs, dtype=torch.int64, pin_memory=True)
    stream.fill(words.numpy().view(np.uint64))
    return words


def in_units(words: torch.Tensor, scale: float) -> torch.Tensor:
    """Make of words, block after block, what :func:`write_numbers` writes for each block, on the words' device."""
    ratio = scale / unit_of(scale)
    full = len(words) // (2 * CHUNK) * 2 * CHUNK
    parts = [words[:full].view(-1, 2, CHUNK), words[full:].view(1, 2, (len(words) - full) // 2)]
    return torch.cat([_numbers(part, ratio).view(-1) for part in parts])


def _numbers(words: torch.Tensor, ratio: float) -> torch.Tensor:
    """Return (chunks, 2, pairs) numbers of as many words."""
    uniform = ((words >> 12) & FRACTION | ONE).view(torch.float64)
    square = (2.0 - uniform[:, 0]).log_().mul_(-2.0)
    first = words[:, 0]
    rare = (first >= -int(RARE)) & (first < int(RARE))
    radius = torch.where(rare, _rare_squares(first, words[:, 1]), square).sqrt_().mul_(ratio)
    angle = (uniform[:, 1] - 1.0).mul_(2 * math.pi)
    return torch.stack([angle.cos().mul_(radius), angle.sin().mul_(radius)], dim=1).round_()


def _rare_squares(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return -2 ln(1 - v) for v of 76 bits: a pair's first word, and behind it the last 12 bits of its second.

    The words are int64, and the first is rare (:data:`RARE`): v is near 0, or, of a negative one, 1 - v is.
    """
    signed = first.double().add_((second & 0xFFF).double(), alpha=2.0**-12).mul_(2.0**-64)
    return torch.where(signed < 0, signed.abs().log(), torch.log1p(-signed)).mul_(-2.0)


def _from_one_to_two(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Turn words into numbers in [1, 2), multiples of 2^-52, where they are."""
    np.right_shift(words, np.uint64(12), out=words)
    np.bitwise_or(words, np.uint64(ONE), out=words)
    return words.view(np.float64)
