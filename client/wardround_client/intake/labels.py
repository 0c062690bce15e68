"""The labels of a hospital's images: from a CSV, from a DICOM attribute, or from the names of folders.

Words, paths and folder names are compared in one Unicode form. Messages name the file and the line, never what is
written there about a patient.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from pydicom import dcmread
from pydicom.datadict import tag_for_keyword

from wardround_client.images.dicom import refusing
from wardround_client.intake.instance import Index, Instance
from wardround_client.intake.patients import may_be_named
from wardround_client.intake.table import delimiter_of, read_text, rows_of, whole_rows
from wardround_common.counting import count
from wardround_common.errors import ImageRefused, LabelError
from wardround_common.one_form import one_form

LABELS_FILE = "labels.csv"
BOXES_FILE = "boxes.csv"
CLINICAL_FILE = "clinical.csv"
ROLES_FILE, STRUCTURES_FILE = "roles.csv", "structures.csv"
"""What a hospital's series and the structures in its masks are, where the study's words do not fit them."""
TABLES = frozenset({LABELS_FILE, BOXES_FILE, CLINICAL_FILE, ROLES_FILE, STRUCTURES_FILE})
"""What a hospital says of its images at the top of their folder: none of these is an image."""
TABLE_ENDINGS = frozenset({".csv", ".tsv", ".txt", ".xls", ".xlsx", ".ods"})
BY_NAME = "with --labels, or as labels in the hospital.toml of a hospital that serves"
KEYS = ("file", "uid", "patient")
Called = tuple[str, str]
"""What the words of a study's labels are, one and several: grade, grades."""
CLASSES: Called = ("class", "classes")


@dataclass(frozen=True)
class Labels:
    """The label words of the accepted files, and what did not fit."""

    words: dict[str, str] = field(repr=False)
    """File to label word, in the order of the index."""
    listed_but_refused: int = 0
    """Lines of the CSV whose file is there but was refused."""
    listed_but_missing: int = 0
    """Lines of the CSV that belong to no file in the folder."""
    patients: dict[str, str] = field(default_factory=dict, repr=False)
    """File to patient, wherever the CSV's column ``patient`` names one; what that counts for beside a PatientID,
    :func:`wardround_client.intake.identification.identify` decides."""

    def counts(self) -> dict[str, int]:
        """Count the images of each label, most frequent first."""
        return dict(Counter(self.words.values()).most_common())


def find_labels(
    folder: Path,
    index: Index,
    classes: tuple[str, ...] | None,
    *,
    csv: Path | None = None,
    attribute: str | None = None,
    called: Called = CLASSES,
) -> Labels:
    """Find the label word of each accepted file, as ``classes`` spells it; without ``classes`` any word is one.

    ``called``: what the study's words are in messages, one and several.

    Raises:
        LabelError: there are no labels, they contradict each other, or a word is not one of the classes.
    """
    if csv is not None and attribute is not None:
        raise LabelError("labels were requested both from a CSV and from an attribute", do="Choose one of the two.")
    if attribute is not None:
        found = _from_attribute(folder, index, classes, attribute, called)
        return replace(found, patients=patients_beside(folder, index))
    if csv is None and (folder / LABELS_FILE).is_file():
        csv = folder / LABELS_FILE
    if csv is not None:

        def label(cells: tuple[str, ...], line: int, where: str) -> str:
            return as_class(cells[0], classes, f"line {line}", where, called=called) if cells[0] else ""

        return _from_csv(folder, index, csv, ("label",), label)
    return _from_folders(folder, index, classes, called)


def other_tables(index: Index) -> list[str]:
    """List the files that are named like a table of labels and not read as one: in a sub-folder, or misspelt."""
    paths = [PurePosixPath(refusal.file) for refusal in index.refused]
    return [
        str(p)
        for p in paths
        if p.name.partition(".")[0].casefold() == "labels" and p.suffix.casefold() in TABLE_ENDINGS
    ]


Read = Callable[[tuple[str, ...], int, str], str]
"""From the cells of a line, its number and the table's name to one word that says the same; none of a line that says
nothing."""


