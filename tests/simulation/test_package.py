"""``import wardround``: the functions that the commands call, with the same errors and the same models."""

from __future__ import annotations

import csv
import inspect
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from test_run import model, phantom_study, run

import wardround
from wardround_common.arguments import in_arguments
from wardround_common.errors import ArgumentError, DataError, StorageError, StudyError
from wardround_common.study.file import parse_study, sections_of_keys
from wardround_common.study.template import study_text
from wardround_server.report.example import example

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def study() -> wardround.Study:
    return phantom_study(training={"rounds": 2})


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> wardround.Results:
    folder = tmp_path_factory.mktemp("run")
    (folder / "results.json").write_text(example(hospitals=2, baselines=False).to_json())
    return wardround.Results.read(folder)


def test_every_name_that_the_package_lists_is_there() -> None:
    assert {*wardround.__all__} == {name for name in dir(wardround) if not name.startswith("_")}
    assert all(callable(getattr(wardround, name)) for name in wardround.__all__)
    assert wardround.__version__.count(".") == 2
    with pytest.raises(AttributeError, match="no attribute 'simulat'"):
        wardround.simulat  # noqa: B018  # asked for, and not there


def test_importing_it_imports_nothing_that_takes_time() -> None:
    code = "import sys, wardround; print({'numpy', 'pydantic', 'torch', 'rich'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


CALLS: dict[str, tuple[Any, ...]] = {
    "simulate": ("study.toml", "hospitals"),
    "pool": ("images",),
    "sweep": ("study.toml", "hospitals"),
    "plan": ("study.toml", [100]),
    "compare": (["run"],),
    "export": ("run",),
    "scan": ("folder",),
    "predict": ("model", "images"),
}
"""Each function of the package with arguments of the right kinds."""


class Odd:
    """What no function takes."""


