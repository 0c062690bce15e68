"""What hospitals sum up of maps is in the results, the report and the card of a simulated run."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from safetensors.numpy import load_file
from test_run import run

from examples import study
from outlined_hospitals import HOSPITALS, write_hospital
from wardround_client import networks
from wardround_common.results import Results
from wardround_common.results.map_sums import figures_of_maps
from wardround_server.report import summary
from wardround_server.report.model_card import maps as on_card
from wardround_simulation.federation import Federation, open_hospital
from wardround_simulation.places import Places, sites_in


@pytest.mark.slow
def test_a_simulation_has_the_figures_of_the_hospitals_that_have_enough_patients(tmp_path: Path) -> None:
    for name, count in zip(HOSPITALS, (3, 3, 6), strict=True):
        made = write_hospital(tmp_path / "hospitals" / name, name, count)
        lines = ["uid,label"]
        for patient in made:
            for at, stored in enumerate(patient.series["flair"]):
                lines.append(f"{stored.SOPInstanceUID},{'finding' if patient.mask[at].any() else 'none'}")
        (tmp_path / "hospitals" / name / "labels.csv").write_text("\n".join(lines))
    of = study(
        data={"modalities": ["MR"]},
        model={"network": "tiny-cnn"},
        training={"rounds": 1},
        evaluation={"maps": {"method": "hires-cam"}, "smallest_subgroup": 5, "external": ["south"]},
    )
    results = run(of, tmp_path / "hospitals", tmp_path / "state", tmp_path / "run")
    assert Results.from_json(results.to_json()) == results
    assert results.maps is not None
    assert {name: one.fitted for name, one in results.recalibrated.items()} == {
        "north": False,
        "east": False,
        "south": False,
        "all": None,
    }  # too few validation patients, or none: what is shown is as it is
    assert results.recalibrated["all"].metrics["brier"] == results.evaluation["federated"]["all"].value("brier")
    assert {*results.maps.hospitals} == {"south"}  # of the others one patient is tested
    assert results.maps.everybody.patients == 6
    there = Federation(of, sites_in(tmp_path / "hospitals", Places(None, None, frozenset(), tmp_path / "state")))
    south = open_hospital(there, "south")
    arrays = load_file(tmp_path / "run" / "model.safetensors")
    vector = np.concatenate([arrays[name].ravel() for name in south.built.layout.names]).astype(np.float32)
    networks.write_vector(south.built.network, south.built.layout, vector)
    assert figures_of_maps(of, south.maps_of_test(), {"south": south.maps_of_test()}) == results.maps
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(summary(results))
    assert "On 12 test images with an outlined lesion" in " ".join(console.export_text().split())  # lines end anywhere
    page = (tmp_path / "run" / "report.html").read_text()
    assert "What its answers hang on" in page
    assert "Lesion covers" in page
    assert on_card(results) is None  # a card gives no figures of fewer than ten patients
    more = results.maps.model_copy(update={"everybody": results.maps.everybody.model_copy(update={"patients": 12})})
    card = on_card(results.model_copy(update={"maps": more}))
    assert card is not None
    assert card.count("\n") == 2  # a head, a rule, all hospitals: the one that sent sums is too small
    assert "12" not in card.split("|")  # nor how many the others have
