#!/usr/bin/env bash
# nltools 0.5.1, joblib 1.6.0, numpy 1.23.5.
# Behaviour: isc gives the intersubject correlation with an interval from 5000 resamples of the subjects. Resamples
# are drawn in as many processes as there are processors, by default, and every batch of them is sent the same state
# of the random generator, which only moves on within a batch: each batch draws what the others drew. Of 2000
# resamples 64 to 128 were different ones with two processes and 32 with four, by how large batches became; with one
# process nearly all are. isc_group does the same, and a seed does not help.
# Expected: 2000 different resamples, whatever the number of processes.
# Seen: "different resamples of 2000: with one process more than 1900; with four fewer than 600"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check nltools==0.5.1 nilearn==0.13.1 nibabel==5.3.3 \
    scikit-learn==1.7.2 scipy==1.15.3 pandas==2.3.3 joblib==1.6.0 numpy==1.23.5
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from nltools.stats import isc

random = np.random.default_rng(0)
signals = random.normal(size=(30, 12)) + random.normal(size=(30, 1))  # (times, subjects)


def different(processes):
    """Return how many of 2000 resamples are different ones."""
    found = isc(signals, n_samples=2000, metric="mean", n_jobs=processes, random_state=0, return_null=True)
    return len(set(np.round(found["null_distribution"], 12)))


one, four = different(1), different(4)
line = (
    f"different resamples of 2000: with one process {'more than 1900' if one > 1900 else one}; with four "
    f"{'fewer than 600' if four < 600 else four}"
)
print(line)
expected = "different resamples of 2000: with one process more than 1900; with four fewer than 600"
sys.exit(0 if line == expected else "this has changed")
PYTHON
