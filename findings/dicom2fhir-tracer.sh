#!/usr/bin/env bash
# dicom2fhir 0.1.25, fhir.resources 8.0.0, fhir-core 1.0.1, pydantic 2.11.5, pydicom 3.0.2.
# Behaviour: a PET's injected dose, which DICOM states in becquerels, is written to FHIR as the same number of
# megabecquerels, a million times too high. The time from injection to scan is the difference of two times of day,
# without their days and without a sign: a scan 24 hours after the injection is 0 seconds after it, and one from 23:30
# to 00:30 is 23 hours. Nothing warns.
# Expected: 370 MBq (PS3.3 C.8.9.2: the dose of a PET in Bq), and the time between two days, by
# RadiopharmaceuticalStartDateTime and the acquisition's date.
# Seen: "370 MBq an hour before the scan: 370000000 Megabecquerel, 3600 seconds; 24 hours before: 0 seconds; 23:30 to
# 00:30: 82800 seconds"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check dicom2fhir==0.1.25 pydicom==3.0.2 \
    fhir.resources==8.0.0 fhir-core==1.0.1 pydantic==2.11.5 annotated-types==0.7.0
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import asyncio
import sys
from pathlib import Path

from dicom2fhir.dicom2fhir import from_directory
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage, generate_uid


def code(value, meaning):
    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = value, "SCT", meaning
    return made


def stated(name, injected, begun):
    """Return the dose and the time since the injection, as FHIR has them."""
    tracer = Dataset()
    tracer.Radiopharmaceutical, tracer.RadionuclideTotalDose = "Fluorodeoxyglucose", "370000000"
    tracer.RadiopharmaceuticalStartDateTime, tracer.RadiopharmaceuticalStartTime = injected, injected[8:]
    tracer.RadionuclideCodeSequence = [code("77004003", "^18^Fluorine")]
    tracer.RadiopharmaceuticalCodeSequence = [code("35321007", "Fluorodeoxyglucose F^18^")]
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = PositronEmissionTomographyImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID = generate_uid(), generate_uid()
    made.PatientID = made.PatientName = "P"
    made.PatientSex, made.PatientBirthDate = "O", "19500101"
    made.Modality, made.Manufacturer, made.SeriesNumber, made.InstanceNumber, made.Units = "PT", "M", 1, 1, "BQML"
    made.SeriesType = ["STATIC", "IMAGE"]
    made.StudyDate = made.SeriesDate = made.AcquisitionDate = begun[:8]
    made.StudyTime = made.SeriesTime = made.AcquisitionTime = begun[8:]
    made.RadiopharmaceuticalInformationSequence = [tracer]
    Path(name).mkdir()
    made.save_as(f"{name}/1.dcm", enforce_file_format=True)
    bundle = asyncio.run(from_directory(name, {"dicom_timezone": "Europe/Berlin"}))
    series = bundle.entry[0].resource.series[0]
    values = {part.url: part.valueQuantity for whole in series.extension for part in whole.extension or []}
    dose, since = values["radionuclideTotalDose"], values["tracerExposureTime"]
    return f"{float(dose.value):.0f} {dose.unit}", f"{float(since.value):.0f} {since.unit}"


hour = stated("hour", "20260102110000", "20260102120000")
late, night = stated("late", "20260101120000", "20260102120000"), stated("night", "20260101233000", "20260102003000")
line = (
    f"370 MBq an hour before the scan: {', '.join(hour)}; 24 hours before: {late[1]}; 23:30 to 00:30: {night[1]}"
)
print(line)
expected = (
    "370 MBq an hour before the scan: 370000000 Megabecquerel, 3600 seconds; 24 hours before: 0 seconds; 23:30 to "
    "00:30: 82800 seconds"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
