#!/usr/bin/env bash
# diffpriv-pure 0.1.0.
# Behaviour: the geometric noise of a count is one-sided: 0 or more, never less. A count that is published is never
# below the true one, so that a count of 5 says for sure that there are not 6 patients, at any epsilon.
# Expected: two-sided noise, as often below as above (Ghosh et al., STOC 2009); "pure epsilon-DP" is what is said of it.
# Seen: "a count of 5 at epsilon 1, published 100000 times: 5 in 63%, below 5 in 0, mean 5.58; a count of 6 published as
# 5 or less in 0: its epsilon is infinite"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check diffpriv-pure==0.1.0
"$place/env/bin/python" -W ignore - <<'PYTHON'
import random
import sys

from diffpriv_pure import private_count

random.seed(0)
five, six = ([private_count(count, 1.0) for _ in range(100000)] for count in (5, 6))
below, same = sum(seen < 5 for seen in five), five.count(5) / len(five)
other = sum(seen <= 5 for seen in six)
print(
    f"a count of 5 at epsilon 1, published 100000 times: 5 in {same:.0%}, below 5 in {below}, mean "
    f"{sum(five) / len(five):.2f}; a count of 6 published as 5 or less in {other}: its epsilon is infinite"
)
sys.exit(not (below == other == 0 and same > 0.6))
PYTHON
