"""What tests of several files ask: a classifier that nobody trained, which none of them changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples import study
from models_made import model_folder


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a model that tells a finding, with an operating point and a temperature."""
    return model_folder(tmp_path_factory.mktemp("classifier"), study(), point=0.5, temperature=2.0)
