#!/usr/bin/env bash
# quantus 0.6.0, torch 2.13.0, opencv-python-headless 5.0.0.93, scikit-image 0.26.0, scikit-learn 1.9.1, matplotlib
# 3.11.2, scipy 1.17.1, pandas 2.3.3, numpy 2.4.6.
# Behaviour: Completeness asks whether attributions sum to the change of the model's answer. By its default it divides
# them by their largest one before, but not the change, so that no explanation holds: of exact ones of a linear model
# none is complete. With normalise=False it compares floats by ==, and says no to most of the exact ones for an error in
# their seventh digit. The documentation does not say that an explanation has to be given with normalise=False, nor how
# equal the sums have to be.
# Expected: all of the exact explanations complete.
# Seen: "50 exact explanations, whose sums are off by 2e-07 at most: complete 0%, with normalise=False 20%"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$place/env/bin/pip" install --quiet --disable-pip-version-check opencv-python-headless==5.0.0.93 scikit-image==0.26.0 \
    scikit-learn==1.9.1 matplotlib==3.11.2 scipy==1.17.1 pandas==2.3.3 tqdm==4.70.1 torch==2.13.0 \
    numpy==2.4.6
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps quantus==0.6.0
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import quantus
import torch

torch.manual_seed(0)
random = np.random.default_rng(0)
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2, bias=False)).eval()
images = random.random((50, 1, 8, 8)).astype(np.float32)
images[:, :, 0, 0] = 0  # black is 0
answers = np.arange(50) % 2
weights = model[1].weight.detach().numpy()[answers].reshape(images.shape)
exact = images * weights  # what each pixel adds to the answer, from 0 for a black image


def share(**more):
    metric = quantus.Completeness(disable_warnings=True, **more)
    return float(np.mean(metric(model, images, answers, exact, device="cpu")))


with torch.no_grad():
    change = (model(torch.from_numpy(images)) - model(torch.zeros(50, 1, 8, 8))).numpy()[np.arange(50), answers]
error = float(np.abs(exact.sum(axis=(1, 2, 3)) - change).max())
usual, plain = share(), share(normalise=False)
print(
    f"50 exact explanations, whose sums are off by {error:.0e} at most: complete {usual:.0%}, with "
    f"normalise=False {plain:.0%}"
)
sys.exit(not (error < 1e-5 and usual == 0 and plain < 0.7))
PYTHON
