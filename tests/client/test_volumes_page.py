"""What the page on volumes says is what the code does: each reason for a refusal is explained there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "volumes.md").read_text(encoding="utf-8")
OF_EVERY_FILE = {"vanished", "unreadable", "truncated", "not-an-image", "pixels-missing", "other-object"}
"""Said of every image in ``docs/images.md``, or of an object that is no mask of a kind that is read."""


def reasons(room: str) -> set[str]:
    """Collect the reasons that the modules of a room refuse with."""
    found: set[str] = set()
    for module in (ROOT / "client" / "wardround_client" / room).rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                first = node.args[0]
                named = node.func.id in ("ImageRefused", "refusing")
                if named and isinstance(first, ast.Constant) and isinstance(first.value, str):
                    found.add(first.value)
    return found


@pytest.mark.parametrize("room", ["volumes", "masks"])
def test_every_reason_for_a_refusal_is_explained(room: str) -> None:
    stated = reasons(room)
    assert len(stated) > 10
    assert {reason for reason in stated - OF_EVERY_FILE if f"`{reason}`" not in PAGE} == set()
