"""``wardround scan``: one screen, one local report, an exit code, and no patient in either."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pytest

from tiny_dicom import RAMP, save, tiny
from wardround_common.shell.cli import main


@dataclass(frozen=True)
class Done:
    returncode: object
    stdout: str
    stderr: str


def run(*arguments: object) -> Done:
    """Call the command in this process, which saves the second that a new Python takes."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr(sys, "argv", ["wardround", "scan", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
    return Done(ended.value.code, out.getvalue(), err.getvalue())


HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = tmp_path / "images"
    for number in range(3):
        made = tiny(RAMP + number, PatientID=f"Secret{number}", PatientName=f"Secret{number}", Manufacturer=HOSTILE)
        save(made, images / f"{number}.dcm")
    save(tiny(PatientName="Meyer^Anna"), images / "<b>named.dcm")
    save(
        tiny(np.zeros((2, 2), np.uint8), PatientID="Secret9", PatientName="Secret9", Manufacturer=HOSTILE),
        images / "flat.dcm",
    )
    return images


def test_a_nifti_file_that_does_not_say_where_it_lies_is_refused_on_the_screen(tmp_path: Path) -> None:
    made = nibabel.Nifti1Image(RAMP[..., None].astype(np.int16), None)
    made.header["qform_code"] = made.header["sform_code"] = 0
    (tmp_path / "in").mkdir()
    nibabel.save(made, tmp_path / "in" / "a.nii")
    done = run(tmp_path / "in", "--state", tmp_path / "state", "--workers", 1)
    assert (done.returncode, "no-orientation" in done.stdout) == (4, True)


def test_a_scan_ends_with_one_screen_and_a_report_of_its_own(folder: Path, tmp_path: Path) -> None:
    (folder / "labels.csv").write_text("file,label\n0.dcm,none\n1.dcm,finding\n")
    done = run(folder, "--state", tmp_path / "state", "--workers", 1)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) <= 24
    for said in ("4 images of 4 patients", "identifies-patient", "none 1", "finding 1", "2 images without"):
        assert said in done.stdout
    report = tmp_path / "state" / "scan-report.html"
    page = report.read_text()
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    assert "This report stays at the hospital" in page
    thumbnails = page.partition("<h2>Scanners</h2>")[2].count('src="data:image/png;base64,')
    assert thumbnails == 4 - 1  # the image of one value is not shown beside others


def test_neither_screen_nor_report_names_a_patient(folder: Path, tmp_path: Path) -> None:
    done = run(folder, "--state", tmp_path / "state")
    page = (tmp_path / "state" / "scan-report.html").read_text()
    for text in (done.stdout, done.stderr, page):
        assert "Secret" not in text
        assert "Meyer" not in text


def test_what_files_say_cannot_run_in_the_report_or_load_anything(folder: Path, tmp_path: Path) -> None:
    run(folder, "--state", tmp_path / "state")
    page = (tmp_path / "state" / "scan-report.html").read_text()
    assert "<script" not in page
    assert "<b>named" not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r"(src|href)=[\"'](?!data:|#)", page)
    assert "default-src 'none'" in page


def test_the_report_says_that_the_check_was_relaxed(folder: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    done = run(folder, "--state", tmp_path / "state", "--allow", "identity", "--report", report)
    assert done.returncode == 0, done.stderr
    assert "relaxed" in done.stdout
    assert "check was relaxed" in report.read_text()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: folder.mkdir(), "holds no files"),
        (lambda folder: None, "no such folder"),
        (lambda folder: folder.touch(), "a file, not a folder"),
        (lambda folder: save(tiny(PatientName="Meyer^Anna"), folder / "a.dcm"), "the only file was refused"),
    ],
    ids=["empty", "missing", "a file", "all refused"],
)
def test_a_folder_of_no_use_gets_a_message_and_the_exit_code_of_data(tmp_path: Path, make: object, said: str) -> None:
    make(tmp_path / "images")  # type: ignore[operator]
    done = run(tmp_path / "images", "--state", tmp_path / "state", "--workers", 1)
    assert done.returncode == 4
    assert said in done.stderr
    assert "→" in done.stderr
    assert "Traceback" not in done.stderr


def test_wrong_labels_are_said_after_the_rest_of_the_scan(folder: Path, tmp_path: Path) -> None:
    (folder / "labels.csv").write_text("file,label\n0.dcm,nonne\n")
    done = run(folder, "--state", tmp_path / "state", "--classes", "none,finding", "--workers", 1)
    assert done.returncode == 4
    assert "4 images" in done.stdout
    assert "Did you mean 'none'?" in done.stderr


@pytest.fixture
def nameless(tmp_path: Path) -> Path:
    """Hold images whose patient nobody states, one study under two patients, and one image twice."""
    images = tmp_path / "nameless"
    for number in range(2):
        save(tiny(RAMP + number, PatientID="", PatientName=""), images / f"s{number}.dcm")
        save(
            tiny(RAMP * 2 + number, PatientID=f"P{number}", PatientName="", StudyInstanceUID="1.2"),
            images / f"p{number}.dcm",
        )
    shutil.copy(images / "p0.dcm", images / "q0.dcm")
    return images


