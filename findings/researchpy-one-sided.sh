#!/usr/bin/env bash
# researchpy 0.3.7, scipy 1.17.1, statsmodels 0.15.0, patsy 1.0.3, pandas 2.3.3, numpy 2.4.6.
# Behaviour: the two one-sided p-values of the paired t-test of ttest are exchanged where the difference is above 0. A
# drug that lowers the pressure in everybody has a difference, before less after, that is below 0 with p = 0 and above 0
# with p = 1. Where the difference is below 0 they are right: the p-value of "below 0" is small in either direction. The
# unpaired test and difference_test are right.
# Expected: the p-values of difference_test, and of scipy.
# Seen: "before less after 4.10 mmHg, p of a difference below 0 and above 0: 0.0 and 1.0 by ttest, 1.0 and 0.0 by
# difference_test and by scipy; after less before -4.10 mmHg: 0.0 and 1.0 by all three"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check researchpy==0.3.7 scipy==1.17.1 statsmodels==0.15.0 \
    patsy==1.0.3 pandas==2.3.3 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import pandas as pd
from researchpy import difference_test, ttest
from scipy.stats import ttest_rel

random = np.random.default_rng(0)
before = random.normal(140, 15, 40)  # mmHg
after = before - 5 + random.normal(0, 3, 40)


def one_sided(first, second):
    """Return the p-values of a difference below and above 0: of ttest, difference_test and scipy."""
    pair = ttest(pd.Series(first), pd.Series(second), "first", "second", paired=True)[1]
    pair = pair.set_index("Paired samples t-test")
    rows = pd.DataFrame({"mmhg": np.r_[first, second], "reading": ["1st"] * 40 + ["2nd"] * 40})
    formula = difference_test("mmhg ~ C(reading)", rows, independent_samples=False).conduct()[1]
    formula = formula.set_index("Paired samples t-test")
    return (
        [float(pair.loc[f"Difference {sign} 0 p value = ", "results"]) for sign in "<>"],
        [float(formula.loc[f"Difference {sign} 0 p-value =", "Results"]) for sign in "<>"],
        [round(float(ttest_rel(first, second, alternative=side).pvalue), 4) for side in ("less", "greater")],
    )


down, up = one_sided(before, after), one_sided(after, before)
words = "{0[0]:.1f} and {0[1]:.1f}".format
same = down[1] == down[2] and up[0] == up[1] == up[2]
print(
    f"before less after {np.mean(before - after):.2f} mmHg, p of a difference below 0 and above 0: {words(down[0])} by "
    f"ttest, {words(down[1])} by difference_test and by scipy; after less before {np.mean(after - before):.2f} mmHg: "
    f"{words(up[0])} by all three"
)
sys.exit(not (same and down[0] == down[1][::-1] and down[0][0] < 0.001))
PYTHON
