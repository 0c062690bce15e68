#!/usr/bin/env bash
# pipeline-dp 0.3.1, python-dp 1.1.5, dill 0.4.1, scipy 1.17.1, numpy 2.4.6.
# Behaviour: the private sum of vectors adds a patient's further vectors to his first one in place: it changes the data.
# The first sum is right. The next one of the same visits finds them changed, and so does everything else that reads
# them. Numbers and vectors given as lists are left alone.
# Expected: the same sum each time, but for the noise, which at this epsilon is below 5.
# Seen: "sum of 600 visits, each a vector of ones: 600, then 1000, 1400 and 1800; the first visit of the first patient
# is 9 for 1"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pipeline-dp==0.3.1 python-dp==1.1.5 dill==0.4.1 \
    scipy==1.17.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import pipeline_dp
from pipeline_dp.aggregate_params import NormKind

visits = [(patient, "ward", np.ones(2)) for patient in range(200) for _ in range(3)]


def private_sum():
    """Return the first element of the sum, with hardly any noise."""
    budget = pipeline_dp.NaiveBudgetAccountant(total_epsilon=1000, total_delta=1e-2)
    engine = pipeline_dp.DPEngine(budget, pipeline_dp.LocalBackend())
    params = pipeline_dp.AggregateParams(
        metrics=[pipeline_dp.Metrics.VECTOR_SUM],
        noise_kind=pipeline_dp.NoiseKind.LAPLACE,
        max_partitions_contributed=1,
        max_contributions_per_partition=3,
        vector_size=2,
        vector_max_norm=100,
        vector_norm_kind=NormKind.L1,
    )
    fields = pipeline_dp.DataExtractors(
        privacy_id_extractor=lambda visit: visit[0],
        partition_extractor=lambda visit: visit[1],
        value_extractor=lambda visit: visit[2],
    )
    result = engine.aggregate(visits, params, fields)
    budget.compute_budgets()
    return next(iter(result))[1].vector_sum[0]


sums = [private_sum() for _ in range(4)]
rounded = [f"{round(value / 10) * 10}" for value in sums]
print(
    f"sum of 600 visits, each a vector of ones: {rounded[0]}, then {rounded[1]}, {rounded[2]} and {rounded[3]}; the "
    f"first visit of the first patient is {visits[0][2][0]:.0f} for 1"
)
sys.exit(not (abs(sums[0] - 600) < 10 and sums[1] > 900 and sums[3] > 1700 and visits[0][2][0] > 8))
PYTHON
