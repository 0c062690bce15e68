#!/usr/bin/env bash
# nonconformist 2.1.0, scikit-learn 1.9.1, scipy 1.15.3, numpy 2.0.2.
# Behaviour: SignErrorErrFunc, whose intervals are to be as lopsided as the errors, says that a score is y - prediction
# and computes prediction - y. Its interval is the mirror image of the right one: it reaches far to where no patient is.
# Without a significance it takes the lower half for both sides, so that the same call gives another upper end.
# Expected: half of the missed patients on each side, and 98 % within (Linusson et al., PAKDD 2014).
# Seen: "98 % asked for: signed errors cover 0.869, 0.000 lie below and 0.131 above; absolute errors cover 0.983;
# without a significance the upper end is 7.0 days later"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check nonconformist==2.1.0 scikit-learn==1.9.1 scipy==1.15.3 \
    numpy==2.0.2
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from nonconformist.icp import IcpRegressor
from nonconformist.nc import AbsErrorErrFunc, NcFactory, SignErrorErrFunc
from sklearn.linear_model import LinearRegression

random = np.random.default_rng(0)
age = random.normal(size=(9000, 1))  # in standard deviations
stay = 2 * age[:, 0] + random.exponential(3, 9000)  # days in hospital: most are short, some are long
fit, calibrate, test = slice(0, 3000), slice(3000, 6000), slice(6000, 9000)


def intervals(scores, **options):
    """Return the prediction intervals (patients, 2)."""
    predictor = IcpRegressor(NcFactory.create_nc(LinearRegression(), scores))
    predictor.fit(age[fit], stay[fit])
    predictor.calibrate(age[calibrate], stay[calibrate])
    return predictor.predict(age[test], **options)


def missed(ends):
    return float((stay[test] < ends[:, 0]).mean()), float((stay[test] > ends[:, 1]).mean())


signed, absolute = (missed(intervals(scores, significance=0.02)) for scores in (SignErrorErrFunc(), AbsErrorErrFunc()))
table = intervals(SignErrorErrFunc())[:, :, 1]  # all significances; the second is 0.02
longer = float((table[:, 1] - intervals(SignErrorErrFunc(), significance=0.02)[:, 1]).mean())
print(
    f"98 % asked for: signed errors cover {1 - sum(signed):.3f}, {signed[0]:.3f} lie below and {signed[1]:.3f} above; "
    f"absolute errors cover {1 - sum(absolute):.3f}; without a significance the upper end is {longer:.1f} days later"
)
sys.exit(not (sum(signed) > 0.1 and signed[0] == 0 and abs(sum(absolute) - 0.02) < 0.01 and longer > 5))
PYTHON
