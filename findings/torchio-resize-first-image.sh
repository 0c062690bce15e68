#!/usr/bin/env bash
# torchio 1.2.1, SimpleITK 2.5.7, nibabel 5.4.2, torch 2.13.0, numpy 2.4.6, scipy 1.17.1.
# Behaviour: Resize writes the size of the first image over the -1 in its own target: a transform that is to keep the
# number of slices gives all later patients that of the first, stretched or squeezed, and says nothing. A new Resize for
# each patient does not show it.
# Expected: "The size of dimensions set to -1 will be kept" (its documentation).
# Seen: "patients of (30, 60, 20) slices resized to (16, 16, -1): [30, 30, 30] slices of [1.0, 2.0, 0.67] mm for 1 mm;
# with a new Resize for each: [30, 60, 20]"
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

slices = (30, 60, 20)
once = tio.Resize((16, 16, -1))


def patient(count):
    return tio.ScalarImage(tensor=torch.rand(1, 32, 32, count))


together = [once(patient(count)) for count in slices]
apart = [tio.Resize((16, 16, -1))(patient(count)).shape[-1] for count in slices]
kept = [image.shape[-1] for image in together]
spacings = [round(float(image.spacing[2]), 2) for image in together]
print(
    f"patients of {slices} slices resized to (16, 16, -1): {kept} slices of {spacings} mm for 1 mm; "
    f"with a new Resize for each: {apart}"
)
sys.exit(kept != [30, 30, 30] or apart != list(slices))
PYTHON
