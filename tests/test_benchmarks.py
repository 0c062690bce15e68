"""The benchmarks speak of what people get: their studies are valid, and the defaults are those that were measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from wardround_common.study.file import parse_study, read_study
from wardround_common.study.template import study_text

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.parametrize("file", sorted((BENCHMARKS / "studies").glob("*.toml")), ids=lambda file: file.stem)
def test_a_benchmark_study_is_valid_and_named_like_its_file(file: Path) -> None:
    assert read_study(file).study.name == file.stem


@pytest.mark.parametrize(("name", "dp"), [("brain-mri", False), ("chest-xray-eps8", True)])
def test_a_new_study_begins_with_the_numbers_that_were_measured(name: str, dp: bool) -> None:
    measured, new = read_study(BENCHMARKS / "studies" / f"{name}.toml"), parse_study(study_text("new", dp=dp))
    assert (measured.model, measured.training, measured.privacy) == (new.model, new.training, new.privacy)


def test_a_new_distributed_study_begins_with_the_numbers_that_were_measured_and_one_colluder_more() -> None:
    measured = read_study(BENCHMARKS / "studies" / "brain-mri-distributed.toml")
    new = parse_study(study_text("new", distributed=True))
    assert (measured.model, measured.training) == (new.model, new.training)
    assert measured.privacy.model_copy(update={"colluders": 1}) == new.privacy


@pytest.mark.parametrize("file", sorted((BENCHMARKS / "results").glob("*.json")), ids=lambda file: file.stem)
def test_results_are_flat_numbers(file: Path) -> None:
    """Words only say what was measured on: which device, which versions."""
    figures = json.loads(file.read_text())
    assert figures
    assert all(isinstance(value, int | float) or name.startswith("on_") for name, value in figures.items())


@pytest.mark.parametrize("target", ["bench-use", "bench-brain-mri", "volumes"])
def test_a_folder_without_hospitals_is_said_before_anything_is_measured(tmp_path: Path, target: str) -> None:
    (tmp_path / "a file").touch()
    (tmp_path / ".hidden").mkdir()
    for data, said in ((tmp_path, "holds no hospitals"), (tmp_path / "none", "there is no folder")):
        make = ["make", "--no-print-directory", "-o", ".venv/.installed", target, f"DATA={data}"]
        done = subprocess.run(make, cwd=BENCHMARKS.parent, capture_output=True, text=True, check=False)
        assert done.returncode
        assert said in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_hospitals_without_images_end_a_benchmark_with_a_message(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    command = [sys.executable, BENCHMARKS / "use.py", tmp_path, "--out", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode
    assert "Error: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_check_of_a_gpu_runs_tiny_on_the_cpu_and_says_when_there_is_no_card(tmp_path: Path) -> None:
    written = tmp_path / "gpu.json"
    check = [sys.executable, BENCHMARKS / "gpu.py"]
    done = subprocess.run(
        [*check, "--device", "cpu", "--quick", "--json", written], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "refuses" not in done.stdout
    figures = json.loads(written.read_text())
    assert figures["on_device"] == "cpu"
    for key in ("classes_plain", "classes_private", "outlines_plain", "outlines_private"):
        assert (figures[f"{key}_difference"], figures[f"{key}_repeats"]) == (0, 1)
    assert (figures["secure_same_bytes"], figures["secure_difference"]) == (1, 0)
    assert figures["tiny_unet_16_2_ours_time"] > 0
    absent = subprocess.run([*check, "--device", "cuda:99"], capture_output=True, text=True, check=False)
    assert absent.returncode == 9
    assert "cuda:99" in absent.stderr
