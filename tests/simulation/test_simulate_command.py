"""``wardround simulate`` as a person meets it: wrong input gets a message and an exit code, never a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from PIL import Image
from test_run import model, phantom_study

from examples import DP, hear_interrupts, study
from wardround_common.shell import cli
from wardround_common.study.file import Study
from wardround_simulation import demo, partition
from wardround_simulation.door import simulating

COMMAND = Path(sys.executable).with_name("wardround")


def write(path: Path, of: Study) -> Path:
    path.write_text(tomli_w.dumps(of.model_dump(mode="json", exclude_none=True)))
    return path


def typed(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["wardround", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("rounds", "roundz", "did you mean 'rounds'"),
        ('"small-cnn"', '"alexnet"', "small-cnn"),
        ("[training]", "[trainin]", "did you mean"),
    ],
)
def test_a_wrong_study_ends_with_3_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, old: str, new: str, says: str
) -> None:
    file = write(tmp_path / "study.toml", phantom_study())
    file.write_text(file.read_text().replace(old, new, 1))
    assert typed(monkeypatch, "simulate", file, "--hospitals", tmp_path / "nowhere") == 3
    assert says in capsys.readouterr().err


def test_a_run_that_begins_gives_no_round_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = write(tmp_path / "study.toml", phantom_study())
    assert typed(monkeypatch, "simulate", file, "--hospitals", tmp_path, "--give-up") == 2
    assert "add --resume" in capsys.readouterr().err


def test_what_splits_a_pool_is_refused_without_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = write(tmp_path / "study.toml", phantom_study())
    for words in (["--split", "3"], ["--partition", "by:Manufacturer"]):
        assert typed(monkeypatch, "simulate", file, "--hospitals", tmp_path, *words) == 2
        assert "--pool" in capsys.readouterr().err


@pytest.mark.parametrize("of", ["simulate", "demo"])
@pytest.mark.parametrize("kept", ["", "run.json", "checkpoint"])
def test_an_interrupted_run_is_continued_by_the_command_that_it_is_told(
    kept: str, of: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A run that had kept nothing was told to be resumed, which was then refused; and 'demo' knows no --resume."""
    asked: list[bool] = []

    def interrupted(*_: object, resume: bool, **__: object) -> None:
        asked.append(resume)
        if kept:
            (tmp_path / "run").mkdir(exist_ok=True)
            (tmp_path / "run" / kept).touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(simulating, "simulate", interrupted)
    monkeypatch.setattr(demo, "make_demo_hospitals", lambda folder, console: folder)
    file = write(tmp_path / "study.toml", phantom_study())
    command = ["simulate", file, "--hospitals", tmp_path, "--out", tmp_path / "run"]
    if of == "demo":
        command = ["demo", "--out", tmp_path / "run"]
    assert typed(monkeypatch, *command) == 130
    said = " ".join(capsys.readouterr().err.split())
    resumes = bool(kept) and of == "simulate"
    assert ("--resume" in said) == resumes
    assert resumes or "run the same command again" in said
    if of == "demo":  # which goes on by itself
        assert typed(monkeypatch, *command) == 130
        assert asked == [False, bool(kept)]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--split", "2", "--partition", "dirichlet"], "there is no partition 'dirichlet'"),
        (["--partition", "by:NoSuchWord"], "DICOM has no attribute 'NoSuchWord'"),
        ([], "needs a number of hospitals"),
        (["--split", "2", "--allow", "everything"], "no finding 'everything'"),
        (["--split", "2", "--confirm-patients", "name"], "no guess 'name'"),
        (["--split", "2", "--label-attribute", "NoSuchWord"], "no attribute with the keyword 'NoSuchWord'"),
        (["--split", "2", "--policy", "nowhere.toml"], "nowhere.toml"),
        (["--split", "2", "--start", "nowhere"], "nowhere"),
        (["--split", "2", "--weights", "nowhere"], "the study names no file of weights"),
        (["--split", "2", "--ledgers", "nowhere"], "no ledgers of a simulated run"),
        (["--split", "2", "--resume"], "there is no run to resume"),
    ],
)
def test_wrong_options_are_said_before_a_pools_images_are_read(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arguments: list[str],
    says: str,
) -> None:
    def read(*_: object, **__: object) -> None:
        raise AssertionError("images were read")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(partition, "take_in", read)
    (tmp_path / "pool").mkdir()
    file = write(tmp_path / "study.toml", phantom_study())
    assert typed(monkeypatch, "simulate", file, "--pool", "pool", "--workers", "1", *arguments)
    said = " ".join(capsys.readouterr().err.split())
    assert says in said
    assert "→" in said


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_here_ends_with_9_before_any_image_is_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, device: str
) -> None:
    file = write(tmp_path / "study.toml", phantom_study())
    assert typed(monkeypatch, "simulate", file, "--hospitals", tmp_path / "nowhere", "--device", device) == 9
    said = capsys.readouterr().err
    assert device in said
    assert "→" in said
    assert typed(monkeypatch, "demo", "--out", tmp_path / "demo", "--device", device) == 9
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "either --hospitals or --pool"),
        (["--hospitals", "x", "--pool", "y"], "either --hospitals or --pool"),
        (["--hospitals", "nowhere"], "cannot be read"),
        (["--hospitals", "empty"], "no sub-folder"),
        (["--hospitals", "nobody"], "hospital a"),
        (["--hospitals", "one"], "looks like one hospital: labels.csv lies in it, and in none of its 1 sub-folders"),
        (["--hospitals", "reserved"], "cannot be called 'all'"),
        (["--pool", "empty", "--split", "3"], "the folder holds no files"),
        (["--hospitals", "good", "--allow", "everything"], "no finding 'everything'"),
        (["--hospitals", "good", "--label-attribute", "NoSuchWord"], "NoSuchWord"),
        (["--hospitals", "good", "--labels", "other.csv"], "other.csv"),
    ],
)
def test_wrong_data_ends_with_4_and_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    hospitals: Path,
    arguments: list[str],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for name in "ab":
        (tmp_path / "nobody" / name).mkdir(parents=True)
    (tmp_path / "reserved" / "all").mkdir(parents=True)
    (tmp_path / "one" / "P1").mkdir(parents=True)
    (tmp_path / "one" / "labels.csv").write_text("file,label\n", encoding="utf-8")
    (tmp_path / "good").symlink_to(hospitals)
    file = write(tmp_path / "study.toml", phantom_study())
    assert typed(monkeypatch, "simulate", file, "--state", tmp_path / "state", "--workers", "1", *arguments) == 4
    said = " ".join(capsys.readouterr().err.split())
    assert says in said
    assert "→" in said
    assert "Traceback" not in said


