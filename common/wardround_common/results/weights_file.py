"""The trained model as a file that any tool reads: safetensors, with the study digest in its header."""

from __future__ import annotations

import json

from safetensors.numpy import save

from wardround_common.messages.parameters import Layout, Vector
from wardround_common.study.file import Study


def weights_content(study: Study, layout: Layout, parameters: Vector) -> bytes:
    """Return a model's named tensors as a file's bytes; its header says of which study and network they are."""
    about = {
        "format": "wardround model 1",
        "study_digest": study.digest(),
        "study": study.canonical().decode(),
    }
    # One entry of JSON: safetensors writes several in an order that changes, and equal models must be equal files.
    return save(layout.tensors(parameters), metadata={"wardround": json.dumps(about)})