@pytest.mark.parametrize("name", CALLS)
def test_an_argument_of_another_kind_is_refused_by_its_name_and_never_shown(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    function = getattr(wardround, name)
    for place, parameter in enumerate(inspect.signature(function).parameters.values()):
        if "Any" in str(parameter.annotation) and "Mapping" not in str(parameter.annotation):
            continue
        for wrong in (Odd(), b"secret", 2.5, [Odd()], "secret\0"):
            given = list(CALLS[name])
            if place < len(given):
                given[place] = wrong
            named = {} if place < len(given) else {parameter.name: wrong}
            if isinstance(wrong, list) and parameter.name == "hospitals":
                continue  # a name for several kinds, which hospitals are read by
            with pytest.raises(ArgumentError, match=f"{parameter.name} must be ") as refused:
                function(*given, **named)
            assert "secret" not in str(refused.value)
    assert not [*tmp_path.iterdir()]


def test_what_a_wrong_argument_must_be_is_said() -> None:
    with pytest.raises(ArgumentError) as nothing:
        wardround.plan(None, [3])  # type: ignore[arg-type]  # that is wrong
    assert str(nothing.value).startswith("plan(): study must be a Study or a path or text; it is None\n  → ")
    with pytest.raises(ArgumentError, match="patients must be a list, each a whole number; it is a list of float and"):
        wardround.plan("study.toml", [2.5, "a"])  # type: ignore[list-item]  # that is wrong
    with pytest.raises(ArgumentError, match="allow must be a list, each text; it is another text"):
        wardround.scan("folder", allow="identity")
    with pytest.raises(ArgumentError, match="engine must be 'in-process' or 'flower'"):
        wardround.simulate("study.toml", "hospitals", engine="ray")  # type: ignore[arg-type]  # that is wrong
    with pytest.raises(ArgumentError, match="privacy must be 'dp-sgd' or 'distributed' or 'none'"):
        wardround.Study.new("mine", privacy="dp")  # type: ignore[arg-type]  # that is wrong
    with pytest.raises(TypeError):  # Python's own, for who catches that
        wardround.Study.read(3)  # type: ignore[arg-type]  # that is wrong
    with pytest.raises(ArgumentError, match="partition must be text"):
        wardround.simulate(phantom_study(), wardround.Pool("images", 2, 3), progress=False)  # type: ignore[arg-type]


def test_arguments_of_the_right_kinds_reach_the_function(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="fewer than two"):
        wardround.compare([np.str_(tmp_path)])
    with pytest.raises(StorageError, match="no run here"):
        wardround.compare((tmp_path / "a", str(tmp_path / "b")))
    with pytest.raises(StudyError, match="nothing to plan for"):
        wardround.plan(phantom_study(), np.array([0]))  # type: ignore[arg-type]  # an array of whole numbers
    with pytest.raises(StudyError, match=r"a\.toml"):
        wardround.simulate(tmp_path / "a.toml", tmp_path, resume=np.bool_(True), progress=False)  # type: ignore[arg-type]


def test_what_to_do_about_an_error_names_arguments_and_no_options(tmp_path: Path) -> None:
    with pytest.raises(DataError) as lacking:
        wardround.simulate(phantom_study(), tmp_path / "nothere", progress=False)
    assert lacking.value.do == "Check hospitals=."
    of = inspect.signature(wardround.simulate).parameters
    for text, said in (
        ("Continue with --resume, or with --out.", "Continue with resume=True, or with out=."),
        ("Give its folder: --start MODEL_FOLDER.", "Give its folder: start=MODEL_FOLDER."),
        ("Say how many with --split.", "Say how many with --split."),
        ("Run: wardround export RUN --out DIR; then --resume", "Run: wardround export RUN --out DIR; then resume=True"),
    ):
        assert in_arguments(text, of) == said


def test_a_pool_does_not_show_its_images_and_patients() -> None:
    assert "Mary" not in repr(wardround.pool((np.zeros((1, 4, 4), np.float32), [0], ["Mary"]), split=2))


def test_a_key_or_a_step_of_another_kind_is_said_in_words() -> None:
    study = phantom_study()
    with pytest.raises(StudyError, match="key is an int, not text"):
        study.but({3: 1})  # type: ignore[dict-item]  # that is wrong
    for steps in (3, [3], np.zeros(3)):
        with pytest.raises(StudyError, match="steps"):
            study.but(steps=steps)


@pytest.mark.slow
def test_the_package_and_the_runs_below_it_make_the_same_model(
    study: wardround.Study, hospitals: Path, state: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    made = wardround.simulate(study, hospitals, out=out, state=state, workers=1, baselines=False, progress=False)
    run(study, hospitals, state, tmp_path / "below")
    assert made.model.read_bytes() == model(tmp_path / "below")
    assert made.report.exists()
    assert wardround.Results.read(out).record == made.record


def test_a_frame_has_a_row_for_each_metric_of_each_model_and_site(results: wardround.Results) -> None:
    frame = results.to_frame()
    headline = frame[(frame.metric == results.record.headline.name) & (frame.site == "all")]
    assert headline[headline.model == "federated"].value.tolist() == [results.value()]
    assert len(frame) == sum(len(site.metrics) for of in results.record.evaluation.values() for site in of.values())
    assert results.rounds_to_frame()["round"].tolist() == list(range(1, len(results.rounds) + 1))


def test_pictures_are_figures_of_matplotlib_and_a_notebook_shows_the_summary(results: wardround.Results) -> None:
    from matplotlib.figure import Figure

    drawn = results.figures()
    assert {"headline", "loss", "roc"} <= drawn.keys()
    assert all(isinstance(figure, Figure) for figure in drawn.values())
    assert drawn["loss"]._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]  # without pyplot
    assert results.record.headline.label in results._repr_html_()
    assert "<script" not in results._repr_html_()


def test_a_notebook_shows_the_summary_once(results: wardround.Results, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setattr("rich.jupyter.display", lambda *content: shown.append(content))
    assert "<pre>" in results._repr_html_()
    assert not shown


def test_figures_that_the_run_has_not_are_refused_with_those_that_it_has(results: wardround.Results) -> None:
    with pytest.raises(StorageError, match="no figures of the model 'poold'"):
        results.site("poold")
    with pytest.raises(StorageError, match="no metric 'accuraci'"):
        results.value("accuraci")


def test_results_stand_where_a_run_is_asked_for(results: wardround.Results) -> None:
    with pytest.raises(StudyError, match="this run is named twice"):
        wardround.compare([results, results.folder])
    with pytest.raises(StorageError, match=f"{results.folder}: there is no run here: study.toml is missing"):
        wardround.export(results)


def test_wrong_input_gets_the_errors_of_the_command(tmp_path: Path, study: wardround.Study, hospitals: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text(tomli_w.dumps(study.tables(nulls=False)).replace("rounds", "roundz"))
    with pytest.raises(StudyError, match="did you mean 'rounds'"):
        wardround.simulate(file, hospitals, out=tmp_path / "run")
    with pytest.raises(DataError, match="cannot be read"):
        wardround.simulate(study, tmp_path / "nowhere", out=tmp_path / "run", workers=1, progress=False)
    with pytest.raises(StudyError, match="there is no such file"):
        wardround.Study.read(tmp_path / "no.toml")
    assert not (tmp_path / "run").exists()


def test_a_study_of_keywords_is_that_of_the_usual_file_with_these_values() -> None:
    usual = parse_study(study_text("mine", dp=False))
    assert wardround.Study.new("mine", privacy="none").digest() == usual.digest()
    made = wardround.Study.new("mine", privacy="none", classes=("a", "b"), rounds=5, strategy="fedavg")
    assert made.training.rounds == 5
    assert made.groups == ("a", "b")
    assert made.training.server_momentum is None  # a key of the usual strategy alone
    assert made.but(rounds=6).but({"training.rounds": 5}).digest() == made.digest()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda of: wardround.plan(of, []), "nothing to plan for"),
        (lambda of: wardround.plan(of, [0]), "nothing to plan for"),
        (lambda of: wardround.sweep([], "x"), "nothing to sweep"),
        (lambda of: wardround.sweep(of, "x", {"training.rounds": []}), "no values to try"),
        (lambda of: wardround.sweep(of, "x", {"training.rounds": 3}), "no values to try"),
        (lambda of: wardround.compare("runs"), "runs must be a list"),
        (lambda of: wardround.compare(["runs"]), "fewer than two runs"),
        (lambda of: wardround.simulate(of, {"a": 3, "b": 4, "c": 5}, workers=1, progress=False), "cannot be an int"),
        (
            lambda of: wardround.simulate(of, 5, workers=1, progress=False),
            "hospitals must be a path or text or a Pool or a mapping or None; it is an int",
        ),
        (lambda of: wardround.simulate(of, ".", workers=0, progress=False), "0 workers are not enough"),
    ],
)
def test_wrong_arguments_get_a_sentence_and_no_traceback_of_ours(call: Any, says: str) -> None:
    with pytest.raises(wardround.WardroundError, match=says):
        call(wardround.Study.new("x"))


