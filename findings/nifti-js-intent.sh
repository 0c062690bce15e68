#!/usr/bin/env bash
# nifti-js 1.0.1 (npm), nibabel 5.3.2, scipy 1.15.3, numpy 2.2.6. Needs Node.js and npm.
# Behaviour: the second and third parameter of a NIfTI file's intent are read from the place of the first. A map of F
# with 3 and 120 degrees of freedom has 3 and 3: an F of 4.0, significant by p = 0.009, has p = 0.142 by what is read.
# Expected: 3 and 120, as nibabel reads them.
# Seen: "degrees of freedom of a map of F: 3 and 3, an F of 4.0 has p = 0.142; by nibabel 3 and 120, p = 0.009"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check nibabel==5.3.2 scipy==1.15.3 numpy==2.2.6
cd "$place"
npm install --silent --no-fund --no-audit nifti-js@1.0.1 > /dev/null
"$place/env/bin/python" -W ignore - <<'PYTHON'
import nibabel
import numpy as np

image = nibabel.Nifti1Image(np.full((4, 4, 4), 4.0, np.float32), np.eye(4))
image.header.set_intent("f test", (3, 120))
nibabel.save(image, "map.nii")
PYTHON
cat > read.cjs <<'JAVASCRIPT'
const { intent_p1, intent_p2 } = require("nifti-js").parseNIfTIHeader(require("node:fs").readFileSync("map.nii"));
console.log(intent_p1, intent_p2);
JAVASCRIPT
node read.cjs > read.txt
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys
from pathlib import Path

import nibabel
from scipy.stats import f


def words(first, second):
    """Return the degrees of freedom, and the chance of an F of 4.0."""
    return f"{first:.0f} and {second:.0f}", f"p = {f.sf(4.0, first, second):.3f}"


here = words(*map(float, Path("read.txt").read_text().split()))
there = words(*nibabel.load("map.nii").header.get_intent()[1])
line = f"degrees of freedom of a map of F: {here[0]}, an F of 4.0 has {here[1]}; by nibabel {there[0]}, {there[1]}"
print(line)
expected = "degrees of freedom of a map of F: 3 and 3, an F of 4.0 has p = 0.142; by nibabel 3 and 120, p = 0.009"
sys.exit(0 if line == expected else "this has changed")
PYTHON
