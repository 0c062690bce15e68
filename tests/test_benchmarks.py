"""The benchmarks speak of what people get: their studies are valid, and the defaults are those that were measured."""

from __future__ import annotations

import csv
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from wardround_common.errors import StorageError
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


@pytest.fixture(scope="module")
def medicine() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
        patch.setattr(sys, "excepthook", sys.excepthook)  # which the benchmarks change
        yield importlib.import_module("medicine")


def test_the_gap_that_a_measure_closes_outside_is_between_outside_and_inside(medicine: ModuleType) -> None:
    shift = importlib.import_module("medicine_shift")
    row = {
        ("inside", "plain"): {"a": 0.9, "b": 0.9},
        ("inside", "pooled"): {"a": 1.0, "b": 1.0},
        ("inside", "norm"): {"a": 0.95, "b": 0.9},
        ("outside", "plain"): {"a": 0.7, "b": 0.7},
        ("outside", "norm"): {"a": 0.7, "b": 0.8},
    }
    brain, made = shift.GROUNDS["brain-mri"], shift.GROUNDS["made"]
    assert shift.figures_of(brain, "outside", "plain", [row])["gap_shift_brain_outside"] == pytest.approx(0.2)
    assert shift.figures_of(brain, "outside", "norm", [row])["gap_closed_brain_outside_norm"] == pytest.approx(0.25)
    assert shift.figures_of(made, "inside", "norm", [row])["gap_closed_inside_norm"] == pytest.approx(0.25)


def test_what_ran_beside_another_bare_loop_is_judged_by_that_one_and_leaves_the_first_one_s_figures(
    medicine: ModuleType,
) -> None:
    peers = importlib.import_module("peers")

    def of(*seconds: float) -> list[dict[str, float]]:
        return [{"round_s": each} for each in seconds]

    both = peers.figures_of({"bare": of(2.0, 1.0), "pfl": of(3.0, 4.0)}, ["bare", "pfl"])
    assert both == {
        **{"bare_round_over_bare": 1.0, "pfl_round_over_bare": 3.0},
        **{"pfl_beside_s": 1.0, "bare_round_s": 1.0, "pfl_round_s": 3.0},
    }
    two = peers.figures_of({"bare": [{"round_s": 2.0, "off": 1e-5}, {"round_s": 1.0, "off": 2e-5}]}, ["bare"])
    assert (two["bare_round_s"], two["bare_off"]) == (1.0, 2e-5)
    later = both | peers.figures_of({"bare": of(1.5), "flare": of(3.0)}, ["flare"])
    assert later["flare_round_over_bare"] == 2.0
    assert later["bare_round_s"] == 1.0
    assert set(later) <= set(peers.MEANINGS)


def test_each_peer_is_beside_the_loop_that_its_ratio_is_of() -> None:
    kept = json.loads((BENCHMARKS / "results" / "peers.json").read_text())
    for name in {key.removesuffix("_beside_s") for key in kept if key.endswith("_beside_s")}:
        assert kept[f"{name}_round_s"] / kept[f"{name}_beside_s"] == pytest.approx(
            kept[f"{name}_round_over_bare"], 1e-3
        )
    assert kept["wardround_beside_s"] == kept["bare_round_s"]


