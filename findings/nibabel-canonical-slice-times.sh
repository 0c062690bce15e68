#!/usr/bin/env bash
# nibabel 5.4.2, numpy 2.4.6.
# Behaviour: as_closest_canonical, and as_reoriented which it calls, turn the slices of an image round and carry the
# axis of acquisition (dim_info) along, but leave the order of the slices (slice_code) as it is: the times of a series
# acquired from its first to its last slice then belong to the opposite slices, by 1.8 s at the ends of ten slices at
# 0.2 s. The documentation mentions the affine alone.
# Expected: the time at which each slice was acquired: slice_code says sequential decreasing after the turn.
# Seen: "as it was: slice times wrong by 0.0 s; canonical: slice times wrong by 1.8 s, code 1 (sequential increasing)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check nibabel==5.4.2 numpy==2.4.6
"$place/env/bin/python" - <<'PYTHON'
import sys

import nibabel
import numpy as np

SLICES, DURATION = 10, 0.2  # s
voxels = np.zeros((4, 4, SLICES, 8), np.float32)
voxels += np.arange(SLICES)[:, None]  # each slice holds its number, and was acquired at number x DURATION
series = nibabel.Nifti1Image(voxels, np.diag([2.0, 2.0, -4.0, 1.0]))  # slices from the top to the bottom
series.header.set_xyzt_units("mm", "sec")
series.header.set_zooms((2.0, 2.0, 4.0, 2.5))
series.header.set_dim_info(slice=2)
series.header.set_slice_duration(DURATION)
series.header.set_slice_times(DURATION * np.arange(SLICES))


def wrong_by(image):
    """Greatest difference of the header's slice times to those of the slices that are there (s)."""
    there = DURATION * image.get_fdata()[0, 0, :, 0]
    return np.abs(np.array(image.header.get_slice_times()) - there).max()


def describe(image):
    return f"slice times wrong by {wrong_by(image):.1f} s"


canonical = nibabel.as_closest_canonical(series)
if canonical.affine[2, 2] != 4 or canonical.header.get_dim_info()[2] != 2:
    sys.exit("it is turned in another way")
line = (
    f"as it was: {describe(series)}; canonical: {describe(canonical)}, code {int(canonical.header['slice_code'])} "
    f"({canonical.header.get_value_label('slice_code')})"
)
print(line)
expected = (
    "as it was: slice times wrong by 0.0 s; canonical: slice times wrong by 1.8 s, code 1 (sequential "
    "increasing)"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
