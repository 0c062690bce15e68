#!/usr/bin/env bash
# quantus 0.6.0, torch 2.13.0, opencv-python-headless 5.0.0.93, scikit-image 0.26.0, scikit-learn 1.9.1, matplotlib
# 3.11.2, scipy 1.17.1, pandas 2.3.3, numpy 2.4.6.
# Behaviour: Monotonicity of an explanation is meant to start with a black image and to add its pixels in the order of
# their attribution. It starts with a black image and makes its pixels black, one by one: the model sees the same image
# each time, its answer never falls, and every explanation is monotone: the exact one of a linear model, the same with
# its sign turned round, and random numbers. It is so for each baseline that is a constant ("black", "white"). The
# documentation says "incrementally adding each attribute in order of increasing importance".
# Expected: not all of them, as the pixels themselves added in that order show.
# Seen: "exact explanations: 100% monotone, by adding pixels 0%; turned round explanations: 100% monotone, by adding
# pixels 0%; random explanations: 100% monotone, by adding pixels 0%; random ones from white 100%"
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
images = random.random((20, 1, 8, 8)).astype(np.float32)
answers = np.arange(20) % 2
weights = model[1].weight.detach().numpy()[answers].reshape(images.shape)
exact = images * weights  # what each pixel adds to the answer
explanations = {"exact": exact, "turned round": -exact, "random": random.normal(size=exact.shape).astype(np.float32)}


def share(attributions, baseline):
    metric = quantus.Monotonicity(perturb_baseline=baseline, abs=False, disable_warnings=True)
    return float(np.mean(metric(model, images, answers, attributions, device="cpu")))


def added(attributions):
    """Return the share of images whose answer never falls while their pixels are added to black."""
    order = np.argsort(attributions.reshape(20, -1), axis=1)
    steps = np.take_along_axis(exact.reshape(20, -1), order, axis=1)
    return float(np.mean((steps[:, 1:] >= 0).all(axis=1)))


found = {name: share(one, "black") for name, one in explanations.items()}
white = share(explanations["random"], "white")
right = {name: added(one) for name, one in explanations.items()}
print(
    "; ".join(f"{name} explanations: {found[name]:.0%} monotone, by adding pixels {right[name]:.0%}" for name in found)
    + f"; random ones from white {white:.0%}"
)
sys.exit(not (all(value == 1 for value in (*found.values(), white)) and not any(right.values())))
PYTHON
