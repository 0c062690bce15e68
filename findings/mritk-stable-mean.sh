#!/usr/bin/env bash
# MRItk 0.4.3, pandas 2.3.3, nibabel 5.3.2, numpy 2.2.6.
# Behaviour: StableMean and StableStd are to leave out what lies below the 5th and above the 95th percentile of a
# region. generate_stats_dataframe_rois, which takes them in its list of statistics, calls the function inside of
# them, which is the plain mean: a white matter of T1 = 900 ms in which 2 % of voxels failed to fit, at 100,000 ms,
# has a stable mean of 2880 ms under that name. Called by itself StableMean has 900.
# Expected: 900, the mean of what is between the two percentiles.
# Seen: "T1 of a region, of which 2 % are 100000 ms: mean 2880, stable_mean 2880, stable_std 13874; StableMean called
# by itself 900, StableStd 28"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check mritk==0.4.3 pandas==2.3.3 nibabel==5.3.2 \
    scikit-image==0.25.2 scipy==1.15.3 numpy==2.2.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from mritk.data import MRIData
from mritk.segmentation import Segmentation
from mritk.statistics.compute_stats import generate_stats_dataframe_rois
from mritk.statistics.stat_functions import Mean, StableMean, StableStd

t1 = np.random.default_rng(0).normal(900, 35, (10, 10, 10))  # ms
t1.flat[::50] = 100_000
region = Segmentation(MRIData(data=np.ones(t1.shape, dtype=np.int16), affine=np.eye(4)))
table = generate_stats_dataframe_rois(region, MRIData(data=t1, affine=np.eye(4)), [Mean, StableMean, StableStd])
figures = ", ".join(f"{row.statistic} {row.value:.0f}" for row in table.itertuples())
line = (
    f"T1 of a region, of which 2 % are 100000 ms: {figures}; StableMean called by itself {StableMean(t1.ravel()):.0f}, "
    f"StableStd {StableStd(t1.ravel()):.0f}"
)
print(line)
expected = (
    "T1 of a region, of which 2 % are 100000 ms: mean 2880, stable_mean 2880, stable_std 13874; StableMean called by "
    "itself 900, StableStd 28"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
