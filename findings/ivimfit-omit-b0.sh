#!/usr/bin/env bash
# ivimfit 0.1.7.2, scipy 1.17.1, numpy 2.4.6.
# Behaviour: `omit_b0` leaves the image without weighting out of a fit and then divides all others by the first of those
# left, while the model goes on being 1 at b = 0. Signals without noise, which the models describe exactly, give other
# parameters: an apparent diffusion coefficient of 1.00 um2/ms is 0.63, and a perfusion fraction of 20 % is 3 %.
# Expected: the parameters that the signals were made from, as without the option: they are divided by S(0) before it is
# left out, as fit_triexp_free of the same package does, or S(0) is fitted, too.
# Seen: "coefficient of tissue in um2/ms (1.00), and perfusion fraction and both coefficients of another (20 %, 1.00 and
# 20): 1.00; 20 %, 1.00 and 20; with omit_b0 0.63; 3 %, 1.04 and 5"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps ivimfit==0.1.7.2 scipy==1.17.1 numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
from ivimfit.adc import fit_adc
from ivimfit.biexp import fit_biexp_free

few, many = np.array([0.0, 200, 500, 800]), np.array([0.0, 50, 100, 150, 200, 300, 400, 600, 800])  # s/mm2
tissue = 900 * np.exp(-few * 1e-3)
perfused = 900 * (0.2 * np.exp(-many * 0.02) + 0.8 * np.exp(-many * 1e-3))


def figures(omit_b0):
    """Return the diffusion coefficient of tissue, and the fraction and both coefficients of perfused tissue."""
    adc = fit_adc(few, tissue, omit_b0=omit_b0) * 1e3
    fraction, slow, fast = fit_biexp_free(many, perfused, omit_b0=omit_b0)
    return f"{adc:.2f}; {100 * fraction:.0f} %, {slow * 1e3:.2f} and {fast * 1e3:.0f}"


line = (
    "coefficient of tissue in um2/ms (1.00), and perfusion fraction and both coefficients of another (20 %, 1.00 and "
    f"20): {figures(False)}; with omit_b0 {figures(True)}"
)
print(line)
expected = (
    "coefficient of tissue in um2/ms (1.00), and perfusion fraction and both coefficients of another (20 %, 1.00 "
    "and 20): 1.00; 20 %, 1.00 and 20; with omit_b0 0.63; 3 %, 1.04 and 5"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
