"""The worked examples of ``CONTRIBUTING.md``: each a file put into its folder, and nothing else is edited."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = re.compile(r"^`([\w/]+\.py)`:\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PACKAGES = ("common", "client", "server", "simulation")
STUDY = """
[study]
name = "added"
[task]
name = "brightness"
[data]
modalities = ["OTHER"]
image_size = 16
intensity = "steps"
steps = [{ step = "limits", low = 0, high = 255 }, { step = "root", of = 2 }]
[model]
network = "two-layers"
[training]
strategy = "signs"
sign_step = 0.01
rounds = 2
local_epochs = 1.0
batch_size = 4
optimiser = "sgd"
learning_rate = 0.1
[privacy]
mechanism = "none"
[aggregation]
min_hospitals = 2
secure = false
[evaluation]
validation = 0.25
test = 0.25
sensitivity = 0.9
"""


def examples() -> dict[str, str]:
    return dict(EXAMPLE.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")))


def test_each_example_is_a_file_that_the_project_does_not_have() -> None:
    found = examples()
    assert len(found) == 6  # a network, a strategy, a format, a step, and the two halves of a task
    for file in found:
        assert (ROOT / file).parent.is_dir()
        assert not (ROOT / file).exists()


@pytest.mark.slow
def test_what_the_examples_add_is_trained_and_reported_with_no_other_file_changed(tmp_path: Path) -> None:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file, text in examples().items():
        (tmp_path / file).write_text(text, encoding="utf-8")
    rng = np.random.default_rng(0)
    for hospital in "ab":
        for patient in range(6):
            folder = tmp_path / "hospitals" / hospital / f"sub-{patient}"
            folder.mkdir(parents=True)
            pixels = rng.integers(0, 256, (20, 16), np.uint8)
            (folder / "image.pgm").write_bytes(b"P5 16 20 255\n" + pixels.tobytes())
    (tmp_path / "study.toml").write_text(STUDY)
    places = os.pathsep.join(str(tmp_path / package) for package in PACKAGES)
    command = "from wardround_common.shell.cli import main; main()"
    arguments = ["simulate", "study.toml", "--hospitals", "hospitals", "--state", "state", "--out", "run"]
    ended = subprocess.run(
        [sys.executable, "-c", command, *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": places},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert "Error of the brightness" in (tmp_path / "run/report.html").read_text()
    assert "brightness" in json.dumps(results)
