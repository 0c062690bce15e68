#!/usr/bin/env bash
# vitalsqi-toolkit 2.0.0, vitaldsp 0.2.5, scipy 1.17.1, numpy 2.4.6.
# Behaviour: ectopic_sqi divides its limits, 300 and 2000 ms, by 1000 and lays them on intervals in milliseconds. All
# intervals are longer than 2 of them, so every beat of every recording is an outlier: the share is 1 for a heart that
# beats evenly, by all four rules and for ECG and PPG. A rule that keeps recordings by this index keeps none, or all.
# Expected: 0 for an even rhythm: the library below finds the intervals, 800 ms each, and calls all of them valid.
# Seen: "share of ectopic beats in an even rhythm of 75 a minute: ECG 1.0 1.0 1.0 1.0, PPG 1.0 1.0 1.0 1.0; intervals
# from 790 to 800 ms, invalid by limits in ms: 0 of 37"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check vitalsqi-toolkit==2.0.0 vitaldsp==0.2.5 numpy==2.4.6 \
    pandas==3.1.1 scipy==1.17.1 statsmodels==0.15.0 scikit-learn==1.9.1 pmdarima==2.1.1 pycwt==0.5.0b0 wfdb==4.3.1
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from vital_sqi.sqi.rpeaks_sqi import ectopic_sqi
from vitalDSP.transforms.beats_transformation import RRTransformation

rate = 100
seconds = np.arange(30 * rate) / rate
beats = {
    "ECG": np.exp(-(((seconds % 0.8 - 0.4) / 0.02) ** 2)),
    "PPG": np.sin(2 * np.pi * 1.25 * seconds) + 0.3 * np.sin(4 * np.pi * 1.25 * seconds + 1),
}
shares = {
    kind: " ".join(f"{ectopic_sqi(signal, rule, rate, wave_type=kind):.1f}" for rule in range(4))
    for kind, signal in beats.items()
}
transformation = RRTransformation(signal=beats["ECG"], fs=rate, signal_type="ECG")
intervals = np.asarray(transformation.compute_rr_intervals())
invalid = int(np.isnan(transformation.remove_invalid_rr_intervals(intervals, min_rr=300, max_rr=2000)).sum())
print(
    f"share of ectopic beats in an even rhythm of 75 a minute: ECG {shares['ECG']}, PPG {shares['PPG']}; intervals "
    f"from {intervals.min():.0f} to {intervals.max():.0f} ms, invalid by limits in ms: {invalid} of {len(intervals)}"
)
every = all(share == "1.0 1.0 1.0 1.0" for share in shares.values())
sys.exit(0 if every and intervals.min() > 750 and intervals.max() < 850 and invalid == 0 else "this has changed")
PYTHON
