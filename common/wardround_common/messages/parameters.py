"""A model's parameters as one flat float32 vector and the layout that names its parts.

A vector is what is averaged, masked and sent; the layout travels once. Saved as safetensors with the study digest.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import ModelError

Vector = NDArray[np.float32]  # (parameters,)
WEIGHTS_DOMAIN = b"wardround weights 1\n"


@dataclass(frozen=True)
class Layout:
    """Names and shapes of a model's floating-point tensors, in the order in which the vector holds them."""

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]

    @cached_property
    def size(self) -> int:
        """Length of the vector."""
        return sum(math.prod(shape) for shape in self.shapes)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over names and shapes: two models with the same digest have interchangeable vectors."""
        text = "\n".join(f"{name} {list(shape)}" for name, shape in zip(self.names, self.shapes, strict=True))
        return hashlib.sha256(text.encode()).hexdigest()

    def slices(self) -> Iterator[tuple[str, tuple[int, ...], slice]]:
        """Name each tensor, its shape, and where the vector holds it."""
        start = 0
        for name, shape in zip(self.names, self.shapes, strict=True):
            stop = start + math.prod(shape)
            yield name, shape, slice(start, stop)
            start = stop

    def tensors(self, vector: Vector) -> dict[str, NDArray[np.float32]]:
        """Cut a vector into named tensors (views)."""
        if vector.shape != (self.size,):
            raise ModelError(f"the parameters have shape {vector.shape} where the model needs ({self.size},)")
        return {name: vector[part].reshape(shape) for name, shape, part in self.slices()}

    def vector(self, tensors: Mapping[str, NDArray[np.float32]]) -> Vector:
        """Join named tensors into a vector."""
        if tuple(tensors) != self.names:
            raise ModelError("the model's tensors do not match the layout")
        return np.concatenate([np.asarray(tensor, np.float32).reshape(-1) for tensor in tensors.values()])


@dataclass(frozen=True, eq=False)
class Fixed:
    """The tensors of a model that its study does not train: every hospital builds them, and they are in the model."""

    layout: Layout
    vector: Vector = field(repr=False)

    @property
    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """The named tensors."""
        return self.layout.tensors(self.vector)

    def digest_with(self, layout: Layout, parameters: Vector) -> str:
        """Return the digest of the whole model with these parameters."""
        return weights_digest({**self.tensors, **layout.tensors(parameters)})


def vector_digest(vector: Vector) -> str:
    """SHA-256 of a vector's little-endian bytes."""
    return hashlib.sha256(np.ascontiguousarray(vector, "<f4").data).hexdigest()


def metadata_of(content: bytes) -> Any:
    """Return what the header of a safetensors file says of it.

    Raises:
        ValueError, KeyError, TypeError: there is no such header.
    """
    size = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + size])["__metadata__"]


def check_model(content: bytes, study_digest: str, *, where: str) -> None:
    """Check that a ``model.safetensors`` is a model of Wardround, and of that study, by its header.

    Raises:
        ModelError: it is not.
    """
    try:
        found = json.loads(metadata_of(content)["wardround"]).get("study_digest")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ModelError("this is not a model of Wardround", where=where, do="Run the study again.") from None
    if found != study_digest:
        raise ModelError(
            "the model is of another study than the run: the study digest in its header differs",
            where=where,
            do="Put back the model that the run wrote, or run the study again.",
        )


def weights_digest(tensors: Mapping[str, NDArray[np.float32]]) -> str:
    """Return the SHA-256 of named tensors, whatever their order: names, shapes and little-endian float32."""
    found = hashlib.sha256(WEIGHTS_DOMAIN)
    for name in sorted(tensors):
        tensor = np.ascontiguousarray(tensors[name], "<f4")
        head = f"{len(name.encode())} {name} {list(tensor.shape)}\n"
        found.update(head.encode())
        found.update(tensor.tobytes())
    return found.hexdigest()
