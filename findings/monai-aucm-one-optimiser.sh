#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, scikit-learn 1.9.1, numpy 2.4.6.
# Behaviour: AUCMLoss has three parameters of its own, and is to be made small by two of them and the network, and large
# by the third. The documentation says neither, and its example steps nothing: with the network's parameters in the
# optimiser, as for any other loss, every output goes to 0; with the loss' parameters beside them the loss falls without
# end and patients are ranked the wrong way round. MONAI has no optimiser for it.
# Expected: the example of the library that it is taken from, LibAUC, has an optimiser that goes up in alpha (Yuan et
# al., ICCV 2021, algorithm 1); so does the line with maximize=True here. Or a word that the loss is not for one
# optimiser.
# Seen: "after 500 steps cross-entropy: AUC 0.97, outputs vary by 2.5, loss 0.21; the network's parameters: AUC 0.73,
# outputs vary by 1.6e-12, loss 1.1e-24; the loss' parameters, too: AUC 0.03, outputs vary by 9.8, loss -37; alpha going
# up: AUC 0.97, outputs vary by 0.45, loss 0.04"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6 scikit-learn==1.9.1
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.losses import AUCMLoss
from sklearn.metrics import roc_auc_score

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)
features = torch.randn(2000, 10, generator=generator)
signal = features @ torch.randn(10, generator=generator) + torch.randn(2000, generator=generator)
ill = (signal > signal.quantile(0.8)).float()[:, None]
seen = {}
for way in ("cross-entropy", "the network's parameters", "the loss' parameters, too", "alpha going up"):
    torch.manual_seed(1)
    network = torch.nn.Linear(10, 1)
    loss = torch.nn.BCEWithLogitsLoss() if way == "cross-entropy" else AUCMLoss()
    down, up = list(network.parameters()), []
    if way == "the loss' parameters, too":
        down += list(loss.parameters())
    if way == "alpha going up":
        down, up = [*down, loss.a, loss.b], [torch.optim.SGD([loss.alpha], lr=0.1, maximize=True)]
    optimisers = [torch.optim.Adam(down, lr=0.01), *up]
    for _ in range(500):
        for optimiser in optimisers:
            optimiser.zero_grad()
        value = loss(network(features), ill)
        value.backward()
        for optimiser in optimisers:
            optimiser.step()
    outputs = network(features).detach()
    seen[way] = (float(roc_auc_score(ill[:, 0], outputs[:, 0])), float(outputs.std()), float(value.detach()))
print(
    "after 500 steps "
    + "; ".join(
        f"{way}: AUC {auc:.2f}, outputs vary by {spread:.2g}, loss {value:.2g}"
        for way, (auc, spread, value) in seen.items()
    )
)
right, alone, both, up_too = seen.values()
sys.exit(not (right[0] > 0.9 and up_too[0] > 0.9 and alone[1] < 1e-6 and both[0] < 0.2 and both[2] < -1))
PYTHON
