"""The gradient of a weight for each owner of records: made, or kept as the two factors that it is a product of.

A layer's weight gradient for one record is a sum over positions (pixels, tokens) of outer products, of the gradient at
the layer's output and what the layer was given: G = sum over t of l(t) r(t)^T. Its norm and weighted sums of it can be
had without making it (Goodfellow, arXiv:1510.01799; Bu et al., arXiv:2205.10683). An owner has one record or several,
and their gradients add up before the norm.

Shapes: ``records`` come in order of their owners; factors are (owners, groups, size, positions).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

import torch

CHUNK_BYTES = {"cpu": 16 << 20, "cuda": 512 << 20}
"""What one step of a computation over owners may hold at a time; more than that is cut into several steps."""
CACHED_BYTES = 2 << 20
"""What Gram matrices may hold at a time on a CPU: they are gone over several times, and so stay in the cache."""


@dataclass(frozen=True, eq=False)
class Owners:
    """Whose the records of a batch are: ``counts`` of them in a row for each owner."""

    counts: tuple[int, ...]
    starts: tuple[int, ...]
    """(owners + 1,): where the records of each begin, and their number."""
    owner: torch.Tensor
    """(records,): the owner of each."""
    place: torch.Tensor
    """(records,): where each stands in a table with one line for each owner, as long as the longest needs."""

    @classmethod
    def of(cls, counts: tuple[int, ...], device: torch.device) -> Owners:
        """Note who owns the records of a batch on ``device``."""
        owner = [number for number, count in enumerate(counts) for _ in range(count)]
        place = [number * max(counts) + nth for number, count in enumerate(counts) for nth in range(count)]
        both = torch.tensor([owner, place])
        both = (both.pin_memory() if device.type == "cuda" else both).to(device, non_blocking=True)
        return cls(counts, (0, *accumulate(counts)), both[0], both[1])

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def records(self) -> int:
        """How many records there are."""
        return self.starts[-1]

    @property
    def most(self) -> int:
        """How many records the owner of most has."""
        return max(self.counts)

    def records_of(self, some: slice) -> slice:
        """Return where the records of some owners in a row are."""
        return slice(self.starts[some.start], self.starts[some.stop])

    def table(self, rows: torch.Tensor, some: slice) -> torch.Tensor:
        """Put some owners' records, (records, *shape), side by side, with zeros behind: (owners, most, *shape)."""
        shape = rows.shape[1:]
        if min(self.counts) == self.most:
            return rows.reshape(some.stop - some.start, self.most, *shape)
        place = self.place[self.records_of(some)] - some.start * self.most
        flat = rows.new_zeros((some.stop - some.start) * self.most, *shape)
        return flat.index_copy_(0, place, rows).view(-1, self.most, *shape)

    def add(self, rows: torch.Tensor) -> torch.Tensor:
        """Add up the rows of each owner: (records, *shape) to (owners, *shape)."""
        return rows if self.most == 1 else self.table(rows, slice(0, len(self))).sum(1)

    def chunks(self, bytes_each: int, device: torch.device, *, cached: bool = False) -> Iterator[slice]:
        """Cut the owners into runs that need no more memory at a time than allowed, or than stays in the cache."""
        most = CACHED_BYTES if cached and device.type == "cpu" else CHUNK_BYTES.get(device.type, 64 << 20)
        size = max(1, most // max(1, bytes_each))
        for start in range(0, len(self), size):
            yield slice(start, min(start + size, len(self)))


WRITTEN = 64
"""What it costs to write a number to memory and read it again, in multiplications."""
UNFOLDED = 100
"""What it costs to lay out a number for a product in double precision."""
SHIFTED = 100
"""What it costs to add a number to another in a table of double precision, shifted."""
ROUNDING = 1024
"""Of a number's last digit: how far a sum of products is taken to be from its value, in the size that the products have
together. Sums of up to a million products, made to be rounded badly, were up to 122 away."""


@dataclass(frozen=True)
class Costs:
    """What the ways to a norm take of each owner, in multiplications: by shapes alone, on this machine and others."""

    made: float
    """To make the gradient."""
    squares: float
    """To have its norm from Gram matrices."""
    total: float
    """To have its part in a weighted sum from the factors."""


@dataclass(frozen=True, eq=False)
class Made:
    """A gradient for each owner, (owners, *shape of the weight), at least float32."""

    rows: torch.Tensor

    def squares(self) -> torch.Tensor:
        """Return the squared norm of each owner's: (owners,)."""
        squares: torch.Tensor = torch.linalg.vector_norm(self.rows.flatten(1), dim=1).square()
        return squares

    def rounding(self) -> torch.Tensor:
        """Return the square of how far what is added of each owner may be from its gradient: (owners,)."""
        return self.squares() * (ROUNDING * torch.finfo(self.rows.dtype).eps) ** 2

    def total(self, factors: torch.Tensor) -> torch.Tensor:
        """Return the sum over owners, each multiplied with a factor: ``factors`` (owners,)."""
        total: torch.Tensor = factors.to(self.rows.dtype) @ self.rows.flatten(1)
        return total.view(self.rows.shape[1:])

    def made(self, some: slice) -> torch.Tensor:
        """Return the gradients of some owners."""
        return self.rows[some]


class Product(ABC):
    """A gradient for each owner as the product of two factors, which are all that is kept of one call of a layer."""

    owners: Owners
    shape: torch.Size
    """The weight's."""
    dtype: torch.dtype
    """That in which all is computed: the weight's, and at least float32."""
    device: torch.device
    positions: int
    """In one record."""
    left: int
    """Size of the left factor, all groups together."""
    right: int
    kept: int
    """How many numbers are kept of the call."""

    def costs(self) -> Costs:
        """Return what the ways to its norm take of an owner."""
        length = self.positions * self.owners.most
        product, sides = length * self.size, self.left + self.right
        return Costs(product + WRITTEN * self.size, 2 * length**2 * sides + UNFOLDED * length * sides, product)

    @abstractmethod
    def factors(self, some: slice) -> tuple[torch.Tensor, torch.Tensor]:
        """Return both factors of some owners, (owners, groups, size, positions)."""

    @abstractmethod
    def sides(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the squared norms of both factors, or more than they are: (owners,) each."""

    @abstractmethod
    def total(self, factors: torch.Tensor) -> torch.Tensor:
        """Return the sum over owners, each multiplied with a factor: ``factors`` (owners,)."""

    def made(self, some: slice) -> torch.Tensor:
        """Return the gradients of some owners: (owners, *shape)."""
        left, right = self.factors(some)
        return (left @ right.mT).reshape(-1, *self.shape)

    def squares(self) -> torch.Tensor:
        """Return the squared norm of each owner's gradient, from the factors' Gram matrices: (owners,).

        In double precision, since much cancels in a product of Gram matrices: in single precision a norm may be too
        small by more than rounding, and what is clipped by it then exceeds its bound.
        """
        found = []
        for some in self.owners.chunks(8 * self.size_grams, self.device, cached=True):
            left, right = self.grams(some)
            found.append((left * right).sum((1, 2, 3)))
        return torch.cat(found).clamp_(min=0).to(self.dtype)

    def rounding(self) -> torch.Tensor:
        """Return the square of how far what is added of each owner may be from its gradient: (owners,).

        Where the products of a sum cancel, little is left of them but what rounding leaves. A norm that is computed in
        another way than the sum may then be nothing beside it, and would not clip it.
        """
        left, right = self.sides()
        return (left.sqrt() * right.sqrt() * (ROUNDING * torch.finfo(self.dtype).eps)).square()

    def squares_of(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the squared norm of all numbers of each owner's records: (records, …) to (owners,)."""
        return self.owners.add(torch.linalg.vector_norm(rows.flatten(1), dim=1, dtype=self.dtype).square())

    def grams(self, some: slice) -> tuple[torch.Tensor, torch.Tensor]:
        """Return both factors' Gram matrices of some owners, (owners, groups, positions, positions) float64."""
        left, right = (factor.double() for factor in self.factors(some))
        return left.mT @ left, right.mT @ right

    @property
    def size(self) -> int:
        """How many numbers the weight has."""
        return math.prod(self.shape)

    @property
    def size_grams(self) -> int:
        """How many numbers it takes at most to have the norm of one owner from Gram matrices."""
        length = self.positions * self.owners.most
        return length * (2 * length + self.left + self.right)

    @property
    def size_made(self) -> int:
        """How many numbers it takes at most to make the gradient of one owner."""
        return self.owners.most * (self.size + self.positions * (self.left + self.right))
