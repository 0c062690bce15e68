"""A study with a plug-in's step between services: who lacks the package, or has another one, reads it in words."""

from __future__ import annotations

import os
import shutil
import sys
import time
import tomllib
from collections.abc import Iterator

import pytest
import tomli_w

from plugin_made import install
from processes import NAMES, Site

pytestmark = pytest.mark.slow
STEP = """
import numpy as np
from wardround_common.study.steps import Setting, Step

def fit(settings, values):
    return lambda plane: np.power(plane, settings["power"]).astype(np.float32)

STEP = Step("to the power of {power}", fit, (Setting("power", 0.5, "the power", 0.1, 9),), scaled=True, scales=True)
"""


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("s"))
    try:
        yield made
    finally:
        made.end()


def at(site: Site, name: str) -> None:
    """Let what is started next find the packages of one hospital, or of the coordinator."""
    folder = site.folder / "packages" / name
    folder.mkdir(parents=True, exist_ok=True)
    site.extra["PYTHONPATH"] = os.pathsep.join([str(folder), *sys.path])


def put(site: Site, name: str, version: str) -> None:
    """Install the package at a hospital in the place of what is there."""
    folder = site.folder / "packages" / name
    shutil.rmtree(folder)
    folder.mkdir()
    points = {"wardround.preparation": {"power": "{m}.power:STEP"}}
    install(folder, files={"power.py": STEP}, points=points, version=version)


def approve(site: Site, name: str, code: int = 0) -> str:
    at(site, name)
    return site.run("hospital", "approve", "plugged", "--state", name, "--yes", code=code)


def test_a_step_of_a_plug_in_runs_where_all_have_it_and_is_missed_in_words(site: Site) -> None:
    for name in ("C", *NAMES):
        at(site, name)
    put(site, "hospital-a", "1.0")
    put(site, "hospital-c", "1.1")
    at(site, "hospital-a")
    (pinned,) = tomllib.loads(site.run("study", "plugin", "made-plugin"))["plugin"]
    steps = [{"step": "percentiles", "low": 0.5, "high": 99.5}, {"step": "made-plugin:power", "power": 0.5}]
    at(site, "C")  # needs no package that has only steps
    site.study("plugged", training={"rounds": 1})
    path = site.folder / "plugged.toml"
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    tables["data"] |= {"intensity": "steps", "steps": steps}
    path.write_text(tomli_w.dumps(tables | {"plugin": [pinned]}), encoding="utf-8")
    for who in ("C", *NAMES):
        at(site, who)
        site.start(who)
    at(site, "C")
    site.run("coordinator", "run", "C", "plugged.toml", "--detach")

    def proposed() -> bool:
        time.sleep(0.2)
        return [*site.status("plugged").get("hospitals", {}).values()] == ["waiting"] * 3

    site.until(proposed)

    said = approve(site, "hospital-a")
    assert pinned["sha256"] in said
    assert "runs with all rights" in " ".join(said.split())
    assert "the plug-in made-plugin is not installed" in approve(site, "hospital-b", code=3)
    assert "installed is made-plugin 1.1 with the SHA-256" in approve(site, "hospital-c", code=3)
    for name in ("hospital-b", "hospital-c"):  # their services run meanwhile
        put(site, name, "1.0")
        approve(site, name)
    end = site.until_over("plugged")
    assert (end["stage"], end["round"]) == ("done", 1), site.logs()

    at(site, "C")
    said = site.run("coordinator", "export", "C", "plugged")
    assert "ONNX: not made. The plug-in made-plugin is not installed." in " ".join(said.split())
