"""The median of each pixel's surroundings: takes single bright and dark pixels away, and keeps edges."""

from __future__ import annotations

from wardround_common.study.steps import Apply, Setting, Settings, Step, Values


def _fit(settings: Settings, values: Values) -> Apply:
    from scipy import ndimage

    size = int(settings["size"])

    def apply(plane: Values) -> Values:
        filtered: Values = ndimage.median_filter(plane, size, mode="nearest")
        return filtered

    return apply


def _fits(settings: Settings) -> str:
    return "" if int(settings["size"]) % 2 else "size must be odd, so that a pixel lies in the middle"


STEP = Step(
    "each pixel becomes the median of {size} × {size} pixels around it",
    _fit,
    (Setting("size", 3.0, "height and width of the surroundings in pixels of the stored image", 3, 15, whole=True),),
    _fits,
)