def find_table(folder: Path, index: Index, columns: tuple[str, ...], read: Read, *, csv: Path | None = None) -> Labels:
    """Find what a table says of each accepted file in these columns.

    Raises:
        LabelError: there is no table, it has not all of these columns, or what it says contradicts itself.
    """
    path = csv if csv is not None else folder / LABELS_FILE
    if csv is None and not path.is_file():
        raise LabelError(
            "there are no labels",
            where=str(folder),
            do=_elsewhere(index)
            + f"Put a '{LABELS_FILE}' with the columns file,{','.join(columns)} there, or give one {BY_NAME}.",
        )
    return _from_csv(folder, index, path, columns, read)


def _from_csv(folder: Path, index: Index, path: Path, columns: tuple[str, ...], read: Read) -> Labels:
    where = str(path)
    text = read_text(path, BY_NAME)
    delimiter = delimiter_of(text, lambda header: _names_columns(header, columns))
    rows = rows_of(text, delimiter, where)
    header = [one_form(name.strip()).casefold() for name in next(rows, (1, []))[1]]
    key, of_key, of_columns = _columns(header, where, columns)
    lines: dict[str, tuple[str, int]] = {}
    of_patient = header.index("patient") if "patient" in header else None
    patients: dict[str, str] = {}
    for line, row in whole_rows(rows, len(header), delimiter, where):
        name, *cells = (one_form(row[place].strip()) for place in (of_key, *of_columns))
        if any("\n" in cell or "\r" in cell for cell in (name, *cells)):
            raise LabelError(f"line {line}: a cell continues on the next line", where=where, do="Close its quotes.")
        if not name:
            raise LabelError(
                f"line {line} has no {key}", where=where, do=f"Fill the column '{key}', or remove the line."
            )
        if key == "file":
            name = relative(name, folder)
        patient = one_form(row[of_patient].strip()) if of_patient is not None else ""
        if patient and patients.setdefault(name, patient) != patient:
            raise _two_patients(line, key, where)
        if not (word := read(tuple(cells), line, where)):
            continue
        before = lines.setdefault(name, (word, line))
        if before[0] != word:
            raise LabelError(
                f"lines {before[1]} and {line} give the same {key} different labels",
                where=where,
                do="Keep one of them.",
            )
    if not lines:
        raise LabelError("this file has no labels", where=where, do=f"Write one line for each {key}.")
    found = _match(index, key, lines, where)
    return replace(found, patients=named_patients(index, key, patients))


def patients_beside(folder: Path, index: Index) -> dict[str, str]:
    """Read who is a patient from ``labels.csv`` where labels come from elsewhere: it needs no column ``label`` then."""
    path = folder / LABELS_FILE
    if not path.is_file():
        return {}
    where, text = str(path), read_text(path, BY_NAME)
    delimiter = delimiter_of(text, lambda header: _names_columns(header, ("label",)))
    rows = rows_of(text, delimiter, where)
    header = [name.strip().casefold() for name in next(rows, (1, []))[1]]
    key = next((name for name in ("file", "uid") if name in header), None)
    if key is None or "patient" not in header:
        return {}
    of_key, of_patient = header.index(key), header.index("patient")
    patients: dict[str, str] = {}
    for line, row in whole_rows(rows, len(header), delimiter, where):
        name, patient = one_form(row[of_key].strip()), one_form(row[of_patient].strip())
        if key == "file" and name:
            name = relative(name, folder)
        if name and patient and patients.setdefault(name, patient) != patient:
            raise _two_patients(line, key, where)
    return named_patients(index, key, patients)


def named_patients(index: Index, key: str, patients: dict[str, str]) -> dict[str, str]:
    """Return file to patient, from what the table's keys say."""
    found = {i.file: next((patients[n] for n in names_of(i, key) if n in patients), "") for i in index.accepted}
    return {file: patient for file, patient in found.items() if patient}


def _two_patients(line: int, key: str, where: str) -> LabelError:
    return LabelError(
        f"line {line} gives a {key} another patient than an earlier line", where=where, do="Keep one of them."
    )


