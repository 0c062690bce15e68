"""A model is asked about new images: masks on the grid of their series, what fails refused, nothing done twice."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image as Pillow
from pydicom import dcmread

from asked_images import images
from examples import study
from in_process import run
from models_made import model_folder
from outlined_hospitals import outlining, write_hospital
from series_made import OBLIQUE, slices, written
from wardround_client.commands import predict_screen
from wardround_client.prediction.inputs import files_of
from wardround_client.prediction.keeping import HEAD, LINES, READING, TABLE, keeping
from wardround_client.prediction.nifti_mask import nifti_of
from wardround_client.volumes import Series, series_in
from wardround_common.errors import DataError, StorageError
from wardround_common.metrics.calibration import at_temperature
from wardround_common.results.model_folder import read_model_folder
from wardround_common.shell.cli import wardround


def predict(*words: str | Path) -> tuple[int, list[dict[str, Any]], str]:
    found = CliRunner().invoke(wardround, ["predict", *map(str, words), "--json"])
    if found.exception and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found.exit_code, [json.loads(line) for line in found.stdout.splitlines()], found.stderr


@pytest.fixture(scope="module")
def outliner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tmp_path_factory.mktemp("outliner"), outlining())


def test_a_named_patient_is_no_reason_to_refuse_an_image_and_probabilities_are_calibrated(
    classifier: Path, tmp_path: Path
) -> None:
    folder = images(tmp_path, 5, PatientName="Doe^Jane", PatientBirthDate="19500101")
    code, lines, _ = predict(classifier, folder)
    assert (code, [line["patient"] for line in lines]) == (0, ["P0", "P1", "P2", "P3", "P4"])
    plain = model_folder(tmp_path / "plain", study(), point=0.5)
    _, own, _ = predict(plain, folder)
    for line, uncalibrated in zip(lines, own, strict=True):
        assert (line["calibrated"], uncalibrated["calibrated"]) == (True, False)
        expected = at_temperature(np.array([*uncalibrated["probabilities"].values()]), 2.0)
        assert [*line["probabilities"].values()] == pytest.approx(expected, abs=1e-5)
        assert line["class"] == uncalibrated["class"]  # a temperature decides nothing anew


def test_an_answer_hangs_on_the_shape_of_an_images_pixels_and_on_no_rounding_of_it(
    classifier: Path, tmp_path: Path
) -> None:
    spacings: list[list[float] | None] = [None, [0.2, 0.2], [0.351563, 0.351562], [0.4, 0.2], [0.2, 0.4]]
    folders = [
        images(tmp_path / str(number), 1, **({} if apart is None else {"PixelSpacing": apart}))
        for number, apart in enumerate(spacings)
    ]
    answers = [predict(classifier, folder)[1][0]["probabilities"] for folder in folders]
    assert answers[0] == answers[1] == answers[2]
    assert len({str(one) for one in answers}) == 3


def test_one_image_at_a_time_or_all_together_give_the_same_answers(classifier: Path, tmp_path: Path) -> None:
    folder = images(tmp_path, 5)
    answers = [predict(classifier, folder, "--batch", batch)[1] for batch in ("1", "3", "64")]
    for line, other, third in zip(*answers, strict=True):
        assert line["input"] == other["input"] == third["input"]
        assert [*line["probabilities"].values()] == pytest.approx([*other["probabilities"].values()], abs=1e-5)


def test_what_cannot_be_used_is_refused_with_its_reason_and_the_others_go_on(classifier: Path, tmp_path: Path) -> None:
    folder = images(tmp_path / "images", 2)
    images(tmp_path / "ct", 1, Modality="CT")
    images(tmp_path / "overview", 1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    (folder / "broken.dcm").write_bytes((folder / "0.dcm").read_bytes()[:-100])
    (folder / "notes.txt").write_text("hello")
    code, lines, said = predict(classifier, folder, tmp_path / "ct", tmp_path / "overview")
    assert code == 4
    assert [line.get("refused", "") for line in lines] == ["", "", "truncated", "other-modality"]
    assert "this is CT, and the model was trained with DX" in said
    assert "2 predicted, 2 refused, 2 that accompany images passed over" in said  # the note and the overview
    code, lines, _ = predict(classifier, tmp_path / "overview" / "0.dcm")  # named itself
    assert (code, lines[0]["refused"]) == (4, "localizer")
    assert predict(classifier, tmp_path / "overview", "--allow", "localizers")[0] == 0


def test_a_picture_is_predicted_where_the_study_takes_pictures(tmp_path: Path) -> None:
    model = model_folder(tmp_path / "model", study(data={"modalities": ["OTHER"]}))
    Pillow.fromarray(np.arange(400, dtype=np.uint8).reshape(20, 20)).save(tmp_path / "one.png")
    code, lines, _ = predict(model, "-i", tmp_path / "one.png")
    assert (code, lines[0]["operating_point"]) == (0, None)


def test_a_run_that_was_cut_off_goes_on_and_does_nothing_twice(classifier: Path, tmp_path: Path) -> None:
    folder, out = images(tmp_path / "images", 5), tmp_path / "out"
    assert predict(classifier, folder, "-o", out, "--preview")[0] == 0
    whole = (out / LINES).read_bytes().splitlines(keepends=True)
    (out / LINES).write_bytes(b"".join(whole[:3]) + whole[3][:20])  # killed in the middle of a line
    first = json.loads(whole[0])["files"][0]
    before = (out / first).stat().st_mtime_ns
    code, lines, said = predict(classifier, folder, "-o", out, "--preview")
    assert (code, len(lines)) == (0, 2)
    assert "3 done before" in said
    assert (out / LINES).read_bytes() == b"".join(whole)
    assert (out / first).stat().st_mtime_ns == before
    with (out / TABLE).open(newline="") as table:
        assert [row["patient"] for row in csv.DictReader(table)] == ["P0", "P1", "P2", "P3", "P4"]
    assert {path.stat().st_mode & 0o077 for path in out.iterdir()} == {0}


@pytest.mark.parametrize("kept", [True, False])
def test_a_person_who_stops_a_run_reads_what_is_done_and_how_to_continue(
    classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    folder, out = images(tmp_path / "images", 5), tmp_path / "out"
    into: list[object] = ["-o", out] if kept else []
    told = []

    def stopped(*told_of: object, **more: object) -> None:
        told.append(told_of)
        if len(told) == 3:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predict_screen, "show", stopped)
        done = run("predict", classifier, folder, *into)
    assert done.returncode == 130
    if not kept:
        assert "Stopped. 3 are done, 2 are left. Nothing was kept: with --out DIR" in done.stderr
        return
    assert f"Stopped. 3 are done and kept in {out}, 2 are left. Run the same command again to continue." in done.stderr
    assert "2 predicted, 3 done before" in run("predict", classifier, folder, *into).stderr


def test_an_image_that_was_replaced_under_its_name_is_asked_about_again(classifier: Path, tmp_path: Path) -> None:
    folder, out = images(tmp_path / "images", 2), tmp_path / "out"
    _, (first, second), _ = predict(classifier, folder, "-o", out, "--preview")
    (folder / "1.dcm").replace(folder / "0.dcm")
    code, (line,), _ = predict(classifier, folder, "-o", out, "--preview")
    assert (code, line["input"], line["patient"]) == (0, first["input"], "P1")
    assert line["probabilities"] == second["probabilities"] != first["probabilities"]
    (kept, _) = csv.DictReader((out / TABLE).read_text().splitlines())
    assert (kept["input"], kept["patient"]) == (first["input"], "P1")
    assert predict(classifier, folder, "-o", out, "--preview")[1] == []


def test_a_series_that_has_grown_is_asked_about_again_and_nothing_of_the_shorter_one_stays(
    outliner: Path, tmp_path: Path
) -> None:
    stated = {"Modality": "MR", "SeriesDescription": "FLAIR", "StudyID": "", "AccessionNumber": ""}
    whole = slices(6, **stated)
    written(whole[:3], tmp_path / "in")
    _, (short,), _ = predict(outliner, tmp_path / "in", "-o", tmp_path / "out", "--dicom")
    written(whole[3:], tmp_path / "in")
    code, (line,), _ = predict(outliner, tmp_path / "in", "-o", tmp_path / "out", "--dicom")
    assert (code, line.get("why")) == (0, None)
    masks = [name for name in line["files"] if name.endswith(".nii.gz")]
    image: Any = nibabel.load(tmp_path / "out" / masks[0])
    assert image.shape[2] == 6
    there = {path.name for path in (tmp_path / "out").iterdir() if line["input"] in path.name}
    assert there == {*line["files"]}
    assert short["input"] == line["input"]


def test_objects_that_were_not_asked_for_at_first_are_written_by_a_later_run(classifier: Path, tmp_path: Path) -> None:
    folder, out = images(tmp_path / "images", 1), tmp_path / "out"
    _, (before,), _ = predict(classifier, folder, "-o", out)
    code, (line,), _ = predict(classifier, folder, "-o", out, "--dicom")
    assert (code, before["files"], len(line["files"])) == (0, [], 2)
    assert all((out / name).exists() for name in line["files"])
    assert predict(classifier, folder, "-o", out)[1] == []
    assert all((out / name).exists() for name in line["files"])


def test_a_series_of_another_modality_is_refused_as_such_though_it_has_no_position(
    outliner: Path, tmp_path: Path
) -> None:
    code, (line,), _ = predict(outliner, images(tmp_path / "images", 1, Modality="MG"))
    assert (code, line["refused"]) == (4, "other-modality")
    assert "this is MG" in line["why"]


def test_what_a_killed_run_left_half_written_is_removed_and_its_folder_is_taken(
    classifier: Path, tmp_path: Path
) -> None:
    folder, out = images(tmp_path / "images", 1), tmp_path / "out"
    out.mkdir()
    (out / ".predict.json.0a1b2c3d").write_bytes(b"{")  # killed at its first file
    assert predict(classifier, folder, "-o", out)[0] == 0
    (out / ".0.dcm-12345678.report.dcm.060d261d").write_bytes(b"half")  # killed at a report
    (out / ".notes").write_bytes(b"somebody's")
    assert predict(classifier, folder, "-o", out)[0] == 0
    assert [path.name for path in out.iterdir() if path.name.startswith(".")] == [".notes"]


def test_a_file_that_was_refused_is_asked_about_again_and_has_one_line(classifier: Path, tmp_path: Path) -> None:
    folder, out = images(tmp_path / "images", 1), tmp_path / "out"
    images(folder / "ct", 1, Modality="CT")
    assert predict(classifier, folder, "-o", out)[0] == 4
    written = (out / LINES).read_bytes()
    code, lines, said = predict(classifier, folder, "-o", out)
    assert (code, [line["refused"] for line in lines]) == (4, ["other-modality"])
    assert "0 predicted, 1 done before, 1 refused" in said
    assert (out / LINES).read_bytes() == written
    images(folder / "ct", 1)  # the right one in its place
    assert predict(classifier, folder, "-o", out)[0] == 0
    overview = images(tmp_path / "overview", 1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]) / "0.dcm"
    assert predict(classifier, overview, "-o", out)[0] == 4
    assert predict(classifier, overview, "-o", out, "--allow", "localizers")[0] == 0


def test_a_folder_without_an_image_is_an_error_and_a_damaged_one_is_not_passed_over(
    classifier: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DataError, match="none of 1 file is an image"):
        predict(classifier, tmp_path)
    (tmp_path / "0.dcm").write_bytes(b"overwritten" * 40)
    code, lines, _ = predict(classifier, tmp_path)
    assert (code, [line["refused"] for line in lines]) == (4, ["not-an-image"])


def test_settings_of_the_archive_are_read_before_anything_is_predicted(classifier: Path, tmp_path: Path) -> None:
    folder, out = images(tmp_path / "images", 1), tmp_path / "out"
    with pytest.raises(StorageError, match="no archive is set up here"):
        predict(classifier, folder, "-o", out, "--dicom", "--store", "--pacs", tmp_path / "pacs.toml")
    assert not out.exists()


@pytest.mark.slow
def test_a_file_at_which_a_run_was_killed_is_tried_in_another_process_and_predicted_if_that_survives(
    classifier: Path, tmp_path: Path
) -> None:
    folder, out = images(tmp_path / "images", 2), tmp_path / "out"
    with keeping(out, read_model_folder(classifier).card):
        (out / READING).write_bytes(bytes(folder / "1.dcm"))  # what a run leaves that is killed while it reads it
    code, lines, _ = predict(classifier, folder, "-o", out)
    assert (code, [line.get("refused", "") for line in lines]) == (0, ["", ""])
    assert not (out / READING).exists()


_CRASHES = """
import os, sys
real = os.open
def faulty(path, *rest, **more):
    if str(path).endswith('crash.dcm'):
        with open(os.environ['TRIED'], 'a') as tried: tried.write('x')
        os._exit(134)
    return real(path, *rest, **more)
