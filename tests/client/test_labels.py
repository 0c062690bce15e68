"""Labels from a CSV, an attribute or folders; what is wrong is said by line and never with a patient's identifier."""

from __future__ import annotations

import dataclasses
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tiny_dicom import RAMP, save, tiny
from wardround_client.intake.identification import identify
from wardround_client.intake.index import scan
from wardround_client.intake.instance import Index, Instance
from wardround_client.intake.labels import find_labels
from wardround_client.preparation.source import Source
from wardround_client.tasks import class_labels
from wardround_common.errors import LabelError
from wardround_common.study.file import parse_study
from wardround_common.study.template import study_text

CLASSES = ("none", "finding")


def read_labels(folder: Path, index: Index, classes: tuple[str, ...], **where: object) -> dict[str, int]:
    found = find_labels(folder, index, classes, **where)  # type: ignore[arg-type]
    return {file: classes.index(word) for file, word in found.words.items()}


def patients_of(folder: Path, index: Index, classes: tuple[str, ...] = CLASSES) -> dict[str, str]:
    found = find_labels(folder, index, classes)
    return {one.file: one.patient for one in identify(index, found.patients, found.words, groups=classes).accepted}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Hold two images of patient Secret1 in one study, and one of Secret2, with values that need no window."""
    for number, patient in enumerate(["Secret1", "Secret1", "Secret2"]):
        study = f"1.2.3.{patient[-1]}"
        made = tiny(RAMP + number, PatientID=patient, PatientName=patient, StudyInstanceUID=study)
        made.StudyDescription = "finding" if number == 0 else "none"
        made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = f"1.2.9.{number}"
        save(made, tmp_path / "images" / f"{number}.dcm")
    save(tiny(PatientName="Meyer^Anna"), tmp_path / "images" / "refused.dcm")
    return tmp_path / "images"


@pytest.fixture
def index(folder: Path, tmp_path: Path) -> Index:
    return scan(folder, state=tmp_path / "state")


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "labels.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        "file,label\n0.dcm,finding\n1.dcm,none\n2.dcm,none\n",
        "\ufefflabel;file\r\nfinding;0.dcm\r\nnone;./1.dcm\r\nnone;2.dcm\r\n",
        "File\tLabel\tnote\n0.dcm\tfinding\tx\n\n1.dcm\tnone\t\n2.dcm\tnone\t\n",
        "uid,label\n1.2.9.0,finding\n1.2.9.1,none\n1.2.3.2,none\n",
        "patient,file,label\nany,0.dcm,finding\nany,1.dcm,none\nany,2.dcm,none\n",
    ],
    ids=["file", "a spreadsheet's semicolons and mark", "tabs and empty lines", "image and study UIDs", "file first"],
)
def test_a_csv_by_file_or_uid(folder: Path, index: Index, text: str) -> None:
    write(folder, text)
    assert read_labels(folder, index, CLASSES) == {"0.dcm": 1, "1.dcm": 0, "2.dcm": 0}


def test_a_csv_by_patient_labels_all_their_images(folder: Path, index: Index) -> None:
    write(folder, "patient,label\nSecret1,finding\n")
    assert read_labels(folder, index, CLASSES) == {"0.dcm": 1, "1.dcm": 1}


def test_a_csv_elsewhere_comes_before_the_folder_s_own(folder: Path, index: Index, tmp_path: Path) -> None:
    write(folder, "file,label\n0.dcm,none\n")
    other = tmp_path / "other.csv"
    other.write_text(f"file,label\n{folder / '0.dcm'},finding\n")
    assert read_labels(folder, index, CLASSES, csv=other) == {"0.dcm": 1}


def test_an_attribute_may_hold_the_label(folder: Path, index: Index) -> None:
    assert read_labels(folder, index, CLASSES, attribute="StudyDescription") == {"0.dcm": 1, "1.dcm": 0, "2.dcm": 0}


def test_folders_may_be_named_as_the_classes(tmp_path: Path) -> None:
    for name in ("finding/a/1.dcm", "none/1.dcm", "else/1.dcm"):
        save(tiny(), tmp_path / "images" / name)
    found = scan(tmp_path / "images", state=tmp_path / "state")
    assert read_labels(tmp_path / "images", found, CLASSES) == {"finding/a/1.dcm": 1, "none/1.dcm": 0}


def test_lines_without_a_label_or_a_file_are_counted_not_lost(folder: Path, index: Index) -> None:
    write(folder, "file,label\n0.dcm,finding\n1.dcm,\nrefused.dcm,none\ngone.dcm,none\n")
    found = find_labels(folder, index, CLASSES)
    assert found.words == {"0.dcm": "finding"}
    assert (found.listed_but_refused, found.listed_but_missing) == (1, 1)


def test_without_classes_any_word_is_a_label(folder: Path, index: Index) -> None:
    write(folder, "file,label\n0.dcm,a\n1.dcm,b\n2.dcm,b\n")
    assert find_labels(folder, index, None).counts() == {"b": 2, "a": 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,label\n0.dcm,findign\n", "line 2: the label 'findign' is not a class"),
        ("file,label\n\n0.dcm,Secret1\n", "line 3: the label is not a class of the study"),
        ("patient,label\nSecret1,none\nSecret1,finding\n", "lines 2 and 3 give the same patient different labels"),
        ("file,label\n0.dcm,none\n./0.dcm,finding\n", "lines 2 and 3 give the same file different labels"),
        ("uid,label\n1.2.9.0,none\n1.2.3.1,finding\n", "lines 2 and 3 give one image different labels"),
        ("file,label\n0.dcm\n", "line 2 has 1 of 2 columns"),
        ("patient,label\n,none\n", "line 2 has no patient"),
        ("file,class\n0.dcm,none\n", "no column 'label'"),
        ("name,label\n0.dcm,none\n", "none of the columns"),
        ("file,file,label\n0.dcm,0.dcm,none\n", "the column 'file' appears twice"),
        ("file,label\n", "this file has no labels"),
        ("  \n", "is empty"),
        ("file,label\nx.dcm,none\n", "none of its 1 line belongs to an accepted image"),
        ("file,label\nrefused.dcm,none\n", "the labelled file was refused"),
        ("patient,label\nMeyer,none\n", "none of its 1 line"),
        (b"file,label\n0.dcm,none\n\xff.dcm,none\n", "line 3 is not UTF-8"),
        (b"\0\0\0", "not a text file"),
        ('file,label\n"0.dcm,none\n', "is not CSV"),
    ],
)
def test_what_is_wrong_is_said_by_line_and_without_a_patient(
    folder: Path, index: Index, text: str | bytes, said: str
) -> None:
    write(folder, text)
    with pytest.raises(LabelError) as error:
        read_labels(folder, index, CLASSES)
    message = str(error.value)
    assert said in message
    assert "labels.csv" in message
    assert "→" in message
    assert "Secret" not in message
    assert "Meyer" not in message


def test_a_grade_that_the_study_has_not_is_called_a_grade_and_those_that_it_has_are_listed(
    folder: Path, index: Index
) -> None:
    write(folder, "file,label\n0.dcm,7\n")
    asked = parse_study(study_text("a", task="grades", dp=False, own={"task": {"classes": ["0", "1", "2", "3"]}}))
    with pytest.raises(LabelError) as error:
        class_labels.find(Source(folder, folder.parent / "state"), index, asked)
    assert "line 2: the label is not a grade of the study" in str(error.value)
    assert "The grades are 0, 1, 2, 3." in str(error.value)
    assert "class" not in str(error.value)


def test_no_labels_at_all_names_every_way_to_give_them(folder: Path, index: Index) -> None:
    with pytest.raises(LabelError) as error:
        read_labels(folder, index, CLASSES)
    for way in ("labels.csv", "--labels", "--label-attribute", "none, finding"):
        assert way in str(error.value)


def test_a_csv_that_is_not_there(folder: Path, index: Index) -> None:
    with pytest.raises(LabelError, match="cannot be read"):
        read_labels(folder, index, CLASSES, csv=folder / "no.csv")


def test_an_attribute_that_is_none_or_names_a_patient(folder: Path, index: Index) -> None:
    with pytest.raises(LabelError, match="no attribute with the keyword"):
        read_labels(folder, index, CLASSES, attribute="Nonsense")
    with pytest.raises(LabelError, match="no accepted image has"):
        read_labels(folder, index, CLASSES, attribute="PatientComments")
    with pytest.raises(LabelError) as error:
        read_labels(folder, index, CLASSES, attribute="PatientID")
    assert "Secret" not in str(error.value)


def test_a_path_that_names_two_classes_is_ambiguous(folder: Path, index: Index) -> None:
    moved = tuple(dataclasses.replace(one, file=f"none/finding/{one.file}") for one in index.accepted)
    with pytest.raises(LabelError, match="2 class names"):
        read_labels(folder, dataclasses.replace(index, accepted=moved), CLASSES)


def test_an_instance_does_not_show_its_patient() -> None:
    fields = {field.name for field in dataclasses.fields(Instance) if not field.repr}
    assert {"patient", "study_uid", "series_uid", "sop_uid"} <= fields


def picture(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) + np.uint8(value)).save(path)


def test_pictures_are_grouped_by_the_patient_that_the_csv_names_beside_the_file(tmp_path: Path) -> None:
    for number in range(4):
        picture(tmp_path / "images" / f"{number}.png", number)
    write(tmp_path / "images", "file,patient,label\n0.png,a,none\n1.png,a,none\n2.png,b,finding\n3.png,,finding\n")
    index = scan(tmp_path / "images", state=tmp_path / "state")
    found = find_labels(tmp_path / "images", index, CLASSES)
    assert found.patients == {"0.png": "a", "1.png": "a", "2.png": "b"}


def test_a_patient_in_the_csv_does_not_replace_that_of_dicom(folder: Path, index: Index) -> None:
    write(folder, "file,patient,label\n0.dcm,other,none\n1.dcm,other,none\n")
    assert patients_of(folder, index) == {"0.dcm": "Secret1", "1.dcm": "Secret1", "2.dcm": "Secret2"}


def test_pictures_in_a_folder_named_like_a_class_are_not_one_patient(tmp_path: Path) -> None:
    for name in ("none/1.png", "none/2.png", "finding/1.png", "finding/case-7/1.png", "finding/case-7/2.png"):
        picture(tmp_path / "images" / name, len(name))
    index = scan(tmp_path / "images", state=tmp_path / "state")
    found = patients_of(tmp_path / "images", index)
    case_7 = {file for file, patient in found.items() if patient == found["finding/case-7/1.png"]}
    assert case_7 == {"finding/case-7/1.png", "finding/case-7/2.png"}  # a patient by its folder
    assert len(set(found.values())) == 4


DECOMPOSED, COMPOSED = (unicodedata.normalize(form, "Läsion") for form in ("NFD", "NFC"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,age,label\n0.dcm,65,none\n1.dcm,6,5,none\n", "line 3 has 4 cells, and the first line names 3 columns"),
        ("file,label,age\n0.dcm,none,6,5\n", "decimal comma without quotes"),
        ("file,label,note\n0.dcm,none,seen, twice\n", "a comma in it without quotes"),
        ("file;label;note\n0.dcm;none;a;b\n", "a semicolon in it without quotes"),
        ("file,label\n0.dcm,none,\n", "line 2 has 3 cells"),
        ("file;label\n0.dcm,none\n", "line 2 has 1 of 2 columns"),
        ('file,note,label\n"0.dcm,x,none\n1.dcm",x,none\n', "line 2: a cell continues on the next line"),
        ('file,note,label\n0.dcm,"two\nlines",none\n1.dcm,"x,none\n', "line 4 is not CSV"),
        ("file,Label,label \n0.dcm,none,none\n", "the column 'label' appears twice"),
        ("file,label\n0.DCM,none\n1.dcm,none\n", "line 2 names a file with different upper and lower case"),
        ("file,label\n0.dcm,None\n", "Did you mean 'none'?"),
        ("file,label\n0.dcm,none\u200b\n", "Did you mean 'none'?"),
        ("file,patient,label\n0.dcm,a,none\n./0.dcm,b,none\n", "line 3 gives a file another patient"),
    ],
)
def test_what_would_shift_or_lose_a_label_in_silence_is_an_error(
    folder: Path, index: Index, text: str, said: str
) -> None:
    write(folder, text)
    with pytest.raises(LabelError) as error:
        read_labels(folder, index, CLASSES)
    assert said in str(error.value)


def test_a_decimal_comma_makes_no_labels_without_classes_either(folder: Path, index: Index) -> None:
    write(folder, "file,age,label\n" + "".join(f"{n}.dcm,6{n},1,{n % 2}\n" for n in range(3)))
    with pytest.raises(LabelError, match="line 2 has 4 cells"):
        find_labels(folder, index, None)


@pytest.mark.parametrize(
    "text",
    [
        'file,age,label\n0.dcm,"6,5",none\n',
        "file;age;label\n0.dcm;6,5;none\n",
        'file;"age, in years, at the visit";label\n0.dcm;65;none\n',
        'file,note,label\n0.dcm,"two\nlines",none\n',
        "file,label\n 0.dcm , none\u00a0\n",
        'file,label\n"0.dcm","none"\n',
    ],
    ids=["quoted", "semicolons", "commas in the header", "a note of two lines", "spaces", "all quoted"],
)
def test_tables_as_spreadsheets_write_them_are_read(folder: Path, index: Index, text: str) -> None:
    write(folder, text)
    assert find_labels(folder, index, CLASSES).words == {"0.dcm": "none"}


@pytest.mark.parametrize(("in_table", "class_word"), [(DECOMPOSED, COMPOSED), (COMPOSED, DECOMPOSED)])
def test_a_label_word_is_its_class_in_whichever_unicode_form(
    folder: Path, index: Index, in_table: str, class_word: str
) -> None:
    write(folder, f"file,label\n0.dcm,{in_table}\n1.dcm,normal\n")
    assert find_labels(folder, index, ("normal", class_word)).words == {"0.dcm": class_word, "1.dcm": "normal"}
    assert find_labels(folder, index, None).words["0.dcm"] == COMPOSED


def test_a_folder_of_a_mac_is_the_class_of_that_name(tmp_path: Path) -> None:
    for name in (DECOMPOSED, "normal"):
        save(tiny(), tmp_path / "images" / name / "1.dcm")
        picture(tmp_path / "images" / name / "1.png", 1)
    index, classes = scan(tmp_path / "images", state=tmp_path / "state"), ("normal", COMPOSED)
    found = find_labels(tmp_path / "images", index, classes=classes)
    assert found.counts() == {COMPOSED: 2, "normal": 2}
    whose = patients_of(tmp_path / "images", index, classes)  # a class groups no patient
    assert whose[f"{DECOMPOSED}/1.png"] != whose["normal/1.png"]
    assert {one.identified_by for one in identify(index, {}, {}, groups=classes).accepted} == {"patient-id", "file"}


def test_a_path_in_the_table_is_the_file_in_whichever_unicode_form(tmp_path: Path) -> None:
    station, written = (unicodedata.normalize(form, "Müller") for form in ("NFD", "NFC"))
    images = tmp_path / station
    save(tiny(PatientID=station, PatientName=station, SpecificCharacterSet="ISO_IR 192"), images / station / "1.dcm")
    picture(images / station / "1.png", 1)
    index = scan(images, state=tmp_path / "state")
    write(images, f"file,patient,label\n{written}/1.dcm,,none\n{tmp_path / written / written}/1.png,{station},none\n")
    found = find_labels(images, index, CLASSES)
    assert found.counts() == {"none": 2}
    assert found.patients == {f"{station}/1.png": written}
    write(images, f"patient,label\n{written},finding\n")
    assert find_labels(images, index, CLASSES).counts()["finding"] >= 1


def test_two_files_whose_names_differ_in_their_form_only_are_not_one(tmp_path: Path) -> None:
    for name in (DECOMPOSED, COMPOSED):
        save(tiny(), tmp_path / "images" / f"{name}.dcm")
    write(tmp_path / "images", f"file,label\n{COMPOSED}.dcm,none\n")
    with pytest.raises(LabelError, match="two files"):
        find_labels(tmp_path / "images", scan(tmp_path / "images", state=tmp_path / "state"), CLASSES)


@pytest.mark.parametrize("name", ["Finding", "finding ", "FINDING"])
def test_a_folder_that_is_named_almost_like_a_class_is_said(tmp_path: Path, name: str) -> None:
    for folder in (name, "none"):
        save(tiny(), tmp_path / "images" / folder / "1.dcm")
    with pytest.raises(LabelError, match="named almost like the class 'finding'"):
        find_labels(tmp_path / "images", scan(tmp_path / "images", state=tmp_path / "state"), CLASSES)


@pytest.mark.parametrize("name", ["site/labels.csv", "site/a/labels.csv", "Labels.CSV", "labels.xlsx"])
def test_a_table_of_labels_that_is_not_read_is_named(tmp_path: Path, name: str) -> None:
    images = tmp_path / "images"
    save(tiny(), images / "site" / "1.dcm")
    (images / name).parent.mkdir(parents=True, exist_ok=True)
    (images / name).write_text("file,label\n1.dcm,none\n")
    with pytest.raises(LabelError) as error:
        find_labels(images, scan(images, state=tmp_path / "state"), CLASSES)
    assert f"'{name}' in this folder may hold them" in str(error.value)
