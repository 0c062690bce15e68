"""Who is a patient is never guessed in silence; a contradiction is said, and an image counts once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from examples import DP, study
from tiny_dicom import RAMP, item, save, tiny
from wardround_client.intake.identification import identify
from wardround_client.intake.index import scan
from wardround_client.intake.instance import Doubts, Index, Instance
from wardround_client.intake.patients import (
    check_guesses,
    count_by_basis,
    is_identity,
    said_of_doubts,
    said_of_patients,
)
from wardround_client.preparation.dataset import Dataset, prepare, take_in
from wardround_client.preparation.source import Source
from wardround_common.errors import DataError, PrivacyError
from wardround_common.study.file import Study

CLASSES = ("none", "finding")


def one(
    file: str,
    patient_id: str = "",
    *,
    issuer: str = "",
    study_uid: str = "",
    sop_uid: str = "",
    pixels: str = "",
) -> Instance:
    return Instance(
        file=file,
        patient="",
        study_uid=study_uid,
        series_uid="",
        sop_uid=sop_uid,
        modality="MR",
        manufacturer="",
        scanner="",
        transfer_syntax="",
        photometric="",
        bits="8/8",
        rows=1,
        columns=1,
        frames=1,
        spacing_mm=None,
        size_bytes=1,
        pixel_digest=pixels or file,
        likeness=1,
        patient_id=patient_id,
        issuer=issuer,
    )


def decide(
    *instances: Instance,
    named: dict[str, str] | None = None,
    words: dict[str, str] | None = None,
    confirmed: tuple[str, ...] = (),
) -> Index:
    index = Index(instances, (), 0, ())
    return identify(index, named or {}, words or {}, groups=CLASSES, confirmed=confirmed)


def groups(index: Index) -> set[frozenset[str]]:
    whose: dict[str, set[str]] = {}
    for each in index.accepted:
        whose.setdefault(each.patient, set()).add(each.file)
    return {frozenset(files) for files in whose.values()}


def bases(index: Index) -> dict[str, str]:
    return {each.file: each.identified_by for each in index.accepted}


def sets(*files: str) -> set[frozenset[str]]:
    return {frozenset(each.split()) for each in files}


NOBODY = (
    *("", " ", "-", "?", "0", "0000", "00-00", "-1", "-999", "N/A", "n.a.", "NaN", "ANONYMOUS", "Anonymous^"),
    *(
        "anonymized",
        "UNKNOWN",
        "unbekannt",
        "de-identified",
        "Patient ID",
        "no name",
        "NONE",
        "null",
        "XXXX",
        "x",
        "TEST",
    ),
)


@pytest.mark.parametrize("word", NOBODY)
def test_a_word_for_nobody_is_no_identity(word: str) -> None:
    assert not is_identity(word)


@pytest.mark.parametrize(
    "word", ["1", "P1", "007", "ANON0001", "anon 0001", "case-17", "Müller", "1.2.3", "10", "A", "患者一"]
)
def test_a_pseudonym_is_an_identity(word: str) -> None:
    assert is_identity(word)


def test_everybody_called_anonymous_is_not_one_patient() -> None:
    found = decide(*(one(f"{n}.dcm", "ANONYMOUS", study_uid=f"1.{n}") for n in range(6)))
    assert len(groups(found)) == 6
    assert count_by_basis(found.accepted) == {"study": 6}


def test_one_number_of_two_issuers_is_two_patients_on_one_account() -> None:
    found = decide(one("a", "17", issuer="North"), one("b", "17", issuer="South"), one("c", "17", issuer="North"))
    assert groups(found) == sets("a c", "b")
    assert {each.accounts for each in found.accepted} == {
        ("17",)
    }  # what 17 spent before issuers counted is not forgotten


def test_an_issuer_that_is_stated_in_part_does_not_split_a_patient() -> None:
    found = decide(one("a", "17"), one("b", "17", issuer="North"), one("c", "17", issuer="unknown"))
    assert groups(found) == sets("a b c")
    assert found.doubts == Doubts()
    unclear = decide(one("a", "17"), one("b", "17", issuer="North"), one("c", "17", issuer="South"))
    assert len(groups(unclear)) == 3
    assert unclear.doubts.unclear_issuers == 1


def test_a_plain_patient_id_is_named_and_charged_as_it_always_was() -> None:
    found = decide(one("a", "P 1^x"), one("b", "P2", issuer="North"))
    assert [(each.patient, each.accounts) for each in found.accepted] == [("P 1^x", ("P 1^x",)), ("P2", ("P2",))]


def test_the_table_names_the_patient_where_files_have_none() -> None:
    files = [one(f"s{n}/se{k}/1.dcm", study_uid=f"1.{n}.{k}") for n in range(2) for k in range(2)]
    found = decide(*files, named={each.file: f"person{each.file[1]}" for each in files})
    assert groups(found) == sets("s0/se0/1.dcm s0/se1/1.dcm", "s1/se0/1.dcm s1/se1/1.dcm")
    assert set(bases(found).values()) == {"table"}
    assert {each.patient for each in found.accepted} == {"person0", "person1"}


def test_a_word_for_nobody_in_the_table_is_no_patient() -> None:
    found = decide(one("a/1.png"), one("b/1.png"), named={"a/1.png": "unknown", "b/1.png": "unknown"})
    assert set(bases(found).values()) == {"folder"}
    assert len(groups(found)) == 2


def test_the_table_never_splits_a_patient_id() -> None:
    found = decide(one("a", "P1"), one("b", "P1"), named={"a": "left", "b": "right"})
    assert groups(found) == sets("a b")
    assert (found.doubts.split_by_table, found.doubts.joined_by_table) == (1, 0)
    assert found.accepted[0].accounts == ("P1",)


def test_the_table_may_join_two_patient_ids_and_both_are_charged() -> None:
    found = decide(one("a", "P1"), one("b", "P2"), one("c", "P3"), named={"a": "x1", "b": "x1", "c": "x3"})
    assert groups(found) == sets("a b", "c")
    assert found.doubts.joined_by_table == 1
    assert [each.accounts for each in found.accepted] == [("P1", "P2"), ("P1", "P2"), ("P3",)]


def test_another_name_for_each_patient_in_the_table_contradicts_nothing() -> None:
    found = decide(one("a", "P1"), one("b", "P2"), named={"a": "P2", "b": "P1"})  # even where the names are crossed
    assert groups(found) == sets("a", "b")
    assert found.doubts == Doubts()
    assert [each.accounts for each in found.accepted] == [("P1",), ("P2",)]


def test_a_picture_that_the_table_gives_to_a_patient_id_is_that_patients() -> None:
    found = decide(one("a.dcm", "P1"), one("b.png"), named={"b.png": "P1"})
    assert groups(found) == sets("a.dcm b.png")
    by_name = decide(one("a.dcm", "P1"), one("b.png"), named={"a.dcm": "n1", "b.png": "n1"})
    assert groups(by_name) == sets("a.dcm b.png")


def test_a_file_without_identity_is_the_patients_of_its_study() -> None:
    found = decide(one("a", "P1", study_uid="1.1"), one("b", "", study_uid="1.1"), one("c", "P2", study_uid="1.2"))
    assert groups(found) == sets("a b", "c")
    assert bases(found)["b"] == "same-study"
    assert count_by_basis(found.accepted) == {"patient-id": 2}


def test_a_study_under_two_patients_is_said_and_makes_them_one() -> None:
    files = (
        one("a", "P1", study_uid="1"),
        one("b", "P2", study_uid="1"),
        one("c", "P2", study_uid="2"),
        one("d", "P3"),
    )
    found = decide(*files)
    assert groups(found) == sets("a b c", "d")
    assert found.doubts.shared_studies == 1
    assert found.accepted[0].accounts == ("P1", "P2")
    apart = decide(*files, confirmed=("shared-study",))
    assert groups(apart) == sets("a", "b c", "d")
    assert "kept apart" in said_of_doubts(apart.doubts)[0]


@pytest.mark.parametrize("pixels", ["same", "other"])
@pytest.mark.parametrize("patient", ["P1", "P2"])
def test_one_sop_instance_twice_is_one_image_and_said(pixels: str, patient: str) -> None:
    first = one("a", "P1", sop_uid="1.9", pixels="same")
    found = decide(first, one("b", patient, sop_uid="1.9", pixels=pixels), one("c", patient))
    assert [each.file for each in found.accepted] == ["a", "c"]
    assert [(each.file, each.reason) for each in found.refused] == [("b", "same-instance")]
    assert (found.doubts.copies, found.doubts.other_pixels) == (1, int(pixels == "other"))
    assert len(groups(found)) == 1


def test_of_two_copies_the_labelled_one_is_kept_and_of_two_labels_none() -> None:
    files = (one("a", "P1", sop_uid="1.9"), one("b", "P1", sop_uid="1.9"))
    assert [each.file for each in decide(*files, words={"b": "finding"}).accepted] == ["b"]
    against = decide(*files, words={"a": "none", "b": "finding"})
    assert not against.accepted
    assert {each.reason for each in against.refused} == {"labels-disagree"}


def test_folders_are_named_by_their_whole_path() -> None:
    found = decide(*(one(f"{person}/{kind}/1.png") for person in ("p1", "p2") for kind in ("anat", "perf")))
    assert len(groups(found)) == 4  # not 'anat' and 'perf'
    assert set(bases(found).values()) == {"folder"}


def test_a_bids_subject_is_one_patient_over_sessions_kinds_and_derivatives() -> None:
    files = [
        "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz",
        "sub-01/ses-2/perf/x.nii.gz",
        "derivatives/tool/sub-01/x.png",
        "sub-02/anat/sub-02_T1w.nii.gz",
        "flat/sub-03_T1w.png",
        "flat/sub-03_T2w.png",
        "other/sub-01/x.png",
    ]
    found = decide(*map(one, files))
    assert groups(found) == {frozenset(files[:3]), frozenset(files[3:4]), frozenset(files[4:6]), frozenset(files[6:])}
    assert set(bases(found).values()) == {"subject"}


def test_a_bids_subject_goes_before_its_studies() -> None:
    found = decide(one("sub-01/ses-1/a.dcm", study_uid="1"), one("sub-01/ses-2/a.dcm", study_uid="2"))
    assert len(groups(found)) == 1


def test_a_patient_who_is_given_another_label_stays_the_same_patient() -> None:
    assert decide(one("none/case/1.png")).accepted[0].patient == decide(one("finding/case/1.png")).accepted[0].patient


def test_patient_ids_that_are_nearly_the_same_are_said() -> None:
    spelt = decide(*(one(word, word) for word in ("P1", "p1", "P-1", "0012", "12", "P2")))
    assert spelt.doubts.alike == 5
    crowd = decide(*(one(f"{n}", "RESEARCH", study_uid=f"1.{n}") for n in range(21)))
    assert crowd.doubts.crowded == 1


def test_guesses_that_differ_in_a_side_only_are_said_and_not_joined() -> None:
    found = decide(
        *(one(f"{n:04}_{side}/pre.png") for n in range(3) for side in ("left", "right")), one("0009_left/a.png")
    )
    assert len(groups(found)) == 7
    assert found.doubts.sides == 6
    assert "6 guessed patients are called like another one but for a side" in said_of_doubts(found.doubts)[0]
    assert decide(one("case_1/a.png"), one("case_2/a.png"), one("carl/a.png"), one("carr/a.png")).doubts.sides == 0


def test_a_guess_of_an_unknown_kind_cannot_be_confirmed() -> None:
    with pytest.raises(DataError, match="subject, study, folder, file, shared-study"):
        decide(confirmed=("everything",))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "P1", "P2", "P3"]), st.sampled_from(["", "A", "B"]), st.sampled_from(["", "1", "2"])
        ),
        max_size=12,
    ),
    st.dictionaries(st.integers(0, 11), st.sampled_from(["P1", "x1", "x2"]), max_size=6),
    st.randoms(use_true_random=False),
)
def test_what_a_study_or_a_plain_number_holds_together_stays_together_in_any_order(
    stated: list[tuple[str, str, str]], names: dict[int, str], random: object
) -> None:
    files = [one(f"{n:02}", who, issuer=issuer, study_uid=uid) for n, (who, issuer, uid) in enumerate(stated)]
    named = {files[n].file: word for n, word in names.items() if n < len(files)}
    found = decide(*files, named=named)
    patient = {each.file: each.patient for each in found.accepted}
    for first in files:
        for second in files:
            same_study = first.study_uid and first.study_uid == second.study_uid
            same_id = first.patient_id and (first.patient_id, first.issuer) == (second.patient_id, second.issuer)
            if same_study or same_id:
                assert patient[first.file] == patient[second.file]
    shuffled = list(files)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = decide(*shuffled, named=named)
    assert {each.file: (each.patient, each.accounts) for each in again.accepted} == {
        each.file: (each.patient, each.accounts) for each in found.accepted
    }
    held = {account for each in found.accepted for account in each.accounts}
    assert {each.patient_id for each in files if each.patient_id} <= held  # nobody's account is lost


def test_under_differential_privacy_a_guess_needs_the_hospitals_word() -> None:
    counts = count_by_basis(decide(one("a", "P1"), one("b/1.png"), one("c/1.png")).accepted)
    with pytest.raises(PrivacyError, match="2 of 3 patients are guessed") as caught:
        check_guesses(counts, ())
    for way in ("column 'patient'", 'confirm_patients = ["folder"]', "hospital.toml", "--confirm-patients folder"):
        assert way in caught.value.do
    with pytest.raises(PrivacyError):
        check_guesses(counts, ("study",))
    check_guesses(counts, ("folder",))
    check_guesses({"patient-id": 3, "table": 2, "same-study": 1}, ())


def test_how_patients_were_identified_is_said_in_one_line() -> None:
    assert said_of_patients({"patient-id": 20, "folder": 4}) == "20 by PatientID; guessed: 4 by folder"
    assert said_of_patients({"folder": 4}, ("folder",)) == "guessed and confirmed here: 4 by folder"


MR = {"modalities": ["MR"], "image_size": 16}


def pictures(folder: Path, *, people: int = 10) -> Path:
    """Draw one folder a side of each person, as ODELIA has them, with a finding in every second person."""
    rng, rows = np.random.default_rng(0), ["file,label"]
    for person in range(people):
        for side in ("left", "right"):
            file = folder / f"{person:04}_{side}" / "pre.png"
            file.parent.mkdir(parents=True)
            Image.fromarray(rng.integers(0, 255, (20, 24), dtype=np.uint8)).save(file)
            rows.append(f"{person:04}_{side}/pre.png,{CLASSES[person % 2]}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def open_data(folder: Path, of: Study, *confirmed: str) -> Dataset:
    source = Source(folder, folder.parent / "state", confirmed=frozenset(confirmed))
    return prepare(source, of, *take_in(source, of))


def test_a_folder_a_breast_is_refused_under_differential_privacy_and_said_without(tmp_path: Path) -> None:
    folder, other = pictures(tmp_path / "images"), {"modalities": ["OTHER"], "image_size": 16}
    with pytest.raises(PrivacyError, match=r"20 of 20 patients are guessed \(20 by folder\)"):
        open_data(folder, study(data=other, privacy=DP))
    assert open_data(folder, study(data=other)).intake.patients == {"folder": 20}
    confirmed = open_data(folder, study(data=other, privacy=DP), "folder")
    assert confirmed.intake.confirmed == {"folder"}
    table = folder / "labels.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0] + ",patient", *(f"{line},person{line[:4]}" for line in lines[1:])]) + "\n")
    assert open_data(folder, study(data=other, privacy=DP)).intake.patients == {"table": 10}


def test_a_person_without_patient_id_is_on_one_side_of_the_split_when_the_table_names_them(tmp_path: Path) -> None:
    rng, rows = np.random.default_rng(0), ["file,label,patient"]
    for person in range(10):
        for series in range(2):
            file = f"person{person}/series{person}{series}/IM1.dcm"
            made = tiny(rng.integers(0, 4000, (20, 24), dtype=np.uint16), PatientID="", PatientName="")
            save(made, tmp_path / "images" / file)
            rows.append(f"{file},{CLASSES[person % 2]},person{person}")
    (tmp_path / "images" / "labels.csv").write_text("\n".join(rows) + "\n")
    data = open_data(tmp_path / "images", study(data=MR, privacy=DP))
    assert data.intake.patients == {"table": 10}
    assert set(data.identifiers) == {f"person{number}" for number in range(10)}
    assert all(len(places) == 2 for places in data.train.places_by_patient())


def test_uids_may_be_given_their_patient_too(tmp_path: Path) -> None:
    rows = ["uid,label,patient"]
    for number in range(4):
        made = tiny(RAMP + number, PatientID="", PatientName="")
        save(made, tmp_path / "images" / f"{number}.dcm")
        rows.append(f"{made.StudyInstanceUID},none,person{number // 2}")
    (tmp_path / "images" / "labels.csv").write_text("\n".join(rows) + "\n")
    index, _ = take_in(Source(tmp_path / "images", tmp_path / "state"), study(data=MR))
    assert groups(index) == sets("0.dcm 1.dcm", "2.dcm 3.dcm")


def test_patients_may_be_named_in_a_table_where_labels_come_from_an_attribute(tmp_path: Path) -> None:
    rows = ["file,patient"]
    for number in range(4):
        made = tiny(RAMP + number, PatientID="", PatientName="", StudyDescription=CLASSES[number // 2])
        save(made, tmp_path / "images" / f"{number}.dcm")
        rows.append(f"{number}.dcm,person{number // 2}")
    table = tmp_path / "images" / "labels.csv"
    table.write_text("\n".join(rows) + "\n")
    source = Source(tmp_path / "images", tmp_path / "state", label_attribute="StudyDescription")
    index, found = take_in(source, study(data=MR))
    assert groups(index) == sets("0.dcm 1.dcm", "2.dcm 3.dcm")
    assert sorted(found.words.values()) == ["finding", "finding", "none", "none"]
    table.write_text("\n".join([*rows, "0.dcm,somebody"]) + "\n")
    with pytest.raises(DataError, match="line 6 gives a file another patient"):
        take_in(source, study(data=MR))


def test_a_table_by_patient_may_name_a_folder_that_files_without_identity_are_in(tmp_path: Path) -> None:
    for person in range(2):
        for series in range(2):
            made = tiny(RAMP + person + 2 * series, PatientID="", PatientName="")
            save(made, tmp_path / "images" / f"person{person}" / f"s{series}" / "1.dcm")
    (tmp_path / "images" / "labels.csv").write_text("patient,label\nperson0,none\nperson1,finding\n")
    index, found = take_in(Source(tmp_path / "images", tmp_path / "state"), study(data=MR))
    assert len(groups(index)) == 2
    assert count_by_basis(index.accepted) == {"table": 2}
    assert sorted(found.words.values()) == ["finding", "finding", "none", "none"]


def test_two_names_of_one_patient_are_one_record_and_two_accounts(tmp_path: Path) -> None:
    rng, rows = np.random.default_rng(0), ["file,label"]
    for number in range(8):
        made = tiny(rng.integers(0, 4000, (20, 24), dtype=np.uint16), PatientID=f"P{number}", PatientName="")
        if number < 2:
            made.StudyInstanceUID = "1.2.3"
        save(made, tmp_path / "images" / f"{number}.dcm")
        rows.append(f"{number}.dcm,{CLASSES[number % 2]}")
    (tmp_path / "images" / "labels.csv").write_text("\n".join(rows) + "\n")
    data = open_data(tmp_path / "images", study(data=MR, privacy=DP))
    assert sum(data.intake.patients.values()) == 7
    assert data.intake.doubts.shared_studies == 1
    trained = data.charged(data.train)
    assert ("P0" in trained) == ("P1" in trained)


def test_one_study_uid_for_everybody_is_said_with_the_way_out(tmp_path: Path) -> None:
    rows = ["file,label"]
    for number in range(6):
        made = tiny(RAMP + number, PatientID=f"P{number}", PatientName="", StudyInstanceUID="1.2.3")
        save(made, tmp_path / "images" / f"{number}.dcm")
        rows.append(f"{number}.dcm,{CLASSES[number % 2]}")
    (tmp_path / "images" / "labels.csv").write_text("\n".join(rows) + "\n")
    with pytest.raises(DataError, match=r"1 patient is too few.*one StudyInstanceUID.*confirm 'shared-study'"):
        open_data(tmp_path / "images", study(data=MR))
    assert open_data(tmp_path / "images", study(data=MR), "shared-study").intake.patients == {"patient-id": 6}


def test_the_issuer_is_read_in_words_or_by_its_universal_name(tmp_path: Path) -> None:
    save(tiny(IssuerOfPatientID="North "), tmp_path / "images" / "a.dcm")
    qualifiers = [item(UniversalEntityID="1.2.3", UniversalEntityIDType="ISO")]
    save(tiny(IssuerOfPatientIDQualifiersSequence=qualifiers), tmp_path / "images" / "b.dcm")
    save(tiny(), tmp_path / "images" / "c.dcm")
    found = scan(tmp_path / "images", state=tmp_path / "state").accepted
    assert [each.issuer for each in found] == ["North", "1.2.3", ""]


def test_an_index_keeps_what_decides_who_is_a_patient(tmp_path: Path) -> None:
    save(tiny(PatientID=" P1 ", PatientName="", IssuerOfPatientID="North"), tmp_path / "images" / "a.dcm")
    first = scan(tmp_path / "images", state=tmp_path / "state")
    again = scan(tmp_path / "images", state=tmp_path / "state")
    assert again.reread == 0
    assert again.accepted == first.accepted
    assert (again.accepted[0].patient_id, again.accepted[0].identified_by) == ("P1", "patient-id")
