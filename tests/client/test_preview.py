"""``wardround scan --preview``: a hospital sees what a study makes of its images, before anybody trains."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from test_scan_command import run

from examples import study
from outlined_hospitals import outlining, outlining_volumes, write_hospital
from series_made import slices, written
from tiny_dicom import save, tiny
from wardround_client.intake.index import scan
from wardround_client.preparation.asking import whole_volume
from wardround_client.preparation.kept_images import keep_images
from wardround_client.preparation.source import Source, fitting
from wardround_client.preview import chosen
from wardround_client.preview.make import MOST_IMAGES, preview
from wardround_client.preview.stages import VIEWS, of_examination, of_image
from wardround_common.errors import DataError
from wardround_common.study.file import Study

STEPS = {"intensity": "steps", "steps": [{"step": "median", "size": 3}, {"step": "z-score", "deviations": 3}]}
HOSTILE = "<script>alert(1)<"


def previewed(**sections: dict[str, object]) -> Study:
    return study(**{"data": STEPS, "training": {"augmentations": ["flip", "rotate"]}} | sections)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make images of two scanners, twenty of one and two of the other, which nobody labelled."""
    place, rng = tmp_path_factory.mktemp("preview"), np.random.default_rng(0)
    for number in range(22):
        rare = number >= 20
        pixels = rng.integers(0, 4000, (20, 30) if rare else (24, 20)).astype(np.uint16)
        stated = {"Modality": "DX", "ImageType": ["ORIGINAL", "PRIMARY"], "PatientID": f"P{number // 2}"}
        stated |= {"ManufacturerModelName": "Rare" if rare else "Usual", "PatientName": f"P{number // 2}"}
        save(tiny(pixels, **stated), place / "in" / f"{HOSTILE if rare else ''}{number:02}.dcm")
    return place


def test_images_of_each_scanner_are_shown_step_by_step_on_a_page_that_stays_at_the_hospital(folder: Path) -> None:
    of, page = folder / "study.toml", folder / "page.html"
    scaled = previewed(data=STEPS | {"normalisation": "federation"})
    of.write_text(tomli_w.dumps(scaled.tables(nulls=False)))
    done = run(folder / "in", "--state", folder / "state", "--workers", 1, "--preview", of, "--out", page)
    assert (done.returncode, done.stderr.strip()) == (0, "")
    assert f"Preview     {MOST_IMAGES} of 22 images that the study takes" in done.stdout
    text = page.read_text()
    assert page.stat().st_mode & 0o077 == 0
    assert "This page stays at the hospital" in text
    assert "It holds patients' pixels and file names" in text
    assert "before the model standardises them, by the mean and deviation of all hospitals together" in text
    assert "default-src 'none'" in text
    assert re.findall(r"https?:|<script|<link|@import", text) == []
    assert "&lt;script&gt;" in text
    assert text.count("<h2>Maker Rare, 20 × 30") == 2
    assert text.count("<h2>Maker Usual, 24 × 20") == MOST_IMAGES - 2
    assert text.count("data:image/png;base64,") == MOST_IMAGES * (1 + 2 + 1 + VIEWS)
    assert "Each pixel becomes the median of 3 × 3 pixels around it" in text
    assert re.search(r"As stored<br><span>\d+ to \d+ · 24 × 20 pixels</span>", text)


def test_what_is_shown_is_what_is_trained_on_and_of_different_patients(folder: Path) -> None:
    source, of = Source(folder / "in", folder / "state"), previewed()
    index = scan(source.folder, state=source.state)
    first = [one for one, _ in zip(chosen.images(index.accepted, None), range(MOST_IMAGES), strict=False)]
    assert [one.scanner for one in first[:4]] == ["Usual", "Rare", "Usual", "Rare"]
    assert len({one.patient for one in first}) == MOST_IMAGES - 1  # both images of the rare scanner are of one
    kept = keep_images(source, of.data, first[:1], index.kept)
    shown = of_image(source.folder, first[0], of, None).stages
    assert np.array_equal(shown[3].pixels, kept.images[0])
    assert shown[0].high > 100
    assert [stage.scaled for stage in shown] == [False, False, True] + [True] * (1 + VIEWS)
    assert not any(np.array_equal(view.pixels, kept.images[0]) for view in shown[4:])
    again = of_image(source.folder, first[0], of, None).stages
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(shown, again, strict=True))


def test_a_folder_in_which_no_image_fits_is_said_with_the_reason(folder: Path) -> None:
    of = folder / "other.toml"
    of.write_text(tomli_w.dumps(previewed(data=STEPS | {"modalities": ["CT"]}).tables(nulls=False)))
    done = run(folder / "in", "--state", folder / "state", "--workers", 1, "--preview", of)
    assert done.returncode == 4
    assert "no image here can be shown as the study prepares it: 22 other-modality" in done.stderr
    assert "The study takes CT" in done.stderr
    assert not (folder / "state/preview.html").exists()
    assert run(folder / "in", "--out", folder / "x.html").returncode == 2


def test_series_are_told_apart_as_the_hospitals_table_says_also_where_nothing_is_outlined(tmp_path: Path) -> None:
    written(slices(SeriesDescription="flair", PatientID="P1", PatientName="P1"), tmp_path / "in")
    source, of = Source(tmp_path / "in", tmp_path / "state"), outlining()
    index = scan(source.folder, state=source.state)
    assert len(chosen.examinations(source, index, fitting(index.accepted, of.data)[0], of)) == 1
    (source.folder / "roles.csv").write_text("description,role\nflair,\n")
    assert chosen.examinations(source, index, fitting(index.accepted, of.data)[0], of) == []


@pytest.mark.slow
def test_a_volume_is_shown_with_its_mask_which_moves_with_its_views_and_without_one_where_there_is_none(
    tmp_path: Path,
) -> None:
    write_hospital(tmp_path / "in", "south", 2)
    source = Source(tmp_path / "in", tmp_path / "state")
    index = scan(source.folder, state=source.state)
    of = outlining_volumes(data=STEPS, training={"augmentations": ["flip", "shift", "rotate"]})
    (one, _) = chosen.examinations(source, index, fitting(index.accepted, of.data)[0], of)
    shown = of_examination(source.folder, one, index, of).stages
    assert np.array_equal(shown[3].pixels, whole_volume(one.channels, of.data).images[0, 0])
    for stage in shown[:2] + shown[4:]:
        assert stage.mask is not None
        inside = stage.mask > 0
        assert stage.pixels[0][inside].mean() > stage.pixels[0][~inside].mean()
    for path in (tmp_path / "in").rglob("*.dcm"):
        if "outline" in path.name:
            path.unlink()
    made = preview(source, scan(source.folder, state=source.state), of, datetime.now().astimezone())
    assert "images are shown without" in made.page
    assert (made.examples, made.series) == (2, True)
    with pytest.raises(DataError, match="other-modality"):
        preview(
            source, index, outlining_volumes(data={"modalities": ["CT"], "series": []}), datetime.now().astimezone()
        )
