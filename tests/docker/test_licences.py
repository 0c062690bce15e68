"""What ships is under licences that ask nothing of Wardround itself, and the page says what ships."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

DOCKER = Path(__file__).parents[2] / "docker"


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the images have Python 3.11; others need other packages")
def test_the_page_of_licences_is_what_is_installed_and_all_of_it_may_ship() -> None:
    done = subprocess.run(
        [sys.executable, DOCKER / "licences.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "expression", ["GPL-3.0-only", "LGPL-2.1-or-later", "MIT AND GPL-2.0", "AGPL-3.0", "Proprietary", ""]
)
def test_a_licence_with_conditions_on_the_product_does_not_ship(
    monkeypatch: pytest.MonkeyPatch, expression: str
) -> None:
    monkeypatch.syspath_prepend(str(DOCKER))
    from licences import may_ship

    assert not may_ship(expression)
    assert may_ship("MIT OR GPL-2.0")
