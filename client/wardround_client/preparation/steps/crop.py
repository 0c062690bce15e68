"""What is not background: the box around it, so that the network's few pixels are spent on the patient."""

from __future__ import annotations

import numpy as np
import scipy

from wardround_client.preparation.steps._linear import EDGES
from wardround_common.study.steps import Apply, Area, Setting, Settings, Step, Values

PART = 0.1
"""Of the largest connected part: a smaller one is a letter, a marker or noise in the air, and no second leg."""
LEAST = 0.05
"""Of the image: if less would be left, it is not cut, since something else than the patient was found."""


def _area(settings: Settings, highest: Values) -> Area:
    """Return the box of what is not background, as MONAI's ``CropForeground`` has it, with a margin; or all.

    Pixels that meet at a corner alone are not connected, so that noise stays in small parts.
    """
    whole = Area.whole(*highest.shape)
    low, high = np.percentile(highest, EDGES)
    parts, count = scipy.ndimage.label(highest > low + settings["above"] * (high - low))
    if not count:
        return whole
    sizes = np.bincount(parts.ravel())[1:]
    boxes = scipy.ndimage.find_objects(parts)
    kept = [box for box, size in zip(boxes, sizes, strict=True) if size >= PART * sizes.max()]
    starts = np.min([[side.start for side in box] for box in kept], axis=0)
    stops = np.max([[side.stop for side in box] for box in kept], axis=0)
    if np.prod(stops - starts) < LEAST * highest.size:
        return whole
    margin = np.rint(float(settings["margin"]) * (stops - starts)).astype(int)
    top, left = np.maximum(starts - margin, 0).tolist()
    bottom, right = np.minimum(stops + margin, highest.shape).tolist()
    return Area(top, left, bottom, right)


def _fit(settings: Settings, values: Values) -> Apply:
    return lambda plane: plane


STEP = Step(
    "cut to what is not background: above {above} of the range of its values, with {margin} of its height and width "
    "around it",
    _fit,
    (
        Setting(
            "above",
            0.1,
            "what is not background, as a part of the range from the 0.5th to the 99.5th percentile",
            0.01,
            0.9,
        ),
        Setting("margin", 0.05, "what is left around it, as a part of its height and width", 0, 1),
    ),
    area=_area,
)
