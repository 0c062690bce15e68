"""Small synthetic hospitals, made once for all tests of the simulation."""

from __future__ import annotations

from pathlib import Path

import pytest

from wardround_simulation.phantoms import make_hospitals


@pytest.fixture(scope="session")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with three hospitals of twenty patients each; tests do not write into it."""
    folder = tmp_path_factory.mktemp("hospitals")
    make_hospitals(folder, seed=3, hospitals=3, patients=20)
    return folder


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder where indexes and prepared images of the session are kept."""
    return tmp_path_factory.mktemp("state")