def _match(index: Index, key: str, lines: dict[str, tuple[str, int]], where: str) -> Labels:
    words: dict[str, str] = {}
    used: set[str] = set()
    if key == "file":
        check_names(index, lines, where)
    for instance in index.accepted:
        names = [name for name in names_of(instance, key) if name in lines]
        if key == "patient":
            names = names[:1]
        labels = {lines[name][0] for name in names}
        if len(labels) > 1:
            first, second = sorted(lines[name][1] for name in names)[:2]
            raise LabelError(
                f"lines {first} and {second} give one image different labels", where=where, do="Keep one of them."
            )
        used.update(names)
        if labels:
            words[instance.file] = labels.pop()
    left = lines.keys() - used
    refused = {one_form(refusal.file) for refusal in index.refused} & left if key == "file" else set()
    if not words:
        if refused:
            raise LabelError(
                f"all {len(refused)} labelled files were refused"
                if len(refused) > 1
                else "the labelled file was refused",
                where=where,
                do="'wardround scan FOLDER' says why, and how to accept them.",
            )
        raise LabelError(
            f"none of its {count(len(lines), 'line')} belongs to an accepted image",
            where=where,
            do=f"The column '{key}' holds {_MEANING[key]}.",
        )
    return Labels(words, listed_but_refused=len(refused), listed_but_missing=len(left) - len(refused))


def check_names(index: Index, lines: dict[str, tuple[str, int]], where: str) -> None:
    """Check that a path means one file and is written as that file is.

    Raises:
        LabelError: two files have one name in two Unicode forms, or upper and lower case differ.
    """
    files = [instance.file for instance in index.accepted] + [refusal.file for refusal in index.refused]
    forms = Counter(map(one_form, files))
    by_case = {form.casefold() for form in forms}
    for name, (_, line) in lines.items():
        if forms[name] > 1:
            raise LabelError(
                f"line {line} names two files whose names differ only in their Unicode form",
                where=where,
                do="Rename one of them.",
            )
        if name not in forms and name.casefold() in by_case:
            raise LabelError(
                f"line {line} names a file with different upper and lower case",
                where=where,
                do="Write its path exactly as in the folder.",
            )


_MEANING = {
    "file": "paths relative to the folder of images",
    "uid": "SOP instance, series or study UIDs",
    "patient": "values of PatientID, or names of folders where files have none",
}


def names_of(instance: Instance, key: str) -> tuple[str, ...]:
    """Return what a table's column may hold for a file, in the one form."""
    if key == "file":
        return (one_form(instance.file),)
    if key == "patient":
        return tuple(map(one_form, may_be_named(instance)))
    return tuple(uid for uid in (instance.sop_uid, instance.series_uid, instance.study_uid) if uid)


def _names_columns(header: set[str], columns: tuple[str, ...]) -> bool:
    return header.issuperset(columns) and bool(header & set(KEYS))


def _columns(header: list[str], where: str, columns: tuple[str, ...]) -> tuple[str, int, tuple[int, ...]]:
    twice = [name for name, count in Counter(header).items() if count > 1 and name in (*KEYS, *columns)]
    if twice:
        raise LabelError(f"the column '{twice[0]}' appears twice", where=where, do="Keep one of the two.")
    such = f"file,{','.join(columns)}"
    if missing := [name for name in columns if name not in header]:
        raise LabelError(
            f"the first line names no column '{missing[0]}'", where=where, do=f"Begin with a line such as: {such}"
        )
    key = next((name for name in KEYS if name in header), None)
    if key is None:
        raise LabelError(
            "the first line names none of the columns 'file', 'uid' and 'patient'",
            where=where,
            do=f"Add one of them to say which images a label belongs to, such as: {such}",
        )
    return key, header.index(key), tuple(map(header.index, columns))


def relative(name: str, folder: Path) -> str:
    """Return the path of a file in a table as one below the folder of images."""
    path = PurePosixPath(name.replace("\\", "/"))
    for base in (folder, folder.resolve()) if path.is_absolute() else ():
        above = one_form(base.as_posix())
        if path.is_relative_to(above):
            return str(path.relative_to(above))
    return str(path)


