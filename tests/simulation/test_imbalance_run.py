"""A made federation in which one image of fifty has the finding, with and without weights that hospitals count."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from test_run import model, phantom_study, run

from wardround_client.preparation.intensities import intensities_of
from wardround_common.results import FEDERATED
from wardround_common.study.file import Study
from wardround_simulation.federation import Federation, open_hospital
from wardround_simulation.phantoms import SCANNERS
from wardround_simulation.phantoms.hospital import make_hospital
from wardround_simulation.places import Places, sites_in
from wardround_simulation.run.plan import Progress

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]
RARE = replace(SCANNERS[0], prevalence=0.02)


class KilledError(Exception):
    pass


def kill_before_the_second_round(progress: Progress) -> None:
    if progress.round and progress.round.number == 1:
        raise KilledError


def of(**training: object) -> Study:
    made = phantom_study(
        training={"rounds": 4, "optimiser": "adamw", "learning_rate": 1e-3, "batch_size": 16} | training,
        aggregation={"secure": True},
        evaluation={"external": ["outside"], "every": 4},
    )
    return made.but({"data.image_size": 16, "data.normalisation": "federation"})


def test_counted_weights_keep_the_probabilities_of_a_rare_finding_apart_from_nothing(
    tmp_path: Path,
) -> None:
    hospitals, state = tmp_path / "hospitals", tmp_path / "state"
    for number in (1, 2):
        make_hospital(hospitals / f"hospital-{number}", RARE, seed=number, patients=150)
    make_hospital(hospitals / "outside", replace(RARE, prevalence=0.5), seed=9, patients=60)
    plain, weighted = (run(one, hospitals, state, tmp_path / name) for name, one in STUDIES.items())
    brier = {}
    for name, results in (("plain", plain), ("weighted", weighted)):
        outside = results.evaluation[FEDERATED]["outside"]
        assert outside.threshold is not None
        brier[name] = outside.value("brier")
    assert brier["plain"] is not None
    assert brier["weighted"] is not None
    assert brier["weighted"] < 0.7 * brier["plain"]  # half of the outside patients have the finding
    (said,) = (note for note in weighted.notes if "counted before the first round" in note)
    assert "normal 178 (weight 0.506) and finding 2 (weight 45)" in said

    sites = sites_in(hospitals, Places(None, None, frozenset(), state))
    apart = [open_hospital(Federation(PLAIN, sites), f"hospital-{n}").dataset.train for n in (1, 2)]
    whole = intensities_of(apart[0]) + intensities_of(apart[1])
    tensors = load_file(tmp_path / "weighted" / "model.safetensors")
    assert np.array_equal(tensors["input_mean"], whole.mean())
    assert np.array_equal(tensors["input_deviation"], whole.deviation())

    with pytest.raises(KilledError):
        run(STUDIES["weighted"], hospitals, state, tmp_path / "cut", show=kill_before_the_second_round)
    run(STUDIES["weighted"], hospitals, state, tmp_path / "cut", resume=True)
    assert model(tmp_path / "cut") == model(tmp_path / "weighted")


STUDIES = {"plain": of(), "weighted": of(count_classes=True)}
PLAIN = phantom_study().but({"data.image_size": 16})
