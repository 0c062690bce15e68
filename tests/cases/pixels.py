"""Pixels: what changes their meaning is obeyed, or the file is refused with a reason of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import FileDataset

from cases.case import Case, sorted_out
from tiny_dicom import RAMP, save, tiny
from wardround_client.images import read_image


def file(make: Callable[[], FileDataset]) -> Callable[[Path], str]:
    """Scan one file, and say which values its pixels get where it is accepted."""

    def scanned(here: Path) -> str:
        path = save(make(), here / "images" / "one.dcm")
        said = sorted_out(here)
        if "refused" in said:
            return said
        values = read_image(path).pixels.ravel()
        return f"{said}, stored 0 to 11 are read as {values[0]:g} to {values[-1]:g}"

    return scanned


def code_string(value: str) -> FileDataset:
    made = tiny(BitsStored=10, HighBit=9)
    made.add_new("PhotometricInterpretation", "LO", value)
    made["PhotometricInterpretation"].VR = "CS"
    return made


def comma(word: str, value: str) -> FileDataset:
    made = tiny(RescaleIntercept=0, RescaleType="HU")
    made.add_new(word, "LO", value)
    return made


def without_pixels() -> FileDataset:
    made = tiny()
    del made.PixelData
    return made


def attributes(**values: Any) -> Callable[[Path], str]:
    return file(lambda: tiny(**values))


UPRIGHT, TURNED = "stored 0 to 11 are read as 0 to 11", "stored 0 to 11 are read as 1023 to 1012"

CASES = (
    Case(
        "12 bits at the top of their 16 (HighBit 15)",
        UPRIGHT,
        file(lambda: tiny(RAMP << 4, BitsStored=12, HighBit=15)),
    ),
    Case(
        "HighBit 15, and the lowest bits are used all the same",
        "refused: 1 pixel-layout",
        attributes(BitsStored=12, HighBit=15),
    ),
    Case("' MONOCHROME1', with a space before it", TURNED, file(lambda: code_string(" MONOCHROME1"))),
    Case(
        "PresentationLUTShape INVERSE",
        TURNED,
        attributes(BitsStored=10, HighBit=9, PresentationLUTShape="INVERSE"),
    ),
    Case("a decimal comma in RescaleSlope", "refused: 1 pixel-values", file(lambda: comma("RescaleSlope", "0,5"))),
    Case("pixels that were taken out", "refused: 1 pixels-missing", file(without_pixels)),
    Case("pixels of no bytes", "refused: 1 pixels-empty", attributes(PixelData=b"")),
    Case(
        "two frames where the file says three",
        "refused: 1 frames-missing",
        file(lambda: tiny(np.stack([RAMP, RAMP]), NumberOfFrames=3)),
    ),
)
