"""Risk in a hospital: a time and an event for each image, discrete-time hazards, sums over risks.

The network puts out the logit of the hazard in each interval, the chance of the event there given none before, less
that of a usual hazard. The loss is the likelihood of what was seen, and one number for each record, so that a patient
can be clipped: Gensheimer and Narasimhan, *A scalable discrete-time survival model for neural networks*, PeerJ 7
(2019).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import partial
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
from wardround_common.counting import chance, kept
from wardround_common.errors import LabelError, ModelError
from wardround_common.metrics.survival import RiskSums
from wardround_common.study.data import Data
from wardround_common.study.file import Study
from wardround_common.study.training import Training
from wardround_common.tasks import risk
from wardround_common.tasks.risk import Risk

COLUMNS = ("time", "event")
USUAL = math.log(0.1 / 0.9)
"""The logit of the hazard at an output of 0. Events are rarer than one in two, and while a network learns that, it
lowers all outputs, most of all those of the images that show most: it ranks them upside down."""
DIGITS = 6
"""Of a risk that is written down."""
_EVENTS = {"1": 1, "yes": 1, "true": 1, "0": 0, "no": 0, "false": 0}
_TIME = re.compile(r"\d{1,9}(?:[.,]\d{1,9})?")


def outcome(section: Risk, time: float, event: bool) -> tuple[int, int]:
    """Return through how many intervals somebody was followed without the event, and whether it came in the next one.

    An interval holds its end. Who was followed without event through half of an interval counts as followed through it
    (Gensheimer and Narasimhan, section 2.2). An event after the last time is none by then.
    """
    ends = np.array(section.times)
    if event:
        interval = int(np.searchsorted(ends, time, side="left"))
        return interval, int(interval < len(ends))
    middles = (np.concatenate([[0.0], ends[:-1]]) + ends) / 2
    return int((middles <= time).sum()), 0


def _read(section: Risk, cells: tuple[str, ...], line: int, where: str) -> str:
    """Read a line's time and event as one word; nothing where both are empty.

    Raises:
        LabelError: one of them is empty, or is none.
    """
    if not any(cells):
        return ""
    time, event = cells
    if not _TIME.fullmatch(time):
        raise LabelError(
            f"line {line}: its time is not a number of 0 or more",
            where=where,
            do=f"Write the {section.unit} from the image to the event, or to the last time without one: 2.5",
        )
    if event.casefold() not in _EVENTS:
        raise LabelError(
            f"line {line}: its event is neither 1 nor 0",
            where=where,
            do="Write 1 if the event came at that time, 0 if the patient was last seen then without it.",
        )
    return " ".join(map(str, outcome(section, float(time.replace(",", ".")), bool(_EVENTS[event.casefold()]))))


def _find(source: Source, index: Index, study: Study) -> Found:
    section = study.task
    if not isinstance(section, Risk):
        raise TypeError("this is a study of another task")
    found = find_table(source.folder, index, COLUMNS, partial(_read, section), csv=source.labels)
    return Found(found.words, found.patients)


def _targets(source: Source, data: Data, section: Risk, files: Sequence[Instance], found: Found) -> NDArray[np.int64]:
    """Return (files, 2): intervals survived, and whether an event followed."""
    said = [[int(number) for number in found.words[instance.file].split()] for instance in files]
    return np.array(said, np.int64).reshape(len(files), 2)


def _members(section: Risk, targets: Targets) -> NDArray[np.bool_]:
    event = targets[:][:, 1] == 1
    return np.stack([event, ~event], axis=1)


def _loss(section: Risk, training: Training, device: torch.device) -> Loss:
    return likelihood


def likelihood(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the negative log-likelihood (records,) of outcomes (records, 2), from the network's outputs.

    ``outputs`` (records, times); ``targets``: intervals survived, and whether an event followed.
    """
    interval = torch.arange(outputs.shape[1], device=outputs.device)  # (times,)
    survived, event = targets[:, :1], targets[:, 1:]  # (records, 1)
    logits = outputs + USUAL
    passed = functional.softplus(logits) * (interval < survived)
    failed = functional.softplus(-logits) * ((interval == survived) & (event == 1))
    return (passed + failed).sum(dim=1)


def risks_of(outputs: torch.Tensor) -> NDArray[np.float64]:
    """Return the risk by each time (records, times) from the network's outputs (records, times)."""
    hazards = functional.softplus(outputs.double() + USUAL).cumsum(dim=1)
    risks: NDArray[np.float64] = -torch.expm1(-hazards).numpy()
    return risks


def _sums(
    section: Risk, outputs: Outputs, targets: Outputs, patients: NDArray[np.int64], places: Places | None
) -> RiskSums:
    if not isinstance(outputs, torch.Tensor) or not isinstance(targets, torch.Tensor):
        raise TypeError("images are judged together")
    losses: NDArray[np.float64] = likelihood(outputs.double(), targets).numpy()
    said = targets.numpy()
    return RiskSums.of(said[:, 0], said[:, 1], risks_of(outputs), losses)


def _noise(section: Risk, records: int, space: tuple[int, ...]) -> torch.Tensor:
    survived = torch.arange(records) % (len(section.times) + 1)
    return torch.stack([survived, (survived < len(section.times)).long()], dim=1)


def _answer(section: Risk, outputs: torch.Tensor, asked: Asked, case: Case, chosen: Chosen) -> Answer:
    """Say what the risk by each time is."""
    risks = risks_of(outputs)[0]
    if not np.isfinite(risks).all():
        raise ModelError("the model's risks are not finite", do="Its training diverged: do not use it.")
    told = {section.by(time): kept(float(one), DIGITS) for time, one in enumerate(risks)}
    return Answer({"risk": told, "calibrated": False})


def _rows(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{**{f"risk by {by}": one for by, one in facts["risk"].items()}, "calibrated": facts["calibrated"]}]


def _said(facts: Mapping[str, Any]) -> str:
    told = ", ".join(f"{chance(one, 2)} by {by}" for by, one in facts["risk"].items())
    return f"uncalibrated risk {told}"


TASK = LocalTask[Risk, RiskSums](
    task=risk.TASK,
    find=_find,
    targets=_targets,
    strata=lambda section, targets: targets[:][:, 1],
    members=_members,
    loss=_loss,
    sums=_sums,
    asking=Asking(_answer, _rows, _said),
    noise=_noise,
)
