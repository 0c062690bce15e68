#!/usr/bin/env bash
# dicom-ecg-plot 1.4.1, pydicom 3.0.2, numpy 2.4.6.
# Behaviour: the baseline of a channel, which is in the units of its sensitivity, is taken for a number of steps and
# multiplied by the sensitivity: at 4.88 uV a step a baseline of 100 uV lifts the curve by 488 uV, almost five
# millimetres of paper. Where leads have baselines of their own, they are shifted against each other. Nothing warns; a
# baseline of 0 is right.
# Expected: sample * sensitivity * correction + baseline, as pydicom has it (PS3.3 C.10.9.1.4: Channel Baseline is in
# the units of the Channel Sensitivity Units Sequence).
# Seen: "a flat lead of samples 0 and 100: without a baseline 0.000, 0.488 mV; with a baseline of 100 uV 0.488, 0.976
# mV, pydicom 0.100, 0.588 mV"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check dicom-ecg-plot==1.4.1 pydicom==3.0.2 numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import io
import sys

import numpy as np
from ecg.processor import extract_signals
from ecg.reader import DicomECGReader
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, TwelveLeadECGWaveformStorage, generate_uid


def code(value, meaning, scheme):
    made = Dataset()
    made.CodeValue, made.CodeMeaning, made.CodingSchemeDesignator = value, meaning, scheme
    return made


def flat(sample, baseline):
    """Return where a lead of these samples ends, in mV, by dicom-ecg-plot and by pydicom."""
    channels = []
    for number in range(12):
        channel = Dataset()
        channel.ChannelSourceSequence = [code(f"2:{number + 1}", f"Lead {number + 1}", "MDC")]
        channel.ChannelSensitivity, channel.ChannelSensitivityCorrectionFactor = "4.88", "1"
        channel.ChannelBaseline, channel.ChannelSampleSkew, channel.WaveformBitsStored = str(baseline), "0", 16
        channel.ChannelSensitivityUnitsSequence = [code("uV", "microvolt", "UCUM")]
        channels.append(channel)
    group = Dataset()
    group.MultiplexGroupTimeOffset, group.WaveformOriginality = "0", "ORIGINAL"
    group.NumberOfWaveformChannels, group.NumberOfWaveformSamples, group.SamplingFrequency = 12, 1000, "500"
    group.WaveformBitsAllocated, group.WaveformSampleInterpretation = 16, "SS"
    group.ChannelDefinitionSequence = channels
    group.add_new(0x54001010, "OW", np.full((1000, 12), sample, "<i2").tobytes())
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = TwelveLeadECGWaveformStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID, made.Modality = "1.2.3", "1.2.3.4", "ECG"
    made.PatientID = made.PatientName = "P"
    made.WaveformSequence = [group]
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=True)
    read = dcmread(io.BytesIO(file.getvalue()))
    return extract_signals(DicomECGReader(io.BytesIO(file.getvalue())))[0, -1], read.waveform_array(0)[-1, 0] / 1000


none, some = [flat(sample, 0) for sample in (0, 100)], [flat(sample, 100) for sample in (0, 100)]
line = (
    f"a flat lead of samples 0 and 100: without a baseline {none[0][0]:.3f}, {none[1][0]:.3f} mV; "
    f"with a baseline of 100 uV {some[0][0]:.3f}, {some[1][0]:.3f} mV, pydicom {some[0][1]:.3f}, {some[1][1]:.3f} mV"
)
print(line)
expected = (
    "a flat lead of samples 0 and 100: without a baseline 0.000, 0.488 mV; with a baseline of 100 uV 0.488, 0.976 mV,"
    " pydicom 0.100, 0.588 mV"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
