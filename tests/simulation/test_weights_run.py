"""From made images to a model: a learnt file, the study that pins it, and private rounds of its head."""

from __future__ import annotations

from pathlib import Path

import pytest
import tomli_w
from safetensors.numpy import load_file

from examples import DP, study
from wardround_common.errors import StudyError

from test_model_at_work import MODALITIES, command  # isort: skip

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]


def test_a_head_is_trained_privately_over_features_that_cost_nobody_anything(
    hospitals: Path, state: Path, tmp_path: Path
) -> None:
    of = study(
        task={"classes": ["normal", "finding"]},
        data={"modalities": MODALITIES, "intensity": "percentile"},
        model={"network": "tiny-cnn", "train": "head"},
        training={"rounds": 2},
        privacy=DP,
    )
    weights, toml, run = tmp_path / "prior.safetensors", tmp_path / "study.toml", tmp_path / "run"
    assert command("weights", "learn", "tiny-cnn", "--out", weights, "--steps", "5", "--size", "16").exit_code == 0
    toml.write_text(tomli_w.dumps(of.tables(nulls=False)))
    table = command("weights", "match", toml, weights, "--name", "made images").stdout
    toml.write_text(toml.read_text() + "\n" + table)
    words = ["simulate", toml, "--hospitals", hospitals, "--out", run, "--state", state, "--no-baselines"]
    with pytest.raises(StudyError, match="begins with the file of weights 'made images', which is not here"):
        command(*words)
    done = command(*words, "--weights", weights)
    assert done.exit_code == 0, done.output
    model, given = load_file(run / "model.safetensors"), load_file(weights)
    assert {name for name in model if (model[name] != given[name]).any()} == {"classify.weight", "classify.bias"}
