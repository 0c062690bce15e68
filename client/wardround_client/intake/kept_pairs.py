"""The near-copies that were found before, kept in the state folder, so that a new process compares new images only.

The file names each compared image by a digest of all that the comparison depends on, and holds no likeness. It is no
larger than the images and :data:`MOST_PAIRS` pairs make it, readable by its owner only, and begins with a digest of
the rest: what is damaged, or was written by another version, is not used and is written anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wardround_client.intake.duplicates import MOST_PAIRS, NEAR_PERCENT, near_pairs, series_of
from wardround_client.intake.instance import Instance
from wardround_common.canonical import cut, joined
from wardround_common.errors import MessageError, StorageError
from wardround_common.storage import read_private, write_atomically

FILE = "near-copies"
KEPT_FROM = 4_000
"""Images: fewer are compared sooner than a file is read and written."""
_FORM = f"near-copies 1, {NEAR_PERCENT} percent".encode()
_KEY_BYTES = 16


def near_pairs_kept(instances: Sequence[Instance], state: Path) -> list[tuple[int, int]]:
    """Return what :func:`near_pairs` returns where each image is a group of its own, and keep it in ``state``.

    Images that were compared in an earlier process are not compared with one another again. A folder that cannot be
    written keeps nothing, and neither does a search that ended at :data:`MOST_PAIRS`.
    """
    everything = range(len(instances))
    if len(instances) < KEPT_FROM:
        return near_pairs(instances, everything)
    keys = [_key(instance) for instance in instances]
    if len(set(keys)) < len(keys):  # two images under one name, as no folder has them
        return near_pairs(instances, everything)
    known, pairs = _read(state / FILE)
    if not known.issuperset(keys):
        old = [place for place in everything if keys[place] in known]
        order = old + [place for place in everything if keys[place] not in known]
        new = near_pairs([instances[place] for place in order], everything, len(old))
        pairs += [(keys[order[one]], keys[order[other]]) for one, other in new]
        if len(pairs) >= MOST_PAIRS:
            return near_pairs(instances, everything)
        with suppress(StorageError):
            _write(state / FILE, keys, pairs)
    place_of = dict(zip(keys, everything, strict=True))
    here = [(place_of[one], place_of[other]) for one, other in pairs if one in place_of and other in place_of]
    return sorted((min(pair), max(pair)) for pair in here)


def _key(instance: Instance) -> bytes:
    """Name an image by what decides whether it is a near-copy of another one, and by its file."""
    parts = (instance.file, instance.likeness, repr(series_of(instance)), instance.pixel_digest)
    return hashlib.sha256(joined(*(part.encode(errors="surrogateescape") for part in parts))).digest()[:_KEY_BYTES]


def _write(file: Path, keys: Sequence[bytes], pairs: Sequence[tuple[bytes, bytes]]) -> None:
    number_of = {key: number for number, key in enumerate(keys)}
    kept = [(number_of[one], number_of[other]) for one, other in pairs if one in number_of and other in number_of]
    content = joined(_FORM, b"".join(keys), np.array(kept, "<u4").tobytes())
    write_atomically(file, hashlib.sha256(content).digest() + content, private=True, durable=False)


def _read(file: Path) -> tuple[set[bytes], list[tuple[bytes, bytes]]]:
    """Read which images were compared, and which pairs were found; nothing, if that cannot be relied on."""
    try:
        content = read_private(file, "which images here are near-copies")
        digest, rest = content[:32], content[32:]
        if hashlib.sha256(rest).digest() != digest:
            return set(), []
        form, names, numbers = cut(rest)
    except (OSError, StorageError, MessageError, ValueError):
        return set(), []
    if form != _FORM or len(names) % _KEY_BYTES or len(numbers) % 8:
        return set(), []
    keys = [names[at : at + _KEY_BYTES] for at in range(0, len(names), _KEY_BYTES)]
    places: NDArray[np.uint32] = np.frombuffer(numbers, "<u4").reshape(-1, 2)
    if places.size and places.max() >= len(keys):
        return set(), []
    return set(keys), [(keys[one], keys[other]) for one, other in places.tolist()]
