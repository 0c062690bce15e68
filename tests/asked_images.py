"""Single images that nobody labelled: what a model is asked about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tiny_dicom import save, tiny


def images(folder: Path, count: int = 3, **attributes: Any) -> Path:
    """Write images of one patient each, as ``0.dcm`` and so on."""
    rng = np.random.default_rng(1)
    for number in range(count):
        stated = {"Modality": "DX", "PatientID": f"P{number}", "ImageType": ["ORIGINAL", "PRIMARY"]} | attributes
        save(tiny(rng.integers(0, 4000, (20, 24)).astype(np.uint16), **stated), folder / f"{number}.dcm")
    return folder
