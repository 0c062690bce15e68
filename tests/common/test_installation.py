"""What pip installs: without an extra there is nothing of a hospital, a coordinator or a simulation to run."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PACKAGES = ("common", "client", "server", "simulation")


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    # Most of what is installed is never imported here. The variable is the value of `compile`: 0 is --no-compile.
    environment = os.environ | {"PIP_NO_COMPILE": "0"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600, check=False)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_dependency_is_pinned_once_and_names_no_place() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*", line) for line in lines)
    pinned = [canonical(line.partition("==")[0]) for line in lines]
    assert len(set(pinned)) == len(pinned)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["client"], *extras["server"], *extras["tracking"], *extras["dev"]]
    wanted += ["tomli-w", "ray", "tenseal", "cyclonedx-bom"]
    assert {canonical(re.split(r"[<>=\[;]", name)[0].strip()) for name in wanted} - set(pinned) == set()


def test_make_without_a_target_lists_every_target() -> None:
    listed = run("make", "--no-print-directory", cwd=ROOT)
    assert listed.returncode == 0, listed.stderr
    rules = re.findall(r"^([a-z-]+):(?!=)", (ROOT / "Makefile").read_text(), re.M)
    assert [line.split()[1] for line in listed.stdout.splitlines()] == [
        rule for rule in rules if not rule.startswith("needs-")
    ]


def test_other_extras_are_a_reason_to_install_again_and_the_same_ones_are_none(tmp_path: Path) -> None:
    for name in ("Makefile", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / "bin" / "python"  # notes what it is asked to install
    python.parent.mkdir()
    python.write_text('#!/bin/sh\necho "$@" >>asked\n')
    python.chmod(0o755)

    def installed(*extras: str) -> bool:
        (tmp_path / "asked").unlink(missing_ok=True)
        done = run("make", ".venv/.installed", f"PYTHON={sys.executable}", "BIN=bin", *extras, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return (tmp_path / "asked").exists() and "--editable" in (tmp_path / "asked").read_text()

    assert [installed(), installed()] == [True, False]
    assert [installed("EXTRAS=dev"), installed("EXTRAS=dev")] == [True, False]


def pins(name: str) -> dict[str, str]:
    """Read the versions of a file of requirements or constraints."""
    lines = (line for line in (ROOT / name).read_text().splitlines() if line[:1].isalnum())
    return {canonical(line.partition("==")[0]): re.split(r"[ ;]", line.partition("==")[2])[0] for line in lines}


@pytest.mark.parametrize("extras", ["client", "server", "server,tracking"])
def test_what_an_image_installs_is_what_is_pinned_and_each_file_is_known_by_its_hash(extras: str) -> None:
    name = f"docker/requirements-{extras}.txt"
    locked, pinned = pins(name), pins("constraints.txt")
    assert locked.items() <= pinned.items(), "run 'make lock'"
    blocks = re.split(r"\n(?=[a-z])", (ROOT / name).read_text())
    assert all("--hash=sha256:" in block for block in blocks)
    assert not re.search(r"https?:|file:|index", (ROOT / name).read_text())
    needed, todo = set[str](), [("wardround", frozenset(extras.split(",")))]
    while todo:
        project, wanted = todo.pop()
        for requirement in map(Requirement, metadata.requires(project) or []):
            of = canonical(requirement.name)
            asked = [requirement.marker is None or requirement.marker.evaluate({"extra": e}) for e in (*wanted, "")]
            if any(asked) and of not in needed and not re.match(r"(nvidia|cuda)-|triton$", of):  # of a build with CUDA
                needed.add(of)
                todo.append((of, frozenset(requirement.extras)))
    assert needed - {"torch"} <= locked.keys(), "run 'make lock'"


@pytest.mark.parametrize(("name", "tool"), [("build", "setuptools"), ("sbom", "cyclonedx-bom")])
def test_the_tools_that_build_and_list_are_known_by_their_hashes(name: str, tool: str) -> None:
    file = f"docker/requirements-{name}.txt"
    assert tool in pins(file)
    assert pins(file).items() <= pins("constraints.txt").items(), "run 'make lock'"
    assert all("--hash=sha256:" in block for block in re.split(r"\n(?=[a-z])", (ROOT / file).read_text()))


@pytest.mark.slow
@pytest.mark.parametrize(("extras", "command"), [("client", "hospital"), ("server", "coordinator")])
def test_an_image_is_made_of_files_that_are_known_by_their_hashes(tmp_path: Path, extras: str, command: str) -> None:
    source, environment = copied(tmp_path / "source"), tmp_path / "environment"
    assert run(sys.executable, "-m", "venv", environment, cwd=tmp_path).returncode == 0
    pip = environment / "bin" / "pip"
    if extras == "client":
        link_torch(environment)
    files = [ROOT / "docker" / f"requirements-{name}.txt" for name in ("build", extras)]
    read = [part for file in files for part in ("-r", file)]
    steps: list[list[str | Path]] = [
        ["install", "--no-deps", "--require-hashes", *read],
        ["install", "--no-deps", "--no-build-isolation", source],
        ["check"],
    ]
    for step in steps:
        done = run(pip, *step, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
    shown = run(environment / "bin" / "wardround", command, "--help", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "serve" in shown.stdout


def link_torch(environment: Path) -> None:
    """Lend an environment the torch that is here, which `make install` installed by its pinned version."""
    (there,) = (environment / "lib").glob("python3*/site-packages")
    torch = metadata.distribution("torch")
    for name in {file.parts[0] for file in torch.files or () if not file.parts[0].startswith((".", "_"))}:
        (there / name).symlink_to(Path(str(torch.locate_file(name))))


def copied(source: Path) -> Path:
    """Copy what is built: pip builds in place, and the working tree is not its place."""
    for name in (*PACKAGES, "wardround"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    return source


def advised(extras: str) -> str:
    """Return the commands that docs/releases.md advises, for these extras."""
    page = (ROOT / "docs" / "releases.md").read_text()
    return page.split("## Install\n\n```\n")[1].split("```")[0].replace("[client]", f"[{extras}]")


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay out what somebody has who was handed a release: the wheel and the constraints."""
    folder = tmp_path_factory.mktemp("release")
    source = copied(folder / "source")
    built = run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder, source, cwd=folder)
    assert built.returncode == 0, built.stderr
    shutil.copy(ROOT / "constraints.txt", folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("extras", "shown", "command"),
    [
        ("server,tracking", "enrol", ["coordinator"]),
        ("simulation,ray", "--engine", ["simulate"]),  # with a hospital's packages, which its image has alone (above)
    ],
)
def test_the_advised_commands_install_a_wheel_that_works(
    release: Path, tmp_path: Path, extras: str, shown: str, command: list[str]
) -> None:
    environment = tmp_path / "environment"
    assert run(sys.executable, "-m", "venv", environment, cwd=tmp_path).returncode == 0
    commands = advised(extras)
    if extras.startswith("server"):
        commands = commands.splitlines()[-1]  # the first installs torch
    else:
        link_torch(environment)  # so that the first finds it there
    assert commands.count("pip install") == 1 + (extras != "server,tracking")
    done = run("bash", "-euc", f'PATH="{environment}/bin:$PATH"\n{commands}', cwd=release)
    assert done.returncode == 0, done.stderr
    assert run(environment / "bin" / "pip", "check", cwd=tmp_path).returncode == 0
    asked = run(environment / "bin" / "wardround", *command, "--help", cwd=tmp_path)
    assert asked.returncode == 0, asked.stderr
    assert shown in asked.stdout


