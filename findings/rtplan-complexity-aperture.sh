#!/usr/bin/env bash
# rtplan-complexity 1.1.0, shapely 2.1.2, numpy 2.4.6.
# Behaviour: the modulation of the aperture is the share of the target that leaves and jaws block in the beam's eye
# view. The contours of the target are seen along the body's axis instead of along the beam, y of the patient taken for
# y of the beam, and their distance from the isocentre is left out. An aperture that leaves all of a target open, seen
# from above, blocks three quarters of it, and all of it where the target is not at 0, 0, 0 of the scanner, as it hardly
# ever is.
# Expected: 0 for an aperture exactly as large as the target, wherever the patient lies: from above, at gantry 0, the
# beam sees x and z of a patient on his back (DICOM PS3.3 C.7.6.2.1.1; IEC 61217).
# Seen: "share of a target blocked by an aperture of its own size: target and isocentre at 0, 0, 0, from above 0.75,
# from the side 0.75; both at 20, -150, 300 mm, from above 1.00"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps rtplan-complexity==1.1.0 shapely==2.1.2 \
    pydicom==3.0.1 scipy==1.17.1 numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

from rtplan_complexity.metrics import calculate_pam_beam
from rtplan_complexity.types import Beam, ContourSequence, ControlPoint, JawPositions, MLCLeafPositions, Structure

LEAVES = 40


def blocked(centre, gantry):
    """Return the share blocked of a target of 40 x 80 x 20 mm, at the isocentre, by an aperture as large as it is."""
    x, y, z = centre
    outline = [(x - 20, y - 40), (x + 20, y - 40), (x + 20, y + 40), (x - 20, y + 40)]
    contours = [ContourSequence([(*point, z + height) for point in outline]) for height in (-10.0, 0.0, 10.0)]
    half = {0: 20.0, 90: 40.0}[gantry]  # what the beam sees across: x from above, y from the side
    points = [
        ControlPoint(
            index=number,
            gantry_angle=float(gantry),
            gantry_rotation_direction="NONE",
            beam_limiting_device_angle=0.0,
            cumulative_meterset_weight=float(number),
            mlc_positions=MLCLeafPositions([-half] * LEAVES, [half] * LEAVES),
            jaw_positions=JawPositions(-half, half, -10.0, 10.0),
            isocenter_position=centre,
        )
        for number in (0, 1)
    ]
    field = Beam(
        beam_number=1,
        beam_name="field",
        beam_type="STATIC",
        radiation_type="PHOTON",
        treatment_delivery_type="TREATMENT",
        number_of_control_points=2,
        control_points=points,
        mlc_leaf_widths=[5.0] * LEAVES,
        number_of_leaves=LEAVES,
    )
    return f"{calculate_pam_beam(Structure('PTV', 1, contours=contours), field):.2f}"


line = (
    f"share of a target blocked by an aperture of its own size: target and isocentre at 0, 0, 0, from above "
    f"{blocked((0.0, 0.0, 0.0), 0)}, from the side {blocked((0.0, 0.0, 0.0), 90)}; both at 20, -150, 300 mm, from "
    f"above {blocked((20.0, -150.0, 300.0), 0)}"
)
print(line)
expected = (
    "share of a target blocked by an aperture of its own size: target and isocentre at 0, 0, 0, from above 0.75, "
    "from the side 0.75; both at 20, -150, 300 mm, from above 1.00"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
