"""The gallery of a hospital's own images: what it shows, what it never says, and what it does with too much."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from browsing import browsing, words
from examples import study
from link import until
from models_made import model_folder
from outlined_hospitals import outlining, write_hospital
from tiny_dicom import save, tiny
from wardround_client.commands.hospital_cli import app
from wardround_client.gallery.catalogue import EACH, About, Entry, about, count, entries, entry, write_catalogue
from wardround_client.gallery.drawing import drawn
from wardround_client.gallery.making import explain_image, make
from wardround_client.hospital.hospital_source import hospital_source
from wardround_client.hospital.joining import begin
from wardround_client.page.hospital_page import hospital_pages
from wardround_client.prediction.model import open_model
from wardround_client.preparation.dataset import prepare, take_in
from wardround_client.preparation.source import Source
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_client.training.evaluation import probabilities_of
from wardround_common.errors import DataError

NAME, SCRIPT = "Doe^Jane", "<script>alert(1)</script>"
IMAGES = 5


def write_images(folder: Path) -> Path:
    """Write images with what must never be shown in their attributes and names, labels and a box."""
    rng = np.random.default_rng(1)
    lines, boxes = ["file,label"], ["file,x0,y0,x1,y1,class"]
    for number in range(IMAGES):
        name, who = f"secret-{number}.dcm", f"MRN{number // 2}"
        made = tiny(
            rng.integers(0, 4000, (20, 24)).astype(np.uint16),
            Modality="DX",
            PatientID=who,
            PatientName=who,
            ImageType=["ORIGINAL", "PRIMARY"],
        )
        save(made, folder / name)
        lines.append(f"{name},{'finding' if number % 2 else SCRIPT}")
        boxes.append(f"{name},2,3,8,9,mass" if number == 0 else f"{name},,,,,")
    (folder / "labels.csv").write_text("\n".join(lines))
    (folder / "boxes.csv").write_text("\n".join(boxes))
    return folder


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HospitalFolder]:
    place = tmp_path_factory.mktemp("gallery")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(place / "cache"))
        folder = HospitalFolder(place / "state")
        begin(folder, "mercy", write_images(place / NAME), None, datetime.now(UTC))
        yield folder


def gallery(folder: HospitalFolder, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["gallery", *words, "--state", str(folder.path)])
    return done.exit_code, done.stdout + str(done.exception or "")


def test_the_gallery_shows_labels_boxes_and_patients_by_number_and_no_name_of_anything(
    hospital: HospitalFolder,
) -> None:
    code, said = gallery(hospital)
    assert code == 0, said
    assert "5 images of 3 patients; 5 labelled, 1 with outlines or boxes" in said
    source = hospital_source(hospital)
    shown = list(drawn(source.folder, entries(source.state, "images", 1)))
    assert [(one["number"], one["patient"]) for one in shown] == [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)]
    assert [one["label"] for one in shown[:2]] == [SCRIPT, "finding"]
    assert shown[0]["marks"] == "1 box"
    assert all(one["png"] and not one["missing"] for one in shown)
    said = json.dumps([one | {"png": ""} for one in shown])
    assert not any(word in said for word in ("secret", "MRN", NAME, str(source.folder)))
    assert "secret-2.dcm" in gallery(hospital, "--which", "3")[1]
    assert "no image 6" in gallery(hospital, "--which", "6")[1]


@pytest.mark.slow
def test_the_page_escapes_labels_and_names_no_file_path_or_patient(hospital: HospitalFolder) -> None:
    source = hospital_source(hospital)
    (source.state / "gallery.sqlite").unlink(missing_ok=True)
    with hospital_pages(hospital, 0, lambda text, **facts: None) as pages:
        browser = browsing(pages)
        assert "There is no gallery yet" in words(browser.get("/gallery"))
        for wrong in ("models/here", "--state=/tmp"):
            assert "by its whole path" in words(browser.press("/gallery/make", model=wrong))
        browser.press("/gallery/make")
        until(lambda: "is being made" not in words(browser.get("/gallery")), 120)
        assert "Images 5 of 3 patients" in words(browser.page)
        assert browser.page.text.count("data:image/png") == IMAGES
        assert SCRIPT in words(browser.page)
        text = re.sub(r"base64,[^\"]*", "", browser.page.text)
        assert SCRIPT not in text
        assert not any(word in text for word in ("secret", "MRN", NAME, str(source.folder)))
        browser.press("/gallery/make", model="/no/such/model")
        until(lambda: "is being made" not in words(browser.get("/gallery")), 120)
        assert "could not be made" in words(browser.page)
        assert "/no/such/model" not in browser.page.text
        assert browser.page.text.count("data:image/png") == IMAGES, "the one before stays"


def test_pages_for_reading_only_make_no_gallery_and_nobody_else_does(hospital: HospitalFolder) -> None:
    (hospital_source(hospital).state / "gallery.sqlite").unlink(missing_ok=True)
    with hospital_pages(hospital, 0, lambda text, **facts: None, read_only=True) as pages:
        browser = browsing(pages)
        assert browser.get("/gallery/../../etc/passwd").status == 404
        assert browser.get("/gallery?order=../secret&page=-1").status == 200
        assert browser.page.text.count("<form") == 1
        assert browser.post("/gallery/make", {"model": "/"}).status == 404
    with hospital_pages(hospital, 0, lambda text, **facts: None) as pages:
        browser = browsing(pages)
        secret = browser.get("/gallery").text.split('name="_form" value="')[1].split('"')[0]
        for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            assert browser.post("/gallery/make", {"_form": secret, "model": ""}, **headers).status == 403
        assert browser.post("/gallery/make", {"_form": "guessed", "model": ""}).status == 403


def test_a_model_is_asked_about_each_image_and_its_worst_errors_come_first(tmp_path: Path) -> None:
    of = study(task={"classes": [SCRIPT, "finding"]})
    model = open_model(model_folder_at(tmp_path / "model", of))
    source = Source(write_images(tmp_path / "images"), tmp_path / "state")
    found = make(source, [], model, explained=1)
    assert (found.asked, found.judged, found.explained) == (IMAGES, IMAGES, 1), found.notes
    worst = entries(source.state, "worst", 1)
    assert [one.error for one in worst] == sorted((one.error for one in worst if one.error is not None), reverse=True)
    assert worst[0].why.startswith(b"\x89PNG")
    for one in worst:
        ((decided, probability),) = re.findall(r"probability of (.*) (\d\.\d\d)", one.answer)
        right = float(probability) if one.label == decided else 1 - float(probability)
        assert one.error == pytest.approx(1 - right, abs=0.006)


def test_a_map_of_any_image_is_drawn_into_the_gallery_by_the_model_that_it_was_made_with(tmp_path: Path) -> None:
    folder = model_folder_at(tmp_path / "model", study(task={"classes": [SCRIPT, "finding"]}))
    model, source = open_model(folder), Source(write_images(tmp_path / "images"), tmp_path / "state")
    with pytest.raises(DataError, match="no image 1"):
        explain_image(source, model, 1)
    make(source, [], model, explained=0, place=str(folder))
    before = entry(source.state, 3)
    said = explain_image(source, model, 3)
    after = entry(source.state, 3)
    assert before is not None
    assert after is not None
    assert (after.why[:4], after.why_said) == (b"\x89PNG", said)
    assert replace(after, why=b"", why_said="") == before
    facts = about(source.state)
    assert facts is not None
    assert (facts.explained, facts.folder) == (1, str(folder))
    assert [one.number for one in entries(source.state, "explained", 1)] == [3]
    with pytest.raises(DataError, match="no image 6"):
        explain_image(source, model, IMAGES + 1)
    other = study(task={"classes": [SCRIPT, "finding"]}, model={"network": "tiny-cnn"})
    with pytest.raises(DataError, match="another model"):
        explain_image(source, open_model(model_folder_at(tmp_path / "other", other)), 2)


def test_a_network_of_fixed_features_has_a_gallery_too_and_maps_that_need_no_gradient(tmp_path: Path) -> None:
    of = study(task={"classes": [SCRIPT, "finding"]}, model={"network": "wavelets"})
    model = open_model(model_folder_at(tmp_path / "model", of))
    source = Source(write_images(tmp_path / "images"), tmp_path / "state")
    found = make(source, [], model, explained=1)
    assert (found.asked, found.explained) == (IMAGES, 1), found.notes
    assert entries(source.state, "explained", 1)[0].why_said.startswith("occlusion, ")


@pytest.mark.slow
def test_a_page_of_one_image_names_nothing_and_no_address_leads_elsewhere(hospital: HospitalFolder) -> None:
    source = hospital_source(hospital)
    with hospital_pages(hospital, 0, lambda text, **facts: None) as pages:
        browser = browsing(pages)
        (source.state / "gallery.sqlite").unlink(missing_ok=True)
        assert browser.get("/gallery/image/1").status == 404
        assert gallery(hospital)[0] == 0
        for wrong in ("0", "6", "-1", "1e3", "%C2%B2", "..%2f1", "9" * 30):
            assert browser.get(f"/gallery/image/{wrong}").status == 404
        assert browser.post("/gallery/image/1/explain", {"_form": "guessed"}).status == 403
        assert "Patient 1" in words(browser.get("/gallery/image/1"))
        assert browser.page.text.count("data:image/png") == 1
        text = re.sub(r"base64,[^\"]*", "", browser.page.text)
        assert "/gallery/image/2" in text
        assert "Draw what this answer hangs on" not in text, "no model was asked"
        assert not any(word in text for word in ("secret", "MRN", NAME, SCRIPT, str(source.folder)))


@pytest.mark.slow
def test_records_of_several_images_are_those_that_a_table_of_the_hospital_makes_of_its_files(tmp_path: Path) -> None:
    folder, rng = tmp_path / "images", np.random.default_rng(1)
    folder.mkdir()
    lines, clinical = ["file,patient,label"], ["patient,psa"]
    for number in range(12):
        Image.fromarray(rng.integers(0, 255, (16, 16)).astype(np.uint8)).save(folder / f"{number:02}.png")
        lines.append(f"{number:02}.png,P{number // 2},{'finding' if number // 2 % 2 else 'normal'}")
        clinical.append(f"P{number // 2},{number}")
    (folder / "labels.csv").write_text("\n".join(lines))
    (folder / "clinical.csv").write_text("\n".join(dict.fromkeys(clinical[:1] + clinical[1::2])))
    bags = {
        "record": "patient",
        "bag_size": 2,
        "variables": [{"name": "psa", "range": [0, 20]}],
        "modalities": ["OTHER"],
    }
    of = study(task={"classes": ["normal", "finding"]}, data=bags)
    model, source = open_model(model_folder_at(tmp_path / "model", of)), Source(folder, tmp_path / "state")
    found = make(source, [], model, explained=0)
    assert (found.asked, found.judged) == (12, 6)
    errors = {f"P{int(one.file[:2]) // 2}": one.error for one in entries(source.state, "worst", 1)}
    data = prepare(source, of, *take_in(source, of))
    for split in (data.train, data.validation, data.test):
        chances = probabilities_of(model.network, split)
        for code, target, chance in zip(split.patients, split.targets, chances, strict=True):
            assert errors[data.identifiers[code]] == pytest.approx(1 - chance[target], abs=1e-4)


def model_folder_at(place: Path, of: object) -> Path:
    place.mkdir()
    return model_folder(place, of)  # type: ignore[arg-type]


def test_outlines_of_the_hospital_and_of_a_model_lie_on_the_slices_that_they_outline(tmp_path: Path) -> None:
    made = write_hospital(tmp_path / "images", "south", patients=2)
    of = outlining(training={"rounds": 1})
    source = Source(tmp_path / "images", tmp_path / "state")
    found = make(source, [], open_model(model_folder_at(tmp_path / "model", of)), explained=0)
    outlined = [one for one in entries(source.state, "images", 1) if one.outline is not None]
    assert found.outlined == sum(int(plane.any()) for one in made for plane in one.mask)
    assert outlined
    one = entries(source.state, "worst", 1)[0]
    assert one.error is not None
    shown = next(drawn(source.folder, [one]))
    assert "outlined by the hospital" in shown["marks"]
    assert shown["png"]


def test_what_cannot_be_drawn_is_said_without_its_name_and_the_others_are_drawn(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images")
    (folder / "broken.dcm").write_bytes(b"no image")
    with (folder / "huge.dcm").open("wb") as file:
        file.truncate(1 << 30)
    names = ("gone.dcm", "broken.dcm", "huge.dcm", "secret-1.dcm")
    shown = list(drawn(folder, [Entry(number, name, 1) for number, name in enumerate(names, 1)]))
    assert [bool(one["png"]) for one in shown] == [False, False, False, True]
    assert [one["missing"] for one in shown][2] == "not drawn: too-large"
    assert "dcm" not in " ".join(one["missing"] for one in shown)
    late = list(drawn(folder, [Entry(1, "secret-1.dcm", 1)], within_s=-1))
    assert "time was used up" in late[0]["missing"]


def test_a_huge_folder_is_read_a_page_at_a_time(tmp_path: Path) -> None:
    many = 5_000
    facts = About(made="2026-11-28T12:00+00:00", images=many, patients=1, labelled=0, outlined=0, refused=0)
    write_catalogue(tmp_path, facts, (Entry(number, f"{number}.dcm", 1) for number in range(1, many + 1)))
    assert (tmp_path / "gallery.sqlite").stat().st_mode & 0o077 == 0
    assert about(tmp_path) == facts
    assert count(tmp_path, "images") == many
    assert [one.number for one in entries(tmp_path, "images", 3)] == list(range(2 * EACH + 1, 3 * EACH + 1))
    assert entries(tmp_path, "worst", 1) == []
    assert entries(tmp_path, "images", many) == []


@pytest.mark.parametrize("content", [None, b"no image"])
def test_an_empty_or_unreadable_folder_is_answered_without_its_place(
    tmp_path: Path, content: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder, images = HospitalFolder(tmp_path / "state"), tmp_path / "images"
    images.mkdir()
    if content is not None:
        (images / "one.dcm").write_bytes(content)
    begin(folder, "mercy", images, None, datetime.now(UTC))
    code, said = gallery(folder, "--json")
    assert code == 4
    answer = json.loads(said.split("\n")[0])
    assert answer["failed"] == ("the only file was refused" if content else "the folder holds no files")
    assert str(tmp_path) not in said
    images.rename(tmp_path / "away")
    assert json.loads(gallery(folder, "--json")[1].split("\n")[0])["failed"] == "the folder of images is not there"
