#!/usr/bin/env bash
# fedlab 1.3.0, pandas 2.2.3, numpy 1.26.4.
# Behaviour: the Dirichlet partition by given sizes, which CIFAR10Partitioner uses by default, shuffles the labels,
# takes images by the shuffled ones, and returns their places without turning the shuffle back. Every hospital has all
# classes evenly, whatever alpha is.
# Expected: hospitals with a class of their own at a small alpha (Acar et al., ICLR 2021), as hetero_dir_partition has.
# Seen: "largest class of ten hospitals at alpha 0.5, of ten classes: 13% to 15%; in the labels that were shuffled 26%
# to 52%"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pandas==2.2.3 numpy==1.26.4 setuptools==75.8.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-build-isolation fedlab==1.3.0
"$place/env/bin/python" -W ignore - <<'PYTHON'
import importlib.util
import sys
from types import ModuleType

import numpy as np

for name in ("fedlab", "fedlab.utils", "fedlab.utils.dataset"):  # the partitions alone: the rest needs torch
    package = ModuleType(name)
    package.__path__ = importlib.util.find_spec(name).submodule_search_locations
    sys.modules[name] = package
from fedlab.utils.dataset import functional

labels = np.repeat(np.arange(10), 1000)


def largest(hospitals, labels):
    """Return the share of the largest class of each hospital."""
    return [np.bincount(labels[places], minlength=10).max() / len(places) for places in hospitals.values()]


np.random.seed(0)
shuffled = labels[np.random.permutation(10000)]
np.random.seed(0)
hospitals = functional.client_inner_dirichlet_partition(labels, 10, 10, 0.5, np.full(10, 800), verbose=False)
seen, meant = largest(hospitals, labels), largest(hospitals, shuffled)
print(
    f"largest class of ten hospitals at alpha 0.5, of ten classes: {min(seen):.0%} to {max(seen):.0%}; in the labels "
    f"that were shuffled {min(meant):.0%} to {max(meant):.0%}"
)
sys.exit(not (max(seen) < 0.2 and np.mean(meant) > 0.3))
PYTHON
