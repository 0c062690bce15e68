"""``wardround study check`` also tries what a file does not show, where a package that can is installed."""

from __future__ import annotations

import json
import sys
import textwrap
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import in_process
from wardround_common.shell.study_cli import REHEARSALS
from wardround_common.study.file import parse_study, read_study
from wardround_common.study.template import study_text

ROOT = Path(__file__).parents[2]


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a study into a folder in which a test can install a package."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    path = tmp_path / "lung.toml"
    path.write_text(study_text("lung"), encoding="utf-8")
    return path


def rehearsal(folder: Path, code: str) -> None:
    """Install a package that tries a study, as pip would leave it."""
    (folder / "tried_package.py").write_text(textwrap.dedent(code))
    metadata = folder / "tried-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: tried\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{REHEARSALS}]\ntried = tried_package:rehearse\n")


def check(study: Path, *arguments: str) -> in_process.Done:
    sys.modules.pop("tried_package", None)  # another test's
    return in_process.run("study", "check", study, *arguments)


@pytest.mark.slow
def test_what_was_tried_is_said_to_people_and_to_programs(study: Path) -> None:
    rehearsal(study.parent, "def rehearse(study): return f'{study.model.network} runs'")
    people = check(study)
    assert people.returncode == 0, people.stderr
    assert f"digest {read_study(study).digest()}\n" in people.stdout
    assert "tried: tiny-cnn runs\n" in people.stdout
    programs = json.loads(check(study, "--json").stdout)
    assert programs["valid"]
    assert programs["rehearsed"]["tried"] == "tiny-cnn runs"


@pytest.mark.slow
@pytest.mark.parametrize(("error", "code"), [("StudyError", 3), ("PrivacyError", 5)])
def test_a_study_that_is_refused_when_tried_is_not_valid(study: Path, error: str, code: int) -> None:
    rehearsal(
        study.parent,
        f"""
        from wardround_common.errors import {error}
        def rehearse(study): raise {error}("images are mixed", do="Choose another network.")
        """,
    )
    people = check(study)
    assert (people.returncode, people.stdout) == (code, "")
    assert people.stderr == "Error: images are mixed\n  → Choose another network.\n"
    programs = check(study, "--json")
    assert programs.returncode == code
    assert json.loads(programs.stdout) == {"valid": False, "digest": None, "faults": ["images are mixed"]}


@pytest.mark.slow
def test_what_is_not_installed_is_said_to_be_not_tried(study: Path) -> None:
    rehearsal(study.parent, "")
    (study.parent / "tried_package.py").unlink()
    run = check(study)
    assert run.returncode == 0, run.stderr
    assert "tried: not tried here: it needs the package tried_package\n" in run.stdout


def test_the_hospitals_package_tries_the_network() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    value = project["entry-points"][REHEARSALS]["network"]
    rehearse = EntryPoint("network", value, REHEARSALS).load()
    assert rehearse(parse_study(study_text("lung"))).startswith("tiny-cnn made steps on noise of 64 × 64 pixels")
