#!/usr/bin/env bash
# highdicom 0.28.2, pydicom 3.0.2, SimpleITK 2.5.7, numpy 2.4.6.
# Behaviour: highdicom's Image.get_frame, get_frames and get_volume apply the real world value mapping of an image where
# it has one, in the place of its rescale. Their reference says so; nothing that they return tells which of the two it
# was. PET and Philips MR have both. The same file is read in Bq/ml by pydicom's apply_modality_lut and by SimpleITK, and
# as SUV by highdicom; a series of which some files have a mapping is read in both units. apply_real_world_transform=False
# gives the rescale.
# Expected: the rescaled values, as the other readers, or the unit beside them.
# Seen: "stored 1000: pydicom 2000, SimpleITK 2000 BQML; highdicom 4, without the mapping 2000"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check highdicom==0.28.2 pydicom==3.0.2 SimpleITK==2.5.7 \
    numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import highdicom
import numpy as np
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_modality_lut
from pydicom.uid import ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage, generate_uid

made = Dataset()
made.file_meta = FileMetaDataset()
made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = PositronEmissionTomographyImageStorage
made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = "1.2.3", "1.2.3.4", "1.2.3.5"
made.PatientID = made.PatientName = "P"
made.PatientBirthDate = made.PatientSex = made.StudyDate = made.StudyTime = made.AccessionNumber = made.StudyID = ""
made.Modality, made.Manufacturer, made.SeriesNumber, made.InstanceNumber = "PT", "M", 1, 1
made.Rows = made.Columns = 8
made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
made.PixelSpacing, made.SliceThickness = [4, 4], 3
made.ImageOrientationPatient, made.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 0]
made.RescaleSlope, made.RescaleIntercept, made.Units = "2", "0", "BQML"
unit = Dataset()
unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "{SUVbw}g/ml", "UCUM", "Standardized Uptake Value"
mapping = Dataset()
mapping.LUTExplanation, mapping.LUTLabel, mapping.MeasurementUnitsCodeSequence = "SUV by body weight", "SUV", [unit]
mapping.RealWorldValueFirstValueMapped, mapping.RealWorldValueLastValueMapped = 0, 65535
mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept = 0.004, 0.0
made.RealWorldValueMappingSequence = [mapping]
made.PixelData = np.full((8, 8), 1000, "<u2").tobytes()
made["PixelData"].VR = "OW"
made.save_as("pet.dcm", enforce_file_format=True)

rescaled = apply_modality_lut(made.pixel_array, made)[0, 0]
other = sitk.GetArrayFromImage(sitk.ReadImage("pet.dcm")).flat[0]
image = highdicom.imread("pet.dcm")
mapped, plain = image.get_frame(1)[0, 0], image.get_frame(1, apply_real_world_transform=False)[0, 0]
print(
    f"stored 1000: pydicom {rescaled:g}, SimpleITK {other:g} {made.Units}; highdicom {mapped:g}, without the mapping "
    f"{plain:g}"
)
sys.exit([float(value) for value in (rescaled, other, mapped, plain)] != [2000, 2000, 4, 2000])
PYTHON
