#!/usr/bin/env bash
# grad-cam 1.5.7, torch 2.13.0, torchvision 0.28.0, scipy 1.17.1, numpy 2.4.6.
# Behaviour: the metric ROADMostRelevantFirst removes the most relevant pixels of an explanation and measures how the
# score falls. With percentile="auto", which finds the threshold by Otsu's method, it keeps those and removes all
# others: removing and keeping are the other way round than with a number. A map that marks the finding exactly changes
# the score by nothing, and its inverse by as much as there is; with ROADLeastRelevantFirst it is the same the other
# way. The documentation names "auto" nowhere; the class takes it.
# Expected: "auto" to choose the threshold only.
# Seen: "change of the score by a perfect explanation, threshold 95 and auto: most relevant removed -1.00 and 0.00,
# least relevant removed 0.00 and -1.00"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$place/env/bin/pip" install --quiet --disable-pip-version-check grad-cam==1.5.7 torch==2.13.0 torchvision==0.28.0 \
    scipy==1.17.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import torch

if torch.version.cuda is None:  # torchvision, of which a scaling is used, asks for its operators when it is imported
    for name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{name}", "(Tensor boxes, Tensor scores, float threshold) -> Tensor")
from pytorch_grad_cam.metrics.road import ROADLeastRelevantFirst, ROADMostRelevantFirst
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget


def network(images):
    """Return the mean brightness of the finding's place as the score."""
    return images[:, :, 10:16, 10:16].mean(dim=(1, 2, 3))[:, None]


image = torch.zeros(1, 1, 32, 32)
image[0, 0, 10:16, 10:16] = 1
explanation = np.random.default_rng(0).uniform(0, 0.01, (1, 32, 32)).astype(np.float32)
explanation[0, 10:16, 10:16] += 0.99
targets = [ClassifierOutputTarget(0)]


def change(metric, percentile, explanation):
    torch.manual_seed(0)
    return float(metric(percentile=percentile)(image, explanation, targets, network)[0])


most = [change(ROADMostRelevantFirst, percentile, explanation) for percentile in (95, "auto")]
least = [change(ROADLeastRelevantFirst, percentile, explanation) for percentile in (95, "auto")]
print(
    f"change of the score by a perfect explanation, threshold 95 and auto: most relevant removed {most[0]:.2f} and "
    f"{most[1]:.2f}, least relevant removed {least[0]:.2f} and {least[1]:.2f}"
)
sys.exit(not (most[0] < -0.8 and most[1] > -0.1 and least[0] > -0.1 and least[1] < -0.8))
PYTHON
