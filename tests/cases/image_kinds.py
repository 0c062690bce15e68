"""What counts as an image: what lies beside a study's images is left out, and said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydicom.uid import CTImageStorage, SecondaryCaptureImageStorage

from cases.case import Case, sorted_out
from tiny_dicom import RAMP, save, tiny

STUDY = "1.2.3"


def beside(*options: object, **attributes: Any) -> Callable[[Path], str]:
    """Put a file with these attributes beside a CT image of the same study."""

    def scanned(here: Path) -> str:
        image = tiny(
            Modality="CT", SOPClassUID=CTImageStorage, StudyInstanceUID=STUDY, ImageType=["ORIGINAL", "PRIMARY"]
        )
        other = tiny(
            RAMP[::-1], **({"Modality": "CT", "SOPClassUID": CTImageStorage, "StudyInstanceUID": STUDY} | attributes)
        )
        save(image, here / "images" / "image.dcm")
        save(other, here / "images" / "other.dcm")
        return sorted_out(here, *options)

    return scanned


LOCALIZER = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}

CASES = (
    Case("an image and the localizer of its study", "1 image accepted, refused: 1 localizer", beside(**LOCALIZER)),
    Case("the same, with --allow localizers", "2 images accepted", beside("--allow", "localizers", **LOCALIZER)),
    Case(
        "a dose report as a picture of the screen",
        "1 image accepted, refused: 1 screen",
        beside(ImageType=["DERIVED", "SECONDARY", "SCREEN SAVE"]),
    ),
    Case(
        "a maximum intensity projection",
        "1 image accepted, refused: 1 derived",
        beside(ImageType=["DERIVED", "SECONDARY", "AXIAL", "MIP"]),
    ),
    Case(
        "a secondary capture beside a CT image",
        "1 image accepted, refused: 1 capture",
        beside(SOPClassUID=SecondaryCaptureImageStorage),
    ),
    Case(
        "a DICOM segmentation",
        "1 image accepted, refused: 1 segmentation",
        beside(SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4", Modality="SEG"),
    ),
)
