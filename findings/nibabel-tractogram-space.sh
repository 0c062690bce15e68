#!/usr/bin/env bash
# nibabel 5.4.2, numpy 2.4.6.
# Behaviour: a Tractogram knows its space by affine_to_rasmm, and loses it in two ways. Added to another one with +, its
# points are taken over as they are, though the sum bears the affine of the first: fibres in voxels are where their
# indices would lie in mm. And a part, tractogram[:1], shares its points with the whole: brought to world space by
# to_world, it moves them for the whole, too, whose affine stays, so that a file written from the whole has these fibres
# transformed twice. The docstrings name neither; that of to_world says that it changes the tractogram, which is the
# part.
# Expected: fibres at (-70, -86, 18) mm in the sum, and a whole that is saved there, whatever was done with a part.
# Seen: "saved from voxels [-70, -86, 18]; added to another one [10, 20, 30]; after its first fibre was brought to world
# space [-230, -298, -18]"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check nibabel==5.4.2 numpy==2.4.6
cd "$place"
"$place/env/bin/python" - <<'PYTHON'
import sys

import nibabel
import numpy as np
from nibabel.streamlines import Tractogram

to_world = np.array([[2.0, 0, 0, -90], [0, 2, 0, -126], [0, 0, 3, -72], [0, 0, 0, 1]])
fibre = np.array([[10.0, 20, 30], [11, 20, 30]])


def in_voxels():
    return Tractogram([fibre.copy(), fibre.copy()], affine_to_rasmm=to_world)


def saved(tractogram):
    """The first point of the first fibre in mm, as a file of it says."""
    nibabel.streamlines.save(tractogram, "saved.tck")
    return nibabel.streamlines.load("saved.tck").streamlines[0][0].round().astype(int).tolist()


in_mm = Tractogram([np.zeros((2, 3))], affine_to_rasmm=np.eye(4))
total = in_mm + in_voxels()
whole = in_voxels()
whole[:1].to_world()
line = (
    f"saved from voxels {saved(in_voxels())}; added to another one {saved(total[1:])}; "
    f"after its first fibre was brought to world space {saved(whole)}"
)
print(line)
expected = (
    "saved from voxels [-70, -86, 18]; added to another one [10, 20, 30]; after its first fibre was brought to"
    " world space [-230, -298, -18]"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
