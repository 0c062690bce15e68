#!/usr/bin/env bash
# torchio 1.2.1, SimpleITK 2.5.7, nibabel 5.4.2, torch 2.13.0, numpy 2.4.6, scipy 1.17.1.
# Behaviour: Pad and CropOrPad fill label maps with the value that is meant for the image: a CT padded with air of -1000
# HU has the label -1000 around it, which in a label map of 8 bits is label 24, and with "mean" a label that lies
# between others. RandomAffine has a value for each.
# Expected: Background around a label map, as in RandomAffine, where default_pad_label is 0.
# Seen: "labels [0, 2, 9] of a CT padded with -1000: [0, 2, 9, 24] in 8 bits, label 24 in 0.64 of the voxels; [-1000, 0,
# 2, 9] in 16 bits; padded with the mean: [0, 2, 3, 9]"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check torchio==1.2.1 SimpleITK==2.5.7 nibabel==5.4.2 \
    numpy==2.4.6 scipy==1.17.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
import torchio as tio

ct = torch.full((1, 10, 10, 10), 40, dtype=torch.int16)
organs = torch.zeros(1, 10, 10, 10, dtype=torch.uint8)
organs[0, 1:9], organs[0, 4:6] = 2, 9


def padded(mode, dtype=torch.uint8):
    subject = tio.Subject(ct=tio.ScalarImage(tensor=ct), organs=tio.LabelMap(tensor=organs.to(dtype)))
    return tio.CropOrPad(14, padding_mode=mode)(subject).organs.data


inside = organs.unique().tolist()
bits, signed = padded(-1000).unique().tolist(), padded(-1000, torch.int16).unique().tolist()
mean = padded("mean").unique().tolist()
share = float((padded(-1000) == 24).float().mean())
print(
    f"labels {inside} of a CT padded with -1000: {bits} in 8 bits, label 24 in {share:.2f} of the voxels; "
    f"{signed} in 16 bits; padded with the mean: {mean}"
)
sys.exit(bits != [0, 2, 9, 24] or signed != [-1000, 0, 2, 9] or mean != [0, 2, 3, 9])
PYTHON
