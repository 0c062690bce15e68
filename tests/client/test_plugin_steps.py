"""Steps of preparation from plug-ins: pinned and checked as any other part, and one image changes no other."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from examples import DP, STUDY
from models_made import model_folder
from plugin_made import forget, fresh_site, install
from series_made import slices, written
from tiny_dicom import save, tiny
from wardround_client.intake.index import scan
from wardround_client.preparation import plugin_steps
from wardround_client.preparation.asking import image_cases
from wardround_client.preparation.dataset import take_in
from wardround_client.preparation.kept_images import keep_images
from wardround_client.preparation.plugin_steps import try_steps
from wardround_client.preparation.source import Source
from wardround_client.preparation.stepped import stepped, stepped_series
from wardround_client.preview.make import preview
from wardround_client.publishing.forms import write_bundle, write_onnx
from wardround_client.volumes import Series, series_in
from wardround_common.documents.exported_run import study_toml
from wardround_common.errors import PluginError, StudyError
from wardround_common.plugins.loading import admit as admit_package
from wardround_common.results.released import prepared_otherwise
from wardround_common.shell.study_cli import app
from wardround_common.study.file import Study, parse_canonical, parse_study
from wardround_common.study.plugins import Plugin, admit_steps, compare, plugin_here
from wardround_common.study.steps import check_of_plugin, step_of
from wardround_common.study.words.describe import describe

STEP = """
import numpy as np
from wardround_common.study.steps import Setting, Step

SEEN = []

def fit(settings, values):
    power = settings["power"]
    return lambda plane: apply(plane, power)

def apply(plane, power):
    return np.power(plane, power).astype(np.float32)

STEP = Step("to the power of {power}", fit, (Setting("power", 0.5, "the power", 0.1, 9),), scaled=True, scales=True)
"""
APPLIED = "return np.power(plane, power).astype(np.float32)"
LIES = {
    "raises": ("return {}['key']", r"failed at made_plugin/raises.py, line 12, in apply: KeyError: 'key'"),
    "exits": ("import sys; sys.exit(0)", r"failed at made_plugin/exits.py, line 12, in apply: SystemExit"),
    "double": ("return plane.astype(np.float64)", r"gives float64 \(24, 17\) in place of float32 \(24, 17\)"),
    "smaller": ("return plane[1:]", r"gives float32 \(23, 17\) in place of float32 \(24, 17\)"),
    "nothing": ("return None", "gives None in place of"),
    "endless": ("return plane + np.float32('inf')", "gives what is not finite"),
    "bright": ("return plane * 2", "says that it scales to 0 and 1, and gives "),
    "random": ("return np.random.default_rng().random(plane.shape, np.float32)", "something else of the same image"),
    "mixes": ("SEEN.append(plane.mean()); return np.full_like(plane, min(SEEN))", "after other images"),
    "begins": ("SEEN.append(plane.mean()); return np.full_like(plane, SEEN[0])", "after other images"),
    "by-shape": ("SEEN.append(plane); return next(a for a in SEEN if a.shape == plane.shape)", "after other images"),
    "counts": ("SEEN.append(1); return np.full_like(plane, 1 / len(SEEN))", "after other images"),
}
OTHERS = {
    "hides": "SEEN.append(1); return np.full_like(plane, 1 / (1 + len(SEEN) // 40))",
    "in-place": "plane **= power; SEEN[:] = [plane]; return plane",
    "hangs": "import time; time.sleep(9); return plane",
    "asks": "from wardround_common.study.steps import step_of; step_of('made-plugin:in-place'); return plane",
}
WRONG = {
    "number": ("STEP = 1", "its step 'number' is no Step but an int"),
    "unsaid": (STEP.replace("{power}", "{strength}"), "does not say what it is: KeyError: 'strength'"),
    "cuts": (STEP.replace("scales=True)", "scales=True, area=lambda settings, plane: None)"), "it cuts images"),
    "odd": (STEP.replace("(Setting(", "(1, Setting("), "its settings are not 8 Setting at most"),
}
FILES = (
    {"power": STEP}
    | {
        name: STEP.replace(APPLIED, body)
        for name, body in ({of: lie for of, (lie, _) in LIES.items()} | OTHERS).items()
    }
    | {name: source for name, (source, _) in WRONG.items()}
)
POINTS = {"wardround.preparation": {name: f"{{m}}.{name.replace('-', '_')}:STEP" for name in FILES}}
LIMITS = {"step": "limits", "low": 0, "high": 4000}
POWER = {"step": "made-plugin:power", "power": 0.5}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A package of many steps, of which one is as it should be; it was let in."""
    with pytest.MonkeyPatch.context() as patch:
        for site in fresh_site(tmp_path_factory.mktemp("site"), patch):
            install(site, files={f"{name.replace('-', '_')}.py": text for name, text in FILES.items()}, points=POINTS)
            admit_package(pin(site).named)
            yield site