os.open = faulty
"""
_MAIN = "from wardround_common.shell.cli import main; main()"


@pytest.mark.slow
def test_a_decoder_that_crashes_costs_one_file_once_the_same_command_is_run_again(
    classifier: Path, tmp_path: Path
) -> None:
    folder, out = images(tmp_path / "images", 2), tmp_path / "out"
    (folder / "0.dcm").rename(folder / "crash.dcm")
    (tmp_path / "faulty").mkdir()
    (tmp_path / "faulty" / "sitecustomize.py").write_text(_CRASHES)
    command = [sys.executable, "-c", _MAIN, "predict", classifier, folder, "-o", out, "--json"]
    tried = tmp_path / "tried"
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "faulty"), "TRIED": str(tried)}
    runs, times = [], []
    for number in range(4):
        if number == 3:
            os.utime(folder / "crash.dcm", (0, 0))  # another file may have come in its place
        runs.append(subprocess.run(command, env=environment, capture_output=True, check=False))
        times.append(len(tried.read_text()))
    assert [run.returncode for run in runs] == [134, 4, 4, 4]
    assert times[0] < times[1] == times[2] < times[3]  # the third run did not try it again
    kept = [json.loads(line) for line in (out / LINES).read_bytes().splitlines()]
    refused = {Path(line["input"]).name: line.get("refused", "") for line in kept}
    assert refused == {"crash.dcm": "decoder-crashed", "1.dcm": ""}


def test_answers_are_not_written_among_the_images_where_a_scan_would_take_their_pictures_for_images(
    classifier: Path, tmp_path: Path
) -> None:
    folder = images(tmp_path / "images", 1)
    for out in (folder, folder / "a" / "b"):
        with pytest.raises(DataError, match="the predictions would lie among the images"):
            predict(classifier, folder, "--out", out)
    assert [path.name for path in folder.iterdir()] == ["0.dcm"]


def test_answers_that_somebody_put_among_the_images_are_no_images(classifier: Path, tmp_path: Path) -> None:
    folder = images(tmp_path / "images", 2)
    assert predict(classifier, folder, "--out", tmp_path / "first", "--preview")[0] == 0
    (tmp_path / "first").rename(folder / "first")
    (folder / "mine").mkdir()
    (folder / "mine" / "predict.json").write_text('{"of": "somebody else"}')
    code, lines, _ = predict(classifier, folder, "--out", tmp_path / "second", "--preview")
    assert code == 0
    assert sorted(Path(line["input"]).name for line in lines) == ["0.dcm", "1.dcm"]
    assert [one.path.name for one in files_of([folder])] == ["0.dcm", "1.dcm", "predict.json"]  # the last: another's
    assert len(files_of([folder / "first"])) > 4  # who names it means it


def test_a_folder_of_something_else_or_of_another_model_is_not_written_to(
    classifier: Path, outliner: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("")
    with (
        pytest.raises(StorageError, match="holds other files"),
        keeping(tmp_path / "mine", read_model_folder(classifier).card),
    ):
        pass
    with keeping(tmp_path / "out", read_model_folder(classifier).card) as kept:
        kept.add({"input": "a"})
        assert kept.is_done("a")
        with (
            pytest.raises(StorageError, match="another process"),
            keeping(tmp_path / "out", read_model_folder(classifier).card),
        ):
            pass
    with (
        pytest.raises(StorageError, match="of another model"),
        keeping(tmp_path / "out", read_model_folder(outliner).card),
    ):
        pass
    with (
        pytest.raises(StorageError, match="of another model"),
        keeping(tmp_path / "out", read_model_folder(classifier).card.model_copy(update={"point": 0.25})),
    ):
        pass
    assert (tmp_path / "out" / HEAD).exists()


def test_outlines_lie_on_the_grid_of_their_series_and_volumes_are_those_of_the_mask(
    outliner: Path, tmp_path: Path
) -> None:
    for hospital in ("north", "east"):
        write_hospital(tmp_path / hospital, hospital, 2)
        out = tmp_path / f"{hospital}-out"
        code, lines, _ = predict(outliner, tmp_path / hospital, "--out", out)
        assert (code, len(lines)) == (0, 2)
        for line in lines:
            image: Any = nibabel.load(out / line["files"][0])
            (structure,) = line["structures"]
            mask = np.asarray(image.dataobj)
            assert (image.shape, np.count_nonzero(mask)) == ((16, 16, 4), structure["voxels"])
            voxel_ml = abs(np.linalg.det(image.affine[:3, :3])) / 1000
            assert structure["volume_ml"] == pytest.approx(np.count_nonzero(mask) * voxel_ml)
            assert np.allclose(np.abs(np.diag(image.affine)), [2, 2, 5, 1])
            assert sum(one["volume_ml"] for one in structure["lesions"]) == pytest.approx(structure["volume_ml"])


def test_objects_for_the_archive_are_written_of_dicom_and_refused_of_anything_else(
    outliner: Path, classifier: Path, tmp_path: Path
) -> None:
    write_hospital(tmp_path / "south", "south", 1)
    code, (line,), _ = predict(outliner, tmp_path / "south", "-o", tmp_path / "out", "--dicom")
    assert code == 0
    with pytest.raises(StorageError, match="or with other settings"):  # it has segmentations of the other kind
        predict(outliner, tmp_path / "south", "-o", tmp_path / "out", "--dicom", "--labelmap")
    kinds = [name.removeprefix(line["series_uid"]) for name in line["files"]]
    assert kinds[:4] == [".nii.gz", ".seg.dcm", ".report.dcm", ".picture-01.dcm"]
    made = dcmread(tmp_path / "out" / line["files"][1])
    assert (made.PatientID, made.StudyInstanceUID) == (line["patient"], line["study_uid"])
    assert [one.SegmentLabel.split()[0] for one in made.SegmentSequence] == ["tumour"]
    code, (line,), _ = predict(classifier, images(tmp_path / "images", 1), "-o", tmp_path / "classes", "--dicom")
    assert code == 0  # of images that leave out what may be empty
    assert [dcmread(tmp_path / "classes" / name).Modality for name in line["files"]] == ["SR", "OT"]
    plain = predict(classifier, tmp_path / "images", "-o", tmp_path / "plain", "--dicom", "--no-captures")
    assert len(plain[1][0]["files"]) == 1
    write_hospital(tmp_path / "east", "east", 1)
    image = next((tmp_path / "east").rglob("*.nii.gz"))
    image.rename(tmp_path / "flair.nii.gz")
    of = outlining(data={"modalities": ["OTHER"], "series": [{"role": "flair"}]})
    code, (line,), _ = predict(
        model_folder(tmp_path / "other", of), tmp_path / "flair.nii.gz", "-o", tmp_path / "none", "--dicom"
    )
    assert (code, line["refused"]) == (4, "not-dicom")
    assert not list((tmp_path / "none").glob("*.nii.gz"))


def test_an_examination_without_what_the_study_takes_is_refused_and_says_what_is_there(
    outliner: Path, tmp_path: Path
) -> None:
    written(slices(3, Modality="MR", SeriesDescription="T2 AX"), tmp_path / "t2")
    written(slices(3, Modality="CT", SeriesDescription="FLAIR", StudyInstanceUID="1.2.3"), tmp_path / "ct")
    gap = slices(4, Modality="MR", SeriesDescription="FLAIR", StudyInstanceUID="1.2.4")
    written([gap[0], gap[1], gap[3]], tmp_path / "gap")
    for folder in ("one", "again"):
        twice = slices(3, Modality="MR", SeriesDescription="FLAIR", StudyInstanceUID="1.2.5")
        written(twice, tmp_path / folder)
    code, lines, said = predict(outliner, tmp_path)
    assert code == 4
    assert sorted(line["refused"] for line in lines) == [
        "missing-series",
        "other-modality",
        "unclear-series",
        "uneven-spacing",
    ]
    assert "no series fits flair; here are MR 'T2 AX' (missing-series)" in said
    assert "several series fit flair; here are MR 'FLAIR' (2 series)" in said


def series_of(*files: Path) -> Series:
    (found,) = series_in(files)
    assert isinstance(found, Series)
    return found


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "PSR", "AIL", "SRP"])
def test_the_mask_of_a_nifti_file_is_stored_voxel_for_voxel_as_the_file(orientation: str, tmp_path: Path) -> None:
    values = np.random.default_rng(2).random((4, 5, 6)).astype(np.float32)
    axes = nibabel.orientations.axcodes2ornt(tuple(orientation))
    affine = np.zeros((4, 4))
    for axis, (towards, sign) in enumerate(axes):
        affine[int(towards), axis] = sign * (axis + 1.5)
    affine[:, 3] = [7, -3, 11, 1]
    image = nibabel.Nifti1Image(values, affine)
    image.set_sform(affine, 1)
    nibabel.save(image, tmp_path / "image.nii")
    series = series_of(tmp_path / "image.nii")
    (tmp_path / "mask.nii.gz").write_bytes(nifti_of((series.volume() > 0.5).astype(np.uint8), series))
    found: Any = nibabel.load(tmp_path / "mask.nii.gz")
    assert np.array_equal(np.asarray(found.dataobj), values > 0.5)
    assert np.allclose(found.affine, affine, atol=1e-5)
    assert np.allclose(found.get_qform(), affine, atol=1e-5)


def test_the_mask_of_an_oblique_series_lies_where_its_voxels_do(tmp_path: Path) -> None:
    series = series_of(*written(slices(4, orientation=OBLIQUE), tmp_path / "series"))
    outline = np.zeros(series.geometry.shape, np.uint8)
    outline[1, 2, 3] = 1
    (tmp_path / "mask.nii.gz").write_bytes(nifti_of(outline, series))
    found: Any = nibabel.load(tmp_path / "mask.nii.gz")
    ((x, y, z),) = np.argwhere(np.asarray(found.dataobj))
    place = found.affine @ [x, y, z, 1]
    assert np.allclose(place[:3] * [-1, -1, 1], series.geometry.to_mm((1, 2, 3)), atol=1e-4)
