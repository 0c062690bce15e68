#!/usr/bin/env bash
# crowd-kit 1.4.2, scikit-learn 1.5.2, scipy 1.13.1, pandas 2.2.3, nltk 3.9.1, attrs 24.3.0, tqdm 4.67.1, numpy 1.26.4.
# Behaviour: the majority vote of outlines doubles the votes and subtracts the number of readers, in the type of the
# masks. In masks of uint8 no vote less 3 is 253: the consensus is the whole image.
# Expected: the pixels that most readers outlined, as for masks of bool and int.
# Seen: "three readers outline 305 pixels of 1600 each; majority of masks of bool 305, of int64 305, of uint8 1600"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check scikit-learn==1.5.2 scipy==1.13.1 pandas==2.2.3 \
    nltk==3.9.1 attrs==24.3.0 tqdm==4.67.1 numpy==1.26.4
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps crowd-kit==1.4.2
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import pandas as pd
from crowdkit.aggregation import SegmentationMajorityVote

rows, columns = np.mgrid[:40, :40]
outlines = [(rows - 20) ** 2 + (columns - 20 - shift) ** 2 < 100 for shift in (-1, 0, 1)]
seen = {}
for kind in (np.bool_, np.int64, np.uint8):
    answers = pd.DataFrame(
        {
            "task": ["scan"] * 3,
            "worker": ["first", "second", "third"],
            "segmentation": [outline.astype(kind) for outline in outlines],
        }
    )
    consensus = SegmentationMajorityVote().fit_predict(answers).loc["scan"]
    seen[np.dtype(kind).name] = int(np.sum(consensus))
assert {int(outline.sum()) for outline in outlines} == {305}
print(
    f"three readers outline 305 pixels of 1600 each; majority of masks of "
    f"{', of '.join(f'{kind} {pixels}' for kind, pixels in seen.items())}"
)
sys.exit(not (seen["bool"] == seen["int64"] == 305 and seen["uint8"] == 1600))
PYTHON
