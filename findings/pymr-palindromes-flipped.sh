#!/usr/bin/env bash
# pymr-genetics 0.1.0, pandas 2.3.3, scipy 1.17.1, numpy 2.4.6.
# Behaviour: harmonize, which brings the effects of two studies on one allele, turns the effect of a variant with the
# alleles A and T, or C and G, round where both studies have the same effect allele: on the other strand the alleles are
# the same letters, exchanged, and the variant is taken for one that is both on the other strand and exchanged. Those
# that are rare enough to be kept have the wrong sign, and an effect that 30 variants agree about is less than half of
# itself.
# Expected: Nothing to turn where effect alleles, other alleles and their frequencies are the same in both studies.
# Seen: "30 variants, the same alleles in both studies: 8 are turned round; the effect is 0.23, without that 0.50"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pymr-genetics==0.1.0 pandas==2.3.3 scipy==1.17.1 \
    numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import pandas as pd
from pymr.harmonize import harmonize
from pymr.methods import ivw

EFFECT = 0.5
alleles = [("A", "G")] * 22 + [("A", "T"), ("C", "G")] * 4  # 30 variants, eight of them palindromes
exposure = pd.DataFrame(
    {
        "SNP": [f"rs{number}" for number in range(30)],
        "effect_allele": [effect for effect, _ in alleles],
        "other_allele": [other for _, other in alleles],
        "eaf": 0.2,
        "beta": 0.1,
        "se": 0.01,
    }
)
both = harmonize(exposure, exposure.assign(beta=EFFECT * 0.1))
turned = int((both["beta_out"] < 0).sum())
columns = [both[name].to_numpy() for name in ("beta_exp", "se_exp", "beta_out", "se_out")]
seen = ivw(*columns)["beta"]
right = ivw(columns[0], columns[1], EFFECT * columns[0], columns[3])["beta"]
print(
    f"30 variants, the same alleles in both studies: {turned} are turned round; the effect is {seen:.2f}, without that "
    f"{right:.2f}"
)
sys.exit(not (turned == 8 and abs(right - EFFECT) < 1e-9 and abs(seen - EFFECT * (22 - 8) / 30) < 1e-9))
PYTHON
