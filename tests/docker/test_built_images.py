"""Both images, built by a real engine, hold what docs/security.md says. Skipped where there is no engine or no base."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BASE = os.environ.get("PYTHON_IMAGE", "python:3.11-slim")
NAMES = {"SERVER_IMAGE": "wardround-tested-server", "CLIENT_IMAGE": "wardround-tested-client"}
HOSPITAL, COORDINATOR = NAMES["CLIENT_IMAGE"], NAMES["SERVER_IMAGE"]


def docker(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(("docker", *words), capture_output=True, text=True, timeout=600, check=False)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Build both, and write what is in them; afterwards only their layers are left, for the next time."""
    if shutil.which("docker") is None or docker("version").returncode != 0:
        pytest.skip("no Docker engine answers")
    if docker("image", "inspect", BASE).returncode != 0 and docker("pull", "--quiet", BASE).returncode != 0:
        pytest.skip(f"the engine has no {BASE} and reaches no registry")
    folder = tmp_path_factory.mktemp("components")
    for script in (["docker/build.sh"], ["docker/sbom.sh", str(folder)]):
        done = subprocess.run(
            ["bash", *script], cwd=ROOT, env={**os.environ, **NAMES}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    yield folder
    docker("image", "rm", "--no-prune", *NAMES.values())


def inside(image: str, *command: str) -> subprocess.CompletedProcess[str]:
    walls = ("--rm", "--network", "none", "--read-only", "--cap-drop", "ALL", "--tmpfs", "/tmp:size=64m")  # noqa: S108  # of the container
    return docker("run", *walls, "--entrypoint", command[0], image, *command[1:])


@pytest.mark.slow
def test_each_image_runs_its_own_commands_as_nobody_and_has_no_installer(images: Path) -> None:
    for image, own, other in ((HOSPITAL, "hospital", "coordinator"), (COORDINATOR, "coordinator", "hospital")):
        assert inside(image, "wardround", own, "--help").returncode == 0
        refused = inside(image, "wardround", other, "--help")
        assert (refused.returncode, f"The command '{other}' is not installed here" in refused.stderr) == (2, True)
        assert inside(image, "id", "-u").stdout == "10001\n"
        assert inside(image, "touch", "/opt/venv/x").returncode != 0
        assert inside(image, "python", "-m", "pip", "--version").returncode != 0
        named = inside(
            image, "sh", "-c", "ls /opt/venv/lib/python3*/site-packages/wardround-*.dist-info"
        ).stdout.split()
        assert "METADATA" in named
        assert "direct_url.json" not in named  # where the source lay
    assert inside(COORDINATOR, "python", "-c", "import torch").returncode != 0


@pytest.mark.slow
def test_the_images_list_of_components_is_what_is_locked(images: Path) -> None:
    for image, extra in ((HOSPITAL, "client"), (COORDINATOR, "server")):
        listed = json.loads((images / f"{image}.cdx.json").read_text())
        lines = (ROOT / "docker" / f"requirements-{extra}.txt").read_text().splitlines()
        locked = {line.split("==")[0] for line in lines if line[:1].isalpha()}
        there = {re.sub(r"[-_.]+", "-", one["name"]).lower() for one in listed["components"]}
        assert locked <= there
        assert not there & {"pip", "cyclonedx-bom"}
