"""Every file of a zoo of odd DICOM gives the stated pixels, or the stated refusal; the scan over it never stops.

Run with ``make dicom-zoo DATA=DIR``, where DIR holds ``expected.csv`` (file, decodes, reason, sha256_of_decoded_pixels,
shape, dtype). A file that is marked as decodable must give exactly those pixels, before any rescale or window; one
whose reason says *lossy* may differ in its digest where the decoder is another one, but not in shape or type. The
others must be refused with a reason, but for what only the decoder of the statement could not do: JPEG Extended of more
than 8 bits. Ends with an error at the first difference.
"""

from __future__ import annotations

import csv
import hashlib
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from pydicom.uid import JPEGExtended12Bit
from rich.console import Console
from rich.table import Table

from wardround_client.images import decode, read_image
from wardround_client.intake.index import scan
from wardround_client.intake.record import ALLOWABLE
from wardround_common.errors import ImageRefused

NO_IMAGES = ("segmentation", "dose", "mask")
"""What the scan refuses although it can be decoded: it has pixels and is no image."""


def main(folder: Path) -> None:
    """Check the decoder file by file, then the scan of the whole folder."""
    with (folder / "expected.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    decoded: Counter[str] = Counter()
    for row in rows:
        decoded[check(folder / row["file"], row)] += 1
    with tempfile.TemporaryDirectory() as state:
        found = scan(folder, state=Path(state), allow=frozenset(ALLOWABLE), workers=2)
    images = {instance.file for instance in found.accepted}
    others = {refusal.file: refusal.reason for refusal in found.refused if refusal.reason in NO_IMAGES}
    for row in rows:
        decodes = row["decodes"] == "yes" or beyond(row)
        kept = row["file"] in images or (decodes and row["file"] in others)
        if decodes != kept:
            differs(row, "the scan and the decoder disagree")
    scanned = Counter(f"refused by the scan, no image: {reason}" for reason in others.values())
    scanned["accepted by the scan, all findings allowed"] = len(images)
    table = Table("outcome", "files")
    for outcome, count in [*decoded.most_common(), *scanned.most_common()]:
        table.add_row(outcome, str(count))
    Console().print(table)


def check(path: Path, row: dict[str, str]) -> str:
    """Compare one file with what is stated, and say how it went; anything but agreement ends the run."""
    try:
        pixels = decode(path)
    except ImageRefused as refused:
        if row["decodes"] == "yes":
            differs(row, f"it is refused as {refused.reason}")
        return f"refused: {refused.reason}"
    if row["decodes"] != "yes":
        if not beyond(row):
            differs(row, "it is decoded, and is stated to be refused")
        return "decoded, where the statement's decoder could not"
    shape, dtype = "x".join(str(length) for length in pixels.shape), str(pixels.dtype)
    if (shape, dtype) != (row["shape"], row["dtype"]):
        differs(row, f"{shape} {dtype} instead of {row['shape']} {row['dtype']}")
    exact = hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest() == row["sha256_of_decoded_pixels"]
    if not exact and not row["reason"].startswith("lossy"):
        differs(row, "its pixels are others")
    for voi in (False, True):
        if not np.isfinite(read_image(path, voi=voi).pixels).all():
            differs(row, "its image holds values that are not numbers")
    return "exact" if exact else "lossy, by another decoder"


def beyond(row: dict[str, str]) -> bool:
    """Tell whether a file is a valid one that the decoder of the statement did not know."""
    return row["transfer_syntax"] == JPEGExtended12Bit and not row["bits"].endswith("/8")


def differs(row: dict[str, str], how: str) -> None:
    """End the run with the file and the difference."""
    print(f"{row['file']}: {how}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
