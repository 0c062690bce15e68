#!/usr/bin/env bash
# SimpleITK 2.5.7, numpy 2.4.6.
# Behaviour: LabelVoting, which makes one mask of several readers' or models' masks, marks a voxel without a majority with
# a label of its own, one above the largest that occurs. Two masks of a lesion (1) become a mask with a class 2 where the
# two differ; with three classes and three raters it is class 3, and where the raters drew only label 1 of 2 it is the real
# class 2. `mask > 0` counts all of them as lesion: the union. The reference says so in a sentence; the filter's parameter
# for this label has no sign for "none".
# Expected: labels that somebody drew, such as the background on a tie, or an error.
# Seen: "two raters, labels 0 and 1, 8 of 16 voxels differ: labels of the vote 0, 1, 2; voxels above 0: 12 of 4 agreed;
# three raters, labels 0, 1 and 2: 3"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check SimpleITK==2.5.7 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import SimpleITK as sitk

one, two = np.zeros((2, 4, 4), np.uint8)
one[:2], two[1:3] = 1, 1


def voted(*masks):
    return sitk.GetArrayFromImage(sitk.LabelVoting([sitk.GetImageFromArray(mask) for mask in masks]))


vote, three = voted(one, two), set(voted(*(np.full((4, 4), label, np.uint8) for label in (0, 1, 2))).flat)
labels = sorted(set(vote.flat))
agreed, above = int((one & two).sum()), int((vote > 0).sum())
print(
    f"two raters, labels 0 and 1, {int((one != two).sum())} of 16 voxels differ: labels of the vote "
    f"{', '.join(map(str, labels))}; voxels above 0: {above} of {agreed} agreed; "
    f"three raters, labels 0, 1 and 2: {', '.join(map(str, three))}"
)
sys.exit(not (labels == [0, 1, 2] and agreed == 4 and above == 12 and three == {3}))
PYTHON
