"""A format: portable graymaps (PGM, binary) whose comments say what a research archive knows of an image.

Lines such as ``# patient 17``, ``# modality DX`` and ``# spacing 0.14 0.14`` stand between ``P5`` and the size.
"""

from __future__ import annotations

import re

import numpy as np

from wardround_client.images.formats.contract import Format, Plain
from wardround_common.errors import ImageRefused

HEADER = re.compile(rb"P5\s((?:#[^\n]*\n|\s)*)(\d{1,5})\s+(\d{1,5})\s+(\d{1,5})\s")


def _read(data: bytes, where: str) -> Plain:
    header = HEADER.match(data)
    if header is None:
        raise ImageRefused("unreadable", "its header is none of a binary graymap", where=where)
    columns, rows, largest = (int(number) for number in header.groups()[1:])
    kind = np.dtype(">u2" if largest > 255 else "u1")
    pixels = data[header.end() :]
    if len(pixels) != rows * columns * kind.itemsize or not pixels:
        raise ImageRefused("truncated", "its pixels are not as many as its header says", where=where)
    said = dict(re.findall(r"^# *(\w+) +(.*?) *$", header[1].decode("ascii", "replace"), re.MULTILINE))
    distances = tuple(float(number) for number in said["spacing"].split()) if "spacing" in said else None
    stored = np.frombuffer(pixels, kind).reshape(rows, columns).astype(kind.newbyteorder("="))
    return Plain(
        stored, "PGM", spacing_mm=distances, patient=said.get("patient", ""), modality=said.get("modality", "OTHER")
    )


FORMAT = Format(words=("PGM",), matches=lambda head: head[:2] == b"P5" and head[2:3].isspace(), read=_read)
