"""What a hospital's own people look at of a check: the made images that are closest to a training patient's."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from wardround_client.generation.checking import Checked, Closest, Pixels
from wardround_client.generation.writing import new_folder, picture_of
from wardround_common.storage import write_atomically

FIGURES, PAIRS = "check.json", "closest.png"
SIDE, LINE = 128, 20


def write_pairs(checked: Checked, out: Path) -> None:
    """Write the figures, and a picture of each of the closest beside its training image, readable by their owner only.

    Raises:
        StorageError: something is in the folder, or it cannot be written.
    """
    content = json.dumps(asdict(checked.checks), indent=1) + "\n"
    with new_folder(out, private=True) as folder:
        write_atomically(folder / FIGURES, content.encode(), private=True)
        write_atomically(folder / PAIRS, drawn_pairs(checked.checks.closest, checked.pairs), private=True)


def drawn_pairs(closest: Sequence[Closest], pairs: Sequence[tuple[Pixels, Pixels]]) -> bytes:
    """Draw made images above the training images that they are closest to, each with how close: PNG."""
    font = ImageFont.load_default(13)
    canvas = Pillow.new("RGB", (max(1, len(pairs)) * SIDE, 2 * (SIDE + LINE)), "black")
    draw = ImageDraw.Draw(canvas)
    for place, (one, (made, patient)) in enumerate(zip(closest, pairs, strict=True)):
        for row, (pixels, text) in enumerate(
            ((made, f"made {one.number}: {one.ratio:.2f}"), (patient, "training patient"))
        ):
            at = (place * SIDE, row * (SIDE + LINE))
            draw.text((at[0] + 3, at[1] + 2), text, fill="white", font=font)
            canvas.paste(_shades(pixels).resize((SIDE, SIDE), Pillow.Resampling.BICUBIC), (at[0], at[1] + LINE))
    file = io.BytesIO()
    canvas.save(file, "PNG")
    return file.getvalue()


def _shades(pixels: Pixels) -> Pillow.Image:
    return picture_of(np.rint(pixels.clip(0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)).convert("RGB")
