#!/usr/bin/env bash
# SimpleITK 2.5.7, numpy 2.4.6.
# Behaviour: LabelOverlapMeasuresImageFilter divides by zero without a word where neither mask holds a voxel, as for a
# healthy patient whom the model finds healthy. The Dice coefficient is infinite, and the volume similarity and the error
# rates are the largest number of a double, which is finite: neither isnan nor isinf finds it, and a mean over
# patients is 1e307. Where only the reference is empty the rate of missed voxels is that number, too.
# HausdorffDistanceImageFilter raises an error for the same masks.
# Expected: NaN, or an error as from the filter beside it.
# Seen: "both empty: Dice inf, volume similarity 1.8e+308, missed 1.8e+308 (finite); reference empty: missed 1.8e+308"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check SimpleITK==2.5.7 numpy==2.4.6
"$place/env/bin/python" - <<'PYTHON'
import math
import sys

import numpy as np
import SimpleITK as sitk

empty = sitk.GetImageFromArray(np.zeros((4, 4), np.uint8))
drawn = sitk.GetImageFromArray(np.pad(np.ones((2, 2), np.uint8), 1))


def measured(model, reference):
    """Return Dice, volume similarity and the part of the reference that the model missed."""
    measures = sitk.LabelOverlapMeasuresImageFilter()
    measures.Execute(model, reference)
    return measures.GetDiceCoefficient(), measures.GetVolumeSimilarity(), measures.GetFalseNegativeError()


dice, similarity, missed = measured(empty, empty)
_, _, missed_of_none = measured(drawn, empty)
finite = "finite" if math.isfinite(similarity) and math.isfinite(missed) else "not finite"
print(
    f"both empty: Dice {dice}, volume similarity {similarity:.1e}, missed {missed:.1e} ({finite}); "
    f"reference empty: missed {missed_of_none:.1e}"
)
largest = sys.float_info.max
sys.exit(not (dice == math.inf and similarity == missed == missed_of_none == largest))
PYTHON