def test_a_hospital_with_too_few_patients_for_delta_is_a_privacy_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, hospitals: Path
) -> None:
    of = phantom_study(privacy={"mechanism": "dp-sgd", "epsilon": 8.0, "delta": 0.5, "clip_norm": 1.0})
    file = write(tmp_path / "study.toml", of)
    out = ["--out", tmp_path / "run", "--state", tmp_path / "state", "--workers", "1"]
    assert typed(monkeypatch, "simulate", file, "--hospitals", hospitals, *out) == 5
    assert "does not protect anybody" in capsys.readouterr().err


@pytest.mark.slow
def test_a_seed_on_the_command_line_is_part_of_the_study_that_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hospitals: Path, state: Path
) -> None:
    file = write(tmp_path / "study.toml", phantom_study())
    common = ["simulate", file, "--hospitals", hospitals, "--state", state, "--no-baselines", "--workers", "1"]
    assert typed(monkeypatch, *common, "--seed", "5", "--out", tmp_path / "five") == 0
    kept = tmp_path / "five" / "study.toml"
    assert "seed = 5" in kept.read_text()
    again = ["simulate", kept, *common[2:]]
    assert typed(monkeypatch, *again, "--out", tmp_path / "again") == 0
    assert model(tmp_path / "five") == model(tmp_path / "again")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, hospitals: Path) -> Path:
    """Return a run of thirty rounds that nothing stopped, made where libraries compute with two threads."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    file = write(folder / "study.toml", phantom_study(training={"rounds": 30}))
    arguments = ["--hospitals", hospitals, "--state", folder / "state", "--no-baselines", "--out", folder / "run"]
    done = run(COMMAND, "simulate", file, *arguments, env={**os.environ, "OMP_NUM_THREADS": "2"})
    assert done.returncode == 0, done.stderr
    return folder / "run"


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_a_command_that_is_stopped_goes_on_to_the_same_model(
    tmp_path: Path, hospitals: Path, uninterrupted: Path, end: int
) -> None:
    file = write(tmp_path / "study.toml", phantom_study(training={"rounds": 30}))
    arguments = [COMMAND, "simulate", file, "--hospitals", hospitals, "--state", tmp_path / "state", "--no-baselines"]
    process = subprocess.Popen(
        [*arguments, "--out", tmp_path / "broken"], stderr=subprocess.PIPE, text=True, preexec_fn=hear_interrupts
    )
    checkpoint = tmp_path / "broken" / "checkpoint"
    until = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(process.pid, end)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == (130 if end == signal.SIGINT else -signal.SIGKILL)
    assert "Traceback" not in said
    if end == signal.SIGINT:
        assert "run the same command with --resume to continue" in " ".join(said.split())
    assert run(*arguments, "--out", tmp_path / "broken", "--resume").returncode == 0
    assert model(tmp_path / "broken") == model(uninterrupted)


@pytest.mark.slow
def test_a_disk_that_fills_up_is_said_and_the_last_round_is_kept(tmp_path: Path, hospitals: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small).returncode:
        pytest.skip("a small disk can be mounted by root only")
    file = write(tmp_path / "study.toml", phantom_study(training={"rounds": 4}))
    simulate = [COMMAND, "simulate", file, "--hospitals", hospitals, "--state", tmp_path / "state", "--no-baselines"]
    try:
        (small / "filler").write_bytes(bytes(500_000))  # leaves room for one checkpoint of 0.4 MB and not for two
        ended = run(*simulate, "--out", small / "run")
        # Coordinator and hospitals, whose ledgers lie there too, meet it in either order, and it is said alike.
        assert ended.returncode == 7
        assert "the disk is full" in ended.stderr
        assert "learning rate" not in ended.stderr
        assert "Traceback" not in ended.stderr
        (small / "filler").unlink()
        assert run("mount", "-o", "remount,size=20m", small).returncode == 0
        assert run(*simulate, "--out", small / "run", "--resume").returncode == 0
        assert run(*simulate, "--out", tmp_path / "whole").returncode == 0
        assert model(small / "run") == model(tmp_path / "whole")
    finally:
        run("umount", small)


def run(*command: str | Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=env)


def test_guessed_patients_are_refused_under_differential_privacy_and_stand_in_the_report_when_confirmed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    for hospital in ("a", "b"):
        for number in range(20):
            place = tmp_path / "hospitals" / hospital / ("none", "finding")[number % 2] / f"{number:02}" / "1.png"
            place.parent.mkdir(parents=True)
            Image.fromarray(rng.integers(0, 255, (16, 16), dtype=np.uint8)).save(place)
    data = {"modalities": ["OTHER"], "image_size": 16}
    of = study(data=data, training={"rounds": 1}, privacy={**DP, "images_per_patient": 1})
    common = ["--hospitals", tmp_path / "hospitals", "--state", tmp_path / "state", "--no-baselines", "--workers", "1"]
    file = write(tmp_path / "study.toml", of)
    assert typed(monkeypatch, "simulate", file, *common, "--out", tmp_path / "refused") == 5
    said = capsys.readouterr().err
    assert "20 of 20 patients are guessed (20 by folder)" in said
    assert "--confirm-patients folder" in said
    confirmed = ["--confirm-patients", "folder", "--out", tmp_path / "run"]
    assert typed(monkeypatch, "simulate", file, *common, *confirmed) == 0
    results, page = (tmp_path / "run" / "results.json").read_text(), (tmp_path / "run" / "report.html").read_text()
    for text in (results, page):
        assert (
            "a: some patients are guessed, since their files name none (guessed and confirmed here: 20 by folder)"
            in text
        )
