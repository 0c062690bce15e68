"""The one command: what it lists, how it fails, and what it leaves on the screen and as exit code."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from importlib.metadata import version
from pathlib import Path

import click
import pytest

from at_work import at_work
from examples import hear_interrupts
from in_process import Done, run
from link import until
from wardround_common.errors import StorageError
from wardround_common.shell import cli
from wardround_common.shell.cli import NO_TELEMETRY, quieten
from wardround_common.storage import no_room_is_said
from wardround_common.study.file import read_study

COMMAND = [sys.executable, "-c", "from wardround_common.shell.cli import main; main()"]


def wardround(
    *arguments: str | Path, cwd: Path, plugins: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own; ``plugins`` is a folder of further installed packages."""
    places = [str(plugins), *filter(None, [os.environ.get("PYTHONPATH")])]
    path = {"PYTHONPATH": os.pathsep.join(places)} if plugins else {}
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"COLUMNS": "100"} | path | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def typed_in(folder: Path, *arguments: str | Path) -> Done:
    """Run the command in this process, as typed in this folder."""
    with contextlib.chdir(folder):
        return run(*arguments)


def plugin(folder: Path, name: str, code: str, *, target: str = "app", group: str = "wardround.commands") -> None:
    """Install a package with one sub-command of its name, as pip would leave it."""
    (folder / f"{name}_package.py").write_text(textwrap.dedent(code))
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{name} = {name}_package:{target}\n")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    assert typed_in(tmp_path, "study", "new", "lung").returncode == 0
    return tmp_path / "lung.toml"


def test_without_arguments_the_help_is_shown(tmp_path: Path) -> None:
    run = wardround(cwd=tmp_path)
    assert run.returncode == 2
    assert "Commands:" in run.stderr
    assert "study" in run.stderr


def test_help_lists_the_commands_on_standard_output(tmp_path: Path) -> None:
    run = wardround("--help", cwd=tmp_path)
    assert (run.returncode, run.stderr) == (0, "")
    assert "Write a study file, check it, and explain in plain words what it will do." in " ".join(run.stdout.split())


def test_version_is_that_of_the_installed_distribution(tmp_path: Path) -> None:
    assert wardround("--version", cwd=tmp_path).stdout == f"wardround, version {version('wardround')}\n"


@pytest.mark.parametrize(("given", "meant"), [(["stdy"], "study"), (["study", "chek"], "check")])
def test_a_mistyped_command_names_the_nearest_one(tmp_path: Path, given: list[str], meant: str) -> None:
    run = wardround(*given, cwd=tmp_path)
    assert run.returncode == 2
    assert f"No such command '{given[-1]}'." in run.stderr
    assert run.stderr.count(f"Did you mean '{meant}'?") == 1


