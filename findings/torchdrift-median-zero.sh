#!/usr/bin/env bash
# torchdrift 0.1.0.post1, torch 2.13.0, tqdm 4.67.1, numpy 2.4.6.
# Behaviour: the kernels of KernelMMDDriftDetector are as wide as the median distance of all pairs of patients. Where
# more than half of the pairs are alike it is 0, the kernel NaN, and the p-value, the share of permutations above NaN,
# 0: the surest drift there is. Nothing is said. The score is NaN.
# Expected: large p-values for samples of one distribution, or a refusal.
# Seen: "p-values of ten samples of the same distribution of three findings, each in a tenth of the patients: 0.00 at
# most; each in a third of them: 0.04 at least"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 tqdm==4.67.1 numpy==2.4.6
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps torchdrift==0.1.0.post1
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from torchdrift.detectors import KernelMMDDriftDetector

torch.manual_seed(0)
torch.set_num_threads(1)


def p_values(share):
    """Return the p-values of ten samples of the distribution of the reference."""
    found = []
    for _ in range(10):
        reference, new = ((torch.rand(200, 3) < share).float() for _ in range(2))  # (patients, findings)
        detector = KernelMMDDriftDetector(return_p_value=True, n_perm=200)
        detector.fit(reference)
        found.append(float(detector(new)))
    return found


rare, frequent = p_values(0.1), p_values(0.33)
print(
    f"p-values of ten samples of the same distribution of three findings, each in a tenth of the patients: "
    f"{max(rare):.2f} at most; each in a third of them: {min(frequent):.2f} at least"
)
sys.exit(not (max(rare) == 0 and min(frequent) > 0.005))
PYTHON
