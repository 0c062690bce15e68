#!/usr/bin/env bash
# rtplan-complexity 1.1.0, shapely 2.1.2, numpy 2.4.6.
# Behaviour: the length of an arc is the difference of its first and last gantry angles, and 360 degrees less that where
# it is above 180: neither the way in between nor the direction of rotation is looked at. A full arc from 181 to 179
# degrees is 2 degrees long, with 300 MU in 358 degrees as 150 MU a degree, and one of 270 degrees is 90. Between 359
# and 1 degree the gantry is said to turn by 358: the time of the arc is doubled.
# Expected: the way that the control points go, 358 degrees, in 75 s at the 4.8 degrees a second that the machine may
# turn; an arc of 178 degrees, which does not cross 0, is right.
# Seen: "degrees, MU per degree and time of an arc from 181 to 359 178, 1.69, 37 s; from 181 on over 0 to 179 2, 150.00,
# 149 s; from 225 over 0 to 135 90, 3.33, 130 s"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check --no-deps rtplan-complexity==1.1.0 shapely==2.1.2 \
    pydicom==3.0.1 scipy==1.17.1 numpy==2.4.6
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

from rtplan_complexity.metrics import calculate_beam_metrics
from rtplan_complexity.types import Beam, ControlPoint, JawPositions, MLCLeafPositions

LEAVES = 40


def figures(angles):
    """Return length, MU per degree and time of an arc of 300 MU with one aperture throughout."""
    points = [
        ControlPoint(
            index=number,
            gantry_angle=float(angle % 360),
            gantry_rotation_direction="CW",
            beam_limiting_device_angle=0.0,
            cumulative_meterset_weight=number / (len(angles) - 1),
            mlc_positions=MLCLeafPositions([-50.0] * LEAVES, [50.0] * LEAVES),
            jaw_positions=JawPositions(-50.0, 50.0, -50.0, 50.0),
        )
        for number, angle in enumerate(angles)
    ]
    arc = Beam(
        beam_number=1,
        beam_name="arc",
        beam_type="DYNAMIC",
        radiation_type="PHOTON",
        treatment_delivery_type="TREATMENT",
        number_of_control_points=len(points),
        control_points=points,
        beam_dose=300.0,
        gantry_angle_start=points[0].gantry_angle,
        gantry_angle_end=points[-1].gantry_angle,
        is_arc=True,
        mlc_leaf_widths=[5.0] * LEAVES,
        number_of_leaves=LEAVES,
    )
    found = calculate_beam_metrics(arc)
    return f"{found.arc_length:.0f}, {found.MU_per_degree:.2f}, {found.estimated_delivery_time:.0f} s"


line = (
    f"degrees, MU per degree and time of an arc from 181 to 359 {figures(range(181, 360, 2))}; from 181 on over 0 to "
    f"179 {figures(range(181, 540, 2))}; from 225 over 0 to 135 {figures(range(225, 496, 2))}"
)
print(line)
expected = (
    "degrees, MU per degree and time of an arc from 181 to 359 178, 1.69, 37 s; from 181 on over 0 to 179 2, "
    "150.00, 149 s; from 225 over 0 to 135 90, 3.33, 130 s"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
