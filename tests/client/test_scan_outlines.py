"""``wardround scan --study``: a hospital sees its outlines over its images, on a page of its own."""

from __future__ import annotations

import base64
import re
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from PIL import Image
from pydicom import dcmread
from test_scan_command import run

from examples import study
from outlined_hospitals import outlining, outlining_volumes, write_hospital
from tiny_dicom import save, tiny
from wardround_client.images.picture import COLOURS
from wardround_client.preparation.dataset import take_in
from wardround_client.preparation.outline_page import overlaid
from wardround_client.preparation.source import Source
from wardround_client.tasks.registry import local_task
from wardround_common.study.file import Study


def test_outlines_are_shown_over_images_on_a_page_that_stays(tmp_path: Path) -> None:
    folder, state, of = tmp_path / "south", tmp_path / "state", tmp_path / "study.toml"
    one, *_ = write_hospital(folder, "south", patients=3)
    (folder / one.name / "outline.dcm").unlink()
    of.write_text(tomli_w.dumps(outlining().tables(nulls=False)))
    done = run(folder, "--state", state, "--workers", 1, "--study", of)
    assert (done.returncode, done.stderr.strip()) == (0, "")
    assert "2 outlined, 12 other-series (in series that the study does not take), 4 no-mask (outlined" in done.stdout
    assert re.search(r"Labels +not looked for", done.stdout)  # there may be a table of them, which it does not read
    assert "labels.csv" not in (state / "scan-report.html").read_text()
    page = (state / "outlines.html").read_text()
    assert (state / "outlines.html").stat().st_mode & 0o077 == 0
    assert len(re.findall("data:image/png;base64,", page)) == 2
    assert "This page stays at the hospital" in page
    assert "tumour 1.2 mL" in page  # 5 x 6 pixels in 2 slices, of 2 x 2 x 5 mm
    assert "<script" not in page


def test_the_page_names_what_is_left_out_a_folder_in_the_place_of_its_files(tmp_path: Path) -> None:
    folder, of = tmp_path / "south", outlining()
    one, two, *_ = write_hospital(folder, "south", patients=4)
    (folder / one.name / "outline.dcm").unlink()
    mask = dcmread(folder / two.name / "outline.dcm")
    mask.PatientID = "somebody"
    save(mask, folder / two.name / "<i>.dcm")
    (folder / two.name / "outline.dcm").unlink()
    for number in range(7):  # beside a file that is used, each is named by itself
        save(tiny(Modality="MR", SeriesDescription="t2"), folder / two.name / "flair" / f"z{number}.dcm")
    _, found = take_in(Source(folder, tmp_path / "state"), of)
    shown = local_task(of.task).shown
    assert shown is not None
    said, page = shown(found, of, datetime.now().astimezone())
    assert "1 mask-other-patient" in said
    rows = re.findall(r"<tr><th.*?<code>(.*?)</code></th><td>\d+</td><td>(.*?)</td><td>(.*?)</td></tr>", page)
    named = {reason: files for reason, _, files in rows}
    assert ("other-series", "in series that the study does not take") in {(reason, means) for reason, means, _ in rows}
    alone = [f"{two.name}/flair/{number}.dcm" for number in range(1, 5)]
    assert named["no-mask"] == ", ".join([f"{one.name}/flair", *alone])
    assert named["mask-other-patient"] == f"{two.name}/&lt;i&gt;.dcm"
    assert any(why.endswith(" more") and "z0.dcm" in why for why in named.values())


def test_volumes_are_shown_in_three_planes_to_scale(tmp_path: Path) -> None:
    folder, state = tmp_path / "south", tmp_path / "state"
    write_hospital(folder, "south", patients=3)
    of = outlining_volumes()
    _, found = take_in(Source(folder, state), of)
    shown = local_task(of.task).shown
    assert shown is not None
    said, page = shown(found, of, datetime.now().astimezone())
    assert said == "3 outlined, 12 other-series (in series that the study does not take)"
    assert "slice 2 of 4, and the other planes · tumour 1.2 mL" in page
    assert "three planes through what is outlined" in page
    pictures = re.findall('data:image/png;base64,([^"]+)"', page)
    assert len(pictures) == 3
    drawn = Image.open(BytesIO(base64.b64decode(pictures[0])))
    # Axial 16 x 16 pixels of 2 mm; coronal and sagittal 4 slices of 5 mm, drawn as 2 pixels each; gaps of 2.
    assert drawn.width * 16 == drawn.height * (3 * 16 + 2 * 2)
    assert (np.asarray(drawn) == COLOURS[0]).all(axis=2).any()


