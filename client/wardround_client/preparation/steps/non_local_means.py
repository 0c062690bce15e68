"""Non-local means: a pixel becomes a mean of those whose surroundings look like its own.

Buades, Coll and Morel, *A non-local algorithm for image denoising*, CVPR 2005; scikit-image's fast form.
"""

from __future__ import annotations

import numpy as np

from wardround_common.study.steps import Apply, Setting, Settings, Step, Values

PATCH, DISTANCE = 5, 6
"""Pixels: how large the surroundings are that are compared, and how far away they may lie."""


def _fit(settings: Settings, values: Values) -> Apply:
    from skimage.restoration import denoise_nl_means

    strength = float(settings["strength"])

    def apply(plane: Values) -> Values:
        filtered = denoise_nl_means(plane, PATCH, DISTANCE, strength, fast_mode=True)
        clipped: Values = np.clip(filtered, 0, 1).reshape(plane.shape).astype(np.float32)
        return clipped

    return apply


STEP = Step(
    f"each pixel becomes a mean of those up to {DISTANCE} pixels away that look alike (non-local means, {{strength}})",
    _fit,
    (Setting("strength", 0.05, "how unlike they may be, as a part of the range from 0 to 1", 0.001, 1),),
    scales=False,
    scaled=True,
)
