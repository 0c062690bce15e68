#!/usr/bin/env bash
# ultrasound-metrics 0.1.0, jax 0.6.2, scipy 1.17.1, numpy 2.4.6.
# Behaviour: compute_sll divides the logarithm of the side lobe by the main lobe's value, where the logarithm of their
# ratio is meant: a bracket is in the wrong place. It is right where the main lobe is exactly 1. Of the same image in a
# larger unit the side lobes are -0.3 dB, or above the main lobe; in a smaller one they are -234 dB.
# Expected: -13.3 dB in every unit, those of a rectangular aperture (10 log10 of the ratio, as the documentation says).
# Seen: "side lobes in dB of a point target (-13.26) whose brightest pixel is 0.1: -233.97; 1: -13.40; 10: -0.34; 1000:
# 0.02"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps ultrasound-metrics==0.1.0 \
    array-api-compat==1.16.0 array-api-extra==0.11.5 beartype==0.23.1 cycler==0.12.1 equinox==0.13.0 fonttools==4.68.0 \
    jax==0.6.2 jaxlib==0.6.2 jaxtyping==0.3.2 kiwisolver==1.5.1 matplotlib==3.11.2 ml_dtypes==0.6.0 numpy==2.4.6 \
    opt_einsum==3.4.0 packaging==26.4 pillow==13.0.0 pyparsing==3.3.3 python-dateutil==4.0.0 scipy==1.17.1 \
    typing_extensions==4.16.0 wadler_lindig==0.1.8
cd "$place"
MPLBACKEND=agg "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from ultrasound_metrics.metrics.sll import compute_sll

depth, lateral = np.mgrid[:101, :101] - 50
power = np.sinc(depth / 8) ** 2 * np.sinc(lateral / 8) ** 2 + 1e-12  # of a point target
truth = 10 * np.log10(np.max(np.sinc(np.linspace(1, 2, 10001)) ** 2))
found = [f"{brightest:g}: {compute_sll((brightest * power)[:, None])[1]:.2f}" for brightest in (0.1, 1, 10, 1000)]
line = f"side lobes in dB of a point target ({truth:.2f}) whose brightest pixel is {'; '.join(found)}"
print(line)
expected = (
    "side lobes in dB of a point target (-13.26) whose brightest pixel is 0.1: -233.97; 1: -13.40; 10: -0.34; "
    "1000: 0.02"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
