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
from wardround_common.randomness import Stream
from wardround_common.results.withheld import Without
from wardround_common.study.file import Study
from wardround_common.tasks.contract import Sums


def withheld_sums(
    network: nn.Module, study: Study, examples: Examples, whole: Sums, stream: Stream
) -> tuple[Without, ...]:
    """Return what may leave of each input: of how many records it is withheld, and the sums so.

    ``whole``: the sums with all inputs. Who lacks an input has the same score in both sums: where some do, but fewer
    patients than the study's ``smallest_subgroup``, others who are drawn from ``stream`` keep it, so that as many have.
    Where fewer would be left whose score changes, the first sums are sent once more and it counts as known of nobody.

    Raises:
        ModelError: an output is not a finite number.
    """
    found, least = [], study.evaluation.smallest_subgroup
    for name in study.data.told:
        _, known = _without(study, examples, name)
        keep = _who_keep(examples.patients, known, least, stream.child("withheld", name))
        changed = known & ~np.isin(examples.patients, keep)
        if len(np.unique(examples.patients[changed])) < least:
            found.append(Without(0, whole))
        else:
            withheld, _ = _without(study, examples, name, examples.rows[changed])
            found.append(Without(int(changed.sum()), sums_of(network, study, withheld)))
    return tuple(found)


def _who_keep(patients: NDArray[np.int64], known: NDArray[np.bool_], least: int, stream: Stream) -> NDArray[np.int64]:
    """Draw patients who keep an input, so that those who lack it are among at least ``least`` with the same score.

    Nobody where nobody lacks it, or where as many do.
    """
    lacking = np.unique(patients[~known])
    have = np.setdiff1d(patients, lacking)
    few = max(0, least - len(lacking)) if len(lacking) else 0
    return have[stream.permutation(len(have))[:few]]


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


def _without(
    study: Study, examples: Examples, name: str, rows: NDArray[np.int64] | slice = slice(None)
) -> tuple[Examples, NDArray[np.bool_]]:
    if not isinstance(examples.kept, KeptBags):
        raise TypeError("inputs are withheld of records of several images")
    kept, known = without(examples.kept, study.data, name, rows)
    return replace(examples, kept=kept), known[examples.rows]
