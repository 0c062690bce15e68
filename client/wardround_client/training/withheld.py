"""The same test patients once more, with one input of the model withheld: told as missing, as where it is not known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import nn

from wardround_client.preparation.bags import KeptBags, without
from wardround_client.preparation.examples import Examples
from wardround_client.training.evaluation import patient_sums, sums_of
from wardround_common.metrics import PatientSums
from wardround_common.results.withheld import Without
from wardround_common.study.file import Study
from wardround_common.tasks.contract import Sums


def withheld_sums(network: nn.Module, study: Study, examples: Examples, whole: Sums) -> tuple[Without, ...]:
    """Return what may leave of each input: of how many records it is known, and the sums with it withheld.

    ``whole``: the sums with all inputs. Where fewer patients have an input than the study's ``smallest_subgroup``,
    these are sent once more and the input counts as known of nobody: the difference would be of these few. Where fewer
    lack it, it counts as known of all.

    Raises:
        ModelError: an output is not a finite number.
    """
    found, least = [], study.evaluation.smallest_subgroup
    for name in study.data.told:
        withheld, known = _without(study, examples, name)
        if _patients(examples, known) < least:
            found.append(Without(0, whole))
            continue
        count = len(known) if _patients(examples, ~known) < least else int(known.sum())
        found.append(Without(count, sums_of(network, study, withheld)))
    return tuple(found)


def withheld_by_patient(network: nn.Module, study: Study, examples: Examples) -> list[tuple[int, PatientSums]]:
    """Return, for those who may read patients, of how many records each input is known, and each patient's sums.

    Raises:
        ModelError: an output is not a finite number.
    """
    found = []
    for name in study.data.told:
        withheld, known = _without(study, examples, name)
        found.append((int(known.sum()), patient_sums(network, study, withheld)))
    return found


def _without(study: Study, examples: Examples, name: str) -> tuple[Examples, NDArray[np.bool_]]:
    if not isinstance(examples.kept, KeptBags):
        raise TypeError("inputs are withheld of records of several images")
    kept, known = without(examples.kept, study.data, name)
    return replace(examples, kept=kept), known[examples.rows]


def _patients(examples: Examples, which: NDArray[np.bool_]) -> int:
    return len(np.unique(examples.patients[which]))
