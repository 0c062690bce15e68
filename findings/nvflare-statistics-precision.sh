#!/usr/bin/env bash
# nvflare 2.9.0, pandas 2.3.3, numpy 2.4.6.
# Behaviour: the federated statistics are rounded to four decimals by default (precision), and not at the end but each
# hospital's share as it is added: variances of a measure with a small unit are 0 before they are summed. The standard
# deviation of a diffusion coefficient in mm²/s is 0 over all hospitals, the mean has one digit, and a histogram, whose
# bins are recognised by their rounded borders, holds 1130 of 1000 patients where two bins have the same. The same
# patients in µm²/s are right. The reference calls it the number of precision digits.
# Expected: rounding of what is shown.
# Seen: "1000 patients at two hospitals: in mm²/s mean 0.0009, standard deviation 0.0, 1130 in the histogram; in µm²/s
# mean 886, standard deviation 291, 1000 in the histogram"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check nvflare==2.9.0 pandas==2.3.3 numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from nvflare.app_common.abstract.statistics_spec import BinRange, Histogram, HistogramType
from nvflare.app_common.app_constant import StatisticsConstants as Names
from nvflare.app_common.statistics.numeric_stats import get_global_stats
from nvflare.app_common.statistics.numpy_utils import get_std_histogram_buckets

random = np.random.default_rng(0)
hospitals = random.normal(900, 300, (2, 500)).clip(10, 2990)  # diffusion coefficients in µm²/s


def over_all(unit):
    """Return mean, standard deviation and patients in a histogram of 60 bins, as the controller asks for them."""

    def each(of):
        return {str(number): {"train": {"ADC": of(unit * values)}} for number, values in enumerate(hospitals)}

    first = {Names.STATS_COUNT: each(len), Names.STATS_SUM: each(np.sum), Names.STATS_MEAN: each(np.mean)}
    found = get_global_stats({}, first, Names.STATS_1st_STATISTICS, {})
    mean, count = (found[name]["train"]["ADC"] for name in (Names.STATS_MEAN, Names.STATS_COUNT))
    variance = each(lambda of: float(((of - mean) ** 2).sum() / (count - 1)))
    bins = each(
        lambda of: Histogram(HistogramType.STANDARD, get_std_histogram_buckets(of, 60, BinRange(0, 3000 * unit)))
    )
    second = {Names.STATS_VAR: variance, Names.STATS_STDDEV: variance, Names.STATS_HISTOGRAM: bins}
    found = get_global_stats(found, second, Names.STATS_2nd_STATISTICS, {})
    histogram = found[Names.STATS_HISTOGRAM]["train"]["ADC"]
    return mean, found[Names.STATS_STDDEV]["train"]["ADC"], sum(each.sample_count for each in histogram.bins)


small, large = over_all(1e-6), over_all(1)
print(
    f"1000 patients at two hospitals: in mm²/s mean {small[0]}, standard deviation {small[1]}, {small[2]} in the "
    f"histogram; in µm²/s mean {large[0]:.0f}, standard deviation {large[1]:.0f}, {large[2]} in the histogram"
)
right = abs(large[1] - hospitals.std()) < 2 and large[2] == 1000
sys.exit(not (right and small[1] == 0 and small[2] != 1000))
PYTHON
