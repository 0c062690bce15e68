#!/usr/bin/env bash
# DataSynthesizer 0.1.13, pandas 2.3.3, scikit-learn 1.9.1, scipy 1.17.1, python-dateutil 2.9.0.post0, numpy 2.4.6.
# Behaviour: the histogram of an attribute holds shares of the patients of whom it is known, and its noise is that of
# shares of all patients. Where a test was done on 20 of 1000 patients, one result moves a share by 0.05, and the noise
# at epsilon 1 is 0.002. That is an epsilon of 50.
# Expected: noise by the number of those who are counted, or shares of all.
# Seen: "share of positive tests in 300 descriptions at epsilon 1, of 20 patients known, ten of them positive: 0.492 to
# 0.511; with one more: 0.543 to 0.558. Tables told apart by a limit of 0.525: 100%, of 73% at most"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check DataSynthesizer==0.1.13 pandas==2.3.3 \
    scikit-learn==1.9.1 scipy==1.17.1 python-dateutil==2.9.0.post0 numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys
from math import exp

import numpy as np
import pandas as pd
from DataSynthesizer.DataDescriber import DataDescriber


def shares(positive):
    """Return the share of positive tests in 300 descriptions of 1000 patients, 20 of whom were tested."""
    test = np.full(1000, np.nan)
    test[:20] = np.arange(20) < positive
    pd.DataFrame({"test": test}).to_csv("table.csv", index=False)
    found = []
    for seed in range(300):
        describer = DataDescriber(category_threshold=10)
        describer.describe_dataset_in_independent_attribute_mode("table.csv", epsilon=1, seed=seed + 1000 * positive)
        found.append(describer.data_description["attribute_description"]["test"]["distribution_probabilities"][1])
    return np.array(found)


ten, eleven = shares(10), shares(11)
told = ((ten < 0.525).mean() + (eleven > 0.525).mean()) / 2
print(
    f"share of positive tests in 300 descriptions at epsilon 1, of 20 patients known, ten of them positive: "
    f"{ten.min():.3f} to {ten.max():.3f}; with one more: {eleven.min():.3f} to {eleven.max():.3f}. Tables told "
    f"apart by a limit of 0.525: {told:.0%}, of {exp(1) / (1 + exp(1)):.0%} at most"
)
sys.exit(not (told > 0.95))
PYTHON
