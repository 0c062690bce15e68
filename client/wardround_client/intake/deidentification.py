"""Whether a DICOM file still identifies the patient: if so it is refused, never repaired.

The list follows the Basic Application Level Confidentiality Profile (PS3.15 Annex E, table E.1-1), read for an image
that stays inside the hospital which made it and is grouped by patient there:

* **Refused** is what names, numbers, addresses or describes in free text a person: the patient, the relatives, and the
  physicians and operators around them. Birth date and birth time are among it; age, sex, size and weight are not (the
  profile's *Retain Patient Characteristics* option).
* **PatientID** is needed, since a study counts by patient. Nothing tells a pseudonym from a hospital number for
  certain, so it is taken for a pseudonym. PatientName may repeat it or be a placeholder such as ``ANONYMOUS``. Another
  PatientID within a sequence, such as the original attributes that an archive keeps, is refused.
* **Accession number, study ID of an order, admission** are codes that lead into the hospital's records. They are
  accepted only where the file states that it was de-identified (PatientIdentityRemoved = YES), since
  de-identification replaces them. The statement excuses nothing else: a file that says YES and holds a name is
  refused.
* **Dates and UIDs** stay (*Retain Longitudinal Temporal Information*, *Retain UIDs*): they order and group the
  images, and no attribute crosses the hospital's boundary. So do the institution's name (*Retain Institution
  Identity*), the device, and the descriptions of study, series and protocol, which real de-identified archives keep.
* **Private attributes** are a finding of their own, unless they are on the profile's list of safe ones (table
  E.3.10-1), or the file itself marks their block as safe (0008,0303), or the de-identifier CTP wrote them.
* **BurnedInAnnotation = YES** is a finding of its own. The check believes the file: text in pixels that the file does
  not admit is not seen, nor is a face that a volume would let one rebuild.

PNG, JPEG and TIFF have no such attributes; their text fields are not looked at and never kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydicom import Dataset
from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import keyword_for_tag
from pydicom.tag import BaseTag, Tag

from wardround_client.images.attributes import elements_of, tag, text

FINDINGS: dict[str, str] = {
    "identity": "identifies-patient",
    "private-tags": "private-tags",
    "burnt-in": "burnt-in-text",
}
"""What a hospital can allow with ``--allow``, and the reason under which a scan counts what it refuses."""

_PERSONAL = """
    OtherPatientNames PatientBirthName PatientMotherBirthName ResponsiblePerson ResponsibleOrganization
    OtherPatientIDs OtherPatientIDsSequence MedicalRecordLocator InsurancePlanIdentification
    PatientInsurancePlanCodeSequence PatientBirthDate PatientBirthTime PatientBirthDateInAlternativeCalendar
    PatientDeathDateInAlternativeCalendar PatientAddress PatientTelephoneNumbers PatientTelecomInformation
    CountryOfResidence RegionOfResidence PatientReligiousPreference MilitaryRank BranchOfService Occupation
    LastMenstrualDate AdditionalPatientHistory PatientComments IdentifyingComments VisitComments PatientState
    CurrentPatientLocation PatientInstitutionResidence ReferencedPatientPhotoSequence ReferringPhysicianName
    ReferringPhysicianAddress ReferringPhysicianTelephoneNumbers ReferringPhysicianIdentificationSequence
    ConsultingPhysicianName ConsultingPhysicianIdentificationSequence PhysiciansOfRecord
    PhysiciansOfRecordIdentificationSequence PerformingPhysicianName PerformingPhysicianIdentificationSequence
    NameOfPhysiciansReadingStudy PhysiciansReadingStudyIdentificationSequence OperatorsName
    OperatorIdentificationSequence RequestingPhysician RequestingPhysicianIdentificationSequence
    ScheduledPerformingPhysicianName ScheduledPerformingPhysicianIdentificationSequence OrderEnteredBy
    OrderEntererLocation OrderCallbackPhoneNumber OrderCallbackTelecomInformation NamesOfIntendedRecipientsOfResults
    IntendedRecipientsOfResultsIdentificationSequence HumanPerformerName ActualHumanPerformersSequence
    VerifyingObserverName VerifyingObserverSequence VerifyingObserverIdentificationCodeSequence PersonName
    PersonAddress PersonTelephoneNumbers PersonTelecomInformation PersonIdentificationCodeSequence ContentCreatorName
    ContentCreatorIdentificationCodeSequence AuthorObserverSequence ParticipantSequence InterpretationRecorder
    InterpretationTranscriber InterpretationAuthor InterpretationText InterpretationApproverSequence
    PhysicianApprovingInterpretation DistributionName DistributionAddress ResultsComments ReviewerName ROIInterpreter
    CameraOwnerName GPSLatitude GPSLongitude GPSDestLatitude GPSDestLongitude InstitutionAddress
