#!/usr/bin/env bash
# mlstatkit 0.1.91, scipy 1.17.1, scikit-learn 1.9.1, pandas 2.3.3, numpy 2.4.6.
# Behaviour: Delong_test of two models that rank all patients alike, such as a model and its recalibrated copy, finds no
# variance of the difference and falls back to a bootstrap. Its two-sided p-value is twice the smaller of the shares of
# resamples with a difference of at most 0 and above 0. All differences are exactly 0, so that is twice 0: the most
# significant difference there is, beside a z of 0 and two equal AUCs.
# Expected: a p-value of 1, as z = 0 has (pROC and DeLong et al., Biometrics 1988, know no difference there).
# Seen: "a model and its recalibrated copy, AUC 0.797 and 0.797: z 0, p 0; z 0 by the normal distribution: p 1; a model
# that ranks two patients otherwise: p 0.48"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check mlstatkit==0.1.91 scipy==1.17.1 scikit-learn==1.9.1 \
    pandas==2.3.3 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from MLstatkit import Delong_test
from scipy.stats import norm

random = np.random.default_rng(0)
ill = (random.random(200) < 0.4).astype(int)
risk = 1 / (1 + np.exp(-(random.normal(size=200) + ill)))
recalibrated = risk**2 / (risk**2 + (1 - risk) ** 2)  # twice the logit: the same order
z, p, _, _, first, second, told = Delong_test(ill, risk, recalibrated, random_state=0)
other = risk.copy()
places = np.argsort(risk)
pair = next(i for i in range(80, 199) if ill[places[i]] != ill[places[i + 1]])
other[places[[pair, pair + 1]]] = risk[places[[pair + 1, pair]]]
nearly = Delong_test(ill, risk, other)[1]
print(
    f"a model and its recalibrated copy, AUC {first:.3f} and {second:.3f}: z {z:.0f}, p {p:.0f}; z 0 by the normal "
    f"distribution: p {2 * norm.sf(0):.0f}; a model that ranks two patients otherwise: p {nearly:.2f}"
)
sys.exit(not (first == second and z == 0 and p == 0 and told["method"] == "bootstrap" and nearly > 0.1))
PYTHON
