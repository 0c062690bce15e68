"""What ships is under licences that ask nothing of Wardround itself, and the page says what ships."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

DOCKER = Path(__file__).parents[2] / "docker"


def test_the_page_of_licences_is_what_is_installed_and_all_of_it_may_ship() -> None:
    done = subprocess.run(
        [sys.executable, DOCKER / "licences.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_each_package_that_flower_brings_has_its_reason() -> None:
    lines = (DOCKER.parent / "docs" / "licences.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.split("|")] for line in lines if line.startswith("| ")]
    reasons = {row[1]: row[6] for row in rows if row[5] == "flwr"}
    assert {"uv", "fastapi", "alembic"} <= reasons.keys()
    assert [name for name, reason in reasons.items() if not reason] == []


NOT_OF_A_HOSPITAL = (
    "alembic dotenv fastapi greenlet httptools mako pathspec prompt_toolkit sqlalchemy starlette uv uvicorn"
)


@pytest.mark.slow
def test_a_hospitals_service_imports_none_of_what_flower_brings_for_its_own_servers() -> None:
    modules = (
        "commands.hospital_cli",
        "service.hospital_service",
        "link.supernode",
        "hospital.app",
        "training.local_work",
    )
    code = (
        "import importlib, sys\n"
        f"for name in {modules!r}: importlib.import_module('wardround_client.' + name)\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {"flwr", "torch", "httpx"} <= loaded
    assert loaded & set(NOT_OF_A_HOSPITAL.split()) == set()


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
