#!/usr/bin/env bash
# onnxruntime 1.32.0, onnx 1.23.2, torch 2.13.0, numpy 2.4.6.
# Behaviour: max pooling in ONNX Runtime (CPU) passes over a NaN where torch hands it on. A network with a pooling
# layer, exported by torch, answers with a plausible number for an image with NaN pixels, where the network itself
# answers NaN, which any guard would notice. Convolution, ReLU, normalisation and average pooling hand the NaN on in
# both.
# Expected: NaN from both.
# Seen: "an image with a NaN pixel: torch nan, ONNX Runtime 0.156; without it they differ by less than 1e-5"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import math
import sys

import onnxruntime
import torch

torch.manual_seed(0)
network = torch.nn.Sequential(
    torch.nn.Conv2d(1, 4, 3, padding=1),
    torch.nn.ReLU(),
    torch.nn.MaxPool2d(8),
    torch.nn.Flatten(),
    torch.nn.Linear(64, 1),
).eval()
image = torch.randn(1, 1, 32, 32)
torch.onnx.export(network, (image,), "network.onnx", dynamo=False, input_names=["image"], output_names=["score"])
session = onnxruntime.InferenceSession("network.onnx", providers=["CPUExecutionProvider"])


def scores():
    with torch.no_grad():
        return float(network(image)), float(session.run(None, {"image": image.numpy()})[0].item())


sound, same = scores()
image[0, 0, 9, 9] = math.nan
hurt, hidden = scores()
apart = abs(sound - same)
print(f"an image with a NaN pixel: torch {hurt:.3f}, ONNX Runtime {hidden:.3f}; without it they differ by less than 1e-5")
sys.exit(not (apart < 1e-5 and math.isnan(hurt) and math.isfinite(hidden)))
PYTHON
