#!/usr/bin/env bash
# nifti-reader-js 0.8.0 (npm), nibabel 5.3.2, numpy 2.2.6. Needs Node.js and npm.
# Behaviour: the affine of a NIfTI-2 image is always read from its sform, also where the code of the sform is 0, which
# says that there is none, and the image lies by its qform: all of its numbers are 0, and every voxel is at 0, 0, 0.
# The same image in NIfTI-1 is placed rightly. Nothing warns.
# Expected: the affine of the qform in both, as nibabel reads them.
# Seen: "place of voxel 10, 20, 30 of an image with a qform alone: in NIfTI-1 -30.0, -26.0, 20.0 mm, in NIfTI-2 0.0,
# 0.0, 0.0 mm; by nibabel -30.0, -26.0, 20.0 and -30.0, -26.0, 20.0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check nibabel==5.3.2 numpy==2.2.6
cd "$place"
npm install --silent --no-fund --no-audit nifti-reader-js@0.8.0 > /dev/null
"$place/env/bin/python" -W ignore - <<'PYTHON'
from pathlib import Path

import nibabel
import numpy as np

places = []
for number, kind in enumerate((nibabel.Nifti1Image, nibabel.Nifti2Image), 1):
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    affine[:3, 3] = -50, -66, -70
    image = kind(np.zeros((20, 30, 40), np.int16), None)
    image.set_qform(affine, code=1)
    image.set_sform(None, code=0)
    nibabel.save(image, f"{number}.nii")
    point = nibabel.load(f"{number}.nii").affine @ [10, 20, 30, 1]
    places.append(", ".join(f"{value:.1f}" for value in point[:3]))
Path("nibabel.txt").write_text(" and ".join(places))
PYTHON
cat > check.mjs <<'JAVASCRIPT'
import fs from "node:fs";
import * as nifti from "nifti-reader-js";

function place(number) {
  const bytes = fs.readFileSync(`${number}.nii`);
  const { affine } = nifti.readHeader(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  return affine
    .slice(0, 3)
    .map((row) => (row[0] * 10 + row[1] * 20 + row[2] * 30 + row[3]).toFixed(1))
    .join(", ");
}

const line =
  `place of voxel 10, 20, 30 of an image with a qform alone: in NIfTI-1 ${place(1)} mm, in NIfTI-2 ${place(2)} mm; ` +
  `by nibabel ${fs.readFileSync("nibabel.txt", "utf8")}`;
const expected =
  "place of voxel 10, 20, 30 of an image with a qform alone: in NIfTI-1 -30.0, -26.0, 20.0 mm, in NIfTI-2 0.0, 0.0, " +
  "0.0 mm; by nibabel -30.0, -26.0, 20.0 and -30.0, -26.0, 20.0";
console.log(line);
process.exitCode = line === expected ? 0 : 1;
JAVASCRIPT
node check.mjs
