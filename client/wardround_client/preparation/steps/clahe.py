"""Contrast-limited adaptive histogram equalisation, within the range that an image has.

Zuiderveld, *Contrast limited adaptive histogram equalization*, Graphics Gems IV, 1994; scikit-image's implementation.
That stretches whatever it gets to 0 and 1, a slice of nothing but noise too: here the range of the plane is kept.
Its limit of 0 means no limit, which no study may write.
"""

from __future__ import annotations

import numpy as np

from wardround_common.study.steps import Apply, Setting, Settings, Step, Values


def _fit(settings: Settings, values: Values) -> Apply:
    from skimage.exposure import equalize_adapthist

    tiles, limit = int(settings["tiles"]), float(settings["limit"])

    def apply(plane: Values) -> Values:
        low, high = plane.min(), plane.max()
        if not high > low:
            return plane
        extent = [max(1, side // tiles) for side in plane.shape]
        equalised = equalize_adapthist((plane - low) / (high - low), extent, limit)
        return np.asarray(low + (high - low) * equalised, np.float32)

    return apply


STEP = Step(
    "contrast is equalised in {tiles} × {tiles} parts of the image, limited at {limit} (CLAHE)",
    _fit,
    (
        Setting("tiles", 8.0, "parts of the image along each side", 1, 64, whole=True),
        Setting("limit", 0.01, "the part of a tile that one of 256 greys may hold; 1 is no limit", 0.001, 1),
    ),
    scaled=True,
)
