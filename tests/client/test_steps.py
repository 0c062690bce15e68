"""Steps of preparation: what each does, that training and predicting do the same, and what is refused."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples import study
from outlined_hospitals import outlining, outlining_volumes, write_hospital
from series_made import OBLIQUE, slices, written
from tiny_dicom import save, tiny
from wardround_client.images import Image
from wardround_client.intake.index import scan
from wardround_client.preparation.asking import image_cases, slice_by_slice, whole_volume
from wardround_client.preparation.dataset import prepare, take_in
from wardround_client.preparation.kept_images import keep_images
from wardround_client.preparation.preprocessing import to_network_form
from wardround_client.preparation.source import Source
from wardround_client.preparation.stepped import series_after_each, stepped
from wardround_client.preparation.steps.window import WINDOWS, limits
from wardround_client.publishing.bundle import why_not
from wardround_client.volumes import Series, series_in
from wardround_common.errors import ImageRefused, StudyError
from wardround_common.installed import files_in
from wardround_common.study.data import Data
from wardround_common.study.file import Study, parse_study
from wardround_common.study.steps import STEPS, example_of, known_steps, table_of_steps
from wardround_common.study.words.describe import describe

ROOT = Path(__file__).parents[2]
MEDIAN = {"step": "median", "size": 3}
Z_SCORE = {"step": "z-score", "deviations": 3}
CLAHE = {"step": "clahe", "tiles": 4, "limit": 0.05}
LUNG = {"step": "window", "preset": "lung"}
CT = {"Modality": "CT", "RescaleSlope": 1, "RescaleIntercept": -1024}


def steps(*tables: dict[str, Any], **data: Any) -> Data:
    return study(data={"intensity": "steps", "steps": [*tables], **data}).data


def after(pixels: np.ndarray, *tables: dict[str, Any], **data: Any) -> np.ndarray:
    return stepped(pixels.astype(np.float32)[None], steps(*tables, **data).steps)[0]


@pytest.mark.parametrize("name", known_steps())
def test_each_step_changes_values_alone_and_scales_where_it_says_so(name: str) -> None:
    table = tomllib.loads(f"step = {example_of(name)}")["step"]
    step = STEPS[name]
    before = [{"step": "limits", "low": -500, "high": 500}] if step.scaled else []
    intensity = "steps" if step.scaled or step.scales else "percentile"
    data = steps(*before, table, intensity=intensity, modalities=["CT"])
    pixels = np.random.default_rng(0).normal(0, 400, (1, 24, 17)).astype(np.float32)
    kept = pixels.copy()
    found = stepped(pixels, data.steps)
    if step.area is not None:
        assert np.array_equal(found, pixels)  # cut beforehand, to the part that it says (test_crop)
        return
    assert (found.shape, found.dtype, np.isfinite(found).all()) == (pixels.shape, np.float32, True)
    assert np.array_equal(pixels, kept)
    assert not np.array_equal(found, pixels)
    if intensity == "steps":
        assert 0 <= found.min() < found.max() <= 1
    flat = stepped(np.full((1, 9, 8), 3, np.float32), data.steps)
    assert np.isfinite(flat).all()
    assert np.ptp(flat) == 0  # an image of one value stays one
    assert stepped(np.ones((1, 1, 2), np.float32), data.steps).shape == (1, 1, 2)


def test_a_window_makes_of_its_ends_0_and_1_and_of_its_centre_a_half() -> None:
    for preset, (centre, width) in WINDOWS.items():
        low, high = limits(preset)
        assert (low, high) == (centre - width / 2, centre + width / 2)
        table = {"step": "window", "preset": preset}
        assert after(np.array([[low - 50, low, centre, high, 3000]]), table, modalities=["CT"])[0] == pytest.approx(
            [0, 0, 0.5, 1, 1]
        )


def test_background_says_nothing_in_a_z_score_inside_the_body() -> None:
    body = np.random.default_rng(0).normal(100, 10, (40, 40))
    small, large = np.zeros((60, 60)), np.zeros((200, 200))
    small[10:50, 10:50] = large[80:120, 80:120] = body
    one, other = after(small, Z_SCORE)[10:50, 10:50], after(large, Z_SCORE)[80:120, 80:120]
    assert one == pytest.approx(other, abs=1e-5)
    assert one.mean() == pytest.approx(0.5, abs=1e-3)
    assert one.std() == pytest.approx(1 / 6, rel=0.01)


def test_equalised_contrast_stays_within_the_range_that_a_slice_has() -> None:
    faint = 0.1 + 0.02 * np.random.default_rng(0).random((32, 32))
    found = after(faint, {"step": "limits", "low": 0, "high": 1}, CLAHE)
    assert (found.min(), found.max()) == pytest.approx((faint.min(), faint.max()), abs=1e-4)
    assert found.std() > faint.std()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"steps": [LUNG], "intensity": "steps"}, "for modalities = \\['CT'\\] alone"),
        ({"steps": [CLAHE], "intensity": "percentile"}, "takes values from 0 to 1; put one that scales before it"),
        ({"steps": [Z_SCORE], "intensity": "range"}, "would stretch it again; write 'steps'"),
        ({"steps": [MEDIAN], "intensity": "steps"}, "no step scales to 0 and 1"),
        ({"steps": [], "intensity": "steps"}, "no step scales to 0 and 1"),
        ({"steps": [LUNG], "intensity": "window", "modalities": ["CT"]}, "the file's own window has scaled"),
        ({"steps": [MEDIAN | {"size": 4}]}, "size must be odd"),
        ({"steps": [MEDIAN | {"size": 3.5}]}, "it must be a whole number"),
        ({"steps": [MEDIAN | {"width": 3}]}, "has no setting 'width'"),
        ({"steps": [{"step": "median"}]}, "size of the step 'median' is missing"),
        ({"steps": [{"step": "medain", "size": 3}]}, "did you mean 'median'"),
        ({"steps": [{"step": "percentiles", "low": 9, "high": 1}], "intensity": "steps"}, "low must be less"),
        ({"steps": [{"size": 3}]}, "a step is a table such as"),
        ({"steps": [{"step": "median", "size": "a b"}]}, "a number or a word"),
        ({"steps": [MEDIAN] * 17}, "at most 16"),
    ],
)
def test_steps_that_would_do_something_else_than_their_author_means_are_refused(data: Any, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        study().but({f"data.{key}": value for key, value in data.items()})


def test_the_digest_covers_steps_their_order_and_their_settings_and_not_how_a_number_is_written() -> None:
    def digest(*tables: dict[str, Any]) -> str:
        return study(data={"intensity": "percentile", "steps": [*tables]}).digest()

    assert digest(MEDIAN) == digest({"step": "median", "size": 3.0}) == digest({"size": 3, "step": "median"})
    several = [digest(), digest(MEDIAN), digest(MEDIAN, MEDIAN), digest(MEDIAN | {"size": 5})]
    assert len({*several}) == len(several)
    of = study(data={"intensity": "steps", "steps": [MEDIAN, Z_SCORE]})
    assert parse_study_again(of).digest() == of.digest()
    assert digest() == study(data={"intensity": "percentile"}).digest()  # a study without steps has the digest it had


def parse_study_again(of: Study) -> Study:
    from wardround_common.documents.exported_run import study_toml

    return parse_study(study_toml(of))


def test_a_step_is_known_by_its_file_and_none_where_no_hospitals_package_is() -> None:
    assert "clahe" in known_steps()
    assert not any(name.startswith("-") for name in known_steps())
    assert files_in("no_such_package", "steps") == ()
    assert files_in("wardround_common", "no_such_room", "steps") == ()


def test_the_document_and_the_words_of_a_study_say_what_the_steps_say_of_themselves() -> None:
    page = (ROOT / "docs/preparation.md").read_text(encoding="utf-8")
    assert table_of_steps() in page
    for preset, (centre, width) in WINDOWS.items():
        assert f"| {preset} | {centre:g} | {width:g} | {limits(preset)[0]:g} | {limits(preset)[1]:g} |" in page
    said = " ".join(describe(study(data={"intensity": "steps", "steps": [MEDIAN, Z_SCORE]}))[0].sentences)
    assert "2 steps, in this order: each pixel becomes the median of 3 × 3 pixels" in said
    assert "MONAI's transforms do not" in why_not(study(data={"intensity": "percentile", "steps": [MEDIAN]}))


def test_training_and_predicting_prepare_an_image_by_the_same_steps_once_for_each_setting(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 4000, (20, 24)).astype(np.uint16)
    save(tiny(pixels, Modality="DX", ImageType=["ORIGINAL", "PRIMARY"]), tmp_path / "in/0.dcm")
    source = Source(tmp_path / "in", tmp_path / "state")
    index = scan(source.folder, state=source.state)
    data, plain = steps(MEDIAN, Z_SCORE, CLAHE), study().data
    kept = keep_images(source, data, index.accepted, index.kept)  # from the pixels that the scan kept
    (asked,) = image_cases([tmp_path / "in/0.dcm"], study(data=data.model_dump()), frozenset())
    assert np.array_equal(kept.images, asked.prepare().images)
    assert np.array_equal(kept.images[0], to_network_form(Image(pixels.astype(np.float32)[None], None), data))
    assert not np.array_equal(kept.images, keep_images(source, plain, index.accepted, index.kept).images)
    other = steps(MEDIAN, Z_SCORE, CLAHE | {"limit": 0.06})
    assert len({keep_images(source, one, index.accepted, index.kept).key for one in (data, plain, other)}) == 3


@pytest.mark.parametrize(
    ("attributes", "refused"),
    [
        (CT, False),
        (CT | {"RescaleType": "HU"}, False),
        (CT | {"RescaleType": "US"}, True),
        ({"Modality": "CT"}, True),
        (CT | {"PhotometricInterpretation": "MONOCHROME1"}, True),  # turned round while reading: no Hounsfield units
        (CT | {"PresentationLUTShape": "INVERSE"}, True),
    ],
)
def test_a_window_of_hounsfield_units_refuses_an_image_that_does_not_have_them(
    attributes: dict[str, Any], refused: bool, tmp_path: Path
) -> None:
    of = study(data={"modalities": ["CT"], "intensity": "steps", "steps": [LUNG]})
    pixels = np.full((8, 8), 424, np.uint16)  # -600 by the rescale: the middle of the window
    save(tiny(pixels, ImageType=["ORIGINAL", "PRIMARY", "AXIAL"], **attributes), tmp_path / "in/0.dcm")
    source = Source(tmp_path / "in", tmp_path / "state")
    index = scan(source.folder, state=source.state)
    kept = keep_images(source, of.data, index.accepted, index.kept)
    (case,) = image_cases([tmp_path / "in/0.dcm"], of, frozenset())
    (series,) = series_in(written(slices(**attributes), tmp_path / "series"))
    assert isinstance(series, Series)
    if refused:
        assert kept.refused == {"0.dcm": "not-hounsfield"}
        for read in (case.prepare, lambda: [*series_after_each(series, of.data.steps)]):
            with pytest.raises(ImageRefused) as error:
                read()
            assert error.value.reason == "not-hounsfield"
    else:
        assert kept.images[kept.images > 0] == pytest.approx(0.5)
        assert np.array_equal(kept.images, case.prepare().images)


def test_what_a_step_measures_of_a_series_it_measures_on_all_of_it(tmp_path: Path) -> None:
    (series,) = series_in(written(slices(), tmp_path))
    assert isinstance(series, Series)
    *_, last = series_after_each(series, steps(MEDIAN, Z_SCORE).steps)
    (filtered,) = series_after_each(series, outlining(data={"steps": [MEDIAN]}).data.steps)
    assert last.volume() == pytest.approx(
        after(filtered.volume().reshape(-1, 4), Z_SCORE).reshape(5, *last.slice(0).shape)
    )
    assert [stored.sop_uid for stored in last.slices] == [stored.sop_uid for stored in series.slices]


def test_steps_leave_an_oblique_anisotropic_volume_and_its_outline_where_they_are(tmp_path: Path) -> None:
    (series,) = series_in(written(slices(orientation=OBLIQUE, SeriesDescription="flair"), tmp_path))
    assert isinstance(series, Series)
    volumes = {"spacing_mm": [4.0, 1.0, 1.5], "patch_size": [8, 8, 8]}
    without = whole_volume([series], outlining_volumes(data=volumes).data)
    with_steps = whole_volume(
        [series], outlining_volumes(data=volumes | {"intensity": "steps", "steps": [MEDIAN, Z_SCORE, CLAHE]}).data
    )
    assert with_steps.images.shape == without.images.shape
    assert not np.array_equal(with_steps.images, without.images)
    outputs = np.random.default_rng(0).random((1, 2, *without.images.shape[2:])).astype(np.float32)
    import torch

    assert without.back is not None
    assert with_steps.back is not None
    assert np.array_equal(with_steps.back(torch.from_numpy(outputs)), without.back(torch.from_numpy(outputs)))
    by_slice = slice_by_slice([series], outlining(data={"intensity": "steps", "steps": [Z_SCORE]}).data)
    assert by_slice.images.shape == (5, 1, 16, 16)


def test_outlined_volumes_are_trained_on_after_the_steps_with_the_masks_that_they_had(tmp_path: Path) -> None:
    write_hospital(tmp_path / "in", "south", 3)

    def made(study: Study, name: str) -> Any:
        source = Source(tmp_path / "in", tmp_path / name)
        return prepare(source, study, *take_in(source, study)).train

    plain = made(outlining_volumes(), "plain")
    done = made(outlining_volumes(data={"intensity": "steps", "steps": [Z_SCORE]}), "steps")
    first = np.array([0])
    assert np.array_equal(done.targets[first], plain.targets[first])
    assert not np.array_equal(done.images(first), plain.images(first))
    assert done.images(first).shape == plain.images(first).shape
