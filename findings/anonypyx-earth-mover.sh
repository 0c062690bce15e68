#!/usr/bin/env bash
# anonypyx 0.2.11, scikit-learn 1.9.1, scipy 1.15.3, pandas 2.3.3, numpy 2.0.2.
# Behaviour: the earth mover's distance of t-closeness is half the sum of differences over the diagnoses of a group;
# those that nobody in the group has are not in the sum, although they differ most. A column of plain strings, which
# pandas reads from a file, has no others; a column of categories counts them, with 0. A group in which all have HIV is
# then half as far from the whole as it is.
# Expected: the same groups for strings and categories, none further than t from the whole (Li et al., ICDE 2007).
# Seen: "t-closeness 0.3 by the earth mover's distance: as strings 2 groups, the furthest 0.50 from the whole; as
# categories 1 group, 0.00"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check anonypyx==0.2.11 scikit-learn==1.9.1 scipy==1.15.3 \
    pandas==2.3.3 numpy==2.0.2
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import pandas as pd
from anonypyx import Anonymiser

diagnosis = pd.Series(["HIV"] * 50 + ["healthy"] * 50)
ward = pd.Categorical(["A"] * 50 + ["B"] * 50)


def groups(column):
    """Return the number of groups and the largest total variation distance of one to the whole."""
    patients = pd.DataFrame({"ward": ward, "diagnosis": column})
    tool = Anonymiser(
        patients,
        k=3,
        t=0.3,
        sensitive_column="diagnosis",
        feature_columns=["ward"],
        closeness_metric="earth mover's distance",
    )
    parts = tool.algorithm.partition(tool.parameters)
    return len(parts), max(abs((diagnosis[part] == "HIV").mean() - 0.5) for part in parts)


strings, categories = groups(diagnosis), groups(diagnosis.astype("category"))
print(
    f"t-closeness 0.3 by the earth mover's distance: as strings {strings[0]} groups, the furthest {strings[1]:.2f} from the "
    f"whole; as categories {categories[0]} group, {categories[1]:.2f}"
)
sys.exit(not (strings[0] == 2 and strings[1] == 0.5 and categories == (1, 0)))
PYTHON
