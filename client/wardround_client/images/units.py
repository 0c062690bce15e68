"""In which unit the values of an image are: of those that steps of preparation ask for, Hounsfield units."""

from __future__ import annotations

from pydicom import Dataset

from wardround_client.images.attributes import code, elements_of, tag
from wardround_client.images.frames import group
from wardround_client.images.meaning import is_inverted

_MODALITY, _TYPE, _TRANSFORMATION = tag("Modality"), tag("RescaleType"), tag("PixelValueTransformationSequence")
_RESCALE = (tag("RescaleSlope"), tag("RescaleIntercept"))


def in_hounsfield(dataset: Dataset) -> bool:
    """Tell whether the values of an image are Hounsfield units, as its attributes state it.

    Of CT with a rescale they are unless RescaleType names another unit (PS3.3 C.8.2.1 and C.11.1.1.2); without a
    rescale nothing says what the stored values are. Values that are turned round while reading are none any more.
    """
    item = group(dataset, _TRANSFORMATION, 0)
    rescaled = all(which in elements_of(item) for which in _RESCALE)
    stated = rescaled and code(item, _TYPE) in ("", "HU")
    return code(dataset, _MODALITY) == "CT" and stated and not is_inverted(dataset)
