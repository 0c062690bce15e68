#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: OcclusionSensitivity with activate=True takes a softmax where the image has more than one channel, whatever
# the network's answer has. Of a network with one logit, over a photograph in colour, the softmax of one number is 1:
# the map is 1.00 everywhere, and the lesion that alone decides is not to be seen. A grey image of three classes gets
# sigmoids, which add up to 1.25.
# Expected: "if True, do softmax activation if num_channels > 1 else do sigmoid", of the channels of the answer.
# Seen: "occluded lesion and elsewhere, one logit: grey 0.26 and 0.98, colour 1.00 and 1.00, by hand 0.26 and 0.98;
# three classes, elsewhere: grey adds up to 1.25, colour to 1.00"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.visualize import OcclusionSensitivity


class Network(torch.nn.Module):
    """Looks at nothing but the lesion in rows and columns 10 to 16, and answers with one logit or three."""

    def __init__(self, outputs):
        super().__init__()
        self.outputs = outputs

    def forward(self, image):
        logit = 8 * image[:, :, 10:16, 10:16].mean((1, 2, 3)) - 4
        return logit[:, None] if self.outputs == 1 else torch.stack([-logit, 0 * logit, logit / 4], 1)


def occluded(channels, outputs):
    """Return the map (outputs, 32, 32) of an image with a lesion."""
    image = torch.zeros(1, channels, 32, 32)
    image[:, :, 10:16, 10:16] = 1
    tool = OcclusionSensitivity(Network(outputs), mask_size=8, mode=0.0, overlap=0.75, activate=True, verbose=False)
    return torch.as_tensor(tool(image)[0][0])


def by_hand(row, column):
    """Return the mean answer over the masks of 8 x 8 voxels, two apart, that hide a voxel."""
    answers = []
    for top in range(0, 25, 2):
        for left in range(0, 25, 2):
            if top <= row < top + 8 and left <= column < left + 8:
                image = torch.zeros(1, 3, 32, 32)
                image[:, :, 10:16, 10:16] = 1
                image[:, :, top : top + 8, left : left + 8] = 0
                answers.append(Network(1)(image).sigmoid())
    return float(torch.cat(answers).mean())


seen = {kind: occluded(channels, 1)[0] for kind, channels in (("grey", 1), ("colour", 3))}
sums = {kind: float(occluded(channels, 3)[:, 28, 28].sum()) for kind, channels in (("grey", 1), ("colour", 3))}
right = by_hand(13, 13), by_hand(28, 28)
print(
    "occluded lesion and elsewhere, one logit: "
    + ", ".join(f"{kind} {values[13, 13]:.2f} and {values[28, 28]:.2f}" for kind, values in seen.items())
    + f", by hand {right[0]:.2f} and {right[1]:.2f}; three classes, elsewhere: grey adds up to {sums['grey']:.2f}, "
    f"colour to {sums['colour']:.2f}"
)
flat = float(seen["colour"].min()) == float(seen["colour"].max()) == 1
grey = abs(float(seen["grey"][13, 13]) - right[0]) < 0.01 and abs(float(seen["grey"][28, 28]) - right[1]) < 0.01
sys.exit(not (flat and grey and right[0] < 0.5 and sums["grey"] > 1.2 and abs(sums["colour"] - 1) < 1e-5))
PYTHON
