#!/usr/bin/env bash
# torchsurv 0.2.0, torch 2.13.0, scipy 1.17.1, pandas 2.3.3, numpy 2.4.6.
# Behaviour: the two-sided p-value of a Brier score, parametric, decides by whether the score is below 0.5 which tail to
# take, not by whether it is below null_value. A model that is far worse than the null value (0.25 is what a guess has)
# has a p-value of 1 where the one-sided test says 8e-7: by the two-sided test nothing speaks against the null
# hypothesis. Scores above 0.5, where it would be right, are rare. The documentation says "Brier score is not equal to
# bs0".
# Expected: twice the smaller one of the two one-sided p-values.
# Seen: "Brier score 0.301, null 0.25: greater 8e-07, less 1, two-sided 1; null 0.40: greater 1, less 0e+00, two-sided
# 0e+00"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$place/env/bin/pip" install --quiet --disable-pip-version-check torchsurv==0.2.0 torch==2.13.0 scipy==1.17.1 \
    pandas==2.3.3 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from torchsurv.metrics.brier_score import BrierScore

torch.manual_seed(0)
years, died = 10 * torch.rand(500, dtype=torch.double), torch.ones(500, dtype=torch.bool)
alive = 0.1 + 0.8 * torch.rand(500, dtype=torch.double)  # at random: worse than 0.5 for everybody
score = BrierScore()
value = score(alive[:, None], died, years, new_time=torch.tensor([5.0], dtype=torch.double)).item()


def p_values(null_value):
    return [
        score.p_value(method="parametric", alternative=side, null_value=null_value).item()
        for side in ("greater", "less", "two_sided")
    ]


worse, better = p_values(0.25), p_values(0.4)
print(
    f"Brier score {value:.3f}, null 0.25: greater {worse[0]:.0e}, less {worse[1]:.2g}, two-sided {worse[2]:.2g}; null "
    f"0.40: greater {better[0]:.2g}, less {better[1]:.0e}, two-sided {better[2]:.0e}"
)
sys.exit(not (0.25 < value < 0.4 and worse[0] < 1e-3 and worse[2] == 1 and better[2] < 1e-3))
PYTHON
