"""A measurement in a hospital: a column of numbers, a robust loss, sums of errors.

The network puts out where a value lies, in quarters of the study's range from its middle. The loss is Huber's: an error
of more than a quarter counts by its size and no longer by its square, so that one wrong label moves a model little.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from wardround_client.intake.instance import Index, Instance
from wardround_client.intake.labels import find_table
from wardround_client.preparation.source import Source
from wardround_client.tasks.contract import (
    Answer,
    Asked,
    Asking,
    Case,
    Chosen,
    Found,
    LocalTask,
    Loss,
    Outputs,
    Targets,
)
from wardround_client.tasks.outline_measures import Places
from wardround_common.errors import LabelError, ModelError
from wardround_common.metrics.measurements import QUARTERS, MeasurementSums, quarter_of
from wardround_common.study.data import Data
from wardround_common.study.file import Study
from wardround_common.study.training import Training
from wardround_common.tasks import measurement
from wardround_common.tasks.measurement import Measurement

DIGITS = 6
"""Significant ones of a value that is written down."""
_NUMBER = re.compile(r"[+-]?\d{1,9}(?:[.,]\d{1,9})?")


def _find(source: Source, index: Index, study: Study) -> Found:
    """Read a number of each file.

    Raises:
        LabelError: a cell is no number, or numbers lie outside the study's range.
    """
    section = study.task
    if not isinstance(section, Measurement):
        raise TypeError("this is a study of another task")
    outside: list[int] = []

    def read(cells: tuple[str, ...], line: int, where: str) -> str:
        (cell,) = cells
        if not cell:
            return ""
        if not _NUMBER.fullmatch(cell):
            raise LabelError(
                f"line {line}: its {section.quantity} is not a number",
                where=where,
                do=f"Write it in {section.unit}, such as {(section.low + section.high) / 2:g}, or nothing.",
            )
        value = float(cell.replace(",", "."))
        if not section.low <= value <= section.high:
            outside.append(line)
        return repr(value)

    found = find_table(source.folder, index, (section.quantity.casefold(),), read, csv=source.labels)
    if outside:
        one = f"a value, in line {outside[0]}, lies"
        several = f"{len(outside)} values, the first in line {outside[0]}, lie"
        raise LabelError(
            f"{one if len(outside) == 1 else several} outside the study's range, {section.low:g} to {section.high:g} "
            f"{section.unit}",
            where=str(source.labels or source.folder),
            do="Is the unit another one? Correct each, empty its cell, or tell the coordinator.",
        )
    return Found(found.words, found.patients)


def _targets(
    source: Source, data: Data, section: Measurement, files: Sequence[Instance], found: Found
) -> NDArray[np.float32]:
    """Return (files, 1): where each value lies, in quarters of the range from its middle."""
    values = np.array([float(found.words[instance.file]) for instance in files], np.float64)
    return scaled(section, values)[:, None].astype(np.float32)


def scaled(section: Measurement, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where values lie, in quarters of the range from its middle: -2 to 2."""
    return ((values - section.low) / (section.high - section.low) - 0.5) * QUARTERS


def told(section: Measurement, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values that lie there."""
    return section.low + (outputs / QUARTERS + 0.5) * (section.high - section.low)


def _quarters(targets: Targets) -> NDArray[np.int64]:
    return quarter_of(np.asarray(targets[:], np.float64)[:, 0] / QUARTERS + 0.5)


def _members(section: Measurement, targets: Targets) -> NDArray[np.bool_]:
    members: NDArray[np.bool_] = _quarters(targets)[:, None] == np.arange(QUARTERS)
    return members


def _loss(section: Measurement, training: Training, device: torch.device) -> Loss:
    return huber


def huber(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return Huber's loss (records,) of outputs and targets (records, 1), in quarters of the range."""
    return functional.huber_loss(outputs, targets.to(outputs.dtype), reduction="none").sum(dim=1)


def _sums(
    section: Measurement, outputs: Outputs, targets: Outputs, patients: NDArray[np.int64], places: Places | None
) -> MeasurementSums:
    if not isinstance(outputs, torch.Tensor) or not isinstance(targets, torch.Tensor):
        raise TypeError("images are judged together")
    losses: NDArray[np.float64] = huber(outputs.double(), targets).numpy()
    true = np.clip(told(section, targets.double().numpy()[:, 0]), section.low, section.high)
    said = told(section, outputs.double().numpy()[:, 0])
    return MeasurementSums.of(true, said, losses, section.low, section.high)


def _answer(section: Measurement, outputs: torch.Tensor, asked: Asked, case: Case, chosen: Chosen) -> Answer:
    """Say what the value is."""
    value = float(told(section, outputs.double().numpy()[:1, 0])[0])
    if not np.isfinite(value):
        raise ModelError("the model's value is not finite", do="Its training diverged: do not use it.")
    said = float(f"{value:.{DIGITS}g}")
    inside = section.low <= value <= section.high
    return Answer(
        {
            "measurement": section.quantity,
            "value": said,
            "unit": section.unit,
            "within_range": inside,
            "calibrated": True,
        }
    )


def _rows(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    name = f"{facts['measurement']} in {facts['unit']}"
    return [{name: facts["value"], "within_range": facts["within_range"]}]


def _said(facts: Mapping[str, Any]) -> str:
    return f"{facts['measurement']} {facts['value']:g} {facts['unit']}"


def _noise(section: Measurement, records: int, space: tuple[int, ...]) -> torch.Tensor:
    return torch.linspace(-2, 2, records)[:, None]


TASK = LocalTask[Measurement, MeasurementSums](
    task=measurement.TASK,
    find=_find,
    targets=_targets,
    strata=lambda section, targets: _quarters(targets),
    members=_members,
    loss=_loss,
    sums=_sums,
    asking=Asking(_answer, _rows, _said),
    noise=_noise,
)