def test_numbers_of_numpy_are_numbers() -> None:
    assert wardround.Study.new("x", rounds=np.int64(3), classes=np.array(["a", "b"])).training.rounds == 3


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"roundz": 5}, "did you mean 'rounds'"),
        ({"rounds": 0}, "it must be at least 1"),
        ({"network": "alexnet"}, "wavelets"),
        ({"task": "tracking"}, "no task 'tracking'"),
        ({"epsilon": -1.0, "rounds": "x"}, "rounds"),
    ],
)
def test_wrong_keywords_get_the_words_of_a_wrong_file(keys: dict[str, Any], says: str) -> None:
    with pytest.raises(StudyError, match=says):
        wardround.Study.new("mine", **keys)


def test_no_two_sections_share_a_key_so_that_keywords_name_one() -> None:
    shared = {key: sections for key, sections in sections_of_keys().items() if len(sections) > 1}
    assert shared == {"name": ("study", "task")}


@pytest.mark.slow
def test_a_script_without_a_guard_trains_by_several_processes(hospitals: Path, state: Path, tmp_path: Path) -> None:
    study = tmp_path / "study.toml"
    study.write_text(tomli_w.dumps(phantom_study(training={"rounds": 1}).tables(nulls=False)))
    script = tmp_path / "script.py"
    script.write_text(
        "import wardround\n"
        f"wardround.simulate({str(study)!r}, {str(hospitals)!r}, state={str(state)!r}, workers=2, baselines=False)\n"
        "print('done')\n"
    )
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "done\n", done.stderr


def together(hospitals: Path, folder: Path) -> Path:
    """Put the hospitals' images and labels into one folder."""
    lines = ["file,label"]
    for hospital in sorted(hospitals.iterdir()):
        shutil.copytree(hospital, folder / hospital.name)
        table = csv.DictReader((folder / hospital.name / "labels.csv").read_text().splitlines())
        lines += [f"{hospital.name}/{row['file']},{row['label']}" for row in table]
        (folder / hospital.name / "labels.csv").unlink()
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder


@pytest.mark.slow
def test_a_sweep_and_a_pool_are_functions_too(hospitals: Path, state: Path, tmp_path: Path) -> None:
    study = phantom_study(training={"rounds": 1})
    pool = wardround.pool(together(hospitals, tmp_path / "all"), split=2)
    swept = wardround.sweep(
        study, pool, {"training.learning_rate": [0.01, 0.1]}, [0, 1], out=tmp_path / "s", state=state, progress=False
    )
    frame = swept.to_frame()
    assert frame.seed.tolist() == [0, 1, 0, 1]
    assert frame["training.learning_rate"].tolist() == ["0.01", "0.01", "0.1", "0.1"]
    assert len({*frame.run}) == 4
