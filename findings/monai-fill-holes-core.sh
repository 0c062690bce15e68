#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, scipy 1.17.1, numpy 2.4.6.
# Behaviour: FillHoles, whose page calls a hole "a background pixel" that one class encloses, fills whatever lies within
# a closed ring of a label, other labels included. Of a tumour whose core (2) lies within oedema (1), as in BraTS,
# nothing is left of the core: all of it becomes oedema, also where only the holes of label 1 were asked for. With one
# channel a class the oedema is filled and the core stays, so that both hold the same pixels. The core survives where
# only label 2 is asked for.
# Expected: there is no background within the rings, so nothing changes.
# Seen: "a core of 9 pixels in oedema: 0 left by default, 0 with applied_labels=[1], 9 with [2]; as channels 9, of which
# 9 are oedema too"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 scipy==1.17.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.transforms import FillHoles

labels = torch.zeros(1, 9, 9)
labels[0, 1:8, 1:8] = 1
labels[0, 3:6, 3:6] = 2
channels = torch.stack([labels[0] == label for label in range(3)]).float()


def left(*applied):
    return int((FillHoles(applied_labels=applied or None)(labels.clone()) == 2).sum())


filled = FillHoles()(channels.clone())
core, both = int(filled[2].sum()), int((filled[1] * filled[2]).sum())
print(
    f"a core of 9 pixels in oedema: {left()} left by default, {left(1)} with applied_labels=[1], {left(2)} with [2]; "
    f"as channels {core}, of which {both} are oedema too"
)
sys.exit((left(), left(1), left(2), core, both) != (0, 0, 9, 9, 9))
PYTHON
