"""How an image hangs: which way round a viewer shows its plane, and how far its rows and columns lie apart.

Axial slices hang with their columns counted towards the patient's left and their rows towards the back; coronal ones
towards left and feet, sagittal ones towards back and feet; an oblique one as the plane that it is nearest to. Images
that are stored otherwise are brought there by exchanging and reversing rows and columns, and never by interpolation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import nibabel
import numpy as np
from numpy.typing import NDArray

_orientations: Any = nibabel.orientations  # these functions carry no types
Way = tuple[int, int]
"""An axis of the patient, 0 to 2 for left, back and head, and 1 in its own direction or -1 against it."""
Box = tuple[float, float, float, float]
"""Upper, left, lower and right edge in pixels."""
Values = TypeVar("Values", bound=np.generic)
Length = TypeVar("Length", int, float)
LEFT, RIGHT, BACK, FRONT, HEAD, FEET = (0, 1), (0, -1), (1, 1), (1, -1), (2, 1), (2, -1)
_HUNG: Mapping[int, tuple[Way, Way]] = {2: (LEFT, BACK), 1: (LEFT, FEET), 0: (BACK, FEET)}
"""By the axis on which a plane stands: where the columns and the rows of an image that hangs are counted towards."""
_OPPOSITE = str.maketrans("LRAPHF", "RLPAFH")


class Turn(NamedTuple):
    """What brings a stored image to the way it hangs: rows and columns are exchanged, and then reversed."""

    exchanged: bool = False
    rows_reversed: bool = False
    columns_reversed: bool = False

    def of(self, stored: NDArray[Values]) -> NDArray[Values]:
        """Return pixels (..., rows, columns) as they hang: themselves where nothing is turned, or a copy."""
        if self == AS_STORED:
            return stored
        turned = stored.swapaxes(-2, -1) if self.exchanged else stored
        return turned[..., :: -1 if self.rows_reversed else 1, :: -1 if self.columns_reversed else 1].copy()

    def picture(self, drawn: NDArray[Values]) -> NDArray[Values]:
        """Return a picture (rows, columns, colours) of a stored image as it hangs, with what is drawn on it."""
        return np.moveaxis(self.of(np.moveaxis(drawn, -1, 0)), 0, -1)

    def letters(self, stated: tuple[str, ...]) -> tuple[str, ...]:
        """Return where rows and columns of an image run to as it hangs, such as ``L`` and ``PF``.

        ``stated``: the same of the stored image (PatientOrientation, PS3.3 C.7.6.1.1.1), or nothing.
        """
        if not stated:
            return ()
        rows, columns = stated[::-1] if self.exchanged else stated
        return (
            opposite(rows) if self.columns_reversed else rows,
            opposite(columns) if self.rows_reversed else columns,
        )

    @property
    def inverse(self) -> Turn:
        """The turn that leads back to the stored image."""
        if not self.exchanged:
            return self
        return Turn(True, rows_reversed=self.columns_reversed, columns_reversed=self.rows_reversed)

    def shape(self, height: Length, width: Length) -> tuple[Length, Length]:
        """Return how high and wide an image of this height and width is as it hangs."""
        return (width, height) if self.exchanged else (height, width)

    def box(self, stored: Box, height: int, width: int) -> Box:
        """Return a box of a stored image of this height and width as it hangs."""
        top, left, bottom, right = stored
        if self.exchanged:
            top, left, bottom, right = left, top, right, bottom
        height, width = self.shape(height, width)
        if self.rows_reversed:
            top, bottom = height - bottom, height - top
        if self.columns_reversed:
            left, right = width - right, width - left
        return top, left, bottom, right


AS_STORED = Turn()


class Hanging(NamedTuple):
    """How a stored image hangs."""

    spacing_mm: tuple[float, float] | None = None
    """Between its rows and between its columns, as it is stored; None where that is not known."""
    turn: Turn = AS_STORED
    aspect: float = 1.0
    """How high a stored pixel is for its width, where distances are not known."""
    towards: tuple[str, ...] = ()
    """Where its rows and columns run to as it is stored, such as ``L`` and ``PF``; empty where that is not known."""

    @property
    def sides(self) -> tuple[float, float]:
        """Height and width of a stored pixel: in mm, or in its widths where distances are not known."""
        return self.spacing_mm or (self.aspect, 1.0)

    @property
    def hung_sides(self) -> tuple[float, float]:
        """The same of a pixel as it hangs."""
        return self.turn.shape(*self.sides)


NOT_SAID = Hanging()
"""Of an image whose file says nothing of it."""


def hanging_of(
    spacing_mm: Sequence[float] | None, turn: Turn = AS_STORED, aspect: float = 1.0, towards: tuple[str, ...] = ()
) -> Hanging:
    """Return how an image hangs, by its (..., row, column) distances as it is stored."""
    return Hanging(None if spacing_mm is None else (spacing_mm[-2], spacing_mm[-1]), turn, aspect, towards)


def opposite(side: str) -> str:
    """Return the side of the patient that lies opposite, such as ``AH`` of ``PF``."""
    return side.translate(_OPPOSITE)


def turn_of(
    across: NDArray[np.float64], down: NDArray[np.float64], hung: Mapping[int, tuple[Way, Way]] = _HUNG
) -> Turn:
    """Return the turn of an image whose columns are counted towards ``across``, and its rows towards ``down``.

    Args:
        across: (3,) unit vector towards left, back and head; ``down`` is another, and perpendicular to it.
        down: from a row to the next.
        hung: by the axis on which a plane stands, where columns and rows are to be counted towards; a plane that is not
            in it hangs as it is stored.
    """
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack([across, down, np.cross(across, down)])
    (of_columns, columns_way), (_, rows_way), (normal, _) = _orientations.io_orientation(affine).astype(int)
    if normal not in hung:
        return AS_STORED
    wanted_across, wanted_down = hung[int(normal)]
    exchanged = bool(of_columns != wanted_across[0])
    if exchanged:
        columns_way, rows_way = rows_way, columns_way
    return Turn(exchanged, bool(rows_way != wanted_down[1]), bool(columns_way != wanted_across[1]))
