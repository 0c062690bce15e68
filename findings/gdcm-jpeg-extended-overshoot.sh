#!/usr/bin/env bash
# python-gdcm 3.2.6 (GDCM), numpy 2.4.6.
# Behaviour: a JPEG Extended frame has 12 bits a sample (ITU-T T.81, process 4) also where the DICOM object says
# BitsStored 10, and a lossy frame may decode to a little more than 1023. GDCM cuts the result to BitsStored: 1024 becomes
# 0, so white becomes black. libjpeg gives 1024, as does GDCM itself when the object says BitsStored 12.
# Expected: a value limited to 1023, or 1024.
# Seen: "white of 1024 with BitsStored 12 decodes to 1024, with BitsStored 10 to 0"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check python-gdcm==3.2.6 numpy==2.4.6
"$place/env/bin/python" - <<'PYTHON'
import struct
import sys

import gdcm
import numpy as np


def frame(level: int) -> bytes:
    """Encode 8 x 8 pixels of one grey level, a multiple of 16, at 12 bits a sample."""
    mean = (level - 2048) // 16
    size = abs(mean).bit_length()
    bits = f"{size:05b}" + f"{mean if mean > 0 else mean + (1 << size) - 1:0{size}b}" + "0"
    bits += "1" * (-len(bits) % 8)
    parts = [
        (0xDB, struct.pack(">B64H", 0x10, *[128] * 64)),
        (0xC1, struct.pack(">BHHBBBB", 12, 8, 8, 1, 1, 0x11, 0)),
        (0xC4, struct.pack(">B16B", 0x00, *[0] * 4, 16, *[0] * 11) + bytes(range(16))),
        (0xC4, struct.pack(">B16B", 0x10, 1, *[0] * 15) + b"\0"),
        (0xDA, struct.pack(">BBBBBB", 1, 1, 0, 0, 63, 0)),
    ]
    head = b"".join(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in parts)
    coded = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    return b"\xff\xd8" + head + coded + b"\xff\xd9"


def decode(data: bytes, bits_stored: int) -> int:
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(data)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((8, 8, 1))
    image.SetDataElement(element)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGExtendedProcess2_4))
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, bits_stored, bits_stored - 1, 0))
    pixels = np.frombuffer(image.GetBuffer().encode("utf-8", "surrogateescape"), "<u2")
    return int(pixels[0])


twelve, ten = decode(frame(1024), 12), decode(frame(1024), 10)
print(f"white of 1024 with BitsStored 12 decodes to {twelve}, with BitsStored 10 to {ten}")
sys.exit((twelve, ten) != (1024, 0))
PYTHON
