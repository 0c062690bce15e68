"""A study that trains a part of its network, from rounds under secure sums and noise to the model that is asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from examples import DP, study
from wardround_client import networks
from wardround_common.results import FEDERATED
from wardround_server.rounds.checkpoint import read_checkpoint
from wardround_simulation.places import Places, sites_in
from wardround_simulation.run.plan import Plan
from wardround_simulation.run.simulate import simulate
from wardround_simulation.workers import InThisProcess

from test_model_at_work import MODALITIES, command  # isort: skip

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]
SHARED = DP | {"trust": "distributed", "sampling_rate": 0.5, "dropouts": 0, "colluders": 0}


def test_adapters_under_shared_noise_give_a_whole_model_with_the_runs_figures(
    hospitals: Path, state: Path, tmp_path: Path
) -> None:
    of = study(
        task={"classes": ["normal", "finding"]},
        data={"modalities": MODALITIES, "intensity": "percentile"},
        model={"train": "adapters", "rank": 2},
        training={"rounds": 2, "local_epochs": None},
        privacy=SHARED,
        aggregation={"min_hospitals": 2, "secure": True},
    )
    sites = sites_in(hospitals, Places(None, None, frozenset(), state))
    results = simulate(Plan(of, sites, tmp_path / "run", False, False), InThisProcess(), lambda progress: None)
    network = networks.build(of)
    kept = read_checkpoint(tmp_path / "run" / "checkpoint", of)
    assert kept.layout == networks.layout_of(network)
    tensors = load_file(tmp_path / "run" / "model.safetensors")
    assert set(tensors) == set(network.state_dict())
    start = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    moved = {name for name in tensors if (tensors[name] != start[name]).any()}
    assert moved == set(kept.layout.names)
    exported = command("export", tmp_path / "run", "--out", tmp_path / "model")
    assert exported.exit_code == 0, exported.output
    name = results.hospitals[0].name
    found = command("evaluate", tmp_path / "model", hospitals / name, "--split", "test", "--state", state, "--json")
    said = json.loads(found.stdout)
    figures = results.evaluation[FEDERATED][name].metrics
    assert {metric: one["value"] for metric, one in said["metrics"].items()} == {k: v.value for k, v in figures.items()}