@cache
def pin(site: Path) -> Plugin:
    return plugin_here("made-plugin")


def named(site: Path, *steps: dict[str, Any] | str, intensity: str = "steps", **sections: Any) -> Study:
    """Return the small study with these steps of the package, pinned as it is installed."""
    stated = [POWER | {"step": f"made-plugin:{one}"} if isinstance(one, str) else one for one in steps]
    before = [] if intensity == "window" else [LIMITS]
    data = STUDY["data"] | {"intensity": intensity, "steps": [*before, *stated]}
    return Study.of_tables(STUDY | {"data": data} | sections | {"plugin": [pin(site)]}, where="a test")


def look(of: Study) -> None:
    check_of_plugin(of.data.steps, of.data.intensity, of.data.modalities, series=False)


def image(seed: int = 0, shape: tuple[int, int] = (20, 24)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4000, shape).astype(np.uint16)


def test_what_other_code_prepared_is_prepared_again_and_a_start_says_so(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    source, keys, studies = Source(tmp_path / "in", tmp_path / "state"), [], []
    for name, text in (("a", STEP), ("b", STEP + "\n")):  # the same numbers by other code
        with pytest.MonkeyPatch.context() as patch:
            for site in fresh_site(tmp_path / name, patch):
                points = {"wardround.preparation": {"power": "{m}.power:STEP"}}
                install(site, files={"power.py": text}, points=points)
                studies.append(Study.new(modalities=["DX"], steps=[LIMITS, POWER], intensity="steps"))
                if keys:
                    with pytest.raises(PluginError, match=r"names made-plugin 1.0 with .* and installed is"):
                        take_in(source, studies[0])
                admit_steps(studies[-1])
                keys.append(keep_images(source, studies[-1].data, [], {}).key)
    assert keys[0] != keys[1]
    assert "steps are those of made-plugin 1.0" in " ".join(prepared_otherwise(*studies))


def test_a_model_is_released_without_its_other_forms_where_the_package_of_its_steps_is_not(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for site in fresh_site(tmp_path / "site", patch):
            install(site, files={"power.py": STEP}, points={"wardround.preparation": {"power": "{m}.power:STEP"}})
            made = Study.of_tables(
                STUDY
                | {"data": STUDY["data"] | {"intensity": "steps", "steps": [LIMITS, POWER]}}
                | {"plugin": [plugin_here("made-plugin")]},
                where="a test",
            )
            folder = model_folder(tmp_path / "model", made)
            assert write_onnx(folder).files == ("model.onnx",)
            (folder / "model.onnx").unlink()
    for write in (write_onnx, write_bundle):  # as at a coordinator
        part = write(folder)
        assert part.files == ()
        assert "The plug-in made-plugin is not installed." in part.said
    assert {path.name for path in folder.iterdir()} == {"model.json", "model.safetensors", "study.toml"}


def test_a_plugins_step_prepares_alike_for_training_predicting_and_a_preview(site: Path, tmp_path: Path) -> None:
    of = named(site, "power")
    assert parse_canonical(of.canonical()).digest() == of.digest()
    assert parse_study(study_toml(of)).digest() == of.digest()  # as it lies beside an exported model
    save(tiny(image(), Modality="DX", ImageType=["ORIGINAL", "PRIMARY"]), tmp_path / "in/0.dcm")
    source = Source(tmp_path / "in", tmp_path / "state")
    index = scan(source.folder, state=source.state)
    forget()
    with pytest.raises(PluginError, match="no study was checked for in this process"):
        keep_images(source, of.data, index.accepted, index.kept)
    page = preview(source, index, of, datetime.now(UTC)).page  # which lets the plug-in in by itself
    assert "made-plugin:power" in page
    kept = keep_images(source, of.data, index.accepted, index.kept)
    (asked,) = image_cases([tmp_path / "in/0.dcm"], of, frozenset())
    assert np.array_equal(kept.images, asked.prepare().images)
    without = named(site, POWER | {"power": 1.0}).data
    assert not np.array_equal(kept.images, keep_images(source, without, index.accepted, index.kept).images)


def test_a_series_goes_through_a_plugins_step_slice_by_slice(site: Path, tmp_path: Path) -> None:
    (series,) = series_in(written(slices(), tmp_path / "series"))
    assert isinstance(series, Series)
    planes = np.clip(series.volume() / 4000, 0, 1)
    admit_steps(of := named(site, "power"))
    assert stepped_series(series, of.data.steps).volume() == pytest.approx(np.sqrt(planes), abs=1e-6)


@pytest.mark.parametrize("name", LIES)
def test_a_step_that_does_what_none_may_is_refused_on_noise_as_its_own(site: Path, name: str) -> None:
    with pytest.raises(PluginError, match=LIES[name][1]) as error:
        try_steps(named(site, name))
    assert error.value.where.startswith("plug-in made-plugin")


def test_trying_a_step_leaves_the_code_that_was_let_in_as_it_was(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin_steps, "LIMIT_S", 5.0)  # a step that asks for another part waits for nobody
    of, before = named(site, "asks"), step_of("made-plugin:asks")
    module = sys.modules["made_plugin.asks"]
    try_steps(of)
    assert step_of("made-plugin:asks") is before
    assert sys.modules["made_plugin.asks"] is module


def test_what_a_step_does_to_its_own_copy_changes_no_image_and_is_no_fault(site: Path) -> None:
    of = named(site, "in-place", intensity="window")
    try_steps(of)
    first = np.full((1, 3, 3), 0.25, np.float32)
    after = stepped(first, of.data.steps)
    stepped(first / 4, of.data.steps)
    assert (first.min(), after.max()) == (0.25, 0.5)


def test_a_step_that_hides_from_noise_is_found_out_by_a_piece_of_the_first_image(site: Path) -> None:
    of, prepared = named(site, "hides"), []

    def prepare() -> None:
        for seed in range(64):
            stepped(image(seed).astype(np.float32)[None], of.data.steps)
            prepared.append(seed)

    try_steps(of)
    with pytest.raises(PluginError, match="after other images"):
        prepare()
    assert prepared  # noise alone had not shown it


def test_images_come_out_the_same_in_any_order(site: Path) -> None:
    of = named(site, "power")
    images = [image(seed, (9 + seed, 12)).astype(np.float32)[None] for seed in range(6)]
    forwards = [stepped(one, of.data.steps).tobytes() for one in images]
    plugin_steps._firsts.clear()
    assert [stepped(one, of.data.steps).tobytes() for one in reversed(images)] == forwards[::-1]


def test_a_step_that_hangs_is_not_waited_for_and_not_called_again(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin_steps, "LIMIT_S", 0.05)
    of = named(site, "hangs")
    for why in ("did not end within 0.05 s", "has not ended since, and is not called again"):
        with pytest.raises(PluginError, match=f"its step 'hangs' {why}") as error:
            stepped(image().astype(np.float32)[None], of.data.steps)
        assert error.value.where == "plug-in made-plugin"


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ({"step": "made-plugin:power"}, "power of the step 'made-plugin:power' is missing; write it like"),
        (POWER | {"power": 99}, "it must be from 0.1 to 9"),
        (POWER | {"width": 1}, "has no setting 'width'"),
        (POWER | {"step": "made-plugin:other"}, "it has no step 'other'"),
    ],
)
def test_settings_are_those_that_a_step_declares(site: Path, step: dict[str, Any], why: str) -> None:
    of = named(site, step)
    with pytest.raises(PluginError, match=why):
        look(of)


