#!/usr/bin/env bash
# pure-ldp 1.2.0, xxhash 3.5.0, bitarray 3.0.0, bitstring 4.3.1, statsmodels 0.14.4, pandas 2.2.3, scikit-learn 1.5.2,
# scipy 1.13.1, numpy 1.26.4.
# Behaviour: convert_eps_to_f turns an epsilon into RAPPOR's share of noise f as if each value set one bit, also for a
# server with several hash functions: its own `epsilon` is then as many times what was asked for. f is rounded to two
# digits: at epsilon 12 it is 0.0, which is no noise at all.
# Expected: an f whose epsilon is what was asked for, as by convert_f_to_eps, its inverse.
# Seen: "epsilon 2 asked for; spent with 1, 2, 4 hash functions 1.99, 3.98, 7.96; f at epsilon 12 0.0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pure-ldp==1.2.0 xxhash==3.5.0 bitarray==3.0.0 \
    bitstring==4.3.1 statsmodels==0.14.4 pandas==2.2.3 scikit-learn==1.5.2 scipy==1.13.1 numpy==1.26.4
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

from pure_ldp.frequency_oracles.rappor import RAPPORServer

spent = {}
for hashes in (1, 2, 4):
    server = RAPPORServer(0.5, 64, hashes, 8)
    asked = server.convert_eps_to_f(2)
    spent[hashes] = RAPPORServer(asked, 64, hashes, 8).epsilon
    assert abs(spent[hashes] - server.convert_f_to_eps(asked, hashes)) < 1e-9
none = server.convert_eps_to_f(12)
print(
    f"epsilon 2 asked for; spent with {', '.join(map(str, spent))} hash functions "
    f"{', '.join(f'{epsilon:.2f}' for epsilon in spent.values())}; f at epsilon 12 {none}"
)
sys.exit(not (spent[1] < 2.1 and spent[4] > 7.5 and none == 0))
PYTHON
