#!/usr/bin/env bash
# aif360 0.6.1, scikit-learn 1.9.1, scipy 1.17.1, pandas 2.3.3, numpy 2.4.6.
# Behaviour: conditional_demographic_disparity averages the disparity of the protected groups themselves, weighted by
# their size, and not one group's disparity over strata of patients, as the article that it cites does. What one group
# has more another has less, so that the average over two groups of the same size is 0 for every classifier: 0 where all
# women are refused and all men are accepted, and 0 where chance decides. With groups of 150 and 50 it is 0.5 or -0.5 by
# which of them is refused, without being told which one is protected. The documentation gives the formula, with i for a
# group.
# Expected: a disparity of 1, the largest there is, for the group that is always refused.
# Seen: "100 women refused, 100 men accepted: conditional demographic disparity 0, difference of rates -1; the other way
# round 0; of 150 women and 50 men, women refused 0.5, men refused -0.5"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check aif360==0.6.1 scikit-learn==1.9.1 scipy==1.17.1 \
    pandas==2.3.3 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import pandas as pd
from aif360.sklearn.metrics import conditional_demographic_disparity, statistical_parity_difference


def disparity(women, men, refused):
    """Return both measures where every patient of one sex is refused, and the others are accepted."""
    sex = np.repeat(["woman", "man"], [women, men])
    index = pd.MultiIndex.from_arrays([sex, range(len(sex))], names=["sex", "id"])
    accepted = pd.Series((sex != refused).astype(int), index=index)
    conditional = conditional_demographic_disparity(accepted, accepted, prot_attr="sex")
    parity = statistical_parity_difference(accepted, accepted, prot_attr="sex", priv_group="man")
    return float(conditional), float(parity)


equal, other = disparity(100, 100, "woman"), disparity(100, 100, "man")
many, few = disparity(150, 50, "woman"), disparity(150, 50, "man")
print(
    f"100 women refused, 100 men accepted: conditional demographic disparity {equal[0]:g}, difference of rates "
    f"{equal[1]:g}; the other way round {other[0]:g}; of 150 women and 50 men, women refused {many[0]:g}, "
    f"men refused {few[0]:g}"
)
sys.exit(not (equal == (0, -1) and other[0] == 0 and many[0] == 0.5 and few[0] == -0.5))
PYTHON
