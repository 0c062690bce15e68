"""A task for the tests alone, in two halves: the mean brightness of an image, which needs no label at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from wardround_client.images import read_image
from wardround_client.intake.instance import Index, Instance
from wardround_client.preparation import preprocessing
from wardround_client.preparation.source import Source
from wardround_client.tasks.contract import Found, LocalTask, Loss, Targets
from wardround_client.tasks.registry import LOCAL_TASKS
from wardround_common.errors import MessageError
from wardround_common.study.data import Data
from wardround_common.study.file import Study
from wardround_common.study.training import Training
from wardround_common.tasks.contract import Metric, Task, TaskSection, Words
from wardround_common.tasks.registry import INSTALLED

UNIT = 2.0**-20


class Share(TaskSection):
    """``[task] name = "share"``: the mean brightness of each image."""

    name: Annotated[Literal["share"], Field(examples=["share"])]
    """'share': the mean brightness of each image."""


@dataclass(frozen=True)
class ShareSums:
    """How many images there are, and how far off the brightness is, squared, in units of 2^-20."""

    records: int
    squared_error: int

    def __add__(self, other: ShareSums) -> ShareSums:
        return ShareSums(self.records + other.records, self.squared_error + other.squared_error)

    def to_vector(self) -> NDArray[np.int64]:
        return np.array([self.records, self.squared_error], np.int64)

    def mean_loss(self) -> float | None:
        return self.squared_error * UNIT / self.records if self.records else None


def _read(vector: NDArray[np.int64] | NDArray[np.float64], section: Share) -> ShareSums:
    if vector.shape != (2,) or not np.all((vector >= 0) & (vector % 1 == 0)):
        raise MessageError("these are no sums of brightness")
    return ShareSums(*map(int, vector))


TASK = Task[Share, ShareSums](
    name="share",
    section=Share,
    outputs=lambda section: 1,
    dense=False,
    groups=lambda section: ("image",),
    empty=lambda section: ShareSums(0, 0),
    read=_read,
    summed={"records": "counts", "squared_error": "squared errors of the brightness"},
    metrics=(
        Metric[ShareSums](
            "error",
            "Error of the brightness",
            lambda sums, point: sums.mean_loss() and float(np.sqrt(sums.squared_error * UNIT / sums.records)),
            better="lower",
        ),
    ),
    headline="error",
    words=lambda section: Words("tell how bright an image is", "In a small split they may be those of one patient."),
)


def _targets(
    source: Source, data: Data, section: Share, files: Sequence[Instance], found: Found
) -> NDArray[np.float32]:
    images = [read_image(source.folder / instance.file, voi=False) for instance in files]
    return np.array([preprocessing.to_network_form(image, data).mean() for image in images], np.float32)


def _members(section: Share, targets: Targets) -> NDArray[np.bool_]:
    return np.ones((len(targets), 1), np.bool_)


def _loss(section: Share, training: Training, device: torch.device) -> Loss:
    return lambda outputs, targets: (outputs[:, 0] - targets).square()


def _sums(
    section: Share, outputs: torch.Tensor, targets: torch.Tensor, patients: NDArray[np.int64], places: object
) -> ShareSums:
    errors = (outputs[:, 0].double() - targets.double()).square().numpy()
    return ShareSums(len(errors), int(np.rint(errors / UNIT).astype(np.int64).sum()))


def _find(source: Source, index: Index, study: Study) -> Found:
    return Found({instance.file: "image" for instance in index.accepted})


LOCAL = LocalTask[Share, ShareSums](
    task=TASK,
    find=_find,
    targets=_targets,
    strata=lambda section, targets: np.zeros(len(targets), np.int64),
    members=_members,
    loss=_loss,
    sums=_sums,
    noise=lambda section, records, space: torch.linspace(0, 1, records),
)


@contextmanager
def installed() -> Iterator[None]:
    """Have the task among those that are installed, until the end."""
    INSTALLED["share"], LOCAL_TASKS["share"] = (lambda: TASK), LOCAL
    try:
        yield
    finally:
        del INSTALLED["share"], LOCAL_TASKS["share"]
