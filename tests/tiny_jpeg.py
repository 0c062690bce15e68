"""A JPEG of 12 bits a pixel, made by hand from ITU-T T.81: few libraries write one, and some of them a wrong one."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

STEP = 16
"""Grey levels are stored in steps of this size: of each block of 8 x 8 only the mean is coded."""


def twelve_bit_jpeg(blocks: NDArray[np.int64]) -> bytes:
    """Encode an extended sequential frame of blocks of 8 x 8 pixels: each of one grey level, a multiple of STEP."""
    rows, columns = (8 * length for length in blocks.shape)
    quantiser = struct.pack(">B64H", 0x10, *[8 * STEP] * 64)  # 16-bit entries, table 0
    frame = struct.pack(">BHHBBBB", 12, rows, columns, 1, 1, 0x11, 0)
    means = struct.pack(">B16B", 0x00, *[0] * 4, 16, *[0] * 11) + bytes(range(16))  # 16 codes of 5 bits: 0 to 15
    details = struct.pack(">B16B", 0x10, 1, *[0] * 15) + b"\0"  # one code, 0: end of the block
    scan = struct.pack(">BBBBBB", 1, 1, 0x00, 0, 63, 0)
    parts = [(0xDB, quantiser), (0xC1, frame), (0xC4, means), (0xC4, details), (0xDA, scan)]
    head = b"".join(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in parts)
    return b"\xff\xd8" + head + _coded(((blocks - 2048) // STEP).ravel().tolist()) + b"\xff\xd9"


def _coded(means: list[int]) -> bytes:
    bits, before = "", 0
    for mean in means:
        change, before = mean - before, mean
        size = abs(change).bit_length()
        amplitude = change if change > 0 else change + (1 << size) - 1  # T.81 table F.1 and section F.1.2.1
        bits += f"{size:05b}" + (f"{amplitude:0{size}b}" if size else "") + "0"
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
