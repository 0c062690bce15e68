#!/usr/bin/env bash
# imbalanced-learn 0.14.2, scikit-learn 1.9.1, scipy 1.17.1, numpy 2.4.6.
# Behaviour: BorderlineSMOTE makes nobody and says nothing where no ill patient has enough healthy neighbours: a study
# of 200 healthy and 20 ill that are well apart comes back as it was, from sampling_strategy "auto", which is documented
# to make both as many. ADASYN raises an error for the same patients, SMOTE makes 180.
# Expected: 200 and 200, an error or a warning.
# Seen: "healthy and ill: BorderlineSMOTE [200, 20], 0 warnings; SMOTE [200, 200]; ADASYN an error"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check imbalanced-learn==0.14.2 scikit-learn==1.9.1 \
    scipy==1.17.1 numpy==2.4.6
"$place/env/bin/python" - <<'PYTHON'
import sys
import warnings

import numpy as np
from imblearn.over_sampling import ADASYN, SMOTE, BorderlineSMOTE

random = np.random.default_rng(0)
ill = np.repeat([0, 1], [200, 20])
markers = random.normal(0, 1, (220, 2)) + 8 * ill[:, None]


def counts(sampler):
    return np.bincount(sampler.fit_resample(markers, ill)[1]).tolist()


with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    border = counts(BorderlineSMOTE(random_state=0))
plain = counts(SMOTE(random_state=0))
try:
    other = str(counts(ADASYN(random_state=0)))
except RuntimeError:
    other = "an error"
print(f"healthy and ill: BorderlineSMOTE {border}, {len(warned)} warnings; SMOTE {plain}; ADASYN {other}")
sys.exit(not (border == [200, 20] and not warned and plain == [200, 200] and other == "an error"))
PYTHON
