#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, numpy 2.4.6.
# Behaviour: domain_shift of EmbeddingCollapseMetric, "cross-domain", for the embeddings of two hospitals, is a centred
# kernel alignment, which compares two representations of the same patients row by row. Of two hospitals the rows are
# different patients: the score is near 0 for a hospital like this one and for one far away alike, and for the same
# patients in another order. The same patients in the same order have 1, the most severe collapse there is, which is
# then the aggregate, too.
# Expected: a measure of how two groups of patients differ, which does not depend on their order: the squared distance
# of the means tells them apart.
# Seen: "domain shift of a hospital and itself 1.00 (means 0.00 apart), itself in another order 0.03 (means 0.00 apart),
# a hospital like it 0.04 (means 0.01 apart), one far away 0.04 (means 295.74 apart); aggregate 1.00 and 0.19 for the
# first two"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.metrics import EmbeddingCollapseMetric

generator = torch.Generator().manual_seed(0)
mixing = torch.randn(32, 32, generator=generator)
here = torch.randn(500, 32, generator=generator) @ mixing  # (patients, features)
order = torch.randperm(500, generator=generator)
alike = torch.randn(500, 32, generator=generator) @ mixing
others = {
    "itself": here,
    "itself in another order": here[order],
    "a hospital like it": alike,
    "one far away": 3 * alike + 100,
}
shift, total, distance = {}, {}, {}
for name, there in others.items():
    scores = EmbeddingCollapseMetric()(here, target_embeddings=there)
    shift[name], total[name] = float(scores["domain_shift"]), float(scores["aggregate"])
    distance[name] = float((here.mean(0) - there.mean(0)).square().sum() / here.var(0).sum())
print(
    "domain shift of a hospital and "
    + ", ".join(f"{name} {value:.2f} (means {distance[name]:.2f} apart)" for name, value in shift.items())
    + "; aggregate {:.2f} and {:.2f} for the first two".format(*list(total.values())[:2])
)
near = [shift[name] for name in list(others)[1:]]
sys.exit(not (shift["itself"] > 0.99 and max(near) < 0.1 and total["itself"] > 0.99 and distance["one far away"] > 100))
PYTHON
