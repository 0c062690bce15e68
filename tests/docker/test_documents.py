"""What the documents point at is there: tests that they name, pages that they link to, commands that they show."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
import typer

from wardround_client.hospital_cli import app as hospital
from wardround_common.study_cli import app as study
from wardround_server.coordinator_cli import app as coordinator

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
GROUPS = {"hospital": hospital, "coordinator": coordinator, "study": study}
BY_OTHERS = {("study", "plan")}  # by an entry point of another package


@pytest.mark.parametrize("page", ["docs/security.md"])
def test_each_attack_names_a_test_that_is_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    table = text.split("## Attacks, and the test of each")[1].split("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 15
    file = ""
    for row in rows:
        named = re.findall(r"`([\w./…]+)::(test_\w+)`", row)
        assert named, row
        for where, name in named:
            file = file if where == "…" else where
            assert f"def {name}(" in (ROOT / "tests" / file).read_text(encoding="utf-8"), f"{file}::{name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_page_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://", "#")):
            assert (page.parent / target.partition("#")[0]).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_is_shown_is_there(page: Path) -> None:
    known = {group: typer.main.get_command(app) for group, app in GROUPS.items()}
    text = page.read_text(encoding="utf-8")
    for group, name in re.findall(r"wardround (hospital|coordinator|study) ([a-z][a-z-]*)", text):
        commands = known[group]
        assert isinstance(commands, click.Group)
        assert name in commands.commands or (group, name) in BY_OTHERS, f"{page.name}: wardround {group} {name}"
