#!/usr/bin/env bash
# jax-privacy 2.0.0, jax 0.10.2, optax 0.2.8, scipy 1.17.1, numpy 2.2.6.
# Behaviour: The norm by which a gradient is clipped is computed in the gradient's own precision. In float16 the square
# of 0.0001 is 0: a gradient of four million such values, of norm 0.2, has the norm 0.0 and is not clipped at all, while
# the function says that its sensitivity is the clipping norm of 0.05. In bfloat16 the clipped norm is 0.7 % too large.
# With dtype=float32, which the documentation offers against overflow, both are right.
# Expected: "Formal guarantees: the output will have norm at most clip_norm", with the dtypes of the input
# (clip_pytree).
# Seen: "a gradient of norm 0.2 clipped to 0.05: 0.20 in float16, 0.05 in float32, 0.05 cast to it; one of norm 30 in
# bfloat16 clipped to 1: 1.007; a noise multiplier of 1 spends 24.4 in float16 instead of 4.4"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check jax-privacy==2.0.0 jax==0.10.2 jaxlib==0.10.2 \
    optax==0.2.8 scipy==1.17.1 numpy==2.2.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import jax.numpy as jnp
import numpy as np
from jax_privacy import clipping
from scipy.optimize import brentq
from scipy.stats import norm

LIMIT = 0.05


def released(kind, value, size, limit, **options):
    """Return the norm of one patient's clipped gradient, and the sensitivity that is stated."""
    weights, patients = jnp.zeros(size, kind), jnp.full((1, size), value, kind)
    clipped = clipping.clipped_grad(
        lambda weights, patient: jnp.sum(weights * patient), l2_clip_norm=limit, batch_argnums=1, **options
    )
    gradient = np.asarray(clipped(weights, patients), dtype=np.float64)
    return float(np.linalg.norm(gradient)), clipped.sensitivity()


def spent(ratio, delta=1e-5):
    """Return the epsilon of a Gaussian whose sensitivity is this many of its deviations (Balle and Wang 2018)."""

    def excess(epsilon):
        near, far = norm.cdf(ratio / 2 - epsilon / ratio), norm.cdf(-ratio / 2 - epsilon / ratio)
        return near - np.exp(epsilon) * far - delta

    return brentq(excess, 1e-6, 200)


half, stated = released(jnp.float16, 1e-4, 4_000_000, LIMIT)
single, _ = released(jnp.float32, 1e-4, 4_000_000, LIMIT)
cast, _ = released(jnp.float16, 1e-4, 4_000_000, LIMIT, dtype=jnp.float32)
brain, one = released(jnp.bfloat16, 3e-2, 1_000_000, 1.0)
print(
    f"a gradient of norm 0.2 clipped to {stated}: {half:.2f} in float16, {single:.2f} in float32, {cast:.2f} cast to "
    f"it; one of norm 30 in bfloat16 clipped to {one:.0f}: {brain:.3f}; a noise multiplier of 1 spends "
    f"{spent(half / stated):.1f} in float16 instead of {spent(1.0):.1f}"
)
sys.exit(not (half > 3 * stated and abs(cast - stated) < 1e-3 and abs(single - stated) < 1e-3 and brain > 1.005))
PYTHON
