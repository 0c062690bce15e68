#!/usr/bin/env bash
# anonypy 0.2.1, pandas 2.3.3, matplotlib 3.11.2, numpy 2.0.2.
# Behaviour: the test of t-closeness keeps the threshold in a variable that its loop over the diagnoses overwrites by
# the share of each in the group. The largest difference is then compared with the share of the last diagnosis: a group
# of nothing but ill people passes, whatever closeness was asked for. k-anonymity and l-diversity hold.
# Expected: no group whose distribution differs from the whole by more than t (Li et al., ICDE 2007).
# Seen: "t-closeness 0.1 of 100 patients, half of them ill: share of the ill in the groups 1.0, 0.0; largest difference
# to the whole 0.5; groups by anonypyx, its fork: 1, difference 0.0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check anonypy==0.2.1 anonypyx==0.2.11 scikit-learn==1.9.1 \
    scipy==1.15.3 pandas==2.3.3 matplotlib==3.11.2 numpy==2.0.2
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import matplotlib
import pandas as pd

matplotlib.use("agg")
from anonypy import Preserver
from anonypyx import Anonymiser

patients = pd.DataFrame(
    {
        "age": [30] * 50 + [60] * 50,
        "sex": pd.Categorical(["f", "m"] * 50),
        "ill": pd.Categorical(["yes"] * 50 + ["no"] * 50),
    }
)
seen = pd.DataFrame(Preserver(patients, ["age"], "ill").anonymize_t_closeness(k=3, p=0.1))
groups = seen.assign(age=[age[0] for age in seen["age"]]).pivot_table(
    index="age", columns="ill", values="count", fill_value=0, observed=False
)
shares = [float(share) for share in groups["yes"] / groups.sum(axis=1)]
fork = Anonymiser(patients, k=3, t=0.1, sensitive_column="ill", feature_columns=["age"])
parts = fork.algorithm.partition(fork.parameters)
other = [float((patients.loc[part, "ill"] == "yes").mean()) for part in parts]
print(
    f"t-closeness 0.1 of 100 patients, half of them ill: share of the ill in the groups {', '.join(map(str, shares))}; "
    f"largest difference to the whole {max(abs(share - 0.5) for share in shares)}; groups by anonypyx, its fork: "
    f"{len(other)}, difference {max(abs(share - 0.5) for share in other)}"
)
sys.exit(not (sorted(shares) == [0, 1] and other == [0.5]))
PYTHON
