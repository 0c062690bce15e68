#!/usr/bin/env bash
# tenseal 0.3.18.
# Behaviour: a CKKS vector with the modulus and scale that NVIDIA FLARE's provisioning writes by default (degree 8192,
# 60 + 40 + 40 bits, scale 2^40) holds a thousand million when it is encrypted, but after one product, by which a mean is
# weighted, no more than 2^19. One larger number in the vector destroys all of them: a weight of 0.5 beside it decrypts to
# hundreds of thousands. Nothing is raised or logged on either side, and the values look like numbers.
# Expected: an error at the product or the decryption, as for a product too many ("scale out of bounds").
# Seen: "encrypted and decrypted: 1e9 becomes 1e+09; times 5000: 0.5 and 100 become 2500 and 500000, 0.5 and 1000 become 871169
# and -62969; two products: scale out of bounds"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check tenseal==0.3.18
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import tenseal

keys = tenseal.context(tenseal.SCHEME_TYPE.CKKS, poly_modulus_degree=8192, coeff_mod_bit_sizes=[60, 40, 40])
keys.global_scale = 2**40


def weighted(*numbers):
    return (tenseal.ckks_vector(keys, list(numbers)) * 5000.0).decrypt()


plain = tenseal.ckks_vector(keys, [1e9]).decrypt()[0]
small, large = weighted(0.5, 100), weighted(0.5, 1000)
try:
    tenseal.ckks_vector(keys, [0.5]) * 1.0 * 1.0
    twice = "no error"
except ValueError as error:
    twice = str(error)
print(
    f"encrypted and decrypted: 1e9 becomes {plain:.2g}; times 5000: 0.5 and 100 become {small[0]:.0f} and {small[1]:.0f}, "
    f"0.5 and 1000 become {large[0]:.0f} and {large[1]:.0f}; two products: {twice}"
)
right = abs(plain / 1e9 - 1) < 1e-3 and abs(small[0] / 2500 - 1) < 1e-3 and abs(small[1] / 500000 - 1) < 1e-3
sys.exit(not (right and abs(large[0] - 2500) > 10000 and abs(large[1]) < 2**20 and twice != "no error"))
PYTHON