def boxed(**sections: Any) -> Study:
    tables = outlining(**sections).tables(nulls=False)
    return Study.model_validate(tables | {"task": {"name": "detection", "classes": ["tumour"], "boxes": "masks"}})


def test_boxes_around_masks_are_records_and_are_shown_over_their_slices(tmp_path: Path) -> None:
    folder = tmp_path / "south"
    patients = write_hospital(folder, "south", patients=3)
    source, of = Source(folder, tmp_path / "state"), boxed()
    index, found = take_in(source, of)
    task = local_task(of.task)
    assert task.records is not None
    assert task.shown is not None
    made = task.records(source, of, index.accepted, found)
    there = sum((one.mask > 0).any(axis=(1, 2)).sum() for one in patients)
    assert (made.targets[:][:, :, 4] == 0).any(axis=1).sum() == there  # a box in each slice with a tumour, else none
    boxes = made.targets[:][made.targets[:][:, :, 4] == 0]
    height, width = (mask := patients[0].mask.any(axis=0)).any(axis=1).sum(), mask.any(axis=0).sum()
    assert {(box[2] - box[0], box[3] - box[1]) for box in boxes.tolist()} == {(height, width)}
    said, page = task.shown(found, of, datetime.now().astimezone())
    assert said == "3 outlined, 12 other-series (in series that the study does not take)"
    assert "· tumour 1<br>" in page
    picture = re.findall('data:image/png;base64,([^"]+)"', page)[0]
    assert (np.asarray(Image.open(BytesIO(base64.b64decode(picture)))) == COLOURS[0]).all(axis=2).any()


def test_boxes_of_a_table_are_shown_over_their_images_and_lines_without_one_are_counted(tmp_path: Path) -> None:
    folder, of = tmp_path / "images", tmp_path / "study.toml"
    save(tiny(np.arange(400, dtype=np.uint16).reshape(20, 20)), folder / "<b>.dcm")
    save(tiny(np.arange(400, dtype=np.uint16).reshape(20, 20).T.copy()), folder / "two.dcm")
    (folder / "boxes.csv").write_text("file,x0,y0,x1,y1,class\n<b>.dcm,2,3,9,12,tumour\ntwo.dcm,,,,,\nz.dcm,,,,,\n")
    tables = boxed(data={"series": []}).tables(nulls=False)
    of.write_text(tomli_w.dumps(tables | {"task": tables["task"] | {"boxes": "table"}}))
    done = run(folder, "--state", tmp_path / "state", "--workers", 1, "--study", of)
    assert (done.returncode, done.stderr.strip()) == (0, "")
    assert "1 boxes, 1 images with a box, 1 images in which nothing is, 1 boxes-unknown-file" in done.stdout
    page = (tmp_path / "state" / "boxes.html").read_text()
    assert (tmp_path / "state" / "boxes.html").stat().st_mode & 0o077 == 0
    assert "tumour 1<br>&lt;b&gt;.dcm" in page
    assert "nothing there<br>two.dcm" in page


def test_a_study_without_outlines_has_none_to_show(tmp_path: Path) -> None:
    of = tmp_path / "study.toml"
    of.write_text(tomli_w.dumps(study().tables(nulls=False)))
    done = run(tmp_path, "--study", of)
    assert done.returncode
    assert "has no outlines or boxes to show" in done.stderr


def test_an_edge_is_drawn_in_the_structures_colour_and_nothing_else_is() -> None:
    image, mask = np.full((16, 16), 0.5, np.float32), np.zeros((16, 16), np.uint8)
    mask[4:9, 5:12] = 2
    drawn = np.asarray(Image.open(BytesIO(base64.b64decode(overlaid(image, mask)))))
    coloured = (drawn != drawn[0, 0]).any(axis=2)
    times = len(drawn) // 16
    there = np.kron(mask, np.ones((times, times))) > 0
    assert coloured[4 * times, 5 * times]
    assert (drawn[coloured] == COLOURS[1]).all()
    assert not (coloured & ~there).any()
    assert not coloured[6 * times, 8 * times]
