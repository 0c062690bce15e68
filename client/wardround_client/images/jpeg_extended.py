"""JPEG Extended (process 4) of more than 8 bits, decoded by GDCM: a plugin of pydicom's decoder of that syntax.

pydicom 3.0 hands such frames to pylibjpeg-libjpeg only, which is under the GPL, and leaves GDCM out. GDCM (BSD) decodes
them, to the same numbers as libjpeg-turbo; a lossy JPEG's decoders may differ by a grey level.
"""

from __future__ import annotations

import gdcm
import numpy as np
from pydicom.pixels.decoders.base import DecodeRunner
from pydicom.uid import UID, JPEGExtended12Bit

DECODER_DEPENDENCIES = {JPEGExtended12Bit: ("gdcm>=3.0.10",)}


def is_available(uid: str) -> bool:
    """Tell pydicom which transfer syntax this decodes."""
    return uid in DECODER_DEPENDENCIES


def decode_frame(src: bytes, runner: DecodeRunner) -> bytes | bytearray:
    """Decode one frame: grey, 9 to 12 bits, two bytes a pixel, little-endian.

    Raises:
        ValueError: it is no such frame, or GDCM cannot decode it.
    """
    if runner.samples_per_pixel != 1 or runner.bits_allocated != 16 or not 8 < runner.bits_stored <= 12:
        raise ValueError("not a grey frame of 9 to 12 bits")
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(src)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((runner.columns, runner.rows, 1))
    image.SetDataElement(element)
    kind = gdcm.PhotometricInterpretation.GetPIType(str(runner.photometric_interpretation))
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    syntax = gdcm.TransferSyntax.GetTSType(str.__str__(UID(JPEGExtended12Bit)))
    image.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    # The frame has 12 bits whatever BitsStored says: a lossy one may overshoot that, and GDCM, like pydicom, cuts off
    # the bits beyond it, so that white becomes black.
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, 12, 11, runner.pixel_representation))
    frame: bytes = image.GetBuffer().encode("utf-8", "surrogateescape")  # GDCM hands bytes over as text
    if len(frame) != runner.rows * runner.columns * 2:
        raise ValueError("GDCM decoded another number of pixels than the frame has")
    if runner.pixel_representation:
        return frame
    within: bytes = np.minimum(np.frombuffer(frame, "<u2"), 2**runner.bits_stored - 1).astype("<u2").tobytes()
    return within
