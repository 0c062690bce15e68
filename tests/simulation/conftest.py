"""Small synthetic hospitals, made once for all tests of the simulation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from services import Federation
from wardround_simulation.phantoms import make_hospitals


@pytest.fixture(scope="session")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with three hospitals of twenty patients each; tests do not write into it."""
    folder = tmp_path_factory.mktemp("hospitals")
    make_hospitals(folder, seed=3, hospitals=3, patients=20)
    return folder


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder where indexes and prepared images of the session are kept."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="session")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Yield services of a coordinator and two hospitals that have completed a study and keep serving."""
    with Federation(tmp_path_factory.mktemp("f")) as made:
        made.start()
        standing = made.run(made.study())
        assert standing["stage"] == "done", {who: log.getvalue() for who, log in made.logs.items()}
        yield made
