"""The other forms of a model that what is installed here can write into its folder, such as ONNX."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from wardround_common.documents.model_release import verify_model
from wardround_common.results.parts import PARTS, Part, Parts
from wardround_common.shell.cli import lacking

FORMS = "wardround.release_forms"
"""The group of entry points: each is a function from a model's folder to the part that it wrote there."""


def forms() -> tuple[Callable[[Path], Part], ...]:
    """Return how each form is written; one whose package is not installed here says what it needs."""
    return tuple(_form(point) for point in sorted(entry_points(group=FORMS), key=lambda point: point.name))


def _form(point: EntryPoint) -> Callable[[Path], Part]:
    def write(folder: Path) -> Part:
        if missing := lacking(point):
            return Part(
                name=point.name.replace("-", " "),
                said=f"{missing[0].upper()}{missing[1:]} where the model was exported. Export it again where they are.",
            )
        part: Part = point.load()(folder)
        return part

    return write


def said_of_release(folder: Path) -> str:
    """Say of a release that was written which forms it has, which not and why, and who signed it."""
    parts = Parts.parse((folder / PARTS).read_bytes(), where=str(folder / PARTS)).parts
    lines = [f"{part.name}: {part.files[0] if part.files else f'not made. {part.said}'}" for part in parts]
    signer = verify_model(folder).fingerprint
    return "\n".join([*lines, f"Signed, fingerprint {signer}" if signer else "Signed by nobody: --key signs it"])
