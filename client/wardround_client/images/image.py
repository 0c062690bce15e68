"""The one form in which every image reaches the rest of the client."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wardround_client.images.hanging import AS_STORED, Hanging, Turn, hanging_of


@dataclass(frozen=True, eq=False)
class Image:
    """One image: its values and how far apart they lie in the patient."""

    pixels: NDArray[np.float32] = field(repr=False)
    """(channels, height, width), or (channels, depth, height, width) for volumes and series of frames."""
    spacing_mm: tuple[float, ...] | None
    """(row, column) or (slice, row, column) distances in mm; None where the file does not say."""
    modality: str = "OTHER"
    """Of a file other than DICOM, what it says itself."""
    patient: str = field(default="", repr=False)
    """Of a file other than DICOM, whose image it says it is; empty where it does not."""
    turn: Turn = AS_STORED
    """What brings it to the way it hangs in a viewer."""
    aspect: float = 1.0
    """How high a pixel is for its width, where it states that and no distances."""
    towards: tuple[str, ...] = ()
    """Where its rows and columns run to, by the letters of PatientOrientation; empty where it does not say."""

    @property
    def hanging(self) -> Hanging:
        """How it hangs."""
        return hanging_of(self.spacing_mm, self.turn, self.aspect, self.towards)
