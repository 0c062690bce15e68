"""The mean brightness of an image: a number that needs no label, to show what a task is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from wardround_common.errors import MessageError
from wardround_common.tasks.contract import Metric, Task, TaskSection, Words

UNIT = 2.0**-20


class Brightness(TaskSection):
    """``[task] name = "example-plugin:brightness"``: the mean brightness of each image."""

    name: Annotated[Literal["example-plugin:brightness"], Field(examples=["example-plugin:brightness"])]
    """'example-plugin:brightness': the mean brightness of each image."""


@dataclass(frozen=True)
class BrightnessSums:
    """How many images there are, and how far off the brightness is, squared, in units of 2^-20."""

    records: int
    squared_error: int

    def __add__(self, other: BrightnessSums) -> BrightnessSums:
        """Add the sums over other patients."""
        return BrightnessSums(self.records + other.records, self.squared_error + other.squared_error)

    def to_vector(self) -> NDArray[np.int64]:
        """Return what is added up over hospitals: whole numbers, of a length that the study gives."""
        return np.array([self.records, self.squared_error], np.int64)

    def mean_loss(self) -> float | None:
        """Return the mean squared error; None of no image."""
        return self.squared_error * UNIT / self.records if self.records else None


def read(vector: NDArray[np.int64] | NDArray[np.float64], section: Brightness) -> BrightnessSums:
    """Read sums from their vector, which may come from anybody.

    Raises:
        MessageError: these are none.
    """
    if vector.shape != (2,) or not np.all((vector >= 0) & (vector % 1 == 0)):
        raise MessageError("these are no sums of brightness")
    return BrightnessSums(*map(int, vector))


def error(sums: BrightnessSums, point: float | None) -> float | None:
    """Return the root of the mean squared error; None of no image."""
    loss = sums.mean_loss()
    return None if loss is None else float(np.sqrt(loss))


TASK = Task[Brightness, BrightnessSums](
    name="example-plugin:brightness",
    section=Brightness,
    outputs=lambda section: 1,
    dense=False,
    groups=lambda section: ("image",),
    empty=lambda section: BrightnessSums(0, 0),
    read=read,
    summed={"records": "counts", "squared_error": "squared errors of the brightness"},
    metrics=(Metric[BrightnessSums]("error", "Error of the brightness", error, better="lower"),),
    headline="error",
    words=lambda section: Words("tell how bright an image is", "In a small split they may be those of one patient."),
)
