"""The lesions of one patient over time: which part of one examination is which part of another, and what became of it.

Parts are compared where they lie in the patient. Two of different examinations are the same lesion if they overlap by a
tenth of either; what hangs together by that over all examinations is one lesion, so that it may split, merge, vanish
and come back. Where a lesion has several parts, the long axes of these are added up, as RECIST 1.1 asks for lesions
that split (Eisenhauer et al., European Journal of Cancer 45(2), 2009, section 4.4.1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from wardround_client.tasks.outline_sizes import Lesion, parts_of
from wardround_client.volumes.geometry import Geometry

Floats = NDArray[np.float64]
State = Literal["first", "persisting", "new", "vanished", "absent", "back", "split", "merged", "outside"]
LEAST_OVERLAP = 0.1
"""Of the voxels of either part, for both to be the same lesion."""
LEAST_INSIDE = 0.5
"""Of a lesion's voxels that lie within another examination; below this it says nothing of whether it is there."""


@dataclass(frozen=True, eq=False)
class Outlined:
    """What is outlined of one structure in one examination."""

    there: NDArray[np.bool_] = field(repr=False)
    """(slices, rows, columns)."""
    geometry: Geometry
    to_first: Floats = field(repr=False)
    """(4, 4): from mm in this examination's frame to mm in that of the first one."""

    @cached_property
    def _found(self) -> tuple[NDArray[np.int32], list[Lesion]]:
        return parts_of(self.there, self.geometry)

    @property
    def labels(self) -> NDArray[np.int32]:
        """(slices, rows, columns): the number of each voxel's part from 1, 0 where there is none."""
        return self._found[0]

    @property
    def parts(self) -> list[Lesion]:
        """Its connected parts, in the order of their numbers."""
        return self._found[1]

    def index_in(self, other: Outlined) -> Floats:
        """Return the (4, 4) matrix from an index here to that of the same place of the patient in another one."""
        to_other = np.linalg.inv(other.to_first) @ self.to_first
        return np.asarray(other.geometry.inverse @ to_other @ self.geometry.affine)


@dataclass(frozen=True)
class Seen:
    """A lesion in one examination."""

    state: State
    """What became of it since the examination before: ``first`` where none before shows its place, ``outside`` where
    this one does not, ``absent`` where it is not there and was not there just before."""
    parts: tuple[int, ...]
    """The numbers of its parts there."""
    volume_ml: float
    long_mm: float
    """The long axes of its parts together."""
    short_mm: float
    """The short axes likewise."""


@dataclass(frozen=True)
class Track:
    """One lesion over all examinations."""

    seen: tuple[Seen, ...]
    """In the order of the examinations."""


def tracks_of(examinations: Sequence[Outlined]) -> list[Track]:
    """Follow every lesion over examinations in their order of time; the one that was largest first stands first."""
    starts = np.cumsum([0, *(len(one.parts) for one in examinations)])
    edges: list[tuple[int, int]] = []
    inside: dict[tuple[int, int], NDArray[np.float64]] = {}
    for a, one in enumerate(examinations):
        for b, other in enumerate(examinations):
            if a == b:
                continue
            shared, within = _shared(one, other)
            inside[a, b] = within
            sizes = np.array([part.voxels for part in one.parts], np.float64)
            for i, j in np.argwhere(shared >= LEAST_OVERLAP * np.maximum(sizes, 1)[:, None]).tolist():
                if shared[i, j]:
                    edges.append((int(starts[a]) + i, int(starts[b]) + j))
    count = int(starts[-1])
    rows, columns = ([edge[end] for edge in edges] for end in (0, 1))
    _, lesion_of = connected_components(coo_array((np.ones(len(edges)), (rows, columns)), shape=(count, count)), False)
    found = []
    for lesion in range(int(lesion_of.max(initial=-1)) + 1):
        nodes = np.flatnonzero(lesion_of == lesion)
        numbers = [
            tuple((nodes[(starts[t] <= nodes) & (nodes < starts[t + 1])] - starts[t]).tolist())
            for t in range(len(examinations))
        ]
        found.append(_track(examinations, numbers, inside))
    return sorted(found, key=lambda track: [-seen.volume_ml for seen in track.seen])


def _shared(one: Outlined, other: Outlined) -> tuple[Floats, Floats]:
    """Count the voxels of each part that lie in each part of another examination, and what part of them lies within."""
    shape = (len(one.parts), len(other.parts))
    places = np.argwhere(one.labels)
    if not len(places):
        return np.zeros(shape), np.zeros(0)
    matrix = one.index_in(other)
    at = np.rint(places @ matrix[:3, :3].T + matrix[:3, 3]).astype(np.int64)
    within = ((at >= 0) & (at < other.labels.shape)).all(axis=1)
    own = one.labels[tuple(places.T)] - 1
    theirs = np.zeros(len(places), np.int64)
    theirs[within] = other.labels[tuple(at[within].T)]
    both = theirs > 0
    shared = np.zeros(shape)
    np.add.at(shared, (own[both], theirs[both] - 1), 1)
    return shared, np.bincount(own[within], minlength=shape[0]) / np.bincount(own, minlength=shape[0])


def _track(
    examinations: Sequence[Outlined], numbers: Sequence[tuple[int, ...]], inside: Mapping[tuple[int, int], Floats]
) -> Track:
    seen: list[Seen] = []
    there = [t for t, parts in enumerate(numbers) if parts]
    for t, parts in enumerate(numbers):
        before = [earlier for earlier in there if earlier < t]
        state: State
        if not parts:
            nearest = min(there, key=lambda other: abs(other - t))
            hidden = max(inside[nearest, t][part] for part in numbers[nearest]) < LEAST_INSIDE
            state = "outside" if hidden else "vanished" if t - 1 in before else "absent"
        elif t == 0:
            state = "first"
        elif not before:
            looked = [max(inside[t, earlier][part] for part in parts) >= LEAST_INSIDE for earlier in range(t)]
            state = "new" if any(looked) else "first"
        elif t - 1 not in before:
            state = "back"
        else:
            earlier, now = len(numbers[t - 1]), len(parts)
            state = "split" if now > earlier else "merged" if now < earlier else "persisting"
        of = [examinations[t].parts[part] for part in parts]
        seen.append(
            Seen(
                state,
                tuple(part + 1 for part in parts),
                sum(part.volume_ml for part in of),
                sum(part.diameters.long_mm for part in of),
                sum(part.diameters.short_mm for part in of),
            )
        )
    return Track(tuple(seen))
