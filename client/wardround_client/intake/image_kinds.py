"""Which images only accompany those that a study was made for, where only the rest of the study can tell.

A secondary capture beside true images is a picture of a screen or a page; alone it is how a whole archive was exported,
as public sets are, and is an image. A radiograph *for processing* is the same exposure once more where the study holds
it *for presentation*. What a file says by itself: :mod:`wardround_client.images.kinds`.
"""

from __future__ import annotations

from collections.abc import Iterable

from wardround_client.images.kinds import KINDS, PROCESSED_OF, image_type_of, kinds_of
from wardround_client.images.sop_class import CAPTURE, is_below
from wardround_client.intake.instance import Instance

__all__ = ["KINDS", "image_type_of", "kinds_by_study", "kinds_of"]


def kinds_by_study(images: Iterable[Instance]) -> dict[str, tuple[str, str]]:
    """Find by file what only the rest of its study can tell: a word of :data:`KINDS`, and why.

    Images without a StudyInstanceUID are judged by themselves.
    """
    listed = [image for image in images if image.study_uid]
    with_images = {image.study_uid for image in listed if not is_below(image.sop_class, CAPTURE)}
    presented = {(image.study_uid, image.sop_class) for image in listed}
    found: dict[str, tuple[str, str]] = {}
    for image in listed:
        if is_below(image.sop_class, CAPTURE):
            if image.study_uid in with_images and image.image_type.split("\\")[1:2] != ["PRIMARY"]:
                found[image.file] = "captures", "a secondary capture next to the images of its study"
        elif (image.study_uid, PROCESSED_OF.get(image.sop_class)) in presented:
            found[image.file] = "for-processing", "the study holds images for presentation as well"
    return found
