#!/usr/bin/env bash
# ultrasound-metrics 0.1.0, jax 0.6.2, scipy 1.17.1, numpy 2.4.6.
# Behaviour: compute_fwhm fits a Gaussian whose first width runs along columns, and takes it for that along rows: axial
# and lateral resolution are exchanged. The first guess comes from the right axes and bounds the fit at twice its value,
# so that of a target that is three times as wide as deep neither figure is one of the two.
# Expected: the widths of the Gaussian that the image is, 9.4 pixels in depth and 14.1 across, in this order.
# Seen: "width in depth and across of a target of 9.4 and 14.1: 14.3 and 9.7; of 14.1 and 9.4: 9.7 and 14.3; of 7 and
# 21: 6.4 and 13.2"
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
import contextlib
import io
import sys

import numpy as np
from ultrasound_metrics.metrics.fwhm import compute_fwhm

WIDTH = 2 * np.sqrt(2 * np.log(2))
depth, lateral = np.mgrid[:101, :101] - 50


def widths(axial, across):
    """Return the true and the measured widths at half maximum in pixels, in depth and across."""
    target = np.exp(-((depth * WIDTH / axial) ** 2) / 2 - (lateral * WIDTH / across) ** 2 / 2)
    with contextlib.redirect_stdout(io.StringIO()):
        _, found_axial, _, found_across = compute_fwhm(target[:, None])  # (depth, 1, lateral)
    return f"{axial} and {across}: {found_axial:.1f} and {found_across:.1f}"


line = f"width in depth and across of a target of {widths(9.4, 14.1)}; of {widths(14.1, 9.4)}; of {widths(7, 21)}"
print(line)
expected = (
    "width in depth and across of a target of 9.4 and 14.1: 14.3 and 9.7; of 14.1 and 9.4: 9.7 and 14.3; of 7 and"
    " 21: 6.4 and 13.2"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
