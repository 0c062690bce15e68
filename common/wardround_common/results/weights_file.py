"""The trained model as a file that any tool reads: safetensors, with the study digest in its header."""

from __future__ import annotations

import json

from safetensors.numpy import save

from wardround_common.messages.parameters import Fixed, Layout, Vector
from wardround_common.study.file import Study


def weights_content(study: Study, layout: Layout, parameters: Vector, fixed: Fixed | None = None) -> bytes:
    """Return a model's named tensors as a file's bytes; its header says of which study and network they are.

    ``fixed``: what the study does not train of its network, so that the model is whole.
    """
    about = {
        "format": "wardround model 1",
        "study_digest": study.digest(),
        "study": study.canonical().decode(),
    }
    # One entry of JSON: safetensors writes several in an order that changes, and equal models must be equal files.
    tensors = {**layout.tensors(parameters), **(fixed.tensors if fixed else {})}
    return save(tensors, metadata={"wardround": json.dumps(about)})