"""
_CODES = """
    AccessionNumber IssuerOfPatientID AdmissionID IssuerOfAdmissionID ServiceEpisodeID IssuerOfServiceEpisodeID
    RequestedProcedureID PlacerOrderNumberImagingServiceRequest FillerOrderNumberImagingServiceRequest
    InsurancePlanIdentification
"""


def _tags(keywords: str) -> frozenset[BaseTag]:
    return frozenset(tag(word) for word in keywords.split())


PERSONAL, CODES = _tags(_PERSONAL), _tags(_CODES)
_SEQUENCES = frozenset(Tag(number) for number, entry in DicomDictionary.items() if entry[0] == "SQ")
_PATIENT_NAME, _PATIENT_ID = tag("PatientName"), tag("PatientID")
_IDENTITY_REMOVED = tag("PatientIdentityRemoved")
_BURNED_IN, _RECOGNISABLE = tag("BurnedInAnnotation"), tag("RecognizableVisualFeatures")
_BLOCK_CHARACTERISTICS = tag("PrivateDataElementCharacteristicsSequence")

# (group, creator) -> element numbers within the block, from PS3.15 table E.3.10-1; CTP is a de-identifier itself.
_SAFE: dict[tuple[int, str], frozenset[int]] = {
    (0x7053, "Philips PET Private Group"): frozenset({0x00, 0x09}),
    (0x2005, "Philips MR Imaging DD 001"): frozenset({0x0D, 0x0E}),
    (0x2001, "Philips Imaging DD 001"): frozenset({0x03, 0x04}),
    (0x0019, "SIEMENS MR HEADER"): frozenset({0x0C, 0x0D, 0x0E, 0x27}),
    (0x00E1, "ELSCINT1"): frozenset({0x21}),
    (0x01E1, "ELSCINT1"): frozenset({0x26, 0x50}),
    (0x01F1, "ELSCINT1"): frozenset({0x01, 0x07, 0x26, 0x27}),
    (0x0019, "GEMS_ACQU_01"): frozenset({0x23, 0x24, 0x27, 0x9E}),
    (0x0025, "GEMS_SERS_01"): frozenset({0x07}),
    (0x0043, "GEMS_PARM_01"): frozenset({0x27, 0x39, 0x6F}),
    (0x0045, "GEMS_HELIOS_01"): frozenset({0x01, 0x02}),
    (0x0903, "GEIIS PACS"): frozenset({0x10, 0x11, 0x12}),
    (0x0013, "CTP"): frozenset({0x10, 0x11, 0x12, 0x13}),
}
_PLACEHOLDER_WORDS = """
    anon anonymous anonymized anonymised anonymize anonymise anonymisiert anonyme deid deidentified de identified
    pseudonym pseudonymized pseudonymised removed redacted hidden masked unknown none null na nn no name
    patient subject case xx xxx xxxx xxxxx