def _from_attribute(
    folder: Path, index: Index, classes: tuple[str, ...] | None, keyword: str, called: Called
) -> Labels:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise LabelError(
            f"DICOM has no attribute with the keyword {keyword!r}",
            do="Keywords are such as BodyPartExamined or StudyDescription.",
        )
    words: dict[str, str] = {}
    for instance in index.accepted:
        where = str(folder / instance.file)
        if instance.plain:
            continue
        try:
            with refusing("unreadable", "the attributes cannot be read", where=where):
                dataset = dcmread(folder / instance.file, stop_before_pixels=True, specific_tags=[tag])
                word = str(dataset[tag].value or "").strip() if tag in dataset else ""
        except ImageRefused as refused:
            raise LabelError(f"{refused.what} now", where=where, do="Scan the folder again.") from None
        if word:
            what = f"the attribute {keyword}"
            words[instance.file] = as_class(one_form(word), classes, what, where, quote=False, called=called)
    if not words:
        raise LabelError(
            f"no accepted image has the attribute {keyword}", where=str(folder), do=f"Give a CSV {BY_NAME}."
        )
    return Labels(words)


def _from_folders(folder: Path, index: Index, classes: tuple[str, ...] | None, called: Called) -> Labels:
    words: dict[str, str] = {}
    class_of = {one_form(name): name for name in classes or ()}
    by_case = {form.casefold().strip(): name for form, name in class_of.items()}
    for instance in index.accepted:
        parts = [one_form(part) for part in PurePosixPath(instance.file).parts[:-1]]
        found = {class_of[part] for part in parts if part in class_of}
        nearly = [by_case[part.casefold().strip()] for part in parts if part.casefold().strip() in by_case]
        if len(found) > 1:
            raise LabelError(
                f"its path holds {len(found)} {called[0]} names",
                where=str(folder / instance.file),
                do=f"Give a CSV {BY_NAME}.",
            )
        if nearly and not found:
            raise LabelError(
                f"a folder in its path is named almost like the {called[0]} {nearly[0]!r}",
                where=str(folder / instance.file),
                do=f"Upper and lower case and spaces count: rename the folder, or give a CSV {BY_NAME}.",
            )
        if found:
            words[instance.file] = found.pop()
    if not words:
        raise LabelError(
            "there are no labels",
            where=str(folder),
            do=_elsewhere(index)
            + f"Put a '{LABELS_FILE}' with the columns file,label there, give one with --labels, name an attribute "
            "with --label-attribute (of a hospital that serves: labels and label_attribute in its hospital.toml), or "
            f"name sub-folders after the {called[1]}{_list(classes)}.",
        )
    return Labels(words)


def _elsewhere(index: Index) -> str:
    """Name a table of labels that lies deeper down, where there is one."""
    tables = other_tables(index)
    if not tables:
        return ""
    more = f" and {len(tables) - 1} more" if len(tables) > 1 else ""
    return (
        f"{tables[0]!r}{more} in this folder may hold them: name it {BY_NAME}, its paths then begin here; or name "
        "the folder that it is in instead of this one. Else: "
    )


def as_class(
    word: str,
    classes: tuple[str, ...] | None,
    what: str,
    where: str,
    *,
    quote: bool = True,
    called: Called = CLASSES,
) -> str:
    """Return the class that a word in the one form means, as ``classes`` spells it."""
    if classes is None:
        return word
    class_of = {one_form(name): name for name in classes}
    if word in class_of:
        return class_of[word]
    # The word is repeated only where it is nearly a class: a wrong column may hold anything, a name among it.
    near = difflib.get_close_matches(word.casefold(), [name.casefold() for name in class_of], n=1, cutoff=0.75)
    meant = next((name for name in classes if near and one_form(name).casefold() == near[0]), None)
    if meant and quote:
        raise LabelError(f"{what}: the label {word!r} is not a {called[0]}", where=where, do=f"Did you mean {meant!r}?")
    raise LabelError(
        f"{what}: the label is not a {called[0]} of the study",
        where=where,
        do=f"The {called[1]} are{_list(classes)}. If the labels here are right, tell the coordinator.",
    )


def _list(classes: Iterable[str] | None) -> str:
    return " " + ", ".join(classes) if classes else ""
