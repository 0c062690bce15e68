#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0.
# Behaviour: partition_dataset by ratios rounds each part down and gives what is left to none: three equal parts of 100
# patients are 33, 33 and 33, and the last patient of the list is in no part. Nothing is said, and with drop_last=False,
# the default, which is about equal numbers only, the same. With 8, 1 and 1 of 11 nobody is lost, so that a test with
# round numbers does not show it.
# Expected: every patient is in one part.
# Seen: "100 by 1:1:1: 33, 33, 33, lost [99]; 10 by 1:1:1: 3, 3, 3, lost [9]; 11 by 8:1:1: 9, 1, 1, lost none"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

from monai.data import partition_dataset


def parts(count, ratios):
    made = partition_dataset(list(range(count)), ratios=ratios, drop_last=False)
    return [len(part) for part in made], sorted(set(range(count)) - set(sum(made, [])))


said = []
for count, ratios in ((100, [1, 1, 1]), (10, [1, 1, 1]), (11, [8, 1, 1])):
    sizes, lost = parts(count, ratios)
    said.append(f"{count} by {':'.join(map(str, ratios))}: {', '.join(map(str, sizes))}, lost {lost or 'none'}")
print("; ".join(said))
sys.exit(parts(100, [1, 1, 1]) != ([33, 33, 33], [99]) or parts(10, [1, 1, 1])[1] != [9] or parts(11, [8, 1, 1])[1] != [])
PYTHON
