"""Files that still say who the patient is are refused; files that were de-identified pass."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom import FileDataset
from pydicom.datadict import keyword_for_tag

from tiny_dicom import item, tiny
from wardround_client.images.dicom import parse
from wardround_client.intake.deidentification import CODES, PERSONAL, check


def found(made: FileDataset) -> dict[str, str]:
    from io import BytesIO

    file = BytesIO()
    made.save_as(file, enforce_file_format=False)
    return check(parse(file.getvalue(), where=""))


def test_a_de_identified_file_passes() -> None:
    assert found(tiny(StudyDate="20200101", InstitutionName="Ward", PatientSex="F", PatientAge="044Y")) == {}


@pytest.mark.parametrize(
    "name", ["P1", "p1^", "ANONYMOUS", "Anonymous^^", "anon^0012", "REMOVED", "de-identified", "", "^"]
)
def test_a_name_that_is_a_pseudonym_or_a_placeholder_passes(name: str) -> None:
    assert found(tiny(PatientName=name)) == {}


@pytest.mark.parametrize("name", ["Meyer^Anna", "Anonsen^Ole", "Müller", "MEYER", "Anna Anonymous"])
def test_any_other_name_is_found_even_where_the_file_says_that_it_was_removed(name: str) -> None:
    assert found(tiny(PatientName=name, SpecificCharacterSet="ISO_IR 100")) == {"identity": "PatientName"}


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientBirthDate", "19500101"),
        ("PatientAddress", "1 Road"),
        ("PatientTelephoneNumbers", "123"),
        ("OtherPatientIDs", "77"),
        ("ReferringPhysicianName", "Who^Doctor"),
        ("OperatorsName", "Op"),
        ("InstitutionAddress", "Street"),
        ("AdditionalPatientHistory", "fell"),
        ("MilitaryRank", "major"),
    ],
)
def test_what_reaches_a_person_is_found_by_name_and_never_quoted(keyword: str, value: str) -> None:
    assert found(tiny(**{keyword: value})) == {"identity": keyword}
    assert found(tiny(**{keyword: ""})) == {}


def test_a_hospital_s_codes_pass_only_where_the_file_was_de_identified() -> None:
    assert found(tiny(AccessionNumber="A17")) == {}
    assert found(tiny(AccessionNumber="A17", PatientIdentityRemoved=None)) == {"identity": "AccessionNumber"}


def test_what_is_nested_is_found() -> None:
    request = item(RequestedProcedureID="x", RequestingPhysician="Who^Doctor")
    assert found(tiny(RequestAttributesSequence=[request])) == {"identity": "RequestingPhysician"}


def test_original_attributes_that_were_kept_are_found() -> None:
    kept = item(ModifiedAttributesSequence=[item(PatientName="Meyer^Anna")])
    assert found(tiny(OriginalAttributesSequence=[kept])) == {"identity": "PatientName"}


def test_a_nested_number_of_the_patient_is_found_unless_it_is_the_pseudonym() -> None:
    def changed(number: str) -> dict[str, str]:
        kept = item(ModifiedAttributesSequence=[item(PatientID=number)])
        return found(tiny(OriginalAttributesSequence=[kept]))

    assert changed("0012345") == {"identity": "PatientID"}
    assert changed("p1 ") == changed("") == changed("REMOVED") == {}


def test_a_nested_name_may_repeat_the_pseudonym() -> None:
    request = item(ModifiedAttributesSequence=[item(PatientName="P1")])
    assert found(tiny(OriginalAttributesSequence=[request])) == {}


def test_what_is_nested_in_a_sequence_that_no_dictionary_knows_is_found() -> None:
    made = tiny()
    made.add_new(0x0008FFF0, "SQ", [item(ReferringPhysicianName="Who^Doctor")])
    assert found(made) == {"identity": "ReferringPhysicianName"}


@pytest.mark.parametrize("number", [0x0005, 0x0110])
def test_private_attributes_without_a_block_are_found(number: int) -> None:
    made = tiny()
    made.add_new((0x0029 << 16) + number, "LO", "x")
    declared = item(PrivateGroupReference=0x29, BlockIdentifyingInformationStatus="SAFE")  # of no creator
    made.PrivateDataElementCharacteristicsSequence = [declared]
    assert found(made) == {"private-tags": "1 private attribute"}


def test_private_attributes_are_a_finding_of_their_own() -> None:
    made = tiny()
    made.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", b"anything")
    assert found(made) == {"private-tags": "1 private attribute"}


def test_an_empty_private_block_is_none() -> None:
    made = tiny()
    made.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    assert found(made) == {}


@pytest.mark.parametrize(("group", "creator", "number"), [(0x0019, "SIEMENS MR HEADER", 0x0C), (0x0013, "CTP", 0x10)])
def test_private_attributes_of_the_profile_s_safe_list_pass(group: int, creator: str, number: int) -> None:
    made = tiny()
    made.private_block(group, creator, create=True).add_new(number, "IS", "7")
    assert found(made) == {}


def test_a_safe_number_of_another_creator_is_found() -> None:
    made = tiny()
    made.private_block(0x0019, "SOMEBODY ELSE", create=True).add_new(0x0C, "IS", "7")
    assert "private-tags" in found(made)


def test_a_block_that_the_file_declares_safe_passes() -> None:
    made = tiny()
    made.private_block(0x0029, "OURS", create=True).add_new(0x10, "LO", "x")
    declared: dict[str, Any] = {"PrivateGroupReference": 0x29, "PrivateCreatorReference": "OURS"}
    made.PrivateDataElementCharacteristicsSequence = [item(**declared, BlockIdentifyingInformationStatus="SAFE")]
    assert found(made) == {}
    made.PrivateDataElementCharacteristicsSequence[0].BlockIdentifyingInformationStatus = "MIXED"
    assert "private-tags" in found(made)


def test_burnt_in_text_and_recognisable_faces_are_believed() -> None:
    assert found(tiny(BurnedInAnnotation="YES")) == {"burnt-in": "BurnedInAnnotation is YES"}
    assert found(tiny(BurnedInAnnotation="NO")) == {}
    assert found(tiny(RecognizableVisualFeatures="YES")) == {"identity": "RecognizableVisualFeatures"}


def test_the_list_covers_every_person_s_name_of_the_patient_and_the_visit_modules() -> None:
    listed = {keyword_for_tag(tag) for tag in PERSONAL | CODES}
    assert {"OtherPatientNames", "PatientMotherBirthName", "PhysiciansOfRecord", "AdmissionID"} <= listed
