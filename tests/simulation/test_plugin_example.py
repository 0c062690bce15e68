"""The package of ``examples/plugin``, built and installed by pip: its parts are trained, written and reported."""

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
from PIL import Image
from test_contributing import STUDY

ROOT = Path(__file__).parents[2]
NAMES = {
    '{ step = "root", of = 2 }': '{ step = "example-plugin:brighten", gamma = 0.5 }',
    '"brightness"': '"example-plugin:brightness"',
    '"two-layers"': '"example-plugin:two-layers"',
    'strategy = "signs"\nsign_step = 0.01': 'strategy = "example-plugin:signs"\nsettings = { sign_step = 0.01 }',
}
COORDINATOR = """
import sys
from wardround_common.study.file import Study
from wardround_common.study.plugins import admit
admit(study := Study.read("study.toml"), network=False)
assert study.training.how.words and not {"torch", "pydicom"} & {*sys.modules}
"""


def run(*words: str | Path, folder: Path, path: str = "") -> subprocess.CompletedProcess[str]:
    places = {"PYTHONPATH": os.pathsep.join(filter(None, [path, os.environ.get("PYTHONPATH", "")]))}
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, cwd=folder, env=os.environ | places, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_template_is_installed_pinned_trained_and_refused_when_it_is_changed(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples" / "plugin", tmp_path / "source")  # pip builds in place
    pip = ("-m", "pip", "install", "--quiet", "--no-deps", "--target", "site", "./source")
    assert (done := run(*pip, folder=tmp_path)).returncode == 0, done.stderr
    site, main = str(tmp_path / "site"), "from wardround_common.shell.cli import main; main()"

    def wardround(*words: str) -> subprocess.CompletedProcess[str]:
        return run("-c", main, *words, folder=tmp_path, path=site)

    pinned = wardround("study", "plugin", "example-plugin").stdout
    text = STUDY
    for old, new in NAMES.items():
        text = text.replace(old, new)
    (tmp_path / "study.toml").write_text(f'{text}\n[tracking]\nsink = "example-plugin:lines"\n{pinned}')
    rng = np.random.default_rng(0)
    for hospital in "ab":
        for patient in range(6):
            folder = tmp_path / "hospitals" / hospital / f"sub-{patient}"
            folder.mkdir(parents=True)
            pixels = rng.integers(0, 256, (20, 16), np.uint8)
            if hospital == "a":
                Image.fromarray(pixels).save(folder / "image.png")
            else:  # as its research archive has them, in the format of the plug-in
                said = f"P5\n# patient {patient}\n# modality OTHER\n# spacing 0.5 0.5\n16 20\n255\n"
                (folder / "image").write_bytes(said.encode() + pixels.tobytes())
    simulate = ("simulate", "study.toml", "--hospitals", "hospitals", "--state", "state", "--workers", "2")
    read = ("--format", "example-plugin:graymap", "--out", "run")
    assert (done := wardround(*simulate, *read)).returncode == 0, done.stderr
    assert (pin := re.search(r'formats = \["(example-plugin:graymap@[0-9a-f]{64})"\]', done.stderr)), done.stderr
    assert wardround("scan", "hospitals/b", "--state", "scanned", "--format", pin[1]).returncode == 0
    assert "Error of the brightness" in (tmp_path / "run/report.html").read_text()
    assert json.loads((tmp_path / "run/results.json").read_text())
    lines = [json.loads(line) for line in (tmp_path / "run/sink/rounds.jsonl").read_text().splitlines()]
    assert [line.get("round", line.get("outcome")) for line in lines] == [1, 2, "FINISHED"]
    assert "of the plug-in example-plugin 1.0" in (tmp_path / "run/report.html").read_text()
    assert wardround("study", "new", "x", "--task", "example-plugin:brightness").returncode == 0
    assert pinned in (tmp_path / "x.toml").read_text()
    assert (done := run("-c", COORDINATOR, folder=tmp_path, path=site)).returncode == 0, done.stderr
    with (tmp_path / "site/example_plugin/brightness.py").open("a") as file:
        file.write("\nraise SystemExit('ran')\n")
    done = wardround("study", "show", "study.toml")
    assert (done.returncode, "and installed is example-plugin 1.0" in done.stderr) == (3, True), done.stderr
