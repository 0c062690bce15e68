"""How well a model does on a hospital's own patients: scores that stay here, and sums that may leave."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from wardround_client.preparation.bags import KeptBags
from wardround_client.preparation.examples import Examples
from wardround_client.preparation.kept_volumes import KeptVolumes
from wardround_client.tasks.contract import Outputs
from wardround_client.tasks.registry import local_task
from wardround_client.tasks.windows import outline
from wardround_client.training.devices import enough_memory
from wardround_client.training.supply import supply_of
from wardround_common.errors import ModelError
from wardround_common.metrics import PatientSums
from wardround_common.study.file import Study
from wardround_common.study.sums import in_levels

BATCH = 256
MOST_NUMBERS = 2**25
"""Of the outputs for each pixel that are held at a time: 128 MB."""


def _at_a_time(examples: Examples) -> int:
    """Return of how many records a network is asked at a time."""
    return max(1, BATCH // examples.kept.bags.shape[1]) if isinstance(examples.kept, KeptBags) else BATCH


def probabilities_of(network: nn.Module, examples: Examples) -> NDArray[np.float32]:
    """Return a classifier's probabilities (images, classes); they stay in the hospital."""
    step = _at_a_time(examples)
    places = [np.arange(start, min(start + step, len(examples))) for start in range(0, len(examples), step)]
    parts = [_outputs(network, examples, some, step).softmax(1) for some in places]
    probabilities: NDArray[np.float32] = torch.cat(parts).numpy()
    return probabilities


def sums_of(network: nn.Module, study: Study, examples: Examples) -> Any:
    """Sum up how the network does on these images, as the study's task has it (``tasks.contract.Sums``).

    Raises:
        ModelError: an output is not a finite number.
    """
    local = local_task(study.task)
    total = local.task.empty(study.task)
    for places, outputs, targets in _parts(network, study, examples):
        total = total + local.sums(study.task, outputs, targets, examples.patients[places], examples.lying(places))
    return in_levels(study, total)


def patient_sums(network: nn.Module, study: Study, examples: Examples, *, finite: bool = False) -> PatientSums:
    """Return the sums of each patient, patients in the order of their codes; they stay where patients may be read.

    ``finite``: a patient for whom an output is not a finite number has sums over nothing, and there is no error: that
    there was one would tell of that patient. And each record goes through the network by itself: kernels round
    otherwise in batches of another size, and a model can be made up that turns this into other scores for everybody
    where there is one patient more.

    Raises:
        ModelError: an output is not a finite number.
    """
    local = local_task(study.task)
    task, section = local.task, study.task
    of = dict.fromkeys(np.unique(examples.patients).tolist(), task.empty(section))
    without = set[int]()
    for places, outputs, targets in _parts(network, study, examples, alone=finite):
        patients = examples.patients[places]
        for patient in np.unique(patients).tolist():
            here = np.flatnonzero(patients == patient)
            theirs = places[here]
            told = (_some(outputs, here), _some(targets, here), patients[here], examples.lying(theirs))
            try:
                of[patient] = of[patient] + local.sums(section, *told)
            except ModelError:
                if not finite:
                    raise
                without.add(patient)
    of |= dict.fromkeys(without, task.empty(section))
    return PatientSums.of((in_levels(study, sums).to_vector() for sums in of.values()), task.length(section))


def cells_of(study: Study, by_patient: PatientSums, codes: Sequence[NDArray[np.int64]]) -> list[list[PatientSums]]:
    """Return the sums of the patients of each subgroup, for the study's subgroups and their cells.

    ``codes``: ``Dataset.by_subgroup``; where it is empty nothing is told by subgroup, and every cell is empty.
    """
    vectors = list(by_patient.vectors()) if codes else []
    return [
        [
            PatientSums.of((vectors[at] for at in np.flatnonzero(places == cell)), by_patient.length)
            for cell in range(len(one.cells))
        ]
        for one, places in zip(
            study.evaluation.subgroups, codes or [np.empty(0, np.int64)] * len(study.evaluation.subgroups), strict=True
        )
    ]


def _some(values: Outputs, places: NDArray[np.int64]) -> Outputs:
    return values[places] if isinstance(values, torch.Tensor) else [values[place] for place in places.tolist()]


def _parts(
    network: nn.Module, study: Study, examples: Examples, *, alone: bool = False
) -> Iterator[tuple[NDArray[np.int64], Outputs, Outputs]]:
    """Yield the places of some images, the outputs for them, and their targets; whole patients where the task needs
    them. ``alone``: each goes through the network by itself.
    """
    if isinstance(examples.kept, KeptVolumes):
        for places in examples.places_by_patient():
            outlined = [_outlined(network, examples, place, examples.kept.patch) for place in places.tolist()]
            yield places, outlined, [torch.from_numpy(examples.targets[[place]][0]) for place in places.tolist()]
        return
    local, batch = local_task(study.task), _at_a_time(examples)
    if local.task.dense:
        batch = max(1, min(BATCH, MOST_NUMBERS // (study.outputs * int(np.prod(examples.kept.shape[2:])))))
    if local.whole_patients:
        parts = examples.places_by_patient()
    else:
        parts = [np.arange(start, min(start + batch, len(examples))) for start in range(0, len(examples), batch)]
    for places in parts:
        if alone:
            outputs = torch.cat([_output_alone(network, study, examples, place) for place in places.tolist()])
        else:
            outputs = _outputs(network, examples, places, batch)
        yield places, outputs, torch.from_numpy(examples.targets[places])


@torch.no_grad()
def _outlined(network: nn.Module, examples: Examples, place: int, window: tuple[int, ...]) -> torch.Tensor:
    """Return the logits of a whole volume, window by window: (outputs, slices, rows, columns)."""
    network.eval()
    image = torch.from_numpy(examples.images(np.array([place]))).to(next(network.parameters()).device)
    with enough_memory():
        return outline(network, image, window)[0].cpu()


@torch.no_grad()
def _output_alone(network: nn.Module, study: Study, examples: Examples, place: int) -> torch.Tensor:
    """Return the output (1, outputs) for a record as it would be if there were no other.

    A record of several images has no places for as many as another one has.
    """
    network.eval()
    with enough_memory():
        ((images, _),) = supply_of(examples, next(network.parameters()).device).batches([np.array([place])])
        if isinstance(examples.kept, KeptBags) and study.data.gathered and not study.data.sequences:
            images = examples.kept.without_padding(images, int(examples.rows[place]))
        outputs: torch.Tensor = network(images).cpu()
    return outputs


@torch.no_grad()
def _outputs(network: nn.Module, examples: Examples, places: NDArray[np.int64], batch: int) -> torch.Tensor:
    network.eval()
    supply = supply_of(examples, next(network.parameters()).device)
    chunks = [places[start : start + batch] for start in range(0, len(places), batch)]
    with enough_memory():
        return torch.cat([network(images).cpu() for images, _ in supply.batches(chunks)])