@pytest.mark.slow
def test_every_other_extra_can_be_installed_beside_what_is_pinned(release: Path, tmp_path: Path) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"].keys()
    others = sorted(extras - {"client", "server", "tracking", "simulation", "ray"})
    assert others == ["bench", "dev", "export", "frames", "notebooks", "registration", "sbom", "wandb"]
    # In the environment that is here, which has all but two of them: pip asks for no more than what is missing.
    pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--constraint", str(ROOT / "constraints.txt")]
    (wheel,) = release.glob("*.whl")
    done = run(*pip, f"{wheel}[{','.join(others)}]", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^Would install .*cyclonedx-bom", done.stdout, re.M)


@pytest.mark.slow
def test_the_bare_installation_has_the_study_commands_and_no_others(tmp_path: Path) -> None:
    source = copied(tmp_path / "source")
    environment = tmp_path / "environment"
    assert run(sys.executable, "-m", "venv", environment, cwd=tmp_path).returncode == 0
    pip = environment / "bin" / "pip"
    built = run(pip, "wheel", "--no-deps", "--wheel-dir", tmp_path, source, cwd=tmp_path)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("wardround-*.whl")
    installed = run(pip, "install", "--constraint", ROOT / "constraints.txt", wheel, cwd=tmp_path)
    assert installed.returncode == 0, installed.stderr

    packed = set(zipfile.ZipFile(wheel).namelist())
    wanted = {".py", ".html", ".css", ".js", ".typed"}
    for name in PACKAGES:
        files = [file for file in (source / name).rglob("*") if file.suffix in wanted or file.name == "py.typed"]
        assert {file.relative_to(source / name).as_posix() for file in files} <= packed
    assert {"wardround/__init__.py", "wardround/py.typed"} <= packed

    command = environment / "bin" / "wardround"
    listed = run(command, "--help", cwd=tmp_path)
    commands = [line.split()[0] for line in listed.stdout.partition("Commands:\n")[2].splitlines() if line[2] != " "]
    assert commands == ["compare", "release", "study"]
    scan = run(command, "scan", cwd=tmp_path)
    assert scan.returncode == 2
    assert "The command 'scan' is not installed here: it needs wardround[client], and " in scan.stderr
    assert run(command, "study", "new", "lung", cwd=tmp_path).returncode == 0
    assert run(command, "study", "show", "lung.toml", cwd=tmp_path).returncode == 0
