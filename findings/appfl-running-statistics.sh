#!/usr/bin/env bash
# appfl 1.12.0, opacus 1.6.0, omegaconf 2.4.0, safetensors 0.8.0, torch 2.13.0, numpy 2.4.6.
# Behaviour: with client_weights_mode "sample_size" FedAvg weighs what is trained by the number of images, and what is
# not, the running means and variances of BatchNorm, by nothing: a hospital with ten images moves them as much as one
# with a thousand. The aggregator's own reference names BatchNorm as what its model is handed over for, and not that it
# is averaged otherwise; FedAvgM, FedAdam, FedYogi and FedAdagrad are made from it.
# Expected: one set of weights for a state_dict.
# Seen: "a thousand images of level 0 and ten of level 100, bias and running mean: weighed by images 1.0 and 49.8,
# equally 50.0 and 50.0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$place/env/bin/pip" install --quiet --disable-pip-version-check opacus==1.6.0 omegaconf==2.4.0 safetensors==0.8.0 \
    tqdm==4.70.1 packaging==25.0 torch==2.13.0 numpy==2.4.6
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps appfl==1.12.0
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from appfl.algorithm.aggregator import FedAvgAggregator
from omegaconf import DictConfig

torch.manual_seed(0)
network = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.BatchNorm1d(1, momentum=None))
torch.nn.init.ones_(network[0].weight)
torch.nn.init.zeros_(network[0].bias)


def seen(images, level, shift):
    """Return the state of a hospital that saw images of a level, and learnt a shift."""
    local = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.BatchNorm1d(1, momentum=None))
    local.load_state_dict(network.state_dict())
    local(level + torch.randn(images, 1))
    torch.nn.init.constant_(local[1].bias, shift)
    return local.state_dict()


def averaged(mode):
    aggregator = FedAvgAggregator(network, DictConfig({"client_weights_mode": mode}))
    aggregator.set_client_sample_size("large", 1000)
    aggregator.set_client_sample_size("small", 10)
    state = aggregator.aggregate({"large": seen(1000, 0.0, 0.0), "small": seen(10, 100.0, 100.0)})
    return float(state["1.bias"]), float(state["1.running_mean"])


before = {name: values.clone() for name, values in network.state_dict().items()}
by_images = averaged("sample_size")
network.load_state_dict(before)
equal = averaged("equal")
print(
    "a thousand images of level 0 and ten of level 100, bias and running mean: weighed by images "
    f"{by_images[0]:.1f} and {by_images[1]:.1f}, equally {equal[0]:.1f} and {equal[1]:.1f}"
)
sys.exit(not (by_images[0] < 2 and abs(by_images[1] - 50) < 2 and abs(equal[0] - 50) < 2 and abs(equal[1] - 50) < 2))
PYTHON