@pytest.mark.slow
def test_a_peer_whose_packages_no_index_has_is_said_in_words(
    medicine: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    peers = importlib.import_module("peers")
    for name, value in {"INDEX_URL": "http://127.0.0.1:9/", "RETRIES": "0", "CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "TORCH_PIP_ARGS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(peers, "ENVIRONMENTS", tmp_path)
    with pytest.raises(SystemExit, match=r"the environment of pfl could not be made.*torch==.*\n.*package index"):
        peers.make_environment("pfl")
    assert "No matching distribution" in capfd.readouterr().err
    assert not (tmp_path / "pfl" / "made-of.txt").exists()


def test_every_measure_against_site_shift_is_a_study_of_its_hospitals(medicine: ModuleType) -> None:
    shift = importlib.import_module("medicine_shift")
    for ground in shift.GROUNDS.values():
        studies = [shift.Trial(ground, measure).study() for measure in ground.measures]
        assert len({study.digest() for study in studies}) == len(ground.measures)
        left = shift.Trial(ground, ground.measures[1], "CS").study()
        assert not left.trains("CS")
        assert (left.training, left.data) == (studies[1].training, studies[1].data)


def test_figures_of_fewer_seeds_do_not_take_the_place_of_more(
    medicine: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure, trained = importlib.import_module("measure"), importlib.import_module("trained")
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    found = []
    for seeds, value in (((0, 1), 0.8), ((0,), 0.9), ((5, 6, 7), 0.6)):
        trained.keep({"auroc": value, "seeds": len(seeds)}, {}, seeds=seeds, count="seeds")
        found.append(measure.known("medicine"))
    assert found == [{"auroc": 0.8, "seeds": 2}] * 3
    trained.keep({"auroc": 0.75, "seeds": 3}, {}, seeds=(0, 1, 2), count="seeds")
    assert measure.known("medicine") == {"auroc": 0.75, "seeds": 3}


def test_one_image_in_fifty_has_the_finding_and_no_patient_is_in_two_folders(
    medicine: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rare = importlib.import_module("medicine_rare")
    monkeypatch.setattr(rare, "JUDGED", 10)
    monkeypatch.setattr(rare, "COMMON", 50)
    monkeypatch.setattr(rare, "FOUND", 1)
    hospital = tmp_path / "a"
    hospital.mkdir()
    lines = ["file,patient,label"]
    for number in range(160):
        name = f"{number}.dcm"
        (hospital / name).touch()
        lines.append(f"{name},{number % 130},{('normal', 'pneumonia')[number % 130 % 2]}")
    lines += ["0.dcm,both,normal", "1.dcm,both,pneumonia"]
    (hospital / "labels.csv").write_text("\n".join(lines))
    rare.set_apart(hospital, tmp_path / "out")
    rows = {}
    for name in ("a", "a-elsewhere"):
        with (tmp_path / "out" / name / "labels.csv").open(newline="") as table:
            rows[name] = list(csv.DictReader(table))
        assert all((tmp_path / "out" / name / row["file"]).exists() for row in rows[name])
    count = {name: [row["label"] for row in some].count("pneumonia") for name, some in rows.items()}
    assert {name: (len(rows[name]), count[name]) for name in rows} == {"a": (51, 1), "a-elsewhere": (20, 10)}
    patients = [{row["patient"] for row in some} for some in rows.values()]
    assert not patients[0] & patients[1]
    assert "both" not in patients[0] | patients[1]


def test_one_private_recipe_is_chosen_for_all_epsilons_and_more_rounds_must_be_worth_it(medicine: ModuleType) -> None:
    choice = importlib.import_module("private_choice")
    few, more, many = (choice.Recipe("slice", 2.5, rounds, 0.28, 1) for rounds in (4, 8, 16))
    assert choice.best({few: 0.95, more: 0.9526, many: 0.9531}) == more
    assert choice.best({few: 0.95, more: 0.9526, many: 0.9541}) == many
    slow, fast = (choice.Recipe("slice", rate, 8, 0.28, 1) for rate in (2.5, 5.0))
    image = choice.Recipe("image", 2.5, 8, 0.28, 1)
    areas = {(slow, 8): 0.95, (slow, 3): 0.94, (slow, 1): 0.92, (fast, 8): 0.96, (fast, 3): 0.94, (fast, 1): 0.90}
    areas |= {(image, epsilon): 0.9 for epsilon in (8, 3, 1)}
    found = choice.figures({key: [area - 0.01, area + 0.01] for key, area in areas.items()})
    assert (found["chosen_slice_rate"], found["chosen_is_slice"]) == (2.5, 1)
    assert (found["rate_eps8_alone_slice"], found["rate_eps1_alone_slice"]) == (5.0, 2.5)


def test_the_private_figure_is_of_the_recipe_chosen_on_other_seeds_even_if_another_does_better(
    medicine: ModuleType,
) -> None:
    choice, private = (importlib.import_module(name) for name in ("private_choice", "medicine_privacy"))
    assert not {*choice.SEEDS} & {*private.SEEDS}
    own, other = ("slices", "halves") if private.CHOICE["chosen_is_slice"] else ("halves", "slices")
    done = {}
    for recipe, area in ((own, 0.8), (other, 0.9)):
        for one in private.trainings([recipe], [8], private.SEEDS):
            done[one.key] = {private.VALIDATION: area, private.TEST: area}
    assert private.figures(done)["auroc_eps8_best"] == pytest.approx(0.8)
    del done[next(private.trainings([own], [8], private.SEEDS)).key]
    assert "auroc_eps8_best" not in private.figures(done)


def test_the_loop_over_arrays_takes_the_clipped_steps_that_autograd_takes(medicine: ModuleType) -> None:
    loop = importlib.import_module("private_loop")
    rng = np.random.default_rng(5)
    seen, classes = rng.normal(size=(7, 4, 3)), rng.integers(0, 2, (7, 4))
    seen[:, :, -1] = 1
    seen[2, 3] = seen[5, 1:] = 0  # patients with fewer images than others
    weights = torch.tensor(rng.normal(size=(2, 3)), requires_grad=True)
    start, steps = weights.detach().numpy().copy(), loop.Steps(0.7, rounds=2, clip=0.2)
    found = loop.models(seen, classes, start, steps, None, [(0,), (1,)])
    for number in range(steps.rounds):
        total = torch.zeros_like(weights)
        for patient, labels in zip(torch.tensor(seen), torch.tensor(classes), strict=True):
            own = patient[:, -1] > 0
            loss = torch.nn.functional.cross_entropy(patient[own] @ weights.T, labels[own])
            (gradient,) = torch.autograd.grad(loss, weights)
            total += gradient * min(1.0, steps.clip / float(gradient.norm()))
        with torch.no_grad():
            weights -= steps.rate / 7 * total
        assert np.allclose(found[number], weights.detach().numpy())
    noisy = loop.models(seen, classes, start, loop.Steps(1.0, rounds=1), 8, [(draw,) for draw in range(4000)])[0]
    spread = loop.Steps(1.0).clip * loop.noise_multiplier(8, 1, 7) / 7
    assert noisy.std(0) == pytest.approx(np.full((2, 3), spread), rel=0.05)


@pytest.mark.parametrize("given", [["resnet18", "--compiled"], ["memory", "--forms"]])
def test_a_network_that_would_not_be_measured_is_refused(
    medicine: ModuleType, given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    step = importlib.import_module("dp_step")
    with pytest.raises(SystemExit, match="2"):
        step.options(given)
    assert f"{given[1]} " in capsys.readouterr().err.splitlines()[-1]
    assert step.options(["resnet18", "--forms"]).only == ["resnet18"]


def test_an_exponent_is_the_power_that_a_curve_grows_with(medicine: ModuleType) -> None:
    growth = importlib.import_module("growth")
    figures = {f"images_{size}_s": 3e-4 * size**1.5 for size in growth.SIZES["images"]}
    found, meanings = growth.with_exponents(figures | {"hospitals_10_s": 1.0})
    assert found["images_s_exponent"] == pytest.approx(1.5)
    assert "hospitals_s_exponent" not in found
    assert set(meanings) == set(found)


@pytest.mark.slow
def test_a_secure_round_and_the_plain_loop_are_timed_beside_one_another(medicine: ModuleType, tmp_path: Path) -> None:
    secure, plain = importlib.import_module("simulation").secure_round(4, 12, tmp_path)
    assert 0 < plain < secure


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


def test_a_check_of_a_gpu_continues_figures_of_the_same_code_and_overwrites_no_other_file(
    medicine: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = importlib.import_module("gpu")
    out, about, parts = tmp_path / "new" / "gpu.json", gpu.machine("cpu"), ["noise", "waits"]
    gpu.write(out, about | {"noise_ms": 1.5, gpu.UNFINISHED: "waits"})
    assert gpu.begun(out, about, parts) == (about | {"noise_ms": 1.5}, ["waits"])
    monkeypatch.setattr(gpu, "code", lambda: "changed since")
    assert gpu.begun(out, gpu.machine("cpu"), parts) == (gpu.machine("cpu"), parts)
    out.write_text("a person's notes")
    with pytest.raises(StorageError, match="no file of figures"):
        gpu.begun(out, about, parts)


@pytest.mark.slow
def test_the_check_of_a_gpu_runs_tiny_on_the_cpu_goes_on_when_killed_and_says_when_there_is_no_card(
    tmp_path: Path,
) -> None:
    written = tmp_path / "gpu.json"
    check = [sys.executable, BENCHMARKS / "gpu.py"]
    tiny = [*check, "--device", "cpu", "--quick", "--json", written]
    with subprocess.Popen(tiny, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as killed:
        try:
            while killed.poll() is None and not written.exists():
                time.sleep(0.05)
        finally:
            killed.kill()
    before = json.loads(written.read_text())
    assert "private step of tiny_cnn" not in before["unfinished"]
    assert "federations" in before.pop("unfinished")
    done = subprocess.run(tiny, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "refuses" not in done.stdout
    assert "private step of tiny_cnn" not in done.stdout  # it was measured before the kill
    figures = json.loads(written.read_text())
    assert "unfinished" not in figures
    assert before.items() <= figures.items()
    assert figures["on_device"] == "cpu"
    for key in ("classes_plain", "classes_private", "outlines_plain", "outlines_private"):
        assert (figures[f"{key}_difference"], figures[f"{key}_repeats"]) == (0, 1)
    assert (figures["secure_same_bytes"], figures["secure_difference"]) == (1, 0)
    assert figures["tiny_unet_16_2_ours_time"] > 0
    absent = subprocess.run([*check, "--device", "cuda:99"], capture_output=True, text=True, check=False)
    assert absent.returncode == 9
    assert "cuda:99" in absent.stderr