def test_screen_and_report_say_how_many_patients_are_guessed_and_what_contradicts_itself(
    nameless: Path, tmp_path: Path
) -> None:
    done = run(nameless, "--state", tmp_path / "state", "--workers", 1)
    page = (tmp_path / "state" / "scan-report.html").read_text()
    screen = " ".join(done.stdout.split())
    for said in (
        "1 by PatientID; guessed: 2 by StudyInstanceUID",
        "one StudyInstanceUID stands under several patients: these patients are taken for one",
        "one file is a second copy of an image: same SOPInstanceUID: left out",
    ):
        assert said in screen
        assert said in page
    assert "a guess is refused unless it is confirmed" in screen
    assert "Some patients are guessed" in page
    assert "same-instance" in screen


def test_json_has_the_same_counts_and_names_nobody(nameless: Path, tmp_path: Path) -> None:
    done = run(nameless, "--state", tmp_path / "state", "--workers", 1, "--json")
    found = json.loads(done.stdout)
    assert found["patients_by"] == {"patient-id": 1, "study": 2}
    assert (found["doubts"]["shared_studies"], found["doubts"]["copies"]) == (1, 1)
    assert found["refused"] == {"same-instance": 1}
    assert ".dcm" not in done.stdout


def test_a_guess_that_the_hospital_confirms_is_said_without_a_warning(nameless: Path, tmp_path: Path) -> None:
    done = run(nameless, "--state", tmp_path / "state", "--workers", 1, "--confirm-patients", "study")
    assert "guessed and confirmed here: 2 by StudyInstanceUID" in " ".join(done.stdout.split())
    assert "refused unless" not in done.stdout
    assert "Some patients are guessed" not in (tmp_path / "state" / "scan-report.html").read_text()
    unknown = run(nameless, "--state", tmp_path / "state", "--confirm-patients", "all")
    assert unknown.returncode == 4
    assert "subject, study, folder, file, shared-study" in unknown.stderr


def test_an_unknown_finding_to_allow_is_said(folder: Path, tmp_path: Path) -> None:
    done = run(folder, "--state", tmp_path / "state", "--allow", "all")
    assert done.returncode == 4
    assert "identity, private-tags, burnt-in" in done.stderr


def test_a_folder_name_in_another_encoding_does_not_stop_the_report(tmp_path: Path) -> None:
    strange = Path(os.fsdecode(os.fsencode(tmp_path) + b"/im\xffages"))
    save(tiny(), strange / "a.dcm")
    command = [
        sys.executable,
        "-c",
        "from wardround_common.shell.cli import main; main()",
        "scan",
        strange,
        "--workers",
        "1",
    ]
    done = subprocess.run(
        [*command, "--state", tmp_path / "state"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_a_folder_without_labels_says_so_in_every_scan(folder: Path, tmp_path: Path) -> None:
    for _ in range(2):
        done = run(folder, "--state", tmp_path / "state", "--workers", 1)
        assert done.returncode == 0, done.stderr
        assert re.search(r"Labels +none were read: there is no labels.csv here", done.stdout)
    assert "No labels were read" in (tmp_path / "state" / "scan-report.html").read_text()


def test_a_table_of_labels_one_level_down_is_named(folder: Path, tmp_path: Path) -> None:
    (folder / "site").mkdir()
    (folder / "site" / "labels.csv").write_text("file,label\n0.dcm,none\n")
    done = run(folder, "--state", tmp_path / "state", "--workers", 1)
    assert re.search(r"Labels +none were read: site/labels.csv may hold them", done.stdout)
    assert "<code>site/labels.csv</code>" in (tmp_path / "state" / "scan-report.html").read_text()


def test_labels_of_one_class_only_are_said(folder: Path, tmp_path: Path) -> None:
    (folder / "labels.csv").write_text("file,label\n0.dcm,none\n1.dcm,none\n")
    assert "none 2 (2 images without); one class only" in run(folder, "--state", tmp_path / "state").stdout


def test_one_picture_under_two_patients_with_opposite_labels_is_shown_with_both_thumbnails(tmp_path: Path) -> None:
    images, rng = tmp_path / "images", np.random.default_rng(0)
    for number in range(4):
        pixels = rng.integers(0, 4000, (32, 32), dtype=np.uint16)
        save(tiny(pixels, PatientID=f"Secret{number}", PatientName=""), images / f"{number}.dcm")
    again = (pixels * 0.9 + rng.normal(0, 20, pixels.shape)).clip(0).astype(np.uint16)
    save(tiny(again, PatientID="Secret9", PatientName=""), images / "again.dcm")
    (images / "labels.csv").write_text("file,label\n0.dcm,none\n1.dcm,finding\n3.dcm,none\nagain.dcm,finding\n")
    done = run(images, "--state", tmp_path / "state", "--workers", 1)
    assert "1 suspected pair, 1 between patients" in done.stdout
    assert "labels disagree in 1 of them" in done.stdout
    page = (tmp_path / "state" / "scan-report.html").read_text()
    shown = page.partition("<h2>Labels disagree</h2>")[2].partition("</section>")[0]
    assert shown.count('src="data:image/png;base64,') == 2
    assert "Of two patients" in shown
    assert "<strong>none</strong> 3.dcm" in shown
    assert "<strong>finding</strong> again.dcm" in shown
    assert "Secret" not in page


def test_neighbouring_slices_of_a_series_are_no_suspected_pairs(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    body = rng.integers(0, 4000, (32, 32)).astype(float)
    for number in range(12):
        slice_ = (body + number * rng.normal(0, 20, body.shape)).clip(0).astype(np.uint16)
        save(tiny(slice_, SeriesInstanceUID="1.2.3", StudyInstanceUID="1.2"), tmp_path / "images" / f"{number}.dcm")
    assert "0 suspected pairs" in run(tmp_path / "images", "--state", tmp_path / "state", "--workers", 1).stdout
