"""What the documents point at is there: tests, files and names of the code, pages that they link to, commands."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import click
import pytest
import typer

from wardround_client.commands.hospital_cli import app as hospital
from wardround_common.shell.release_cli import app as release
from wardround_common.shell.study_cli import app as study
from wardround_server.commands.coordinator_cli import app as coordinator

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
GROUPS = {"hospital": hospital, "coordinator": coordinator, "release": release, "study": study}
COMMANDS = {group: typer.main.get_command(app) for group, app in GROUPS.items()}
BY_OTHERS = {("study", "plan")}  # by an entry point of another package
NODE = re.compile(r"`([\w./…]+)::(test_\w+)`")
OUR_PACKAGES = [f"wardround_{package}" for package in ("common", "client", "server", "simulation")]
FOLDERS = ("common", "client", "server", "simulation", "benchmarks", "tests", "docker", "examples")
FILES = [path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
OTHERS = {"evaluate", "flwr", "grpc", "pydicom", "torch", "train", "vote", "wardround"}  # files of secure sums; others
ENDS = "beginning behind csv damaged db f32 head html internal invitation json key log pem ready request"
MORE_ENDS = "onnx safetensors sock sqlite terms toml txt upload xml yaml py jsonl png"
NO_NAMES = {*ENDS.split(), *MORE_ENDS.split()}  # of files and hosts


def names_of(file: str) -> set[str]:
    """Find what a module defines: functions, classes, variables."""
    nodes = list(ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    stored = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return stored | {node.name for node in nodes if isinstance(node, kinds)}


@functools.cache
def modules() -> dict[str, set[str]]:
    """Find what each of our modules and packages defines."""
    found: dict[str, set[str]] = {}
    for file in FILES:
        if file.startswith(FOLDERS[:4]):
            path = Path(file)
            found.setdefault(path.parent.name if path.stem == "__init__" else path.stem, set()).update(names_of(file))
            found.setdefault(path.parent.name, set()).add(path.stem)
    return found


@functools.cache
def known_tests() -> set[str]:
    """Find the names of all tests."""
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    return {name for text in texts for name in re.findall(r"def (test_\w+)\(", text)}


def table(page: str, heading: str) -> list[list[str]]:
    """Return the cells of each row of the first table below a heading, without its head."""
    below = (ROOT / page).read_text(encoding="utf-8").split(f"{heading}\n")[1].split("\n## ")[0]
    lines = [line for line in below.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


TABLES = (  # page, heading above the table, fewest rows
    ("docs/security.md", "## Attacks, and the test of each", 20),
    ("docs/security.md", "## Other claims of this page, and the test of each", 15),
    ("docs/threat-model.md", "# Threat model", 30),
    ("docs/data-protection.md", "## The claims, and the test of each", 15),
)


@pytest.mark.parametrize(("page", "heading", "fewest"), TABLES)
def test_each_attack_and_claim_names_a_test_or_says_that_there_is_none(page: str, heading: str, fewest: int) -> None:
    rows = table(page, heading)
    assert len(rows) >= fewest
    for row in rows:
        assert NODE.search(row[-1]) or row[-1].startswith(("not tested: ", "not provided")), row


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_is_named_is_there(page: Path) -> None:
    text, file = page.read_text(encoding="utf-8"), ""
    for where, name in NODE.findall(text):
        file = file if where == "…" else where.removeprefix("tests/")
        assert f"def {name}(" in (ROOT / "tests" / file).read_text(encoding="utf-8"), f"{page.name}: {file}::{name}"
    for name in re.findall(r"(?<![/\w])test_\w+\b(?!\.py)", text):
        assert name in known_tests(), f"{page.name}: {name}"


def test_each_article_and_safeguard_has_a_claim_with_its_test() -> None:
    served = {label.strip() for row in table("docs/data-protection.md", TABLES[3][1]) for label in row[0].split(",")}
    for heading in ("## The other articles", "## HIPAA"):
        rows = [row for row in table("docs/data-protection.md", heading) if row[1]]
        assert len(rows) > 10
        for row in rows:
            label = re.match(r"[\d.]+(?:\(\w+\))*", row[0])
            assert label, row
            assert label.group() in served, row[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_is_named_is_there(page: Path) -> None:
    """``package/…/file.py``: ``…`` stands for folders in between, ``NAME`` for any; the end of a path will do."""
    for named in set(re.findall(r"(?<![\w*/…-])[\w./…-]*\w\.py\b", page.read_text(encoding="utf-8"))):
        path = re.compile("(?:.*/)?" + re.escape(named).replace("…", ".+").replace("NAME", r"\w+"))
        assert any(path.fullmatch(file) for file in FILES), f"{page.name}: {named}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_name_of_the_code_is_there(page: Path) -> None:
    """``module.name``, and in the diagrams of the architecture also without quotes."""
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`((?:[a-z]\w+\.)+\w+)\(?\)?`", text)
    if page.name == "architecture.md":
        diagram = text.split("```")[1]
        named += re.findall(r"\b[a-z]+\.\w+", diagram)
        for name in re.findall(r"\b[a-z]+_[a-z_]+\b", diagram):
            assert any(name in names for names in modules().values()), f"{page.name}: {name}"
    for name in named:
        module, last = name.split(".")[-2:]
        if last not in NO_NAMES and name.split(".")[0] not in OTHERS:
            known = modules().keys() if module in OUR_PACKAGES else modules().get(module, set())
            assert last in known, f"{page.name}: {name}"


def test_the_architecture_names_each_module_that_imports_flower() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    said = re.findall(r"`([\w./…]+\.py)`", text.split("Flower is imported in ")[1].split("nowhere else")[0])
    flower = re.compile(r"^\s*(?:from|import) flwr\b", re.MULTILINE)
    ours = [file for file in FILES if file.startswith(FOLDERS[:4])]
    found = [file for file in ours if flower.search((ROOT / file).read_text(encoding="utf-8"))]
    assert sorted(Path(name).name for name in said) == sorted(Path(file).name for file in found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_page_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://", "#")):
            assert (page.parent / target.partition("#")[0]).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_is_shown_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for group, name in re.findall(r"wardround (hospital|coordinator|release|study) ([a-z][a-z-]*)", text):
        commands = COMMANDS[group]
        assert isinstance(commands, click.Group)
        assert name in commands.commands or (group, name) in BY_OTHERS, f"{page.name}: wardround {group} {name}"


def test_the_list_of_decisions_has_each_page_once_in_the_order_of_their_numbers() -> None:
    """A merge keeps the lines of both branches: out of order, or a reworded line beside its first form."""
    folder = ROOT / "docs" / "adr"
    listed = re.findall(r"^- \[(\d{4})\]\((.+?)\)", (folder / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    pages = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert listed == [(name[:4], name) for name in pages]
    assert len({name[:4] for name in pages}) == len(pages), "two pages have one number"


def test_no_entry_of_the_changelog_is_there_twice() -> None:
    """A merge that keeps both sides leaves an entry that one of them reworded standing beside its first form."""
    released = re.split(r"^## ", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    for text in released:
        lines = [line for line in text.splitlines() if line.strip()]
        assert sorted(lines) == sorted(set(lines))
        assert not [line for line in lines if line.startswith("### ") and lines.count(line) > 1]
        begins = [line[:50] for line in lines if line.startswith("- ")]
        assert sorted(begins) == sorted(set(begins))


@pytest.mark.parametrize("group", ["hospital", "coordinator"])
def test_the_readme_names_each_command_of_both_services(group: str) -> None:
    commands = typer.main.get_command(GROUPS[group])
    assert isinstance(commands, click.Group)
    between = (ROOT / "README.md").read_text(encoding="utf-8").split("## Between hospitals")[1].split("\n### ")[0]
    listed = between.split("Other commands: ")[1].split(" shows either service")[0]
    named = set(re.findall(rf"wardround {group} ([a-z]+)", between))
    named |= set(re.findall(r"`(?:\w+ )?([a-z]+)`", listed.split(f"`{group} ")[1].split("; ")[0]))
    named |= {re.findall(rf"`{group} ([a-z]+)`", listed)[0], *re.findall(r"`([a-z]+) [a-z]+`", listed)}
    shown = {name for name, command in commands.commands.items() if not command.hidden}
    assert shown - named == set()


def test_each_picture_of_the_gallery_is_made_by_its_commands_and_shown() -> None:
    page = (ROOT / "docs" / "gallery.md").read_text()
    commands = "".join(re.findall(r"^```bash\n(.*?)^```$", page, re.M | re.S))
    made = re.findall(r"^picture \S+ (\S+) ", commands, re.M) + re.findall(r"^cp \S+ (\S+)\.png$", commands, re.M)
    shown = re.findall(r"\]\(gallery/(\S+)\.png\)", page)
    assert made == shown
    assert {file.stem for file in (ROOT / "docs" / "gallery").iterdir()} == set(shown)
