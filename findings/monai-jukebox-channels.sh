#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: JukeboxLoss takes the Fourier transform over the channels, too, as if they were another direction in space:
# of two channels it sees the sum and the difference, whose amplitudes do not tell which is which. An image whose T1 and
# T2 channels are exchanged has a loss of 0. Where a frequency has the amplitude 0, as all do but one of an even image,
# the gradient is NaN: a network that begins with a blank image, behind a ReLU, is lost at its first step.
# Expected: a transform over the spatial_dims that are named, for each channel by itself, and a gradient that is a
# number.
# Seen: "loss of an image whose two channels are exchanged 0.0000, channel by channel 0.0397, by hand 0.0397; 100% of
# the gradient of a blank image is NaN"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.losses import JukeboxLoss

true = torch.rand(1, 2, 32, 32, generator=torch.Generator().manual_seed(0))  # (images, channels, rows, columns)
exchanged = true.flip(1)
loss = JukeboxLoss(spatial_dims=2)
seen = float(loss(exchanged, true))
amplitudes = [torch.fft.fftn(image, dim=(2, 3), norm="ortho").abs() for image in (exchanged, true)]
by_hand = float((amplitudes[0] - amplitudes[1]).square().mean())
single = float(sum(loss(exchanged[:, [c]], true[:, [c]]) for c in (0, 1)) / 2)
blank = torch.zeros(1, 1, 32, 32, requires_grad=True)
loss(blank, true[:, :1]).backward()
lost = float(blank.grad.isnan().float().mean())
print(
    f"loss of an image whose two channels are exchanged {seen:.4f}, channel by channel {single:.4f}, by hand "
    f"{by_hand:.4f}; {lost:.0%} of the gradient of a blank image is NaN"
)
sys.exit(not (seen < 1e-9 and by_hand > 0.01 and abs(single - by_hand) < 1e-6 and lost == 1))
PYTHON
