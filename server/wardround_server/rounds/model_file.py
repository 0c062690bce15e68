"""Where a run keeps its trained model: one file, written whole."""

from __future__ import annotations

from pathlib import Path

from wardround_common.messages.parameters import Fixed, Layout, Vector
from wardround_common.results.weights_file import weights_content
from wardround_common.storage import write_atomically
from wardround_common.study.file import Study


def write_model(path: Path, study: Study, layout: Layout, parameters: Vector, fixed: Fixed | None = None) -> None:
    """Write the model's named tensors, and those that are not trained (``weights_content``)."""
    write_atomically(path, weights_content(study, layout, parameters, fixed))
