"""The weights of a stored model, as the vector that a study's network takes."""

from __future__ import annotations

import json

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from wardround_common.errors import ModelError
from wardround_common.messages.parameters import Layout, Vector
from wardround_common.study.file import Study

_OTHER = "Put back the model that the run wrote, or run the study again."


def read_weights(content: bytes, study: Study, layout: Layout, *, where: str) -> Vector:
    """Read the content of ``model.safetensors`` as (parameters,) float32, in the order of the network's ``layout``.

    Raises:
        ModelError: it is no model of Wardround, or of another study or network.
    """
    try:
        tensors = load(content)
        size = int.from_bytes(content[:8], "little")
        about = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["wardround"])
        digest = about.get("study_digest")
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError):
        raise ModelError("this is not a model of Wardround", where=where, do="Run the study again.") from None
    if digest != study.digest():
        raise ModelError(
            "the model is of another study than the run: the study digest in its header differs", where=where, do=_OTHER
        )
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if shapes != dict(zip(layout.names, layout.shapes, strict=True)):
        raise ModelError("the model is not of the study's network", where=where, do="Run the study again.")
    return np.concatenate([tensors[name].reshape(-1) for name in layout.names]).astype(np.float32)