@pytest.mark.parametrize("arguments", [["--help"], ["study", "show", "lung.toml"]])
def test_help_and_study_come_without_waiting_for_torch_flower_or_an_image_reader(
    study: Path, arguments: list[str]
) -> None:
    code = (
        "import sys; from wardround_common.shell.cli import wardround\n"
        "wardround.main(sys.argv[1:], standalone_mode=False)\n"
        "print(sorted({'torch', 'flwr', 'pydicom', 'monai', 'opacus'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, *arguments]
    run = subprocess.run(command, cwd=study.parent, capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.splitlines()[-1] == "[]"


@pytest.mark.slow
def test_what_an_approval_looks_at_comes_without_waiting_for_flower() -> None:
    code = (
        "import sys, wardround_client.service.ward, wardround_client.commands.deciding_cli\n"
        "print(sorted({'flwr', 'monai', 'opacus'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert run.stdout == "[]\n"


@pytest.mark.parametrize(
    ("arguments", "said", "needed"),
    [
        (["--help"], "Usage: -c [OPTIONS] COMMAND [ARGS]...", []),
        (["hospital", "health", "--state", "."], "serving", ["grpc"]),
    ],
)
def test_help_and_health_come_without_waiting_for_what_they_do_not_need(
    tmp_path: Path, arguments: list[str], said: str, needed: list[str]
) -> None:
    code = (
        "import sys; from contextlib import suppress; from wardround_common.shell.cli import wardround\n"
        "with suppress(Exception): wardround.main(sys.argv[1:], standalone_mode=False)\n"
        "slow = {'pydantic', 'numpy', 'cryptography', 'rich.console', 'torch', 'flwr', 'grpc'}\n"
        "print(sorted(slow & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, *arguments]
    with at_work(tmp_path, "waiting") as service:
        until(lambda: service._health.is_current)
        run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.splitlines()[0] == said
    assert run.stdout.splitlines()[-1] == str(needed)


def test_a_command_whose_package_is_not_here_is_absent_and_says_what_it_needs(tmp_path: Path) -> None:
    plugin(tmp_path, "nowhere", "")
    (tmp_path / "nowhere_package.py").unlink()
    assert "nowhere" not in wardround("--help", cwd=tmp_path, plugins=tmp_path).stdout
    run = wardround("nowhere", cwd=tmp_path, plugins=tmp_path)
    assert run.returncode == 2
    assert "The command 'nowhere' is not installed here: it needs the package nowhere_package." in run.stderr


def test_a_command_whose_extra_is_not_here_is_absent_and_names_what_is_missing(tmp_path: Path) -> None:
    code = """
        import importlib.metadata as metadata
        from wardround_common.shell import cli
        real = cli.distribution
        def without_pydicom(name):
            if name == "pydicom":
                raise metadata.PackageNotFoundError(name)
            return real(name)
        cli.distribution = without_pydicom
        cli.main()
    """

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    listed = {line.split()[0] for line in run("--help").stdout.partition("Commands:\n")[2].splitlines()}
    assert listed & {"study", "scan", "simulate", "demo", "hospital"} == {"study"}
    assert (
        "'scan' is not installed here: it needs wardround[client], and pydicom cannot be found." in run("scan").stderr
    )
    assert "it needs wardround[simulation], and pydicom cannot be found." in run("simulate").stderr


@pytest.mark.slow
def test_a_package_adds_to_another_packages_command(tmp_path: Path, study: Path) -> None:
    plugin(tmp_path, "weigh", "def app() -> None:\n    print('weighed')", group="wardround.commands.study")
    assert "weigh" in wardround("study", "--help", cwd=tmp_path, plugins=tmp_path).stdout
    assert wardround("study", "weigh", cwd=tmp_path, plugins=tmp_path).stdout == "weighed\n"
    assert wardround("study", "check", study, cwd=tmp_path, plugins=tmp_path).returncode == 0
    assert wardround("weigh", cwd=tmp_path, plugins=tmp_path).returncode == 2


def test_no_package_stands_in_the_place_of_a_command_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, group in (("release", "wardround.commands"), ("plan", "wardround.commands.study")):
        plugin(tmp_path, name, "raise SystemExit('another package ran')", group=group)
    plugin(tmp_path, "show", "raise SystemExit('another package ran')", group="wardround.commands.study")
    monkeypatch.syspath_prepend(str(tmp_path))
    cli._points.cache_clear()
    try:
        context = click.Context(cli.wardround)
        assert cli.wardround.get_command(context, "release") is not None
        study = cli.wardround.get_command(context, "study")
    finally:
        cli._points.cache_clear()
    assert isinstance(study, click.Group)
    assert {"plan", "show"} <= set(study.commands)


def test_an_addition_whose_package_is_not_here_is_not_listed_and_says_what_it_needs(tmp_path: Path) -> None:
    plugin(tmp_path, "weigh", "", group="wardround.commands.study")
    (tmp_path / "weigh_package.py").unlink()
    assert "weigh" not in wardround("study", "--help", cwd=tmp_path, plugins=tmp_path).stdout
    for arguments in (["lung.toml", "--heavy", "3"], ["--help"], []):
        run = wardround("study", "weigh", *arguments, cwd=tmp_path, plugins=tmp_path)
        assert run.returncode == 2
        assert "The command 'weigh' is not installed here: it needs the package weigh_package." in run.stderr


@pytest.mark.parametrize("cause", ["import no_such_module_at_all", "from math import no_such_name"])
def test_an_import_error_in_an_installed_command_is_never_taken_for_an_absent_command(
    tmp_path: Path, cause: str
) -> None:
    plugin(tmp_path, "torn", cause)
    listed = wardround("--help", cwd=tmp_path, plugins=tmp_path)
    assert listed.returncode == 0
    assert "BROKEN, cannot be imported: " in listed.stdout
    called = wardround("torn", cwd=tmp_path, plugins=tmp_path)
    assert called.returncode == 1
    assert "Traceback" in called.stderr
    assert "no_such_" in called.stderr


def test_one_of_our_errors_is_a_message_and_its_exit_code(tmp_path: Path) -> None:
    plugin(
        tmp_path,
        "refuse",
        """
        from wardround_common.errors import PrivacyError
        def app() -> None:
            raise PrivacyError("too much", where="a\\x1b[31mb", do="Ask for less.")
        """,
    )
    run = wardround("refuse", cwd=tmp_path, plugins=tmp_path)
    assert run.returncode == 5
    assert run.stderr == "Error: a\N{REPLACEMENT CHARACTER}[31mb: too much\n  → Ask for less.\n"


def test_a_bug_stays_a_traceback(tmp_path: Path) -> None:
    plugin(tmp_path, "bug", "def app() -> None:\n    raise ZeroDivisionError")
    run = wardround("bug", cwd=tmp_path, plugins=tmp_path)
    assert run.returncode == 1
    assert "ZeroDivisionError" in run.stderr


def test_what_a_command_returns_is_no_exit_code(tmp_path: Path) -> None:
    plugin(tmp_path, "seven", "def app() -> int:\n    return 7")
    assert wardround("seven", cwd=tmp_path, plugins=tmp_path).returncode == 0


def test_control_c_stops_with_130_and_one_word(tmp_path: Path) -> None:
    plugin(tmp_path, "wait", "import time\ndef app() -> None:\n    print('waiting', flush=True)\n    time.sleep(60)")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(
        [*COMMAND, "wait"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_interrupts,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.strip() == "Stopped."


def test_a_question_that_nobody_answers_says_what_follows_from_that(tmp_path: Path) -> None:
    asks = "from wardround_common.shell.commands import confirm\ndef app() -> None:\n    confirm('Do it?', 'Not done.')"
    plugin(tmp_path, "ask", asks)
    done = wardround("ask", cwd=tmp_path, plugins=tmp_path)
    assert (done.returncode, done.stderr.strip()) == (130, "Stopped. Not done.")


def test_a_pipe_that_was_closed_while_a_file_is_written_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    with pytest.raises(BrokenPipeError), no_room_is_said(tmp_path / "explanations.jsonl"):
        raise BrokenPipeError
    with pytest.raises(StorageError, match="cannot be written"), no_room_is_said(tmp_path / "a"):
        (tmp_path / "nowhere" / "a").touch()


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["study", "show"], ["study", "show", "--json"], ["study", "check"]])
def test_a_closed_pipe_is_quiet(study: Path, arguments: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    run = subprocess.run([*COMMAND, *arguments, study], stdout=write, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(write)
    assert (run.returncode, run.stderr) == (141, b"")


def test_a_terminal_without_the_sign_gets_a_question_mark(study: Path) -> None:
    run = wardround("study", "show", study, cwd=study.parent, PYTHONIOENCODING="ascii")
    assert run.returncode == 0
    assert " ? " in run.stdout


def test_new_writes_a_file_that_check_accepts(study: Path) -> None:
    done = typed_in(study.parent, "study", "check", study)
    assert done.returncode == 0
    assert f"digest {read_study(study).digest()}" in done.stdout


def test_new_with_values_that_no_study_takes_writes_nothing_and_does_not_say_to_mend_a_file(tmp_path: Path) -> None:
    done = typed_in(tmp_path, "study", "new", "lung", "--classes", "only")
    assert done.returncode == 3
    assert "Nothing was written: give different values." in done.stderr
    assert "Mend" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_new_leaves_a_file_that_exists_alone(study: Path) -> None:
    before = study.read_bytes()
    done = typed_in(study.parent, "study", "new", "lung", "--no-dp")
    assert done.returncode == 7
    assert "lung.toml: this file already exists" in done.stderr
    assert study.read_bytes() == before


def test_new_writes_a_study_whose_noise_is_shared_out_and_refuses_one_without_noise(tmp_path: Path) -> None:
    done = typed_in(tmp_path, "study", "new", "shared", "--distributed")
    assert done.returncode == 0
    assert read_study(tmp_path / "shared.toml").privacy.mechanism == "dp-sgd"
    assert 'trust = "distributed"' in (tmp_path / "shared.toml").read_text()
    done = typed_in(tmp_path, "study", "new", "other", "--distributed", "--no-dp")
    assert done.returncode == 2
    assert "leave out --no-dp or --distributed" in done.stderr


def test_new_takes_classes_modalities_and_hospitals_so_that_no_editor_is_needed(tmp_path: Path) -> None:
    options = ["--classes", "normal,finding", "--modalities", "MG,CR", "--hospitals", "2"]
    done = typed_in(tmp_path, "study", "new", "lung", *options)
    assert done.stdout == "Wrote lung.toml\nRun: wardround study show lung.toml\n"
    made = read_study(tmp_path / "lung.toml")
    assert made.groups == ("normal", "finding")
    assert sorted(made.data.modalities) == ["CR", "MG"]
    assert made.aggregation.min_hospitals == 2
    done = typed_in(tmp_path, "study", "new", "half", "--classes", "normal,finding")
    assert "Set its modalities, then run" in done.stdout
    for task, unset in (("measurement", "quantity and modalities"), ("generation", "modalities")):
        assert f"Set its {unset}, then run" in typed_in(tmp_path, "study", "new", task, "--task", task).stdout


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [("--classes", "one", "classes"), ("--modalities", "a b", "modalities"), ("--hospitals", "0", "0")],
)
def test_new_refuses_what_is_no_study_and_writes_nothing(tmp_path: Path, option: str, value: str, said: str) -> None:
    done = typed_in(tmp_path, "study", "new", "lung", option, value)
    assert done.returncode == 3
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["Lung", "../lung", "a b", "", "a" * 65, "ü"])
def test_new_refuses_a_name_that_is_no_folder_name_and_writes_nothing(tmp_path: Path, name: str) -> None:
    done = typed_in(tmp_path, "study", "new", name)
    assert done.returncode == 3
    assert "lower-case letters, digits and hyphens" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_new_where_nothing_can_be_written_says_so(tmp_path: Path) -> None:
    done = typed_in(tmp_path, "study", "new", "lung", "--out", tmp_path / "no" / "lung.toml")
    assert done.returncode == 7
    assert "cannot be written: no such file or directory" in done.stderr


def test_check_refuses_an_epsilon_of_evaluation_to_which_no_noise_keeps(study: Path) -> None:
    text = study.read_text().replace("# evaluation_epsilon = 4.0", "evaluation_epsilon = 1e-9")
    study.write_text(text.replace("usual = ", "# usual = ").replace("delta = 1e-05", "delta = 1e-9"))
    programs = typed_in(study.parent, "study", "check", "--json", study)
    assert programs.returncode == 5
    (fault,) = json.loads(programs.stdout)["faults"]
    assert fault == "no noise keeps 30 evaluations within epsilon 1e-09 at delta 1e-09"


def test_check_lists_every_fault_for_people_and_for_programs(study: Path) -> None:
    text = study.read_text(encoding="utf-8").replace("rounds =", "rouns =").replace("epsilon = ", "epsilon = -")
    study.write_text(text, encoding="utf-8")
    people = typed_in(study.parent, "study", "check", study)
    assert (people.returncode, people.stdout) == (3, "")
    assert people.stderr.count("  · ") == 2
    programs = typed_in(study.parent, "study", "check", "--json", study)
    assert programs.returncode == 3
    answer = json.loads(programs.stdout)
    assert (answer["valid"], answer["digest"], len(answer["faults"])) == (False, None, 2)


def test_show_gives_the_same_digest_to_people_and_to_programs(study: Path) -> None:
    people = typed_in(study.parent, "study", "show", study).stdout
    answer = json.loads(typed_in(study.parent, "study", "show", "--json", study).stdout)
    assert f"digest {answer['digest']}" in people
    assert all(heading in people for heading in answer["words"])
    assert max(len(line) for line in people.splitlines()) <= 100


def test_show_of_a_missing_file_is_no_traceback(tmp_path: Path) -> None:
    done = typed_in(tmp_path, "study", "show", "nothing.toml")
    assert done.returncode == 3
    assert done.stderr.startswith("Error: nothing.toml: there is no such file\n")


def test_what_dependencies_would_report_is_off_and_what_a_person_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"RAY_USAGE_STATS_ENABLED": "1"})
    quieten()
    assert os.environ == NO_TELEMETRY | {"RAY_USAGE_STATS_ENABLED": "1"}


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("hospital", "health", "--state"), "this hospital has not been set up here"),
        (("coordinator", "health"), "this is not a coordinator's folder"),
    ],
)
def test_the_health_of_a_folder_that_is_nobodys_is_not_that_of_a_stopped_service(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    typed: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.setattr("sys.argv", ["wardround", *typed, str(tmp_path / "nope")])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 7
    assert said in capsys.readouterr().err


def test_what_to_do_next_is_said_with_the_folder_that_was_named(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    here = ("--state", "ward two")
    done = typed_in(tmp_path, "hospital", "init", "mercy", "--data", "images", *here)
    assert done.stdout.endswith("run: wardround hospital serve --state 'ward two' INVITATION\n")
    assert typed_in(tmp_path, "hospital", "pause", *here).stdout.endswith("hospital resume --state 'ward two'\n")
    assert typed_in(tmp_path, "hospital", "health", *here).stderr.endswith("hospital serve --state 'ward two'\n")
    assert typed_in(tmp_path, "hospital", "approve", "x", *here).stderr.endswith("studies --state 'ward two'\n")


@pytest.mark.parametrize(
    "command", ["studies", "resume", "approve x", "refuse x", "audit", "pause", "budget", "close x"]
)
def test_a_misspelt_folder_of_a_hospital_is_not_taken_for_one_without_studies(tmp_path: Path, command: str) -> None:
    done = typed_in(tmp_path, "hospital", *command.split(), "--state", "wadr")
    assert done.returncode == 7
    assert "wardround hospital init --state wadr NAME --data DIR" in done.stderr
    assert not (tmp_path / "wadr").exists()