"""
_PLACEHOLDERS = frozenset(_PLACEHOLDER_WORDS.split())


def check(dataset: Dataset) -> dict[str, str]:
    """Find what still identifies the patient: words of :data:`FINDINGS`, each with names of attributes, no values."""
    identity: set[BaseTag] = set()
    private = 0
    stated = text(dataset, _IDENTITY_REMOVED).upper() == "YES"
    patient_id = text(dataset, _PATIENT_ID)
    for item in _with_nested(dataset):
        keys = item.keys()
        suspects = PERSONAL.intersection(keys)
        if not stated:
            suspects |= CODES.intersection(keys)
        identity.update(which for which in suspects if _says_something(item, which))
        nested_id = text(item, _PATIENT_ID)
        if _PATIENT_NAME in keys and _is_another(text(item, _PATIENT_NAME), patient_id, nested_id):
            identity.add(_PATIENT_NAME)
        if _is_another(nested_id, patient_id):
            identity.add(_PATIENT_ID)
        private += _count_private(item)
    if text(dataset, _RECOGNISABLE).upper() == "YES":
        identity.add(_RECOGNISABLE)
    findings: dict[str, str] = {}
    if identity:
        findings["identity"] = ", ".join(sorted(keyword_for_tag(which) for which in identity))
    if private:
        findings["private-tags"] = f"{private} private attribute{'s' if private > 1 else ''}"
    if text(dataset, _BURNED_IN).upper() == "YES":
        findings["burnt-in"] = "BurnedInAnnotation is YES"
    return findings


def _with_nested(dataset: Dataset) -> Iterator[Dataset]:
    yield dataset
    elements = elements_of(dataset)
    # Sequences that pydicom's dictionary does not know are told by the file itself.
    for which in [one for one, element in elements.items() if one in _SEQUENCES or element.VR == "SQ"]:
        if which >> 16 & 1:
            continue  # private: a finding by itself
        for item in dataset[which].value or ():
            if isinstance(item, Dataset):
                yield from _with_nested(item)


def _says_something(dataset: Dataset, which: BaseTag) -> bool:
    if which in _SEQUENCES:
        return bool(dataset[which].value)
    return not _is_placeholder(text(dataset, which))


def _is_another(name: str, *pseudonyms: str) -> bool:
    """Say whether a name or number is neither a placeholder nor one of the patient's pseudonyms."""
    known = {pseudonym.strip("^ ").casefold() for pseudonym in pseudonyms}
    return not _is_placeholder(name) and name.strip("^ ").casefold() not in known


def _is_placeholder(value: str) -> bool:
    words = [word for word in re.split(r"[\W_]+", value.casefold()) if word]
    return not words or (
        any(word in _PLACEHOLDERS for word in words) and all(word in _PLACEHOLDERS or word.isdigit() for word in words)
    )


def _count_private(dataset: Dataset) -> int:
    keys = dataset.keys()  # iterating over the data set itself would decode it
    private = [which for which in keys if which >> 16 & 1]
    if not private:
        return 0
    declared = _declared_safe(dataset)
    count = 0
    for which in private:
        group, number = which >> 16, which & 0xFFFF
        element = dataset.get_item(which)
        reserves = number == 0 or 0x10 <= number <= 0xFF  # a group's length, or whose a block is (PS3.5 section 7.8.1)
        if reserves or element is None or not element.value:
            continue
        creator = text(dataset, Tag(group, number >> 8)) if number >= 0x1000 else ""
        safe = (group, creator) in declared or number & 0xFF in _SAFE.get((group, creator), ())
        count += not (creator and safe)
    return count


def _declared_safe(dataset: Dataset) -> set[tuple[int, str]]:
    if _BLOCK_CHARACTERISTICS not in dataset:
        return set()
    return {
        (int(item.get("PrivateGroupReference") or 0), str(item.get("PrivateCreatorReference") or "").strip())
        for item in dataset[_BLOCK_CHARACTERISTICS].value or ()
        if item.get("BlockIdentifyingInformationStatus") == "SAFE"
    }
