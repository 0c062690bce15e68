#!/usr/bin/env bash
# dicognito 0.19.0, pydicom 3.0.2.
# Behaviour: dates and times are shifted by one number of hours, but a time is shifted only with a date of the same
# name. RadiopharmaceuticalStartTime (type 3, in every PET) has none: it stays, while SeriesTime moves. The time from
# injection to scan, and with it every SUV that is computed from the result, is another one. Nothing warns.
# Expected: an injection time that moves with the scan's, or a refusal.
# Seen: "injected 60 minutes before the scan: 600 minutes afterwards; SUV of fluorine-18 times 30"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check dicognito==0.19.0 pydicom==3.0.2
"$place/env/bin/python" - <<'PYTHON'
import sys

from dicognito.anonymizer import Anonymizer
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage, generate_uid
from pydicom.valuerep import TM

HALF_LIFE_S = 6586.2  # fluorine-18

image = Dataset()
image.file_meta = FileMetaDataset()
image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = PositronEmissionTomographyImageStorage
image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID = generate_uid()
image.StudyInstanceUID, image.SeriesInstanceUID = generate_uid(), generate_uid()
image.PatientID, image.PatientName, image.PatientSex, image.PatientWeight = "P", "A^B", "O", "80"
image.StudyDate = image.SeriesDate = image.AcquisitionDate = "20200101"
image.StudyTime = image.SeriesTime = image.AcquisitionTime = "103000"
image.Modality, image.Units, image.DecayCorrection = "PT", "BQML", "START"
drug = Dataset()
drug.RadiopharmaceuticalStartTime, drug.RadionuclideHalfLife = "093000", str(HALF_LIFE_S)
image.RadiopharmaceuticalInformationSequence = [drug]


def delay_s():
    """Return the seconds from injection to the series' start, by the times of day, as the dates are equal."""
    times = image.SeriesTime, image.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartTime
    start, injected = (3600 * time.hour + 60 * time.minute + time.second for time in map(TM, times))
    return (start - injected) % 86400


before = delay_s()
Anonymizer(seed="s").anonymize(image)
after = delay_s()
factor = 2 ** ((after - before) / HALF_LIFE_S)
print(
    f"injected {before // 60} minutes before the scan: {after // 60} minutes afterwards; "
    f"SUV of fluorine-18 times {factor:.0f}"
)
sys.exit(not (before == 3600 and after != 3600))
PYTHON
