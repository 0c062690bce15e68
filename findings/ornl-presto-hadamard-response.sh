#!/usr/bin/env bash
# ornl-presto 0.1.29, torch 2.13.0, opacus 1.6.0, gpytorch 1.15.2, bayesian-optimization 3.4.0, seaborn 0.13.2,
# matplotlib 3.11.2, scikit-learn 1.9.1, scipy 1.17.1, pandas 2.3.3, numpy 2.4.6.
# Behaviour: hadamard_response keeps a diagnosis with the probability of randomised response for two answers, and draws
# one of all, the true one among them, otherwise. With d diagnoses the true one is d exp(epsilon) + 1 times as likely as
# another one. It does not go through the Hadamard domain.
# Expected: at most exp(epsilon) times as likely, which is what an epsilon of local privacy says (Kairouz et al., JMLR
# 2016).
# Seen: "epsilon 1 asked for; epsilon of a million answers: 2 diagnoses 1.9, 10 diagnoses 3.3, 50 diagnoses 4.9"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 opacus==1.6.0 gpytorch==1.15.2 \
    bayesian-optimization==3.4.0 seaborn==0.13.2 matplotlib==3.11.2 scikit-learn==1.9.1 scipy==1.17.1 pandas==2.3.3 \
    numpy==2.4.6
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps ornl-presto==0.1.29
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import matplotlib
import numpy as np
import torch

matplotlib.use("agg")
from ornl_presto import hadamard_response

torch.manual_seed(0)
seen = {}
for diagnoses in (2, 10, 50):
    told = torch.zeros(1_000_000)
    told[0] = diagnoses - 1  # the number of diagnoses is taken from the largest
    answers = hadamard_response(told, 1.0)[1:]
    counts = np.bincount(answers.numpy(), minlength=diagnoses)
    seen[diagnoses] = float(np.log(counts[0] / counts[1:].mean()))
words = [f"{diagnoses} diagnoses {epsilon:.1f}" for diagnoses, epsilon in seen.items()]
print(f"epsilon 1 asked for; epsilon of a million answers: {', '.join(words)}")
sys.exit(not (seen[2] > 1.5 and seen[50] > 4))
PYTHON
