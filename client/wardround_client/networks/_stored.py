"""The weights of a stored model, as the vector that a study's network takes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from wardround_common.errors import ModelError
from wardround_common.messages.parameters import Layout, Vector, check_model
from wardround_common.study.file import Study


def read_weights(content: bytes, study: Study, layout: Layout, *, where: str) -> Vector:
    """Read the content of ``model.safetensors`` as (parameters,) float32, in the order of the network's ``layout``.

    Raises:
        ModelError: it is no model of Wardround, or of another study or network.
    """
    tensors = _tensors(content, study, where)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if shapes != dict(zip(layout.names, layout.shapes, strict=True)):
        raise ModelError("the model is not of the study's network", where=where, do="Run the study again.")
    return np.concatenate([tensors[name].reshape(-1) for name in layout.names]).astype(np.float32)


def names_in(content: bytes, study: Study, *, where: str) -> frozenset[str]:
    """Name the tensors of the content of ``model.safetensors``.

    Raises:
        ModelError: it is no model of Wardround, or of another study.
    """
    return frozenset(_tensors(content, study, where))


def _tensors(content: bytes, study: Study, where: str) -> dict[str, NDArray[np.float32]]:
    check_model(content, study.digest(), where=where)
    try:
        return load(content)
    except (SafetensorError, ValueError, KeyError):
        raise ModelError("this is not a model of Wardround", where=where, do="Run the study again.") from None
