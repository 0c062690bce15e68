"""An audit for known vulnerabilities is clean only if the service knew every version that it was asked about."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

DOCKER = Path(__file__).parents[2] / "docker"
CLEAN = {"name": "rich", "version": "14.3.4", "vulns": []}
UNKNOWN = {"name": "torch", "skip_reason": "Dependency not found on PyPI and could not be audited: torch (2.13.0)"}
FOUND = {
    "name": "setuptools",
    "version": "65.5.0",
    "vulns": [{"id": "PYSEC-2022-43012", "fix_versions": ["65.5.1"], "aliases": [], "description": ""}],
}


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit_of_pins", DOCKER / "audit.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("packages", "code", "said"),
    [
        ([CLEAN], 0, "1 packages, no known vulnerability"),
        ([CLEAN, UNKNOWN], 2, "NOT AUDITED: the service does not know 1 of 2 packages: torch."),
        ([UNKNOWN], 2, "NOT AUDITED: the service does not know 1 of 1 packages: torch."),
        ([], 2, "NOT AUDITED"),
        ([CLEAN, FOUND], 1, "setuptools 65.5.0: PYSEC-2022-43012, fixed in 65.5.1"),
        ([UNKNOWN, FOUND], 1, "setuptools 65.5.0: PYSEC-2022-43012, fixed in 65.5.1"),
    ],
)
def test_what_the_service_did_not_know_is_not_called_clean(
    audit: ModuleType, packages: list[dict[str, Any]], code: int, said: str
) -> None:
    lines, given = audit.judge([{"dependencies": packages, "fixes": []}] * 2)
    assert (given, lines[0][: len(said)]) == (code, said)
    assert (UNKNOWN in packages) == any("NOT AUDITED" in line for line in lines) or not packages
