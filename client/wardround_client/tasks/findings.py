"""Findings in a hospital: a column of the table for each, cross-entropy over those that are known, sums over scores."""

from __future__ import annotations

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
    kind_of,
    thresholds_of,
)
from wardround_client.tasks.outline_measures import Places
from wardround_common.counting import chance, kept
from wardround_common.errors import LabelError, ModelError
from wardround_common.metrics.calibration import log_odds
from wardround_common.metrics.findings import ABSENT, EVEN, PRESENT, UNKNOWN, FindingSums
from wardround_common.study.data import Data
from wardround_common.study.file import Study
from wardround_common.study.training import Training
from wardround_common.tasks import findings
from wardround_common.tasks.findings import Findings

DIGITS = 6
"""Of a probability that is written down."""
SAID = {
    **dict.fromkeys(("1", "1.0", "yes", "true", "present"), PRESENT),
    **dict.fromkeys(("0", "0.0", "no", "false", "absent"), ABSENT),
    **dict.fromkeys(("", "?", "-1", "-1.0", "unknown", "uncertain"), UNKNOWN),
}
"""What a cell says of a finding; 1.0, 0.0 and -1.0 as in CheXpert's tables, where -1 is uncertain."""


def _read(section: Findings, cells: tuple[str, ...], line: int, where: str) -> str:
    """Read a line's findings as one word; nothing where all are unknown.

    Raises:
        LabelError: a cell is none of the words.
    """
    for word, cell in zip(section.classes, cells, strict=True):
        if cell.casefold() not in SAID:
            raise LabelError(
                f"line {line}: the cell of '{word}' is neither 1 nor 0",
                where=where,
                do="Write 1 where the finding is there, 0 where it is not, and nothing where it is unknown.",
            )
    known = [SAID[cell.casefold()] for cell in cells]
    return " ".join(map(str, known)) if any(one != UNKNOWN for one in known) else ""


def _find(source: Source, index: Index, study: Study) -> Found:
    section = study.task
    if not isinstance(section, Findings):
        raise TypeError("this is a study of another task")
    columns = tuple(word.casefold() for word in section.classes)
    found = find_table(source.folder, index, columns, partial(_read, section), csv=source.labels)
    return Found(found.words, found.patients)


def _targets(
    source: Source, data: Data, section: Findings, files: Sequence[Instance], found: Found
) -> NDArray[np.int64]:
    """Return (files, findings): 1 present, 0 absent, -1 unknown."""
    said = [[int(number) for number in found.words[instance.file].split()] for instance in files]
    return np.array(said, np.int64).reshape(len(files), len(section.classes))


def _members(section: Findings, targets: Targets) -> NDArray[np.bool_]:
    members: NDArray[np.bool_] = targets[:] == PRESENT
    return members


def strata(section: Findings, targets: Targets) -> NDArray[np.int64]:
    """Return for each record how rare the rarest of its findings is here, from 1 on; 0 of a record without any."""
    present = targets[:] == PRESENT  # (records, findings)
    rarity = np.empty(present.shape[1], np.int64)
    rarity[np.argsort(-present.sum(axis=0), kind="stable")] = np.arange(1, present.shape[1] + 1)
    strata: NDArray[np.int64] = (present * rarity).max(axis=1, initial=0)
    return strata


def _loss(section: Findings, training: Training, device: torch.device) -> Loss:
    return known_cross_entropy


def known_cross_entropy(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the mean binary cross-entropy (records,) over the findings that are known of each record.

    ``outputs`` log-odds (records, findings), ``targets`` the same: 1 present, 0 absent, -1 unknown.
    """
    known = (targets != UNKNOWN).to(outputs.dtype)
    each = functional.binary_cross_entropy_with_logits(
        outputs, targets.clamp(min=0).to(outputs.dtype), reduction="none"
    )
    return (each * known).sum(dim=1) / known.sum(dim=1).clamp(min=1)


def _sums(
    section: Findings, outputs: Outputs, targets: Outputs, patients: NDArray[np.int64], places: Places | None
) -> FindingSums:
    if not isinstance(outputs, torch.Tensor) or not isinstance(targets, torch.Tensor):
        raise TypeError("images are judged together")
    losses: NDArray[np.float64] = known_cross_entropy(outputs.double(), targets).numpy()
    return FindingSums.of(targets.numpy(), outputs.sigmoid().numpy(), losses)


def _noise(section: Findings, records: int, space: tuple[int, ...]) -> torch.Tensor:
    each = torch.arange(records)[:, None] + torch.arange(len(section.classes))
    return torch.where((each % 5 == 4) & (torch.arange(len(section.classes)) > 0), UNKNOWN, each % 2)


def _answer(section: Findings, outputs: torch.Tensor, asked: Asked, case: Case, chosen: Chosen) -> Answer:
    """Say of each finding how likely it is there, and whether it is decided to be, at its operating point."""
    own: NDArray[np.float32] = outputs.sigmoid().numpy()[0]  # (findings,), decided on as where they are summed
    if not np.isfinite(own).all():
        raise ModelError("the model's scores are not finite", do="Its training diverged: do not use it.")
    points = chosen.point if isinstance(chosen.point, tuple) else (None,) * len(own)
    warmth = chosen.temperature or 1.0
    told = {}
    for word, probability, point in zip(section.classes, own.astype(np.float64), points, strict=True):
        at = EVEN if point is None else point
        told[word] = {
            "probability": kept(_shown(probability, warmth), DIGITS),
            "present": bool(probability >= at),
            "operating_point": None if point is None else kept(_shown(point, warmth), DIGITS),
        }
    return Answer({"findings": told, "calibrated": chosen.temperature is not None})


def _shown(probability: float, temperature: float) -> float:
    """Return a probability with its log-odds divided by the temperature."""
    if temperature == 1.0:
        return float(probability)
    return float(1 / (1 + np.exp(-log_odds(np.array(probability, np.float64)) / temperature)))


def _rows(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    row: dict[str, Any] = {}
    for word, one in facts["findings"].items():
        row |= {f"probability {word}": one["probability"], f"present {word}": one["present"]}
    return [{**row, "calibrated": facts["calibrated"]}]


def _said(facts: Mapping[str, Any]) -> str:
    present_first = sorted(
        facts["findings"].items(), key=lambda pair: (not pair[1]["present"], -float(pair[1]["probability"]))
    )
    above = {word: f", threshold {chance(point, 2)}" for word, point in thresholds_of(facts).items()}
    parts = [
        f"{word} {chance(one['probability'], 2)} ({'present' if one['present'] else 'absent'}{above.get(word, '')})"
        for word, one in present_first
    ]
    return f"{kind_of(facts) or 'calibrated '}probability of {', '.join(parts)}"


TASK = LocalTask[Findings, FindingSums](
    task=findings.TASK,
    find=_find,
    targets=_targets,
    strata=strata,
    members=_members,
    loss=_loss,
    sums=_sums,
    asking=Asking(_answer, _rows, _said),
    noise=_noise,
)