def test_a_plugins_step_goes_together_with_the_others_of_its_study(site: Path) -> None:
    of = named(site, "power").data.steps[::-1]
    with pytest.raises(PluginError, match="'made-plugin:power' takes values from 0 to 1; put one that scales before"):
        check_of_plugin(of, "steps", ["DX"], series=False)
    with pytest.raises(PluginError, match="'made-plugin:power' scales to 0 and 1 already"):
        check_of_plugin(of[::-1], "percentile", ["DX"], series=False)


@pytest.mark.parametrize("name", WRONG)
def test_a_step_that_is_another_than_it_says_is_refused(site: Path, name: str) -> None:
    with pytest.raises(PluginError, match=WRONG[name][1]):
        look(named(site, name))


def test_the_study_names_pins_and_explains_a_plugins_step(site: Path) -> None:
    of = named(site, "power", privacy=DP)
    with pytest.raises(StudyError, match=r"\[data\] steps = 'made-plugin:power': no \[\[plugin\]\] pins"):
        Study.of_tables({name: table for name, table in of.tables(nulls=False).items() if name != "plugin"}, where="x")
    said = " ".join(sentence for passage in describe(of) for sentence in passage.sentences)
    assert "The step 'made-plugin:power' is no part of Wardround, but of the plug-in made-plugin 1.0" in said
    assert "keeps nothing of others: then a patient's images change no other's" in said
    plain = named(site, "power")
    assert "keeps nothing of others" not in " ".join(s for p in describe(plain) for s in p.sentences)


def test_the_commands_list_the_steps_of_plugins_and_run_the_code_of_the_one_that_is_named(site: Path) -> None:
    listed = CliRunner().invoke(app, ["steps"]).output
    assert "made-plugin:power" in listed
    assert "more: wardround study steps made-plugin" in listed
    assert '{ step = "made-plugin:power"' not in listed
    done = CliRunner().invoke(app, ["steps", "made-plugin"])
    assert isinstance(done.exception, PluginError)  # one of its steps is none
    assert "its step 'number' is no Step" in str(done.exception)


def test_a_coordinator_needs_no_package_that_has_only_steps(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of = named(site, "power")
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(site)])
    compare(parse_canonical(of.canonical()), network=False)
    with pytest.raises(PluginError, match="made-plugin is not installed"):
        compare(of, network=True)
