#!/usr/bin/env bash
# hrv-analysis 1.0.6, nolds 0.6.2, numpy 1.26.4, scipy 1.17.1, pandas 3.0.6, astropy 7.2.3, matplotlib 3.11.2. Installed
# without its own list of dependencies, whose nolds needs Python 3.12.
# Behaviour: by the rules of Malik and Kamath, the default of get_nn_intervals, an interval is compared with the one
# before it, and the one after an outlier is taken without a look. A premature beat is followed by a long pause: the
# pause stays, and the first normal interval after it is removed in its place, since it is much shorter than the pause.
# Interpolation then makes a slow wave of each premature beat, in a heart that is otherwise perfectly steady.
# Expected: the short interval and the pause are removed, as by the rules of Karlsson and Acar of the same function:
# without them this heart does not vary.
# Seen: "malik 800, nan, 1100, nan, 800: SDNN 76.6 ms, RMSSD 67.2 ms; kamath 800, nan, 1100, nan, 800: SDNN 76.6 ms,
# RMSSD 67.2 ms; karlsson nan, nan, nan, 800, 800: SDNN 0.0 ms, RMSSD 0.0 ms; acar 800, nan, nan, 800, 800: SDNN 0.0 ms,
# RMSSD 0.0 ms; get_nn_intervals: SDNN 76.6 ms"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check numpy==1.26.4 scipy==1.17.1 pandas==3.0.6 \
    astropy==7.2.3 matplotlib==3.11.2 future==1.0.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps hrv-analysis==1.0.6 nolds==0.6.2
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

from hrvanalysis import get_nn_intervals, get_time_domain_features, interpolate_nan_values, remove_ectopic_beats

intervals = [800] * 400  # ms: a steady 75 beats a minute
for early in range(10, 400, 20):
    intervals[early : early + 2] = [500, 1100]  # a premature beat and its pause


def spread(cleaned):
    found = get_time_domain_features(cleaned)
    return f"SDNN {found['sdnn']:.1f} ms, RMSSD {found['rmssd']:.1f} ms"


said = []
for rule in ("malik", "kamath", "karlsson", "acar"):
    cleaned = remove_ectopic_beats(intervals, method=rule, verbose=False)
    said.append(f"{rule} {', '.join(map(str, cleaned[9:14]))}: {spread(interpolate_nan_values(list(cleaned)))}")
usual = get_nn_intervals(intervals, verbose=False)
line = "; ".join(said) + f"; get_nn_intervals: {spread(usual).split(',')[0]}"
print(line)
expected = (
    "malik 800, nan, 1100, nan, 800: SDNN 76.6 ms, RMSSD 67.2 ms; kamath 800, nan, 1100, nan, 800: SDNN 76.6 ms, RMSSD "
    "67.2 ms; karlsson nan, nan, nan, 800, 800: SDNN 0.0 ms, RMSSD 0.0 ms; acar 800, nan, nan, 800, 800: SDNN 0.0 ms, "
    "RMSSD 0.0 ms; get_nn_intervals: SDNN 76.6 ms"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
